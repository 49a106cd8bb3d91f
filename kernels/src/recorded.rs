//! Small batches on a GPU: the way from columns to features as one launch.
//!
//! Copies there, windows, features, standardisation and copies back are recorded once for a shape
//! (so many rows at most) and then done again for each batch of it: the launch of a graph costs
//! what that of one kernel does, and a small batch is mostly launches. What differs from batch to
//! batch is in memory: columns are staged at fixed places, and windows and moments are told how
//! many rows there are. Rows beyond them are made, and looked at by nobody.
//!
//! Invariant: nothing that is recorded moves while a graph is used: buffers here are made once,
//! those of tables that grow are named by what is armed for each batch.

use crate::assemble::Columns;
use crate::assemble::device::{Assembler, ColumnBuffers, PinnedColumns};
use crate::coordinate::device::{RowBuffers, TableError};
use crate::device::{Buffer, Device, DeviceError, Graph, Pinned, Pinning, Stream};
use crate::moments::device::DeviceMoments;
use crate::window::device::DeviceWindows;

/// What makes the features of a batch, whichever way it goes.
#[derive(Debug)]
pub struct Makers<'a> {
    /// Where all of it happens, in order.
    pub stream: &'a Stream,
    /// Makes rows of columns.
    pub assembler: &'a Assembler,
    /// Answers windows.
    pub windows: &'a mut DeviceWindows,
    /// Scales what is dense.
    pub moments: Option<&'a mut DeviceMoments>,
    /// Whether some of what is given is known here and comes with the columns.
    pub has_known: bool,
}

/// The recorded way of batches of one shape, each with the same makers.
pub struct RecordedBatch {
    /// Before all that it addresses.
    graph: Option<Graph>,
    /// Tables on the GPU when it was recorded, and whether something was known here.
    recorded: (usize, bool),
    shape: usize,
    columns: ColumnBuffers,
    times_ms: Pinned<i64>,
    numbers: Pinned<f32>,
    categories: Pinned<u64>,
    header: Buffer<u64>,
    header_here: Pinned<u64>,
    rows: RowBuffers,
    dense: Pinned<f32>,
    sparse: Pinned<u32>,
    given: Pinned<f32>,
}

impl RecordedBatch {
    /// The way of batches of at most `shape` rows; `widths` are numbers, categories and what is
    /// given, `made` dense and sparse features.
    ///
    /// # Errors
    /// [`DeviceError::Memory`], [`DeviceError::Lost`].
    pub fn new(
        stream: &Stream,
        shape: usize,
        widths: [usize; 3],
        made: [usize; 2],
    ) -> Result<RecordedBatch, DeviceError> {
        let gpu = stream.gpu();
        let device = Device::Gpu(gpu.clone());
        let [numbers, categories, given] = widths;
        let [dense, sparse] = made;
        let mut rows = RowBuffers::new(gpu, dense, sparse)?;
        rows.make(shape)?;
        Ok(RecordedBatch {
            graph: None,
            recorded: (0, false),
            shape,
            columns: ColumnBuffers::new(gpu, widths, shape)?,
            times_ms: Pinned::new(&device, shape, Pinning::Both)?,
            numbers: Pinned::new(&device, shape * numbers, Pinning::Both)?,
            categories: Pinned::new(&device, shape * categories, Pinning::Both)?,
            header: Buffer::new(gpu, 2)?,
            header_here: Pinned::new(&device, 2, Pinning::Both)?,
            rows,
            dense: Pinned::new(&device, shape * dense, Pinning::Both)?,
            sparse: Pinned::new(&device, shape * sparse, Pinning::Both)?,
            given: Pinned::new(&device, shape * given, Pinning::Both)?,
        })
    }

    /// Makes the features of a batch, of no more rows than the shape has; `given` (`[rows, given]`)
    /// has what is known and gets the aggregates of windows. Waits.
    ///
    /// # Errors
    /// [`TableError`], for a shape before anything is changed.
    ///
    /// # Panics
    /// If there are more rows.
    pub fn make(
        &mut self,
        mut makers: Makers<'_>,
        columns: &Columns<'_>,
        given: &mut [f32],
    ) -> Result<(), TableError> {
        let (rows, stream) = (columns.rows, makers.stream);
        self.stage(columns, given);
        let header = makers.moments.as_mut().map(|moments| moments.header(rows));
        self.header_here.copy_from_slice(&header.unwrap_or_default());
        self.columns.keep(rows);
        let calls = makers.windows.arm(stream, &mut self.columns)?;
        let wanted = (makers.windows.len(), makers.has_known);
        // Labels among the rows may be more calls than a graph is recorded for.
        if calls > self.calls_max() {
            self.give(&mut makers, calls)?;
        } else {
            if self.graph.is_none() || self.recorded != wanted {
                self.record(&mut makers)?;
            }
            if let Some(graph) = &self.graph {
                stream.replay(graph)?;
            }
        }
        stream.wait()?;
        makers.windows.look()?;
        self.rows.make(rows)?;
        given.copy_from_slice(&self.given[..given.len()]);
        Ok(())
    }

    /// Dense and sparse features of the batch last made, or longer.
    #[must_use]
    pub fn features(&self) -> (&[f32], &[u32]) {
        (&self.dense, &self.sparse)
    }

    /// The same in the memory of the GPU.
    #[must_use]
    pub fn features_there(&self) -> &RowBuffers {
        &self.rows
    }

    /// Calls of a table that the graph has room for: a label for each row.
    fn calls_max(&self) -> usize {
        2 * self.shape
    }

    /// Copies the columns of the batch to where those of all batches are taken from.
    fn stage(&mut self, columns: &Columns<'_>, given: &[f32]) {
        let (rows, shape, stride) = (columns.rows, self.shape, columns.stride);
        assert!(rows <= shape && stride > 0, "a batch of this shape");
        self.times_ms[..rows].copy_from_slice(&columns.times_ms[..rows]);
        let numbers = self.numbers.chunks_exact_mut(shape);
        for (to, from) in numbers.zip(columns.numbers.chunks_exact(stride)) {
            to[..rows].copy_from_slice(&from[..rows]);
        }
        let categories = self.categories.chunks_exact_mut(shape);
        for (to, from) in categories.zip(columns.categories.chunks_exact(stride)) {
            to[..rows].copy_from_slice(&from[..rows]);
        }
        self.given[..given.len()].copy_from_slice(given);
    }

    fn record(&mut self, makers: &mut Makers<'_>) -> Result<(), TableError> {
        self.graph = None;
        self.recorded = (makers.windows.len(), makers.has_known);
        let (stream, calls, mut failed) = (makers.stream, self.calls_max(), None);
        let give = |_: &Stream| match self.give(makers, calls) {
            Err(TableError::Device(error)) => Err(error),
            other => {
                failed = other.err();
                Ok(())
            }
        };
        // SAFETY: all that is addressed lies in this, in the makers, which live as long, or in
        // tables that a batch is armed for; memory here is touched again behind the next wait.
        let graph = unsafe { stream.graph(give) }?;
        if let Some(error) = failed {
            return Err(error);
        }
        self.graph = Some(graph);
        Ok(())
    }

    /// Gives all of it, for a batch of the whole shape.
    fn give(&mut self, makers: &mut Makers<'_>, calls: usize) -> Result<(), TableError> {
        let stream = makers.stream;
        let from = PinnedColumns {
            times_ms: &mut self.times_ms,
            numbers: &mut self.numbers,
            categories: &mut self.categories,
        };
        self.columns.give(stream, from, self.shape)?;
        stream.upload((&mut self.header, 0), (&mut self.header_here, 0), 2)?;
        if makers.has_known {
            self.columns.give_known(stream, &mut self.given)?;
        }
        makers.windows.give(stream, calls)?;
        makers.assembler.run(stream, &self.columns, &mut self.rows)?;
        if let Some(moments) = &mut makers.moments {
            moments.give(stream, &mut self.rows, &self.header)?;
        }
        self.rows.download(stream, &mut self.dense, &mut self.sparse)?;
        Ok(self.columns.take_known(stream, &mut self.given)?)
    }
}

impl std::fmt::Debug for RecordedBatch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RecordedBatch").field("shape", &self.shape).finish_non_exhaustive()
    }
}
