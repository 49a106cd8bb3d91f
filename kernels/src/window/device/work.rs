//! The memory of a batch on a GPU, beside its columns: what enters without asking, and what the
//! launches of a batch tell one another.

use std::sync::Arc;

use super::Labels;
use super::layout::Segment;
use crate::device::{Buffer, Device, DeviceError, Gpu, Pinned, Pinning, Plain, Stream};

/// What enters without asking: labels, or the entries of keys that come in as a whole.
pub(super) struct LabelBuffers {
    keys: Buffer<u64>,
    times_ms: Buffer<i64>,
    values: Buffer<f32>,
    codes: Buffer<u64>,
    before_rows: Buffer<u32>,
    staged: Staged,
}

/// Page-locked memory through which the entries of whole keys go.
struct Staged {
    keys: Pinned<u64>,
    times_ms: Pinned<i64>,
    values: Pinned<f32>,
    codes: Pinned<u64>,
}

impl LabelBuffers {
    pub fn new(gpu: &Arc<Gpu>) -> Result<LabelBuffers, DeviceError> {
        Ok(LabelBuffers {
            keys: Buffer::new(gpu, 0)?,
            times_ms: Buffer::new(gpu, 0)?,
            values: Buffer::new(gpu, 0)?,
            codes: Buffer::new(gpu, 0)?,
            before_rows: Buffer::new(gpu, 0)?,
            staged: Staged {
                keys: Pinned::ordinary(0),
                times_ms: Pinned::ordinary(0),
                values: Pinned::ordinary(0),
                codes: Pinned::ordinary(0),
            },
        })
    }

    /// Makes room for the labels at hand.
    pub fn reserve(&mut self, from: &Labels) -> Result<(), DeviceError> {
        if from.count == 0 {
            return Ok(());
        }
        let room = from.keys.len();
        self.keys.reserve(room)?;
        self.times_ms.reserve(room)?;
        self.values.reserve(from.values.len())?;
        self.before_rows.reserve(room)
    }

    /// Sends labels on their way.
    pub fn give(&mut self, stream: &Stream, from: &mut Labels) -> Result<(), DeviceError> {
        self.reserve(from)?;
        let count = from.count;
        if count == 0 {
            return Ok(());
        }
        let values = from.values.len() / from.keys.len();
        stream.upload((&mut self.keys, 0), (&mut from.keys, 0), count)?;
        stream.upload((&mut self.times_ms, 0), (&mut from.times_ms, 0), count)?;
        stream.upload((&mut self.values, 0), (&mut from.values, 0), count * values)?;
        stream.upload((&mut self.before_rows, 0), (&mut from.before_rows, 0), count)
    }

    /// Sends the entries of whole keys, by columns, on their way to where labels are.
    pub fn give_entries(
        &mut self,
        stream: &Stream,
        (keys, times_ms): (&[u64], &[i64]),
        (values, codes): (&[f32], &[u64]),
    ) -> Result<(), DeviceError> {
        self.before_rows.reserve(keys.len())?;
        stream.clear(&mut self.before_rows)?;
        let staged = &mut self.staged;
        give(stream, &mut self.keys, &mut staged.keys, keys)?;
        give(stream, &mut self.times_ms, &mut staged.times_ms, times_ms)?;
        give(stream, &mut self.values, &mut staged.values, values)?;
        give(stream, &mut self.codes, &mut staged.codes, codes)
    }

    /// As [`TableArgued::labels_at`](super::layout::TableArgued::labels_at).
    pub fn addresses(&self) -> [u64; 5] {
        [
            self.keys.address(),
            self.times_ms.address(),
            self.values.address(),
            self.codes.address(),
            self.before_rows.address(),
        ]
    }
}

/// Room for the calls of a batch.
pub(super) struct Work {
    sources: Buffer<u32>,
    places: Buffer<u32>,
    watermarks_ms: Buffer<i64>,
    sorted: Buffer<u64>,
    sorting: Buffer<u64>,
    visible: Buffer<u32>,
    segments: Buffer<Segment>,
    code_lists: Buffer<u32>,
}

impl Work {
    pub fn new(gpu: &Arc<Gpu>) -> Result<Work, DeviceError> {
        Ok(Work {
            sources: Buffer::new(gpu, 0)?,
            places: Buffer::new(gpu, 0)?,
            watermarks_ms: Buffer::new(gpu, 0)?,
            sorted: Buffer::new(gpu, 0)?,
            sorting: Buffer::new(gpu, 0)?,
            visible: Buffer::new(gpu, 0)?,
            segments: Buffer::new(gpu, 0)?,
            code_lists: Buffer::new(gpu, 0)?,
        })
    }

    /// Makes room for so many calls.
    pub fn reserve(&mut self, calls: usize) -> Result<(), DeviceError> {
        self.sources.reserve(calls)?;
        self.places.reserve(calls)?;
        self.watermarks_ms.reserve(calls)?;
        self.sorted.reserve(calls)?;
        self.sorting.reserve(calls)?;
        self.visible.reserve(calls)?;
        self.segments.reserve(calls)?;
        self.code_lists.reserve(3 * calls)
    }

    /// As [`TableArgued::work`](super::layout::TableArgued::work).
    pub fn addresses(&self) -> [u64; 7] {
        [
            self.sources.address(),
            self.places.address(),
            self.watermarks_ms.address(),
            self.sorted.address(),
            self.sorting.address(),
            self.visible.address(),
            self.segments.address(),
        ]
    }

    /// As [`TableArgued::code_lists`](super::layout::TableArgued::code_lists).
    pub fn code_lists(&self) -> u64 {
        self.code_lists.address()
    }

    /// Bytes of device memory.
    pub fn bytes(&self) -> usize {
        let by_call = self.sources.byte_count() + self.places.byte_count();
        let sorted = self.sorted.byte_count() + self.sorting.byte_count();
        let seen = self.watermarks_ms.byte_count() + self.visible.byte_count();
        by_call + sorted + seen + self.segments.byte_count() + self.code_lists.byte_count()
    }
}

/// Sends values on their way through page-locked memory; both are made long enough.
fn give<T: Plain>(
    stream: &Stream,
    to: &mut Buffer<T>,
    staged: &mut Pinned<T>,
    values: &[T],
) -> Result<(), DeviceError> {
    let count = values.len();
    to.reserve(count)?;
    if count > staged.len() {
        let device = Device::Gpu(Arc::clone(stream.gpu()));
        *staged = Pinned::new(&device, count.next_power_of_two(), Pinning::Upload)?;
    }
    staged[..count].copy_from_slice(values);
    stream.upload((to, 0), (staged, 0), count)
}
