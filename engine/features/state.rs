//! What the feature stage knows, as bytes: its window tables, then the moments of its columns.
//!
//! Features of the last batch are not part of it: they lie with the pending events.

use std::io::{self, Read, Write};

use pelton_kernels::state::{StateReader, StateWriter};
use pelton_kernels::window::WindowTable;

use super::FeatureStage;
use super::windows::{EventTable, Home};

impl FeatureStage {
    /// Writes everything that rows and labels have changed.
    ///
    /// # Errors
    /// Those of the writer.
    pub fn write_state(&self, out: &mut dyn Write) -> io::Result<()> {
        StateWriter::new(out).slice(&self.identity())?;
        for table in self.tables() {
            match &table.home {
                Home::Here(table) => table.write_state(out)?,
                Home::There(index) => self.place.write_windows(*index, out)?,
            }
        }
        self.place.write_moments(out)
    }

    /// Becomes what [`FeatureStage::write_state`] wrote for the same configuration; on an error it
    /// is left half read and must not be used.
    ///
    /// # Errors
    /// Those of the reader; `InvalidData` for what cannot have been written.
    pub fn read_state(&mut self, from: &mut dyn Read) -> io::Result<()> {
        StateReader::new(from).expect(&self.identity(), "there were other features")?;
        for number in 0..self.events.len() + self.labels.len() {
            let table = self.table_mut(number);
            let read = WindowTable::read_state(&table.plan.spec, from)?;
            match &mut table.home {
                Home::Here(own) => **own = read,
                Home::There(index) => {
                    let index = *index;
                    if !self.place.take_in(index, &read)? {
                        self.move_home(index, read);
                    }
                }
            }
        }
        self.place.read_moments(from)
    }

    /// Tables over events first, as they are written.
    fn table_mut(&mut self, number: usize) -> &mut EventTable {
        match number.checked_sub(self.events.len()) {
            None => &mut self.events[number],
            Some(number) => &mut self.labels[number].inner,
        }
    }

    fn tables(&self) -> impl Iterator<Item = &EventTable> {
        self.events.iter().chain(self.labels.iter().map(|table| &table.inner))
    }

    /// How many tables of each kind, whether there are moments, and of how many columns.
    fn identity(&self) -> [u64; 4] {
        let tables = [self.events.len() as u64, self.labels.len() as u64];
        let moments = u64::from(self.place.has_moments());
        [tables[0], tables[1], moments, self.plan.width() as u64]
    }
}
