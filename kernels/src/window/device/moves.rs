//! Which keys of a table are on the GPU: those of the batch, and of the others those that batches
//! had last, as far as its memory goes.
//!
//! As long as a table grows, all of its keys are there. When it can grow no more, keys that no
//! window reaches are forgotten, and those that no batch had for the longest move out to the host
//! (`cold.rs`), a quarter of the room at a time, so that looking for them is rare. A key that a
//! batch has comes in before the batch, whether it asks or enters; the host knows which, for it has
//! the columns.
//!
//! # Limits
//! A sixteenth of the GPU's memory is left free by whatever grows here. Growing is a copy, so a
//! table alone on a GPU takes about half of its memory before keys move out. The keys of a batch
//! must fit together; where they do not, or where keys move to and fro so much that the CPU alone
//! is no slower (`Cold::is_no_gain`), the table is for the CPU.

use std::sync::Arc;

use super::layout::{Standing, TableArgued};
use super::pieces::{Held, LOADED, Loaded, PIECE, entries_of, gather, piece_of};
use super::room::{Coming, Room};
use super::table::DeviceTable;
use super::{ColdCounts, DeviceWindows};
use crate::assemble::Columns;
use crate::device::{Buffer, Device, DeviceError, Pinned, Pinning, Stream};
use crate::hash;

/// What is done, one after the other, where there is no memory for a batch.
#[derive(Clone, Copy)]
enum Remedy {
    /// Keys that it does not have move out.
    Push,
    /// All keys do, and the memory is asked for anew.
    Empty,
}

impl DeviceWindows {
    /// Makes a table ready for a batch; false where there is no memory for it, whatever is moved
    /// out.
    pub(super) fn ready(
        &mut self,
        stream: &Stream,
        index: usize,
        batch: &Columns<'_>,
    ) -> Result<bool, DeviceError> {
        for remedy in [Remedy::Push, Remedy::Empty] {
            match self.bring_in_and_grow(stream, index, batch) {
                Err(DeviceError::Memory { .. }) => {}
                other => return other.map(|()| true),
            }
            let table = &self.tables[index];
            let done = match remedy {
                Remedy::Push if table.room.is_worn(&table.standing) => continue,
                Remedy::Push => self.push_idle(stream, index, batch),
                Remedy::Empty => self.empty(stream, index),
            };
            match done {
                // What has not moved is where it was.
                Err(DeviceError::Memory { .. }) => {}
                other => other?,
            }
        }
        match self.bring_in_and_grow(stream, index, batch) {
            Err(DeviceError::Memory { .. }) => Ok(false),
            other => other.map(|()| true),
        }
    }

    /// Moves keys out until a table has at most `keys` on the GPU: those that no batch had for the
    /// longest first. Waits.
    ///
    /// # Errors
    /// [`DeviceError`].
    pub fn cool(&mut self, stream: &Stream, index: usize, keys: usize) -> Result<(), DeviceError> {
        self.settle(stream)?;
        let mut hot = self.hot_by_use(stream, index, |_| true)?;
        hot.truncate(hot.len().saturating_sub(keys));
        self.push(stream, index, &hot)
    }

    /// What moved between the memory of the GPU and the host's, and what lies here.
    #[must_use]
    pub fn cold(&self, index: usize) -> ColdCounts {
        self.tables[index].cold.counts()
    }

    fn bring_in_and_grow(
        &mut self,
        stream: &Stream,
        index: usize,
        batch: &Columns<'_>,
    ) -> Result<(), DeviceError> {
        let wanted = self.tables[index].wanted(batch);
        self.bring_in(stream, index, &wanted)?;
        let table = &mut self.tables[index];
        let (entering, calls) = (table.entering(batch.rows), batch.rows + table.labels.count);
        let coming = Coming::of_calls(entering);
        table.make_room(stream, self.standings.address(), index, (coming, calls))
    }

    /// Brings in keys that lie here.
    fn bring_in(
        &mut self,
        stream: &Stream,
        index: usize,
        wanted: &[Held],
    ) -> Result<(), DeviceError> {
        let (mut rest, mut most) = (wanted, LOADED);
        while !rest.is_empty() {
            let table = &self.tables[index];
            let (piece, later) = rest.split_at(piece_of(rest, 1, most));
            let mut loaded = Loaded::new(table.spec.values, table.spec.codes);
            for held in piece {
                let Some(view) = table.cold.view(held.key) else { continue };
                loaded.begin(view.len() as usize);
                (0..view.len()).for_each(|at| loaded.push(held.key, view.entry(at)));
            }
            match self.load(stream, index, &loaded) {
                // Smaller pieces need less memory on their way.
                Err(DeviceError::Memory { .. }) if piece.len() > 1 => most = (most / 8).max(1),
                loaded => {
                    loaded?;
                    let cold = &mut self.tables[index].cold;
                    piece.iter().for_each(|held| cold.has_gone_in(held.key));
                    rest = later;
                }
            }
        }
        Ok(())
    }

    /// Forgets idle keys and moves others out that the batch does not have: so many that there is
    /// room for it and, if possible, a quarter of all is free then.
    fn push_idle(
        &mut self,
        stream: &Stream,
        index: usize,
        batch: &Columns<'_>,
    ) -> Result<(), DeviceError> {
        self.forget(stream, index)?;
        let table = &self.tables[index];
        let mut keys: Vec<u64> = table.keys(batch).collect();
        keys.sort_unstable();
        let mut coming = Coming::of_calls(table.entering(batch.rows));
        table.wanted(batch).iter().for_each(|held| coming.add_key(held.len as usize));
        let is_other = |held: &Held| keys.binary_search(&held.key).is_err();
        let hot = self.hot_by_use(stream, index, is_other)?;
        let table = &mut self.tables[index];
        table.cold.has_looked_at(table.standing.slots as usize);
        let mut leaving = Coming::default();
        let is_enough = |leaving: &Coming| table.room.has_spare(&table.standing, coming, leaving);
        let pushed = hot.iter().take_while(|held| {
            let is_needed = !is_enough(&leaving);
            leaving.add_key(held.len as usize);
            is_needed
        });
        let pushed = pushed.count();
        self.push(stream, index, &hot[..pushed])
    }

    /// Moves all keys out and gives the memory back.
    fn empty(&mut self, stream: &Stream, index: usize) -> Result<(), DeviceError> {
        self.settle(stream)?;
        let hot = self.hot(stream, index, |_| true)?;
        self.push(stream, index, &hot)?;
        let table = &mut self.tables[index];
        table.room = Room::new(stream, &table.layout, &table.columns)?;
        let Standing { watermark_ms, counts, .. } = table.standing;
        table.standing = Standing { watermark_ms, counts, ..Standing::default() };
        self.tell_standings(stream)
    }

    /// Moves keys out. Where there is no memory to do so, some of them stay.
    fn push(&mut self, stream: &Stream, index: usize, keys: &[Held]) -> Result<(), DeviceError> {
        if keys.is_empty() {
            return Ok(());
        }
        // From the first key that is released to the index, no memory is asked for but by `fetch`.
        let argument = self.argument(stream, index)?;
        let given = stream.buffer_of(&[0_u32])?;
        let table = &mut self.tables[index];
        let entry_words = table.layout.entry_words;
        let (mut rest, mut most, mut moved) = (keys, PIECE, Ok(()));
        let mut staged = Pinned::ordinary(0);
        while !rest.is_empty() {
            let (piece, later) = rest.split_at(piece_of(rest, entry_words, most));
            let words = entries_of(piece) * entry_words;
            let slots = match fetch(stream, &argument, (piece, words), &mut staged) {
                Err(DeviceError::Memory { .. }) if piece.len() > 1 => {
                    most /= 4;
                    continue;
                }
                Err(error) => {
                    moved = Err(error);
                    break;
                }
                Ok(slots) => slots,
            };
            table.room.release(stream, argument.address(), &slots, &given)?;
            let mut left = &staged[..words];
            for held in piece {
                let own = left.split_at(held.len as usize * entry_words);
                table.cold.take_out(held.key, own.0);
                left = own.1;
            }
            rest = later;
        }
        let of = (argument.address(), table.standing.slots);
        table.room.index_anew(stream, of, &given)?;
        self.settle(stream)?;
        moved
    }
}

impl DeviceTable {
    /// The keys that come with a batch and the labels at hand, as often as they come.
    fn keys(&self, batch: &Columns<'_>) -> impl Iterator<Item = u64> {
        let (categories, stride) = (batch.categories, batch.stride);
        let code = move |column: usize, row: usize| categories[column * stride + row];
        let columns = &self.columns.key[..];
        let rows = (0..batch.rows).map(move |row| match columns {
            [column] => code(*column, row),
            _ if columns.iter().any(|&column| code(column, row) == 0) => 0,
            _ => hash::cross(columns.iter().map(|&column| code(column, row))).max(1),
        });
        let labels = &self.labels.keys[..self.labels.count];
        rows.chain(labels.iter().copied()).filter(|&key| key != 0)
    }

    /// Those that lie here, each once.
    fn wanted(&self, batch: &Columns<'_>) -> Vec<Held> {
        if self.cold.is_empty() {
            return Vec::new();
        }
        let mut keys: Vec<u64> = self.keys(batch).filter(|&key| self.cold.contains(key)).collect();
        keys.sort_unstable();
        keys.dedup();
        let held = keys.into_iter().map(|key| {
            let len = self.cold.view(key).map_or(0, |view| view.len());
            Held { key, slot: None, len, newest_ms: 0 }
        });
        held.collect()
    }
}

/// Sends the keys' entries, so many words, on their way to page-locked memory, which is made long
/// enough; the slots of the keys are there now.
fn fetch(
    stream: &Stream,
    table: &Buffer<TableArgued>,
    (keys, words): (&[Held], usize),
    staged: &mut Pinned<u32>,
) -> Result<Buffer<u32>, DeviceError> {
    if words > staged.len() {
        let device = Device::Gpu(Arc::clone(stream.gpu()));
        *staged = Pinned::new(&device, words.next_power_of_two(), Pinning::Both)?;
    }
    let [out, slots] = gather(stream, table, keys, words)?;
    stream.download((staged, 0), (&out, 0), words)?;
    Ok(slots)
}
