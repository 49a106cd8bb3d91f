//! A table on a GPU as bytes: those of [`WindowTable`](super::super::WindowTable), so that a
//! checkpoint moves between devices.
//!
//! The entries of the keys are gathered a piece at a time, and come back as calls that enter.

use std::io::{self, Read, Write};

use super::layout::{KeyHead, Standing, TableArgued, small};
use super::room::Room;
use super::{DeviceWindows, Labels, WARPS};
use crate::device::{Argument, Buffer, DeviceError, Launch, Stream};
use crate::state::{StateReader, StateWriter};
use crate::window::WindowTable;
use crate::window::state::{Header, check_times};

/// Words of entries that are moved at a time.
const PIECE: usize = 1 << 20;
/// Entries that enter at a time.
const LOADED: usize = 1 << 14;

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
        let mut heads = vec![KeyHead::default(); table.standing.slots as usize];
        stream.read(table.room.heads(), &mut heads).map_err(io::Error::other)?;
        let slots = (0_u32..).zip(&heads);
        let is_reached = |head: &KeyHead| head.key != 0 && head.newest_ms > horizon_ms;
        let mut keys: Vec<(u64, u32, u32)> = slots
            .filter(|(_, head)| is_reached(head))
            .map(|(slot, head)| (head.key, slot, head.len()))
            .collect();
        keys.sort_unstable();
        let state = &mut StateWriter::new(writer);
        state.put(table.standing.watermark_ms)?;
        state.slice(&self.counts(index).words())?;
        state.length(keys.len())?;
        state.each(keys.iter().map(|&(key, _, _)| key))?;
        state.each(keys.iter().map(|&(_, _, len)| len))?;
        let argument = self.argument(stream, index).map_err(io::Error::other)?;
        let (mut words, mut most) = (Vec::new(), PIECE);
        let mut rest = &keys[..];
        while !rest.is_empty() {
            let (piece, later) = rest.split_at(piece_of(rest, table.layout.entry_words, most));
            words.resize(entries_of(piece) * table.layout.entry_words, 0);
            match gather(stream, &argument, piece, &mut words) {
                // Smaller pieces need less memory.
                Err(DeviceError::Memory { .. }) if piece.len() > 1 => most /= 4,
                gathered => {
                    gathered.map_err(io::Error::other)?;
                    state.slice(&words)?;
                    rest = later;
                }
            }
        }
        Ok(())
    }

    /// Lets a table be what [`DeviceWindows::write_state`], or one on the CPU, wrote for its equal.
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
        let (values, codes) = (table.spec.values, table.spec.codes);
        let mut loaded = Loaded::new(values, codes);
        let mut entries = vec![0_u32; words * LOADED];
        for (&key, &len) in header.keys.iter().zip(&header.lens) {
            let (mut left, mut newest_ms) = (len as usize, i64::MIN);
            while left > 0 {
                let count = left.min(LOADED - loaded.keys.len());
                let piece = &mut entries[..words * count];
                state.fill(piece)?;
                newest_ms = check_times(piece.chunks_exact(words), newest_ms)?;
                piece.chunks_exact(words).for_each(|entry| loaded.push(key, entry));
                left -= count;
                if loaded.keys.len() == LOADED {
                    self.load(stream, index, &mut loaded).map_err(io::Error::other)?;
                }
            }
        }
        self.load(stream, index, &mut loaded).map_err(io::Error::other)
    }

    /// Lets a table be what `here` is; false where there is no memory for it, and it is to be let
    /// go ([`DeviceWindows::let_go`]).
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
        table.labels = Labels::new();
        let [keys, values, saturated, late, evicted_keys, evicted_entries] = header.counts.words();
        table.evicted = [evicted_keys, evicted_entries];
        let counts = [keys, values, saturated, late];
        table.standing =
            Standing { watermark_ms: header.watermark_ms, counts, ..Standing::default() };
        self.tell_standings(stream)
    }

    /// Enters the entries and waits.
    fn load(
        &mut self,
        stream: &Stream,
        index: usize,
        loaded: &mut Loaded,
    ) -> Result<(), DeviceError> {
        let count = loaded.keys.len();
        if count == 0 {
            return Ok(());
        }
        let table = &mut self.tables[index];
        table.make_room(stream, self.standings.address(), index, (count, count))?;
        let columns = (
            loaded.column(&loaded.values, table.spec.values),
            loaded.column(&loaded.codes, table.spec.codes),
        );
        table.room.give_saved(
            stream,
            (&loaded.keys, &loaded.times_ms),
            (&columns.0, &columns.1),
        )?;
        let mut argument = table.argument(self.standings.address(), index);
        (argument.labels, argument.is_loading) = (small(count), 1);
        let argument = stream.buffer_of(&[argument])?;
        let standing = table.standing;
        table.room.has_given(&standing, count);
        DeviceWindows::launch(stream, (argument.address(), 1), count, 0)?;
        self.settle(stream)?;
        loaded.clear();
        Ok(())
    }

    pub(super) fn argument(
        &self,
        stream: &Stream,
        index: usize,
    ) -> Result<Buffer<TableArgued>, DeviceError> {
        stream.buffer_of(&[self.tables[index].argument(self.standings.address(), index)])
    }
}

fn is_of_memory(error: &io::Error) -> bool {
    let device = error.get_ref().and_then(|inner| inner.downcast_ref());
    matches!(device, Some(DeviceError::Memory { .. }))
}

/// How many of the keys make a piece: one at least.
fn piece_of(keys: &[(u64, u32, u32)], words: usize, most: usize) -> usize {
    let mut entries = 0;
    let fits = |&&(_, _, len): &&(u64, u32, u32)| {
        entries += len as usize;
        entries * words <= most
    };
    keys.iter().take_while(fits).count().max(1)
}

fn entries_of(keys: &[(u64, u32, u32)]) -> usize {
    keys.iter().map(|&(_, _, len)| len as usize).sum()
}

/// Reads the words of the keys' entries, one key behind the other.
fn gather(
    stream: &Stream,
    table: &Buffer<TableArgued>,
    keys: &[(u64, u32, u32)],
    words: &mut [u32],
) -> Result<(), DeviceError> {
    let slots: Vec<u32> = keys.iter().map(|&(_, slot, _)| slot).collect();
    let mut place = 0_u64;
    let places: Vec<u64> = keys
        .iter()
        .map(|&(_, _, len)| {
            place += u64::from(len);
            place - u64::from(len)
        })
        .collect();
    let (slots, places) = (stream.buffer_of(&slots)?, stream.buffer_of(&places)?);
    let out: Buffer<u32> = Buffer::new(stream.gpu(), words.len())?;
    let count = small(keys.len());
    let addresses = [table.address(), slots.address(), places.address(), out.address()];
    let launch = Launch {
        kernel: "window_gather",
        blocks: small(keys.len().div_ceil(WARPS)),
        threads: small(WARPS * 32),
        shared_bytes: 0,
    };
    let arguments = [
        Argument::of(&addresses[0]),
        Argument::of(&addresses[1]),
        Argument::of(&addresses[2]),
        Argument::of(&count),
        Argument::of(&addresses[3]),
    ];
    // SAFETY: the kernel's arguments; the output is as long as the entries of these keys.
    unsafe { stream.launch(launch, &arguments) }?;
    stream.read(&out, words)
}

/// Entries on their way to a table, by columns.
struct Loaded {
    keys: Vec<u64>,
    times_ms: Vec<i64>,
    /// Entry by entry.
    values: Vec<f32>,
    codes: Vec<u64>,
    widths: [usize; 2],
}

impl Loaded {
    fn new(values: usize, codes: usize) -> Loaded {
        Loaded {
            keys: Vec::new(),
            times_ms: Vec::new(),
            values: Vec::new(),
            codes: Vec::new(),
            widths: [values, codes],
        }
    }

    fn push(&mut self, key: u64, words: &[u32]) {
        let wide = |pair: &[u32]| u64::from(pair[0]) | u64::from(pair[1]) << 32;
        let [values, codes] = self.widths;
        self.keys.push(key);
        self.times_ms.push(wide(words).cast_signed());
        self.values.extend(words[2..2 + values].iter().map(|&word| f32::from_bits(word)));
        let codes = words[2 + values..].chunks_exact(2).take(codes);
        self.codes.extend(codes.map(wide));
    }

    /// `[width, entries]` of what lies entry by entry.
    fn column<T: Copy>(&self, of: &[T], width: usize) -> Vec<T> {
        (0..width).flat_map(|column| of.iter().skip(column).step_by(width).copied()).collect()
    }

    fn clear(&mut self) {
        self.keys.clear();
        self.times_ms.clear();
        self.values.clear();
        self.codes.clear();
    }
}
