//! Keys with all their entries on their way out of a GPU and into it, many at a time.
//!
//! Out they are gathered by one launch and come in one copy. In they come as calls that enter, by
//! the launches of a batch: nothing else builds a key.

use super::layout::{KeyHead, TableArgued, small};
use super::room::Coming;
use super::{DeviceWindows, WARPS};
use crate::device::{Argument, Buffer, DeviceError, Launch, Stream};

/// Words of entries that are gathered at a time.
pub(super) const PIECE: usize = 1 << 20;
/// Entries that enter at a time; a key with more of them enters alone.
pub(super) const LOADED: usize = 1 << 14;

/// A key that is held.
#[derive(Clone, Copy)]
pub(super) struct Held {
    pub key: u64,
    /// None where it does not lie on the GPU.
    pub slot: Option<u32>,
    pub len: u32,
    pub newest_ms: i64,
}

/// How many of the keys make a piece of `most` words: one at least.
pub(super) fn piece_of(keys: &[Held], words: usize, most: usize) -> usize {
    let mut entries = 0;
    let fits = |held: &&Held| {
        entries += held.len as usize;
        entries * words <= most
    };
    keys.iter().take_while(fits).count().max(1)
}

pub(super) fn entries_of(keys: &[Held]) -> usize {
    keys.iter().map(|held| held.len as usize).sum()
}

/// Gathers the keys' entries, so many words, one key behind the other; and their slots.
pub(super) fn gather(
    stream: &Stream,
    table: &Buffer<TableArgued>,
    keys: &[Held],
    words: usize,
) -> Result<[Buffer<u32>; 2], DeviceError> {
    let slots: Vec<u32> = keys.iter().filter_map(|held| held.slot).collect();
    let mut place = 0_u64;
    let places: Vec<u64> = keys
        .iter()
        .map(|held| {
            place += u64::from(held.len);
            place - u64::from(held.len)
        })
        .collect();
    let (slots, places) = (stream.buffer_of(&slots)?, stream.buffer_of(&places)?);
    let out = Buffer::new(stream.gpu(), words)?;
    let count = small(slots.len());
    if count == 0 {
        return Ok([out, slots]);
    }
    let addresses = [table.address(), slots.address(), places.address(), out.address()];
    let launch = Launch {
        kernel: "window_gather",
        blocks: small(slots.len().div_ceil(WARPS)),
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
    Ok([out, slots])
}

/// Entries of whole keys on their way to a table, by columns.
pub(super) struct Loaded {
    keys: Vec<u64>,
    times_ms: Vec<i64>,
    /// Entry by entry.
    values: Vec<f32>,
    codes: Vec<u64>,
    widths: [usize; 2],
    /// What the keys take.
    coming: Coming,
}

impl Loaded {
    pub fn new(values: usize, codes: usize) -> Loaded {
        Loaded {
            keys: Vec::new(),
            times_ms: Vec::new(),
            values: Vec::new(),
            codes: Vec::new(),
            widths: [values, codes],
            coming: Coming::default(),
        }
    }

    /// Entries there are.
    pub fn len(&self) -> usize {
        self.keys.len()
    }

    /// A key of so many entries comes, which are pushed next.
    pub fn begin(&mut self, entries: usize) {
        self.coming.add_key(entries);
    }

    /// The next entry of a key.
    pub fn push(&mut self, key: u64, words: &[u32]) {
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

    pub fn clear(&mut self) {
        *self = Loaded { widths: self.widths, ..Loaded::new(0, 0) };
    }
}

impl DeviceWindows {
    /// Enters keys that a table does not have, and waits. Nothing is changed where there is no
    /// memory.
    ///
    /// # Errors
    /// [`DeviceError`].
    pub(super) fn load(
        &mut self,
        stream: &Stream,
        index: usize,
        loaded: &Loaded,
    ) -> Result<(), DeviceError> {
        let count = loaded.len();
        if count == 0 {
            return Ok(());
        }
        let table = &mut self.tables[index];
        table.make_room(stream, self.standings.address(), index, (loaded.coming, count))?;
        let [values, codes] = loaded.widths;
        let columns = (loaded.column(&loaded.values, values), loaded.column(&loaded.codes, codes));
        table.room.labels.give_entries(
            stream,
            (&loaded.keys, &loaded.times_ms),
            (&columns.0, &columns.1),
        )?;
        let mut argument = table.argument(self.standings.address(), index);
        (argument.labels, argument.is_loading) = (small(count), 1);
        let argument = stream.buffer_of(&[argument])?;
        let standing = table.standing;
        table.room.has_given(&standing, count);
        let arranging = (table.arranging, table.room.slot_bits());
        DeviceWindows::launch(stream, (argument.address(), 1), (count, 0), arranging)?;
        self.settle(stream)
    }

    /// The keys on the GPU for which `is_meant` holds, those no batch had for the longest first (of
    /// them, those whose newest entry is the oldest; then the smaller key). The table is settled.
    ///
    /// # Errors
    /// [`DeviceError`].
    pub(super) fn hot_by_use(
        &self,
        stream: &Stream,
        index: usize,
        is_meant: impl Fn(&Held) -> bool,
    ) -> Result<Vec<Held>, DeviceError> {
        let mut keys = self.hot(stream, index, is_meant)?;
        let table = &self.tables[index];
        let mut used = vec![0_u32; table.standing.slots as usize];
        stream.read(table.room.used(), &mut used)?;
        // A key that no batch had for 2^32 of them passes for one that was used.
        let age = |held: &Held| {
            let used = held.slot.and_then(|slot| used.get(slot as usize));
            table.batch.wrapping_sub(used.copied().unwrap_or(table.batch))
        };
        keys.sort_by_cached_key(|held| (std::cmp::Reverse(age(held)), held.newest_ms, held.key));
        Ok(keys)
    }

    /// The keys on the GPU for which `is_meant` holds; the table is settled.
    ///
    /// # Errors
    /// [`DeviceError`].
    pub(super) fn hot(
        &self,
        stream: &Stream,
        index: usize,
        is_meant: impl Fn(&Held) -> bool,
    ) -> Result<Vec<Held>, DeviceError> {
        let table = &self.tables[index];
        let mut heads = vec![KeyHead::default(); table.standing.slots as usize];
        stream.read(table.room.heads(), &mut heads)?;
        let held = (0_u32..).zip(&heads).filter(|(_, head)| head.key != 0).map(|(slot, head)| {
            let (slot, len) = (Some(slot), head.len());
            Held { key: head.key, slot, len, newest_ms: head.newest_ms }
        });
        Ok(held.filter(is_meant).collect())
    }
}
