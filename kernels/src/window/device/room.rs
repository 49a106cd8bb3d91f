//! The memory of a table on a GPU: what is kept, room for a batch, and how both grow.
//!
//! Room for a batch is made before it is given, from bounds: a call that enters takes at most one
//! slot and one chunk. A ring that grows takes at most twice the chunks its key has, so that all
//! that grow in a batch take at most twice the chunks of the table. Growing is a copy in the order
//! of the stream; idle keys are forgotten first where there are likely to be enough of them. A part
//! of the GPU's memory is left free: saving, moving keys and other work need some on their way.

use std::sync::Arc;

use super::TableColumns;
use super::layout::{
    CHUNK, ChunkRef, KeyHead, Layout, ReadingArgued, Standing, TableArgued, WindowArgued, small,
};
use super::work::{LabelBuffers, Work};
use crate::device::{Argument, Buffer, DeviceError, Gpu, Launch, Plain, Stream};

const KEY_BITS_MIN: u32 = 6;
/// Fewer keys than this are not worth forgetting.
const CROWD: usize = 1024;
/// Threads of the kernels that go over all slots.
const SLOTS: u32 = 128;
/// The share of the GPU's memory that what is kept here leaves free.
const SPARED: u64 = 16;

/// What may come to a table, or leave it.
#[derive(Clone, Copy, Default)]
pub(super) struct Coming {
    keys: usize,
    chunks: usize,
}

impl Coming {
    /// Calls of a batch that enter, whatever their keys are.
    pub fn of_calls(entering: usize) -> Coming {
        Coming { keys: entering, chunks: entering }
    }

    /// A key, with all of its entries.
    pub fn add_key(&mut self, entries: usize) {
        self.keys += 1;
        self.chunks += entries.div_ceil(CHUNK);
    }
}

/// The memory of one table.
pub(super) struct Room {
    keys: Buffer<u64>,
    slot_of: Buffer<u32>,
    key_bits: u32,
    /// Whether the buckets know all keys.
    is_indexed: bool,
    heads: Buffer<KeyHead>,
    free_slots: Buffer<u32>,
    /// The batch that had the key last, by slot.
    used: Buffer<u32>,
    rings: Buffer<ChunkRef>,
    chunks: Buffer<u32>,
    chunk_words: usize,
    windows: Buffer<WindowArgued>,
    readings: Buffer<ReadingArgued>,
    columns: Buffer<u32>,
    /// What enters without asking.
    pub labels: LabelBuffers,
    work: Work,
    /// Slots that may be in use when the next batch is through.
    slots: usize,
    /// Entries given since the table's standing was known.
    given: usize,
    /// The same of references of rings.
    given_rings: usize,
    /// Keys that were left when idle ones were last forgotten.
    left: usize,
}

impl Room {
    /// Room for nothing yet.
    pub fn new(
        stream: &Stream,
        layout: &Layout,
        columns: &TableColumns,
    ) -> Result<Room, DeviceError> {
        let gpu = stream.gpu();
        let lists = [&columns.key, &columns.values, &columns.codes];
        let list: Vec<u32> = lists.into_iter().flatten().map(|&column| small(column)).collect();
        let mut keys = Buffer::new(gpu, 1 << KEY_BITS_MIN)?;
        stream.clear(&mut keys)?;
        Ok(Room {
            keys,
            slot_of: Buffer::new(gpu, 1 << KEY_BITS_MIN)?,
            key_bits: KEY_BITS_MIN,
            is_indexed: true,
            heads: Buffer::new(gpu, 0)?,
            free_slots: Buffer::new(gpu, 0)?,
            used: Buffer::new(gpu, 0)?,
            rings: Buffer::new(gpu, 0)?,
            chunks: Buffer::new(gpu, 0)?,
            chunk_words: layout.chunk_words,
            windows: stream.buffer_of(&layout.windows)?,
            readings: stream.buffer_of(&layout.readings)?,
            columns: stream.buffer_of(&list)?,
            labels: LabelBuffers::new(gpu)?,
            work: Work::new(gpu)?,
            slots: 0,
            given: 0,
            given_rings: 0,
            left: 0,
        })
    }

    /// Whether a batch that enters so many needs more memory.
    pub fn grows(&self, standing: &Standing, entering: usize) -> bool {
        let [slots, chunks, _] = self.needed(standing, Coming::of_calls(entering));
        slots > self.heads.len() || chunks > self.chunks_max()
    }

    /// Whether there are many more keys than when idle ones were last forgotten.
    pub fn is_crowded(&self, keys: usize) -> bool {
        keys > CROWD && keys > 2 * self.left
    }

    /// Whether there are more keys than when idle ones were last forgotten.
    pub fn has_new(&self, keys: usize) -> bool {
        keys > self.left
    }

    /// Slots, chunks and references of rings that may be in use when a batch is through that brings
    /// so much.
    fn needed(&self, standing: &Standing, coming: Coming) -> [usize; 3] {
        let beyond = |more: usize, free: u32| (self.given + more).saturating_sub(free as usize);
        let slots = standing.slots as usize + beyond(coming.keys, standing.free_slots);
        let chunks = standing.chunks as usize + beyond(coming.chunks, standing.free_chunks);
        let rings = standing.rings as usize + self.given_rings + self.rings_of(standing, coming);
        [slots, chunks, rings]
    }

    /// References that the rings which grow in a batch may take.
    fn rings_of(&self, standing: &Standing, coming: Coming) -> usize {
        let held = (standing.chunks - standing.free_chunks) as usize;
        2 * (held + self.given + coming.chunks)
    }

    /// Whether there is room for what comes when others have left, and a quarter of all beside it;
    /// the table is settled.
    pub fn has_spare(&self, standing: &Standing, coming: Coming, leaving: &Coming) -> bool {
        let used = |slots: u32, free: u32, leaving: usize| (slots - free) as usize - leaving;
        let slots = used(standing.slots, standing.free_slots, leaving.keys) + coming.keys;
        let chunks = used(standing.chunks, standing.free_chunks, leaving.chunks) + coming.chunks;
        // The rings of keys that come in take as much again.
        let rings = 2 * (chunks + coming.chunks);
        let is_within = |needed: usize, room: usize| needed <= room - room / 4;
        is_within(slots, self.heads.len())
            && is_within(chunks, self.chunks_max())
            && is_within(rings, self.rings.len().saturating_sub(standing.rings as usize))
    }

    /// Whether most references of rings were in use once: those that are free are of the wrong
    /// lengths, and moving single keys out is of little use.
    pub fn is_worn(&self, standing: &Standing) -> bool {
        standing.rings as usize > self.rings.len() / 2
    }

    /// Makes room for a batch of `calls` calls that brings so much. True where the index has to be
    /// made anew. Where there is no memory, all that is kept is as it was.
    pub fn make(
        &mut self,
        stream: &Stream,
        (standing, coming): (&Standing, Coming),
        calls: usize,
    ) -> Result<bool, DeviceError> {
        let [slots, chunks, rings] = self.needed(standing, coming);
        self.slots = slots;
        let used = standing.slots as usize + self.given;
        grow(stream, &mut self.heads, slots, used)?;
        grow(stream, &mut self.free_slots, slots, used)?;
        grow(stream, &mut self.used, slots, used)?;
        let used = (standing.chunks as usize + self.given) * self.chunk_words;
        grow(stream, &mut self.chunks, chunks * self.chunk_words, used)?;
        let used = standing.rings as usize + self.given_rings;
        grow(stream, &mut self.rings, rings, used)?;
        self.work.reserve(calls)?;
        if slots * 2 > self.keys.len() {
            let buckets = (slots * 2).next_power_of_two();
            let keys = sparing(stream.gpu(), buckets)?;
            let slot_of = sparing(stream.gpu(), buckets)?;
            (self.keys, self.slot_of) = (keys, slot_of);
            self.key_bits = buckets.trailing_zeros();
            self.is_indexed = false;
        }
        Ok(!self.is_indexed)
    }

    /// A batch was given that enters so many.
    pub fn has_given(&mut self, standing: &Standing, entering: usize) {
        self.given_rings += self.rings_of(standing, Coming::of_calls(entering));
        self.given += entering;
    }

    /// The standing is known again.
    pub fn has_settled(&mut self) {
        (self.given, self.given_rings) = (0, 0);
    }

    /// Entries given since the standing was known.
    pub fn given(&self) -> usize {
        self.given
    }

    /// Forgets keys that no window can reach and makes the index anew; `table` is this one, and its
    /// standing is known.
    pub fn forget(&mut self, stream: &Stream, table: (u64, u32)) -> Result<(), DeviceError> {
        let given = stream.buffer_of(&[0_u32])?;
        let address = given.address();
        let launch = Launch::over("window_forget", table.1 as usize, SLOTS);
        // SAFETY: the kernel takes a table and a counter; both live until it is done, for buffers
        // are freed in the order of the stream.
        unsafe { stream.launch(launch, &[Argument::of(&table.0), Argument::of(&address)]) }?;
        self.index_anew(stream, table, &given)
    }

    /// Takes keys with all their entries out; `given` counts their slots, which the index has to be
    /// told.
    pub fn release(
        &mut self,
        stream: &Stream,
        table: u64,
        slots: &Buffer<u32>,
        given: &Buffer<u32>,
    ) -> Result<(), DeviceError> {
        let (count, addresses) = (small(slots.len()), [slots.address(), given.address()]);
        let launch = Launch::over("window_release", slots.len(), SLOTS);
        let arguments = [
            Argument::of(&table),
            Argument::of(&addresses[0]),
            Argument::of(&count),
            Argument::of(&addresses[1]),
        ];
        // SAFETY: as in `forget`; the slots are as many, and each is one of a key.
        unsafe { stream.launch(launch, &arguments) }
    }

    /// Makes the index anew. `given` counts slots that have become free.
    pub fn index_anew(
        &mut self,
        stream: &Stream,
        (table, slots): (u64, u32),
        given: &Buffer<u32>,
    ) -> Result<(), DeviceError> {
        stream.clear(&mut self.keys)?;
        let address = given.address();
        let launch = Launch::over("window_index", slots as usize, SLOTS);
        // SAFETY: as in `forget`.
        unsafe { stream.launch(launch, &[Argument::of(&table), Argument::of(&address)]) }?;
        self.is_indexed = true;
        Ok(())
    }

    /// So many keys are left.
    pub fn has_forgotten(&mut self, keys: usize) {
        self.left = keys;
    }

    /// Gives back what is not needed to save the table, which takes no batch any more.
    pub fn shed(&mut self, stream: &Stream) -> Result<(), DeviceError> {
        let gpu = stream.gpu();
        self.keys = Buffer::new(gpu, 0)?;
        self.slot_of = Buffer::new(gpu, 0)?;
        self.free_slots = Buffer::new(gpu, 0)?;
        self.used = Buffer::new(gpu, 0)?;
        self.work = Work::new(gpu)?;
        Ok(())
    }

    /// The heads of all slots.
    pub fn heads(&self) -> &Buffer<KeyHead> {
        &self.heads
    }

    /// The number of the batch that had the key of each slot last.
    pub fn used(&self) -> &Buffer<u32> {
        &self.used
    }

    /// Fills in where everything is and how much of it there is room for.
    pub fn point(&self, argument: &mut TableArgued) {
        argument.kept[..7].copy_from_slice(&[
            self.keys.address(),
            self.slot_of.address(),
            self.heads.address(),
            self.free_slots.address(),
            self.used.address(),
            self.rings.address(),
            self.chunks.address(),
        ]);
        argument.plan = [self.windows.address(), self.readings.address()];
        argument.rows_at[3] = self.columns.address();
        argument.labels_at = self.labels.addresses();
        argument.work = self.work.addresses();
        argument.code_lists = self.work.code_lists();
        argument.key_bits = self.key_bits;
        argument.slots_max = small(self.heads.len());
        argument.chunks_max = small(self.chunks_max());
        argument.rings_max = small(self.rings.len());
        argument.sort_passes = self.sort_passes();
    }

    /// Bytes of device memory.
    pub fn bytes(&self) -> usize {
        let kept = [
            self.keys.byte_count(),
            self.slot_of.byte_count(),
            self.heads.byte_count(),
            self.free_slots.byte_count() + self.used.byte_count(),
            self.rings.byte_count(),
            self.chunks.byte_count(),
        ];
        kept.iter().sum::<usize>() + self.work.bytes()
    }

    fn chunks_max(&self) -> usize {
        self.chunks.len() / self.chunk_words
    }

    /// Passes of 4 bits over the slots there can be, an even number of them; what has no slot goes
    /// behind all.
    fn sort_passes(&self) -> u32 {
        let bits = usize::BITS - self.slots.leading_zeros();
        bits.div_ceil(8) * 2
    }
}

/// Makes a buffer that holds `used` values long enough for `needed`: twice as long as it was where
/// there is the memory, else longer by a quarter, so that it is not copied again and again.
fn grow<T: Plain>(
    stream: &Stream,
    buffer: &mut Buffer<T>,
    needed: usize,
    used: usize,
) -> Result<(), DeviceError> {
    if needed <= buffer.len() {
        return Ok(());
    }
    let mut longer = match sparing(stream.gpu(), needed.max(buffer.len() * 2)) {
        Err(DeviceError::Memory { .. }) => {
            sparing(stream.gpu(), needed.max(buffer.len() + buffer.len() / 4))?
        }
        other => other?,
    };
    stream.copy(&mut longer, buffer, used.min(buffer.len()))?;
    *buffer = longer;
    Ok(())
}

/// A buffer that leaves some of the memory free.
fn sparing<T: Plain>(gpu: &Arc<Gpu>, length: usize) -> Result<Buffer<T>, DeviceError> {
    let (free, total) = gpu.memory()?;
    let bytes = (length * size_of::<T>()) as u64;
    if free < total / SPARED || free - total / SPARED < bytes {
        return Err(DeviceError::Memory { bytes });
    }
    Buffer::new(gpu, length)
}
