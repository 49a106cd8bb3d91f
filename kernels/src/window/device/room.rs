//! The memory of a table on a GPU: what is kept, room for a batch, and how both grow.
//!
//! Room for a batch is made before it is given, from bounds: a call that enters takes at most one
//! slot and one chunk. A ring that grows takes at most twice the chunks its key has, so that all
//! that grow in a batch take at most twice the chunks of the table. Growing is a copy in the order
//! of the stream; idle keys are forgotten first where there are likely to be enough of them.

use std::sync::Arc;

use super::layout::{
    ChunkRef, KeyHead, Layout, ReadingArgued, Segment, Standing, TableArgued, WindowArgued, small,
};
use super::{Labels, TableColumns};
use crate::device::{Argument, Buffer, DeviceError, Gpu, Launch, Plain, Stream};

const KEY_BITS_MIN: u32 = 6;
/// Fewer keys than this are not worth forgetting.
const CROWD: usize = 1024;
/// Threads of the kernels that go over all slots.
const SLOTS: u32 = 128;

/// The memory of one table.
pub(super) struct Room {
    keys: Buffer<u64>,
    slot_of: Buffer<u32>,
    key_bits: u32,
    heads: Buffer<KeyHead>,
    free_slots: Buffer<u32>,
    rings: Buffer<ChunkRef>,
    chunks: Buffer<u32>,
    chunk_words: usize,
    windows: Buffer<WindowArgued>,
    readings: Buffer<ReadingArgued>,
    columns: Buffer<u32>,
    labels: LabelBuffers,
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

struct LabelBuffers {
    keys: Buffer<u64>,
    times_ms: Buffer<i64>,
    values: Buffer<f32>,
    codes: Buffer<u64>,
    before_rows: Buffer<u32>,
}

/// Room for the calls of a batch.
struct Work {
    sources: Buffer<u32>,
    places: Buffer<u32>,
    watermarks_ms: Buffer<i64>,
    sorted: Buffer<u64>,
    sorting: Buffer<u64>,
    visible: Buffer<u32>,
    segments: Buffer<Segment>,
}

impl Work {
    fn new(gpu: &Arc<Gpu>) -> Result<Work, DeviceError> {
        Ok(Work {
            sources: Buffer::new(gpu, 0)?,
            places: Buffer::new(gpu, 0)?,
            watermarks_ms: Buffer::new(gpu, 0)?,
            sorted: Buffer::new(gpu, 0)?,
            sorting: Buffer::new(gpu, 0)?,
            visible: Buffer::new(gpu, 0)?,
            segments: Buffer::new(gpu, 0)?,
        })
    }
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
            heads: Buffer::new(gpu, 0)?,
            free_slots: Buffer::new(gpu, 0)?,
            rings: Buffer::new(gpu, 0)?,
            chunks: Buffer::new(gpu, 0)?,
            chunk_words: layout.chunk_words,
            windows: stream.buffer_of(&layout.windows)?,
            readings: stream.buffer_of(&layout.readings)?,
            columns: stream.buffer_of(&list)?,
            labels: LabelBuffers {
                keys: Buffer::new(gpu, 0)?,
                times_ms: Buffer::new(gpu, 0)?,
                values: Buffer::new(gpu, 0)?,
                codes: Buffer::new(gpu, 0)?,
                before_rows: Buffer::new(gpu, 0)?,
            },
            work: Work::new(gpu)?,
            slots: 0,
            given: 0,
            given_rings: 0,
            left: 0,
        })
    }

    /// Whether a batch that enters so many needs more memory.
    pub fn grows(&self, standing: &Standing, entering: usize) -> bool {
        let [slots, chunks, _] = self.needed(standing, entering);
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

    /// Slots, chunks and references of rings that may be in use when a batch is through that enters
    /// so many.
    fn needed(&self, standing: &Standing, entering: usize) -> [usize; 3] {
        let coming = self.given + entering;
        let beyond = |free: u32| coming.saturating_sub(free as usize);
        let slots = standing.slots as usize + beyond(standing.free_slots);
        let chunks = standing.chunks as usize + beyond(standing.free_chunks);
        let rings = standing.rings as usize + self.given_rings + self.rings_of(standing, entering);
        [slots, chunks, rings]
    }

    /// References that the rings which grow in a batch may take.
    fn rings_of(&self, standing: &Standing, entering: usize) -> usize {
        let held = (standing.chunks - standing.free_chunks) as usize;
        2 * (held + self.given + entering)
    }

    /// Makes room for a batch of `calls` calls, `entering` of which enter. True where the index has
    /// to be made anew.
    pub fn make(
        &mut self,
        stream: &Stream,
        (standing, entering): (&Standing, usize),
        calls: usize,
    ) -> Result<bool, DeviceError> {
        let [slots, chunks, rings] = self.needed(standing, entering);
        self.slots = slots;
        let used = standing.slots as usize + self.given;
        grow(stream, &mut self.heads, slots, used)?;
        grow(stream, &mut self.free_slots, slots, used)?;
        let used = (standing.chunks as usize + self.given) * self.chunk_words;
        grow(stream, &mut self.chunks, chunks * self.chunk_words, used)?;
        let used = standing.rings as usize + self.given_rings;
        grow(stream, &mut self.rings, rings, used)?;
        let work = &mut self.work;
        work.sources.reserve(calls)?;
        work.places.reserve(calls)?;
        work.watermarks_ms.reserve(calls)?;
        work.sorted.reserve(calls)?;
        work.sorting.reserve(calls)?;
        work.visible.reserve(calls)?;
        work.segments.reserve(calls)?;
        if slots * 2 <= self.keys.len() {
            return Ok(false);
        }
        let buckets = (slots * 2).next_power_of_two();
        self.keys = Buffer::new(stream.gpu(), buckets)?;
        self.slot_of = Buffer::new(stream.gpu(), buckets)?;
        self.key_bits = buckets.trailing_zeros();
        stream.clear(&mut self.keys)?;
        Ok(true)
    }

    /// Sends what enters without asking on its way.
    pub fn give_labels(&mut self, stream: &Stream, from: &mut Labels) -> Result<(), DeviceError> {
        let (count, to) = (from.count, &mut self.labels);
        if count == 0 {
            return Ok(());
        }
        let room = from.keys.len();
        let values = from.values.len() / room;
        to.keys.reserve(room)?;
        to.times_ms.reserve(room)?;
        to.values.reserve(from.values.len())?;
        to.before_rows.reserve(room)?;
        stream.upload((&mut to.keys, 0), (&mut from.keys, 0), count)?;
        stream.upload((&mut to.times_ms, 0), (&mut from.times_ms, 0), count)?;
        stream.upload((&mut to.values, 0), (&mut from.values, 0), count * values)?;
        stream.upload((&mut to.before_rows, 0), (&mut from.before_rows, 0), count)
    }

    /// Writes entries of a saved state, by columns, to where labels are; waits.
    pub fn give_saved(
        &mut self,
        stream: &Stream,
        (keys, times_ms): (&[u64], &[i64]),
        (values, codes): (&[f32], &[u64]),
    ) -> Result<(), DeviceError> {
        let to = &mut self.labels;
        to.keys.reserve(keys.len())?;
        to.times_ms.reserve(keys.len())?;
        to.values.reserve(values.len())?;
        to.codes.reserve(codes.len())?;
        to.before_rows.reserve(keys.len())?;
        stream.clear(&mut to.before_rows)?;
        stream.write(&mut to.keys, keys)?;
        stream.write(&mut to.times_ms, times_ms)?;
        stream.write(&mut to.values, values)?;
        stream.write(&mut to.codes, codes)
    }

    /// A batch was given that enters so many.
    pub fn has_given(&mut self, standing: &Standing, entering: usize) {
        self.given_rings += self.rings_of(standing, entering);
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

    /// Forgets keys that no window can reach; `table` is this one, and its standing is known. The
    /// index has to be made anew.
    pub fn forget(
        &mut self,
        stream: &Stream,
        (table, slots): (u64, u32),
    ) -> Result<Buffer<u32>, DeviceError> {
        let given = stream.buffer_of(&[0_u32])?;
        let address = given.address();
        let launch = Launch::over("window_forget", slots as usize, SLOTS);
        // SAFETY: the kernel takes a table and a counter; both live until it is done, for buffers
        // are freed in the order of the stream.
        unsafe { stream.launch(launch, &[Argument::of(&table), Argument::of(&address)]) }?;
        stream.clear(&mut self.keys)?;
        Ok(given)
    }

    /// Makes the index anew: its buckets are empty. `given` counts slots that have become free.
    pub fn index(
        &self,
        stream: &Stream,
        (table, slots): (u64, u32),
        given: &Buffer<u32>,
    ) -> Result<(), DeviceError> {
        let address = given.address();
        let launch = Launch::over("window_index", slots as usize, SLOTS);
        // SAFETY: as in `forget`.
        unsafe { stream.launch(launch, &[Argument::of(&table), Argument::of(&address)]) }
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
        self.work = Work::new(gpu)?;
        Ok(())
    }

    /// The heads of all slots.
    pub fn heads(&self) -> &Buffer<KeyHead> {
        &self.heads
    }

    /// Fills in where everything is and how much of it there is room for.
    pub fn point(&self, argument: &mut TableArgued) {
        let (work, labels) = (&self.work, &self.labels);
        argument.kept[..6].copy_from_slice(&[
            self.keys.address(),
            self.slot_of.address(),
            self.heads.address(),
            self.free_slots.address(),
            self.rings.address(),
            self.chunks.address(),
        ]);
        argument.plan = [self.windows.address(), self.readings.address()];
        argument.rows_at[3] = self.columns.address();
        argument.labels_at = [
            labels.keys.address(),
            labels.times_ms.address(),
            labels.values.address(),
            labels.codes.address(),
            labels.before_rows.address(),
        ];
        argument.work = [
            work.sources.address(),
            work.places.address(),
            work.watermarks_ms.address(),
            work.sorted.address(),
            work.sorting.address(),
            work.visible.address(),
            work.segments.address(),
        ];
        argument.key_bits = self.key_bits;
        argument.slots_max = small(self.heads.len());
        argument.chunks_max = small(self.chunks_max());
        argument.rings_max = small(self.rings.len());
        argument.sort_passes = self.sort_passes();
    }

    /// Bytes of device memory.
    pub fn bytes(&self) -> usize {
        let work = &self.work;
        let kept = [
            self.keys.byte_count(),
            self.slot_of.byte_count(),
            self.heads.byte_count(),
            self.free_slots.byte_count(),
            self.rings.byte_count(),
            self.chunks.byte_count(),
        ];
        let batch = [
            work.sources.byte_count() + work.places.byte_count() + work.watermarks_ms.byte_count(),
            work.sorted.byte_count() + work.sorting.byte_count(),
            work.visible.byte_count() + work.segments.byte_count(),
        ];
        kept.iter().chain(&batch).sum()
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

/// Makes a buffer that holds `used` values long enough for `needed`, twice as long as it was where
/// there is the memory.
fn grow<T: Plain>(
    stream: &Stream,
    buffer: &mut Buffer<T>,
    needed: usize,
    used: usize,
) -> Result<(), DeviceError> {
    if needed <= buffer.len() {
        return Ok(());
    }
    let roomy = Buffer::new(stream.gpu(), needed.max(buffer.len() * 2));
    let mut longer = match roomy {
        Err(DeviceError::Memory { .. }) => Buffer::new(stream.gpu(), needed)?,
        other => other?,
    };
    stream.copy(&mut longer, buffer, used.min(buffer.len()))?;
    *buffer = longer;
    Ok(())
}
