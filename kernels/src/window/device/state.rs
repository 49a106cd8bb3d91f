//! A table on a GPU as bytes: those of [`WindowTable`](super::super::WindowTable), so that a
//! checkpoint moves between devices.
//!
//! The entries of the keys are gathered a piece at a time, those of keys that lie here in between;
//! and they come back as calls that enter, as long as there is memory for them.

use std::io::{self, Read, Write};

use super::cold::Cold;
use super::layout::Standing;
use super::pieces::{Held, LOADED, Loaded, PIECE, entries_of, gather, piece_of};
use super::room::Room;
use super::{DeviceWindows, Labels};
use crate::device::{DeviceError, Stream};
use crate::state::{StateReader, StateWriter};
use crate::window::WindowTable;
use crate::window::state::{Header, check_times};

/// Entries read at a time.
const READ: usize = 1 << 12;

impl DeviceWindows {
    /// Writes the state of a table, which must be settled.
    ///
    /// # Errors
    /// Those of the writer; [`DeviceError`] as one of another kind.
    pub fn write_state(
        &self,
        stream: &Stream,
        index: usize,
        writer: &mut dyn Write,
    ) -> io::Result<()> {
        let table = &self.tables[index];
        let horizon_ms = table.layout.plan.horizon_ms(table.standing.watermark_ms);
        let hot = self.hot(stream, index, |held| held.newest_ms > horizon_ms);
        let mut keys = hot.map_err(io::Error::other)?;
        let cold = table.cold.reached(horizon_ms);
        keys.extend(cold.map(|(key, len)| Held { key, slot: None, len, newest_ms: 0 }));
        keys.sort_unstable_by_key(|held| held.key);
        let state = &mut StateWriter::new(writer);
        state.put(table.standing.watermark_ms)?;
        state.slice(&self.counts(index).words())?;
        state.length(keys.len())?;
        state.each(keys.iter().map(|held| held.key))?;
        state.each(keys.iter().map(|held| held.len))?;
        let argument = self.argument(stream, index).map_err(io::Error::other)?;
        let (mut words, mut most) = (Vec::new(), PIECE);
        let mut rest = &keys[..];
        while !rest.is_empty() {
            let (piece, later) = rest.split_at(piece_of(rest, table.layout.entry_words, most));
            let there: Vec<Held> =
                piece.iter().filter(|held| held.slot.is_some()).copied().collect();
            words.resize(entries_of(&there) * table.layout.entry_words, 0);
            match gather(stream, &argument, &there, words.len()) {
                // Smaller pieces need less memory.
                Err(DeviceError::Memory { .. }) if piece.len() > 1 => most /= 4,
                gathered => {
                    let read = gathered.and_then(|[out, _]| stream.read(&out, &mut words));
                    read.map_err(io::Error::other)?;
                    self.write_piece(index, state, (piece, &words))?;
                    rest = later;
                }
            }
        }
        Ok(())
    }

    /// Writes the entries of the keys, in their order; `words` has those from the GPU.
    fn write_piece(
        &self,
        index: usize,
        state: &mut StateWriter<'_>,
        (piece, mut words): (&[Held], &[u32]),
    ) -> io::Result<()> {
        let table = &self.tables[index];
        if table.cold.is_empty() {
            return state.slice(words);
        }
        for held in piece {
            if held.slot.is_some() {
                let own = words.split_at(held.len as usize * table.layout.entry_words);
                state.slice(own.0)?;
                words = own.1;
            } else if let Some(view) = table.cold.view(held.key) {
                state.slices(view.pieces())?;
            }
        }
        Ok(())
    }

    /// Lets a table be what [`DeviceWindows::write_state`], or one on the CPU, wrote for its equal.
    /// Keys for which the GPU has no memory lie here.
    ///
    /// # Errors
    /// Those of the reader; `InvalidData` where the bytes are not such a state; [`DeviceError`] as
    /// one of another kind.
    pub fn read_state(
        &mut self,
        stream: &Stream,
        index: usize,
        reader: &mut dyn Read,
    ) -> io::Result<()> {
        let state = &mut StateReader::new(reader);
        let header = Header::read(state)?;
        self.begin(stream, index, &header).map_err(io::Error::other)?;
        let table = &self.tables[index];
        let words = table.layout.entry_words;
        let mut loaded = Loaded::new(table.spec.values, table.spec.codes);
        // The keys that are to enter together, with all words of their entries.
        let (mut keys, mut entries, mut is_full) = (Vec::new(), Vec::new(), false);
        for (&key, &len) in header.keys.iter().zip(&header.lens) {
            let (mut left, mut newest_ms) = (len as usize, i64::MIN);
            loaded.begin(left);
            while left > 0 {
                let (count, from) = (left.min(READ), entries.len());
                entries.resize(from + words * count, 0);
                let piece = &mut entries[from..];
                state.fill(piece)?;
                newest_ms = check_times(piece.chunks_exact(words), newest_ms)?;
                piece.chunks_exact(words).for_each(|entry| loaded.push(key, entry));
                left -= count;
            }
            keys.push((key, len as usize));
            if loaded.len() >= LOADED {
                self.place(stream, index, (&keys, &entries), &loaded, &mut is_full)?;
                loaded.clear();
                keys.clear();
                entries.clear();
            }
        }
        self.place(stream, index, (&keys, &entries), &loaded, &mut is_full)
    }

    /// Enters the keys; where there is no memory for them they lie here, as all that follow.
    fn place(
        &mut self,
        stream: &Stream,
        index: usize,
        (keys, mut entries): (&[(u64, usize)], &[u32]),
        loaded: &Loaded,
        is_full: &mut bool,
    ) -> io::Result<()> {
        if !*is_full {
            match self.load(stream, index, loaded) {
                Err(DeviceError::Memory { .. }) => *is_full = true,
                other => return other.map_err(io::Error::other),
            }
        }
        let table = &mut self.tables[index];
        for &(key, len) in keys {
            let own = entries.split_at(len * table.layout.entry_words);
            table.cold.insert(key, own.0);
            entries = own.1;
        }
        Ok(())
    }

    /// Lets a table be what `here` is; false where there is no memory even for an empty one, and it
    /// is to be let go ([`DeviceWindows::let_go`]).
    ///
    /// # Errors
    /// [`DeviceError`] as one of another kind.
    pub fn take_in(
        &mut self,
        stream: &Stream,
        index: usize,
        here: &WindowTable,
    ) -> io::Result<bool> {
        let mut bytes = Vec::new();
        here.write_state(&mut bytes)?;
        match self.read_state(stream, index, &mut &bytes[..]) {
            Err(error) if is_of_memory(&error) => Ok(false),
            taken => taken.map(|()| true),
        }
    }

    /// Empties a table and takes over what a state says beside its entries.
    fn begin(&mut self, stream: &Stream, index: usize, header: &Header) -> Result<(), DeviceError> {
        let table = &mut self.tables[index];
        table.room = Room::new(stream, &table.layout, &table.columns)?;
        table.cold = Cold::new(table.layout.entry_words);
        table.labels = Labels::new();
        let [keys, values, saturated, late, evicted_keys, evicted_entries] = header.counts.words();
        table.evicted = [evicted_keys, evicted_entries];
        let counts = [keys, values, saturated, late];
        table.standing =
            Standing { watermark_ms: header.watermark_ms, counts, ..Standing::default() };
        self.tell_standings(stream)
    }
}

fn is_of_memory(error: &io::Error) -> bool {
    let device = error.get_ref().and_then(|inner| inner.downcast_ref());
    matches!(device, Some(DeviceError::Memory { .. }))
}
