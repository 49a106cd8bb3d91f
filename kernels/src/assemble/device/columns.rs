//! The columns of a batch on their way to a GPU and back.

use std::sync::Arc;

use super::count;
use crate::device::{Buffer, DeviceError, Gpu, Pinned, Plain, Stream};

/// The columns of a batch in the memory of a GPU.
#[derive(Debug)]
pub struct ColumnBuffers {
    rows: usize,
    stride: usize,
    times_ms: Buffer<i64>,
    numbers: Buffer<f32>,
    categories: Buffer<u64>,
    given: Buffer<f32>,
}

/// Columns in page-locked memory, as [`crate::assemble::Columns`] has them.
#[derive(Debug)]
pub struct PinnedColumns<'a> {
    /// `[stride]`.
    pub times_ms: &'a mut Pinned<i64>,
    /// `[numbers, stride]`.
    pub numbers: &'a mut Pinned<f32>,
    /// `[categories, stride]`.
    pub categories: &'a mut Pinned<u64>,
}

#[derive(Clone, Copy)]
#[repr(C)]
pub(crate) struct ColumnsArgument {
    addresses: [u64; 4],
    rows: u32,
    stride: u32,
}

// SAFETY: numbers only, without padding: 40 bytes.
unsafe impl Plain for ColumnsArgument {}

impl ColumnBuffers {
    /// Room for `stride` rows.
    ///
    /// # Errors
    /// [`DeviceError::Memory`], [`DeviceError::Lost`].
    pub fn new(
        gpu: &Arc<Gpu>,
        [numbers, categories, given]: [usize; 3],
        stride: usize,
    ) -> Result<ColumnBuffers, DeviceError> {
        Ok(ColumnBuffers {
            rows: 0,
            stride,
            times_ms: Buffer::new(gpu, stride)?,
            numbers: Buffer::new(gpu, numbers * stride)?,
            categories: Buffer::new(gpu, categories * stride)?,
            given: Buffer::new(gpu, given * stride)?,
        })
    }

    /// The same with memory that is there, each as large.
    pub(crate) fn over(
        stride: usize,
        times_ms: Buffer<i64>,
        numbers: Buffer<f32>,
        (categories, given): (Buffer<u64>, Buffer<f32>),
    ) -> ColumnBuffers {
        ColumnBuffers { rows: 0, stride, times_ms, numbers, categories, given }
    }

    /// Rows there is room for.
    #[must_use]
    pub fn rows_max(&self) -> usize {
        self.stride
    }

    /// Rows there are.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Says that there are so many rows: of those that are there, on their way or made by a kernel.
    ///
    /// # Panics
    /// If there is no room for as many.
    pub fn keep(&mut self, rows: usize) {
        assert!(rows <= self.stride, "rows there is room for");
        self.rows = rows;
    }

    /// Values of all columns of numbers, categories and what is given.
    pub(super) fn lengths(&self) -> [usize; 3] {
        [self.numbers.len(), self.categories.len(), self.given.len()]
    }

    /// Columns of numbers, categories and what is given.
    #[must_use]
    pub fn widths(&self) -> [usize; 3] {
        let stride = self.stride.max(1);
        [self.numbers.len(), self.categories.len(), self.given.len()].map(|all| all / stride)
    }

    /// Copies the columns of `rows` rows to the GPU, without waiting.
    ///
    /// # Errors
    /// [`DeviceError`].
    ///
    /// # Panics
    /// If the columns are of another shape.
    pub fn give(
        &mut self,
        stream: &Stream,
        columns: PinnedColumns<'_>,
        rows: usize,
    ) -> Result<(), DeviceError> {
        let PinnedColumns { times_ms, numbers, categories } = columns;
        assert!(rows <= self.stride, "a batch of the rows there is room for");
        assert_eq!(numbers.len(), self.numbers.len(), "numbers");
        assert_eq!(categories.len(), self.categories.len(), "categories");
        self.rows = rows;
        stream.upload((&mut self.times_ms, 0), (times_ms, 0), rows)?;
        stream.upload_rows(&mut self.numbers, numbers, (self.stride, rows))?;
        stream.upload_rows(&mut self.categories, categories, (self.stride, rows))
    }

    /// Copies the times of other rows over columns that stay as they are, without waiting.
    ///
    /// # Errors
    /// [`DeviceError`].
    pub fn give_times(
        &mut self,
        stream: &Stream,
        times_ms: &mut Pinned<i64>,
    ) -> Result<(), DeviceError> {
        stream.upload((&mut self.times_ms, 0), (times_ms, 0), self.rows)
    }

    /// Copies dense features that are known already, `[rows, given]`.
    ///
    /// # Errors
    /// [`DeviceError`].
    pub fn give_known(
        &mut self,
        stream: &Stream,
        given: &mut Pinned<f32>,
    ) -> Result<(), DeviceError> {
        let length = self.given.len() / self.stride.max(1) * self.rows;
        stream.upload((&mut self.given, 0), (given, 0), length)
    }

    /// Copies the same back, without waiting; whoever reads `given` waits for it.
    ///
    /// # Errors
    /// [`DeviceError`].
    pub fn take_known(&self, stream: &Stream, given: &mut Pinned<f32>) -> Result<(), DeviceError> {
        let length = self.given.len() / self.stride.max(1) * self.rows;
        stream.download((given, 0), (&self.given, 0), length)
    }

    /// Copies the columns of the rows there are back, without waiting; of the same shape.
    ///
    /// # Errors
    /// [`DeviceError`].
    pub(crate) fn fetch(
        &self,
        stream: &Stream,
        (times_ms, numbers, categories): (&mut Pinned<i64>, &mut Pinned<f32>, &mut Pinned<u64>),
    ) -> Result<(), DeviceError> {
        let (rows, stride) = (self.rows, self.stride.max(1));
        stream.download((times_ms, 0), (&self.times_ms, 0), rows)?;
        for at in (0..self.numbers.len()).step_by(stride) {
            stream.download((numbers, at), (&self.numbers, at), rows)?;
        }
        for at in (0..self.categories.len()).step_by(stride) {
            stream.download((categories, at), (&self.categories, at), rows)?;
        }
        Ok(())
    }

    /// Where times, numbers and categories are, and what is given: for kernels that write them.
    pub(crate) fn addresses(&self) -> [u64; 4] {
        self.argument().addresses
    }

    pub(crate) fn argument(&self) -> ColumnsArgument {
        ColumnsArgument {
            addresses: [
                self.times_ms.address(),
                self.numbers.address(),
                self.categories.address(),
                self.given.address(),
            ],
            rows: count(self.rows),
            stride: count(self.stride),
        }
    }
}
