//! Small batches on a GPU: the way from columns to features and scores as one launch.
//!
//! A copy there, windows, features, standardisation, the model's scores and a copy back are
//! recorded once for a shape (so many rows at most) and then done again for each batch of it: the
//! launch of a graph costs what that of one kernel does, and a small batch is mostly launches and
//! copies. What differs from batch to batch is in memory: columns are staged at fixed places, and
//! windows and moments are told how many rows there are. Rows beyond them are made, and looked at
//! by nobody. All that is staged lies together, and so does all that comes back: a [`Block`].
//!
//! Invariant: nothing that is recorded moves while a graph is used: memory here is made once, that
//! of tables that grow is named by what is armed for each batch, and a model that scores says where
//! its memory is ([`Scorer::place`]): where that has changed, it is recorded anew.

use crate::KernelError;
use crate::assemble::Columns;
use crate::assemble::device::{Assembler, ColumnBuffers};
use crate::coordinate::device::{RowBuffers, Scorer, TableError};
use crate::device::{Block, BlockPlan, Buffer, DeviceError, Graph, Part, Stream};
use crate::moments::device::DeviceMoments;
use crate::window::device::DeviceWindows;

/// What makes the features of a batch, whichever way it goes.
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
    /// Scores the features, if anything does.
    pub scorer: Option<&'a dyn Scorer>,
}

/// The recorded way of batches of one shape, each with the same makers but for who scores.
pub struct RecordedBatch {
    /// Of batches that are not scored, and of those that are; before all that they address.
    graphs: [Option<(Recorded, Graph)>; 2],
    shape: usize,
    block: Block,
    parts: Parts,
    columns: ColumnBuffers,
    header: Buffer<u64>,
    rows: RowBuffers,
    outputs: usize,
    scores: Buffer<f32>,
    /// Whether the batch last made was scored.
    is_scored: bool,
}

/// What a graph was recorded for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Recorded {
    /// Window tables on the GPU.
    tables: usize,
    /// Passes of their sort, where that is by many blocks.
    passes: Option<u32>,
    has_known: bool,
    /// Who scores.
    scorer: Option<[u64; 2]>,
}

/// Where things lie in the block: what goes there, then what is given, which goes both ways, then
/// what comes back.
#[derive(Clone, Copy)]
struct Parts {
    header: Part<u64>,
    times_ms: Part<i64>,
    categories: Part<u64>,
    numbers: Part<f32>,
    given: Part<f32>,
    dense: Part<f32>,
    sparse: Part<u32>,
    scores: Part<f32>,
}

impl RecordedBatch {
    /// The way of batches of at most `shape` rows; `widths` are numbers, categories and what is
    /// given, `made` dense and sparse features and scores.
    ///
    /// # Errors
    /// [`DeviceError::Memory`], [`DeviceError::Lost`].
    pub fn new(
        stream: &Stream,
        shape: usize,
        widths: [usize; 3],
        made: [usize; 3],
    ) -> Result<RecordedBatch, DeviceError> {
        let ([numbers, categories, given], [dense, sparse, outputs]) = (widths, made);
        let mut plan = BlockPlan::default();
        let parts = Parts {
            header: plan.part(2),
            times_ms: plan.part(shape),
            categories: plan.part(shape * categories),
            numbers: plan.part(shape * numbers),
            given: plan.part(shape * given),
            dense: plan.part(shape * dense),
            sparse: plan.part(shape * sparse),
            scores: plan.part(shape * outputs),
        };
        let block = Block::new(stream.gpu(), &plan)?;
        let features = (block.there(parts.dense), block.there(parts.sparse));
        let mut rows = RowBuffers::over([dense, sparse], features)?;
        rows.make(shape)?;
        let (times_ms, numbers) = (block.there(parts.times_ms), block.there(parts.numbers));
        let others = (block.there(parts.categories), block.there(parts.given));
        Ok(RecordedBatch {
            graphs: [None, None],
            shape,
            columns: ColumnBuffers::over(shape, times_ms, numbers, others),
            header: block.there(parts.header),
            rows,
            outputs,
            scores: block.there(parts.scores),
            is_scored: false,
            parts,
            block,
        })
    }

    /// Makes the features of a batch, of no more rows than the shape has, and its scores where
    /// something scores; `given` (`[rows, given]`) has what is known and gets the aggregates of
    /// windows. Waits.
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
        let outputs = makers.scorer.map_or(self.outputs, Scorer::outputs);
        if outputs != self.outputs {
            let (kernel, argument, expected) = ("recorded", "scorer.outputs", self.outputs);
            return Err(KernelError::Shape { kernel, argument, expected, given: outputs }.into());
        }
        self.stage(columns, given);
        let header = makers.moments.as_mut().map(|moments| moments.header(rows));
        self.block.here_mut(self.parts.header).copy_from_slice(&header.unwrap_or_default());
        self.columns.keep(rows);
        let calls = makers.windows.arm(stream, &mut self.columns)?;
        let wanted = Recorded {
            tables: makers.windows.len(),
            passes: makers.windows.passes(self.calls_max()),
            has_known: makers.has_known,
            scorer: makers.scorer.map(Scorer::place),
        };
        if let Some(scorer) = makers.scorer {
            scorer.ready(stream)?;
        }
        // Labels among the rows may be more calls than a graph is recorded for.
        if calls > self.calls_max() {
            self.give(&mut makers, calls)?;
        } else {
            let own = usize::from(wanted.scorer.is_some());
            if !matches!(&self.graphs[own], Some((recorded, _)) if *recorded == wanted) {
                self.graphs[own] = None;
                self.graphs[own] = Some((wanted, self.record(&mut makers)?));
            }
            if let Some((_, graph)) = &self.graphs[own] {
                stream.replay(graph)?;
            }
        }
        stream.wait()?;
        makers.windows.look()?;
        self.rows.make(rows)?;
        self.is_scored = makers.scorer.is_some();
        if !makers.windows.is_empty() {
            given.copy_from_slice(&self.block.here(self.parts.given)[..given.len()]);
        }
        Ok(())
    }

    /// Dense and sparse features of the batch last made, or longer.
    #[must_use]
    pub fn features(&self) -> (&[f32], &[u32]) {
        (self.block.here(self.parts.dense), self.block.here(self.parts.sparse))
    }

    /// The same in the memory of the GPU.
    #[must_use]
    pub fn features_there(&self) -> &RowBuffers {
        &self.rows
    }

    /// Scores of the batch last made, `[rows, outputs]`, where something scored it.
    #[must_use]
    pub fn scores(&self) -> Option<&[f32]> {
        let count = self.rows.count() * self.outputs;
        self.is_scored.then(|| &self.block.here(self.parts.scores)[..count])
    }

    /// Calls of a table that the graph has room for: a label for each row.
    fn calls_max(&self) -> usize {
        2 * self.shape
    }

    /// Copies the columns of the batch to where those of all batches are taken from.
    fn stage(&mut self, columns: &Columns<'_>, given: &[f32]) {
        let (rows, shape, stride) = (columns.rows, self.shape, columns.stride);
        assert!(rows <= shape && stride > 0, "a batch of this shape");
        let Parts { times_ms, numbers, categories, .. } = self.parts;
        let block = &mut self.block;
        block.here_mut(times_ms)[..rows].copy_from_slice(&columns.times_ms[..rows]);
        let numbers = block.here_mut(numbers).chunks_exact_mut(shape);
        for (to, from) in numbers.zip(columns.numbers.chunks_exact(stride)) {
            to[..rows].copy_from_slice(&from[..rows]);
        }
        let categories = block.here_mut(categories).chunks_exact_mut(shape);
        for (to, from) in categories.zip(columns.categories.chunks_exact(stride)) {
            to[..rows].copy_from_slice(&from[..rows]);
        }
        block.here_mut(self.parts.given)[..given.len()].copy_from_slice(given);
    }

    fn record(&mut self, makers: &mut Makers<'_>) -> Result<Graph, TableError> {
        let (stream, calls, mut failed) = (makers.stream, self.calls_max(), None);
        let give = |_: &Stream| match self.give(makers, calls) {
            Err(TableError::Device(error)) => Err(error),
            other => {
                failed = other.err();
                Ok(())
            }
        };
        // SAFETY: all that is addressed lies in this, in the makers, which live as long, in tables
        // that a batch is armed for, or where the one who scores has its cells, which is there at
        // each replay, since it says so then; memory here is touched again behind the next wait.
        let graph = unsafe { stream.graph(give) }?;
        failed.map_or(Ok(graph), Err)
    }

    /// Gives all of it, for a batch of the whole shape.
    fn give(&mut self, makers: &mut Makers<'_>, calls: usize) -> Result<(), TableError> {
        let (stream, parts) = (makers.stream, self.parts);
        let there = if makers.has_known { parts.given.end() } else { parts.numbers.end() };
        self.block.upload(stream, parts.header.start()..there)?;
        self.columns.keep(self.shape);
        makers.windows.give(stream, calls)?;
        makers.assembler.run(stream, &self.columns, &mut self.rows)?;
        if let Some(moments) = &mut makers.moments {
            moments.give(stream, &mut self.rows, &self.header)?;
        }
        let has_windows = !makers.windows.is_empty();
        let from = if has_windows { parts.given.start() } else { parts.dense.start() };
        let mut until = parts.sparse.end();
        if let Some(scorer) = makers.scorer {
            scorer.give(stream, self.rows.all(), &mut self.scores)?;
            until = parts.scores.end();
        }
        Ok(self.block.download(stream, from..until)?)
    }
}

impl std::fmt::Debug for RecordedBatch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RecordedBatch").field("shape", &self.shape).finish_non_exhaustive()
    }
}
