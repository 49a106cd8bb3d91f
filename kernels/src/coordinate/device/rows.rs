//! Rows of features, and labels for them, on their way to a GPU.

use std::sync::Arc;

use crate::device::{Buffer, Device, DeviceError, Gpu, Pinned, Pinning, Plain, Stream};

/// Rows in pinned memory here, and in the memory of the GPU. They are made as large as is asked for
/// and then used again.
#[derive(Debug)]
pub struct RowBuffers {
    dense_width: usize,
    sparse_width: usize,
    count: usize,
    is_labelled: bool,
    dense: Both<f32>,
    sparse: Both<u32>,
    labels: Both<f32>,
    weights: Both<f32>,
}

/// Some of the rows, as the kernels work on them.
#[derive(Clone, Copy, Debug)]
pub struct RowsThere<'a> {
    buffers: &'a RowBuffers,
    first: usize,
    count: usize,
}

/// The same values on both sides.
#[derive(Debug)]
struct Both<T: Plain> {
    here: Pinned<T>,
    there: Buffer<T>,
}

/// What a kernel is told of rows, as coordinate.cu declares it.
#[derive(Clone, Copy)]
#[repr(C)]
pub(crate) struct RowsArgument {
    addresses: [u64; 4],
    rows: u32,
    unused: u32,
}

// SAFETY: numbers only, 40 bytes without padding.
unsafe impl Plain for RowsArgument {}

impl<T: Plain> Both<T> {
    fn new(gpu: &Arc<Gpu>, length: usize) -> Result<Self, DeviceError> {
        let device = Device::Gpu(Arc::clone(gpu));
        let here = Pinned::new(&device, length, Pinning::Upload)?;
        Ok(Both { here, there: Buffer::new(gpu, length)? })
    }

    fn reserve(&mut self, length: usize) -> Result<(), DeviceError> {
        self.there.reserve(length)?;
        if length > self.here.len() {
            let device = Device::Gpu(Arc::clone(self.there.gpu()));
            self.here = Pinned::new(&device, length.next_power_of_two(), Pinning::Upload)?;
        }
        Ok(())
    }

    fn give(&mut self, stream: &Stream, values: &[T]) -> Result<(), DeviceError> {
        self.here[..values.len()].copy_from_slice(values);
        stream.upload((&mut self.there, 0), (&mut self.here, 0), values.len())
    }
}

impl RowBuffers {
    /// No rows yet.
    ///
    /// # Errors
    /// [`DeviceError`].
    pub fn new(
        gpu: &Arc<Gpu>,
        dense_width: usize,
        sparse_width: usize,
    ) -> Result<RowBuffers, DeviceError> {
        Ok(RowBuffers {
            dense_width,
            sparse_width,
            count: 0,
            is_labelled: false,
            dense: Both::new(gpu, 0)?,
            sparse: Both::new(gpu, 0)?,
            labels: Both::new(gpu, 0)?,
            weights: Both::new(gpu, 0)?,
        })
    }

    /// No rows yet, with memory for as many as it has room for.
    pub(crate) fn over(
        widths: [usize; 2],
        (dense, sparse): (Buffer<f32>, Buffer<u32>),
    ) -> Result<RowBuffers, DeviceError> {
        let gpu = Arc::clone(dense.gpu());
        let mut rows = RowBuffers::new(&gpu, widths[0], widths[1])?;
        (rows.dense.there, rows.sparse.there) = (dense, sparse);
        Ok(rows)
    }

    /// Makes room for so many rows with their labels, on both sides; what they held is lost.
    ///
    /// # Errors
    /// [`DeviceError::Memory`], [`DeviceError::Lost`].
    pub fn reserve(&mut self, rows: usize) -> Result<(), DeviceError> {
        self.dense.reserve(rows * self.dense_width)?;
        self.sparse.reserve(rows * self.sparse_width)?;
        self.labels.reserve(rows)?;
        self.weights.reserve(rows)
    }

    /// Copies rows to the GPU: features, and labels with weights where there are any.
    ///
    /// # Shapes
    /// `dense: [rows, dense_width]`, `sparse: [rows, sparse_width]`, `labels`, `weights: [rows]`.
    ///
    /// # Errors
    /// [`DeviceError`].
    ///
    /// # Panics
    /// If a shape does not fit.
    pub fn give(
        &mut self,
        stream: &Stream,
        (dense, sparse): (&[f32], &[u32]),
        rows: usize,
        labels: Option<(&[f32], &[f32])>,
    ) -> Result<(), DeviceError> {
        assert_eq!(dense.len(), rows * self.dense_width, "dense features");
        assert_eq!(sparse.len(), rows * self.sparse_width, "sparse features");
        self.dense.reserve(dense.len())?;
        self.sparse.reserve(sparse.len())?;
        self.dense.give(stream, dense)?;
        self.sparse.give(stream, sparse)?;
        (self.count, self.is_labelled) = (rows, false);
        labels.map_or(Ok(()), |(labels, weights)| self.label(stream, labels, weights))
    }

    /// Makes room for rows that a kernel is about to write there, without labels: the addresses of
    /// dense and sparse features.
    ///
    /// # Errors
    /// [`DeviceError::Memory`], [`DeviceError::Lost`].
    pub fn make(&mut self, rows: usize) -> Result<(u64, u64), DeviceError> {
        self.dense.there.reserve(rows * self.dense_width)?;
        self.sparse.there.reserve(rows * self.sparse_width)?;
        (self.count, self.is_labelled) = (rows, false);
        Ok((self.dense.there.address(), self.sparse.there.address()))
    }

    /// Copies labels with weights to the GPU, for rows that were made there.
    ///
    /// # Shapes
    /// `labels`, `weights: [rows]`.
    ///
    /// # Errors
    /// [`DeviceError`].
    ///
    /// # Panics
    /// If a shape does not fit.
    pub fn label(
        &mut self,
        stream: &Stream,
        labels: &[f32],
        weights: &[f32],
    ) -> Result<(), DeviceError> {
        assert_eq!([labels.len(), weights.len()], [self.count; 2], "labels and weights");
        self.labels.reserve(self.count)?;
        self.weights.reserve(self.count)?;
        self.labels.give(stream, labels)?;
        self.weights.give(stream, weights)?;
        self.is_labelled = true;
        Ok(())
    }

    /// Copies the features here, without waiting: dense and sparse, row-major.
    ///
    /// # Errors
    /// [`DeviceError`].
    pub fn download(
        &self,
        stream: &Stream,
        dense: &mut Pinned<f32>,
        sparse: &mut Pinned<u32>,
    ) -> Result<(), DeviceError> {
        let (dense_length, sparse_length) =
            (self.count * self.dense_width, self.count * self.sparse_width);
        stream.download((dense, 0), (&self.dense.there, 0), dense_length)?;
        stream.download((sparse, 0), (&self.sparse.there, 0), sparse_length)
    }

    /// The dense features there, `[rows, dense_width]` or longer.
    pub(crate) fn dense_mut(&mut self) -> &mut Buffer<f32> {
        &mut self.dense.there
    }

    /// All rows.
    #[must_use]
    pub fn all(&self) -> RowsThere<'_> {
        self.part(0..self.count)
    }

    /// Rows of this range.
    ///
    /// # Panics
    /// If there are fewer.
    #[must_use]
    pub fn part(&self, rows: std::ops::Range<usize>) -> RowsThere<'_> {
        assert!(rows.start <= rows.end && rows.end <= self.count, "rows that are there");
        RowsThere { buffers: self, first: rows.start, count: rows.len() }
    }

    /// Rows there are.
    #[must_use]
    pub fn count(&self) -> usize {
        self.count
    }

    /// Dense features of a row.
    #[must_use]
    pub fn dense_width(&self) -> usize {
        self.dense_width
    }

    /// Sparse features of a row.
    #[must_use]
    pub fn sparse_width(&self) -> usize {
        self.sparse_width
    }
}

impl RowsThere<'_> {
    /// Rows there are.
    #[must_use]
    pub fn count(&self) -> usize {
        self.count
    }

    /// Whether they lie on this GPU.
    #[must_use]
    pub fn is_on(&self, gpu: &Arc<Gpu>) -> bool {
        Arc::ptr_eq(self.buffers.dense.there.gpu(), gpu)
    }

    pub(crate) fn widths(&self) -> [usize; 2] {
        [self.buffers.dense_width, self.buffers.sparse_width]
    }

    pub(crate) fn is_labelled(&self) -> bool {
        self.buffers.is_labelled
    }

    pub(crate) fn argument(&self) -> RowsArgument {
        let RowBuffers { dense, sparse, labels, weights, .. } = self.buffers;
        let [dense_width, sparse_width] = self.widths();
        let behind = |address: u64, values: usize| address + 4 * (self.first * values) as u64;
        RowsArgument {
            addresses: [
                behind(dense.there.address(), dense_width),
                behind(sparse.there.address(), sparse_width),
                behind(labels.there.address(), 1),
                behind(weights.there.address(), 1),
            ],
            rows: u32::try_from(self.count).expect("a step has at most 2^20 rows"),
            unused: 0,
        }
    }
}
