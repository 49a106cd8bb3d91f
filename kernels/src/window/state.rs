//! A table's state as bytes: equal states give equal bytes, whatever led to them.
//!
//! The watermark and the counts; the keys, smallest first; how many entries each has; the words of
//! all entries, key by key. Keys that no window can reach any more are left out, which no output
//! and no count shows: such a key is answered as one that is not held, and a limit forgets all of
//! them, uncounted, before it evicts the first key that a window can reach. Cursors and sums are
//! not written: they are rebuilt by the first row of the key.

use std::io::{self, Read, Write};

use super::arena::{Ring, read_i64};
use super::plan::TIME_MAX_MS;
use super::table::WindowTable;
use super::{TableSpec, WindowCounts};
use crate::state::{StateReader, StateWriter, invalid};

/// Entries read at a time.
const CHUNK: usize = 256;
/// More keys than any table is allowed.
const KEYS_MAX: usize = 1 << 31;

/// What a state says before the entries.
pub(super) struct Header {
    pub watermark_ms: i64,
    pub counts: WindowCounts,
    pub keys: Vec<u64>,
    /// How many entries each key has.
    pub lens: Vec<u32>,
}

impl Header {
    pub fn read(state: &mut StateReader<'_>) -> io::Result<Header> {
        let watermark_ms = state.get()?;
        let mut words = [0; WindowCounts::WORDS];
        state.fill(&mut words)?;
        let counts = WindowCounts::from_words(words);
        let keys = state.list::<u64>(KEYS_MAX)?;
        let lens = state.numbers::<u32>(keys.len())?;
        if keys.first() == Some(&0) || !keys.is_sorted_by(|a, b| a < b) || lens.contains(&0) {
            return Err(invalid("keys out of order, or one without entries"));
        }
        Ok(Header { watermark_ms, counts, keys, lens })
    }
}

/// Whether entries go on from `newest_ms` in the order of time; the newest of them.
pub(super) fn check_times<'a>(
    entries: impl Iterator<Item = &'a [u32]>,
    newest_ms: i64,
) -> io::Result<i64> {
    // The first tile may start before the first legal time.
    let mut newest_ms = newest_ms.max(-2 * TIME_MAX_MS);
    for entry in entries {
        let time_ms = read_i64(entry);
        if !(newest_ms..=TIME_MAX_MS).contains(&time_ms) {
            return Err(invalid("entries of a key out of order"));
        }
        newest_ms = time_ms;
    }
    Ok(newest_ms)
}

impl WindowTable {
    /// Writes the state.
    ///
    /// # Errors
    /// Those of the writer.
    pub fn write_state(&self, writer: &mut dyn Write) -> io::Result<()> {
        let horizon_ms = self.plan.horizon_ms(self.watermark_ms);
        let view = |slot: u32| self.arena.view(self.keys.ring(slot));
        let mut keys = self.keys.sorted();
        // Mostly the queue knows that all can be reached, which saves a look at each.
        if self.keys.newest_at_least_ms().is_some_and(|newest_ms| newest_ms <= horizon_ms) {
            keys.retain(|&(_, slot)| {
                let view = view(slot);
                view.time_ms(view.len() - 1) > horizon_ms
            });
        }
        let state = &mut StateWriter::new(writer);
        state.put(self.watermark_ms)?;
        state.slice(&self.counts.words())?;
        state.length(keys.len())?;
        state.each(keys.iter().map(|&(key, _)| key))?;
        state.each(keys.iter().map(|&(_, slot)| view(slot).len()))?;
        state.slices(keys.iter().flat_map(|&(_, slot)| view(slot).pieces()))
    }

    /// A table of `spec` with a state that [`WindowTable::write_state`] wrote for an equal one.
    ///
    /// # Errors
    /// Those of the reader; `InvalidData` where the bytes are not such a state; `InvalidInput` for
    /// a specification that [`WindowTable::new`] refuses.
    pub fn read_state(spec: &TableSpec, reader: &mut dyn Read) -> io::Result<Self> {
        let refused = |error| io::Error::new(io::ErrorKind::InvalidInput, error);
        let mut table = Self::new(spec).map_err(refused)?;
        let state = &mut StateReader::new(reader);
        let Header { watermark_ms, counts, keys, lens } = Header::read(state)?;
        (table.watermark_ms, table.counts) = (watermark_ms, counts);
        for (key, len) in keys.into_iter().zip(lens) {
            table.read_key(key, len, state)?;
        }
        Ok(table)
    }

    fn read_key(&mut self, key: u64, len: u32, state: &mut StateReader<'_>) -> io::Result<()> {
        let words = self.plan.layout.words();
        let mut ring = Ring::EMPTY;
        let mut newest_ms = i64::MIN;
        let mut entries = vec![0; words * CHUNK.min(len as usize)];
        while ring.len() < len {
            let left = words * (len - ring.len()) as usize;
            let chunk = entries.len().min(left);
            state.fill(&mut entries[..chunk])?;
            newest_ms = check_times(entries[..chunk].chunks_exact(words), newest_ms)?;
            for entry in entries[..chunk].chunks_exact(words) {
                let last = ring.len();
                self.arena.insert(&mut ring, last, entry);
            }
        }
        self.entries += len as usize;
        let (slot, _) = self.keys.create(key, newest_ms);
        *self.keys.ring_mut(slot) = ring;
        self.lanes.push_slot(&self.plan);
        Ok(())
    }
}
