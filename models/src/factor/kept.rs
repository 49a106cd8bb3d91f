//! Earlier states of the embeddings that can be gone back to, without copies of all of them.
//!
//! A row of cells is noted before it first changes after a state was kept; rows that appeared later
//! need no note, they are cut off. So a kept state costs the rows that are learned after it and
//! before the next one, each once. Invariant: the embeddings gone back to are those that were kept,
//! to the bit; notes are a function of the rows in their order.

use std::collections::VecDeque;
use std::io;

use pelton_kernels::blend::BlendCell;
use pelton_kernels::state::{StateReader, StateWriter, invalid};

use crate::linear::kept::KeptCell;

/// More than anyone keeps: a damaged count must not ask for memory.
const VERSIONS_MAX: usize = 1 << 16;
/// No list of rows is longer.
const ROWS_MAX: usize = 1 << 32;

/// A row as it was: its place among all (dense columns first), its index, and when it was last
/// needed; the last two are 0 for a dense column.
pub(super) type Note = (usize, u32, u64);

/// A kept state.
#[derive(Clone, Debug, Default)]
pub(super) struct Version {
    /// Sparse rows, where the hand was, and how many had been given away.
    pub table: [u64; 3],
    /// Rows that changed after it and before the next, as they had been.
    pub notes: Vec<Note>,
    /// Their cells.
    pub cells: Vec<BlendCell>,
}

/// The states that are kept, oldest first.
#[derive(Clone, Debug, Default)]
pub(super) struct Versions {
    pub versions: VecDeque<Version>,
    /// For each row the count of kept states when it was last noted.
    noted: Vec<u64>,
    /// States kept so far.
    count: u64,
}

impl Versions {
    /// Keeps a state with such a table.
    pub fn keep(&mut self, table: [u64; 3]) {
        self.count += 1;
        self.versions.push_back(Version { table, ..Version::default() });
    }

    /// Notes a row with these cells that is about to change, unless that is done or it is younger
    /// than the state.
    #[inline]
    pub fn note(&mut self, dense: usize, note: Note, cells: &[BlendCell]) {
        let Some(version) = self.versions.back_mut() else { return };
        let place = note.0;
        if place >= dense + version.table[0] as usize {
            return;
        }
        if self.noted.len() <= place {
            self.noted.resize(place + 1, 0);
        }
        if self.noted[place] != self.count {
            self.noted[place] = self.count;
            version.notes.push(note);
            version.cells.extend_from_slice(cells);
        }
    }

    /// After going back to the oldest: it alone is kept, with nothing learned since.
    pub fn begin_anew(&mut self) {
        self.versions.truncate(1);
        self.count += 1;
        for version in &mut self.versions {
            version.notes.clear();
            version.cells.clear();
        }
    }

    /// Writes what is kept, rows in ascending order.
    pub fn write(&self, state: &mut StateWriter<'_>, row_cells: usize) -> io::Result<()> {
        state.length(self.versions.len())?;
        for Version { table, notes, cells } in &self.versions {
            state.slice(table)?;
            let mut order: Vec<usize> = (0..notes.len()).collect();
            order.sort_by_key(|at| notes[*at].0);
            state.length(notes.len())?;
            state.each(order.iter().map(|at| notes[*at].0 as u64))?;
            state.each(order.iter().map(|at| notes[*at].1))?;
            state.each(order.iter().map(|at| notes[*at].2))?;
            let rows = order.iter().map(|at| &cells[at * row_cells..(at + 1) * row_cells]);
            state.each(rows.flatten().map(|cell| cell.numbers()))?;
        }
        Ok(())
    }

    /// Reads what was written of embeddings with `places` rows, sparse and dense; `cells` makes
    /// sure of the numbers.
    pub fn read(
        state: &mut StateReader<'_>,
        (dense, places, row_cells): (usize, usize, usize),
        cells: impl Fn(Vec<[f32; 6]>) -> io::Result<Vec<BlendCell>>,
    ) -> io::Result<Versions> {
        let mut kept = Versions::default();
        let mut rows_before = 0;
        for _ in 0..state.length(VERSIONS_MAX)? {
            let table: [u64; 3] = state.get()?;
            let rows = table[0] as usize;
            if rows < rows_before || rows > places - dense || table[1] >= table[0].max(1) {
                return Err(invalid("a kept state has other rows"));
            }
            rows_before = rows;
            kept.keep(table);
            let count = state.length(ROWS_MAX)?;
            let own = state.numbers::<u64>(count)?;
            let keys = state.numbers::<u32>(count)?;
            let seen = state.numbers::<u64>(count)?;
            let is_ascending = own.windows(2).all(|pair| pair[0] < pair[1]);
            if !is_ascending || own.last().is_some_and(|last| *last as usize >= dense + rows) {
                return Err(invalid("a row changed that is not there"));
            }
            let cells = cells(state.numbers(count * row_cells)?)?;
            let notes = own.into_iter().zip(keys).zip(seen);
            for (((place, key), seen), cells) in notes.zip(cells.chunks_exact(row_cells)) {
                kept.note(dense, (place as usize, key, seen), cells);
            }
        }
        Ok(kept)
    }
}
