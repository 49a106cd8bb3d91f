//! The linear model on a GPU: weights and what is remembered of the stream live there.
//!
//! Scores, learned weights and saved bytes are those of [`Rows`](super::rows::Rows) over the same
//! learner, bit for bit, so that a checkpoint moves between devices. A learner here serves as the
//! form in which states are saved and read; it does not follow what is learned. Earlier states are
//! whole copies in the memory of the GPU, which copies a table faster than a CPU notes a step's
//! changes.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::io;
use std::sync::Arc;

use pelton_kernels::coordinate::device::{
    Outcome, RowBuffers, RowsThere, Rule, Scorer, Table, TableError, TableSpec, Task as TableTask,
};
use pelton_kernels::device::{Buffer, DeviceError, Gpu, Stream};
use pelton_kernels::state::{StateReader, StateWriter};

use super::config::{LinearConfig, Optimizer};
use super::draw;
use super::explain;
use super::kept;
use super::link::Link;
use super::rows::{Batches, Layout, RowLearner};
use crate::graph::{Graph, Inputs, Value};
use crate::predictions::{Predictions, number};
use crate::{FeatureShape, Features, LabeledBatch, LearnOutcome, ModelError, Task};

/// A table on a GPU that learns as the learner `H` does here.
pub(crate) trait Twin<H>: Table + Sized + Send {
    /// A table with the cells of `here`, which is untrained.
    fn new(stream: &Stream, spec: TableSpec, here: &H) -> Result<Self, DeviceError>;
    /// Reads cells into the learner here.
    fn fetch(stream: &Stream, cells: &Self::Cells, here: &mut H) -> Result<(), DeviceError>;
    /// Takes the cells of the learner here.
    fn send(&mut self, stream: &Stream, here: &H) -> Result<(), DeviceError>;
    /// Weights of experts, if there are any.
    fn expert_weights(&self) -> Option<[f32; 4]> {
        None
    }
}

/// Batches by a table on a GPU.
pub(crate) struct DeviceRows<H, T: Twin<H>> {
    /// Names the table: another one has another number.
    number: u64,
    outputs: usize,
    there: RefCell<There<T>>,
    /// Kept states, oldest first.
    kept: VecDeque<T::Cells>,
    /// Copies that are free to be used again.
    free: Vec<T::Cells>,
    here: RefCell<H>,
    layout: Layout,
}

/// What scoring uses as well as learning.
struct There<T> {
    stream: Stream,
    table: T,
    rows: RowBuffers,
    predictions: Predictions,
}

impl From<TableError> for ModelError {
    fn from(error: TableError) -> ModelError {
        match error {
            TableError::Kernel(error) => ModelError::Kernel(error),
            TableError::Device(error) => ModelError::Device(error),
        }
    }
}

/// The settings as a table on a GPU takes them.
#[must_use]
pub fn table_spec(config: &LinearConfig, shape: FeatureShape) -> TableSpec {
    let (rule, rate, beta) = match config.optimizer {
        Optimizer::Ftrl { rate, beta } => (Rule::Ftrl, rate, beta),
        Optimizer::AdaGrad { rate } => (Rule::AdaGrad, rate, 0.0),
        Optimizer::Sgd { rate } | Optimizer::Blend { rate } => (Rule::Sgd, rate, 0.0),
    };
    let task = match config.task {
        Task::Binary => TableTask::Binary,
        Task::MultiClass { .. } => TableTask::Classes,
        Task::Regression => TableTask::Regression,
    };
    TableSpec {
        task,
        rule,
        classes: config.task.outputs(),
        dense_width: shape.dense_width,
        fold: config.fold,
        sparse_width: shape.sparse_width,
        absent: if shape.sparse_width == 0 { 0 } else { 1 << shape.sparse_bits },
        rate,
        beta,
        l1: config.l1,
        l2: config.l2,
        positive_weight: config.positive_weight,
        shift: Link::new(config.task, config.positive_weight).shift(),
    }
}

impl<H: RowLearner, T: Twin<H>> DeviceRows<H, T> {
    /// A model like `here`.
    pub fn new(gpu: &Arc<Gpu>, spec: TableSpec, here: H) -> Result<Self, ModelError> {
        let stream = Stream::new(gpu)?;
        let there = There {
            table: T::new(&stream, spec, &here)?,
            rows: RowBuffers::new(gpu, spec.dense_width, spec.sparse_width)?,
            predictions: Predictions::new(gpu)?,
            stream,
        };
        // Who scores by another stream finds the table as it is.
        there.stream.wait()?;
        let (number, outputs) = (number(), spec.classes);
        let (kept, free) = (VecDeque::new(), Vec::new());
        let layout = Layout { dense: spec.dense_width, sparse: spec.sparse_width, fold: spec.fold };
        let (there, here) = (RefCell::new(there), RefCell::new(here));
        Ok(DeviceRows { number, outputs, there, kept, free, here, layout })
    }

    /// Shows the table there.
    pub fn there<S>(&self, show: impl FnOnce(&T) -> S) -> S {
        show(&self.there.borrow().table)
    }

    /// The learner here, with the cells as they are there.
    pub fn fetched(&self) -> Result<std::cell::Ref<'_, H>, DeviceError> {
        self.fetch(None)?;
        Ok(self.here.borrow())
    }

    /// Reads the cells, or those of a kept state, into the learner here.
    fn fetch(&self, of: Option<&T::Cells>) -> Result<(), DeviceError> {
        let there = self.there.borrow();
        let cells = of.unwrap_or(there.table.cells());
        T::fetch(&there.stream, cells, &mut self.here.borrow_mut())
    }

    /// A new state to be kept, or room that one has left.
    fn copy(&mut self) -> Result<T::Cells, DeviceError> {
        let there = self.there.get_mut();
        there.table.copy(&there.stream, self.free.pop())
    }
}

impl<T> There<T> {
    fn give(
        &mut self,
        features: &Features<'_>,
        labels: Option<(&[f32], &[f32])>,
    ) -> Result<(), DeviceError> {
        let given = (features.dense, features.sparse);
        self.rows.give(&self.stream, given, features.rows, labels)
    }
}

/// Learning and going back wait for the table, so that it stands when others score by it.
impl<H: RowLearner, T: Twin<H>> Scorer for DeviceRows<H, T> {
    fn outputs(&self) -> usize {
        self.outputs
    }

    fn place(&self) -> [u64; 2] {
        [self.number, self.there.borrow().table.moves()]
    }

    fn give(
        &self,
        stream: &Stream,
        rows: RowsThere<'_>,
        predictions: &mut Buffer<f32>,
    ) -> Result<(), TableError> {
        self.there.borrow_mut().table.score(stream, rows, predictions)
    }
}

fn outcome([learned, refused]: Outcome) -> LearnOutcome {
    LearnOutcome { learned: u64::from(learned), refused: u64::from(refused) }
}

impl<H: RowLearner, T: Twin<H>> Batches for DeviceRows<H, T> {
    fn score(
        &self,
        features: &Features<'_>,
        there: Option<RowsThere<'_>>,
        out: &mut [f32],
    ) -> Result<(), ModelError> {
        if features.rows == 0 {
            return Ok(());
        }
        let own = &mut *self.there.borrow_mut();
        if let Some(rows) = there.filter(|rows| rows.is_on(own.stream.gpu())) {
            own.table.score(&own.stream, rows, own.predictions.room(out.len())?)?;
        } else {
            own.give(features, None)?;
            let room = own.predictions.room(out.len())?;
            own.table.score(&own.stream, own.rows.all(), room)?;
        }
        Ok(own.predictions.read(&own.stream, out)?)
    }

    fn scorer(&self) -> Option<&dyn Scorer> {
        Some(self)
    }

    /// By the learner here, which takes all cells for it.
    fn explain(&self, features: &Features<'_>, out: &mut [f32]) -> Result<(), ModelError> {
        self.fetch(None)?;
        let mut room = explain::Room::default();
        explain::explain(&*self.here.borrow(), &self.layout, features, &mut room, out);
        Ok(())
    }

    /// By the learner here, as well.
    fn draw(&self, graph: &mut Graph, inputs: &Inputs) -> Result<Value, ModelError> {
        self.fetch(None)?;
        draw::draw(&*self.here.borrow(), &self.layout, (graph, inputs))
    }

    fn learn(&mut self, batch: &LabeledBatch<'_>) -> Result<LearnOutcome, ModelError> {
        let there = self.there.get_mut();
        if batch.features.rows == 0 {
            return Ok(LearnOutcome::default());
        }
        there.give(&batch.features, Some((batch.labels, batch.weights)))?;
        let learned = match batch.features.rows {
            1 => there.table.each(&there.stream, there.rows.all(), None)?,
            _ => there.table.step(&there.stream, there.rows.all())?,
        };
        Ok(outcome(learned))
    }

    fn score_and_learn_each(
        &mut self,
        batch: &LabeledBatch<'_>,
        out: &mut [f32],
    ) -> Result<LearnOutcome, ModelError> {
        let there = self.there.get_mut();
        if batch.features.rows == 0 {
            return Ok(LearnOutcome::default());
        }
        there.give(&batch.features, Some((batch.labels, batch.weights)))?;
        let There { stream, table, rows, predictions } = there;
        let learned = table.each(stream, rows.all(), Some(predictions.room(out.len())?))?;
        predictions.read(stream, out)?;
        Ok(outcome(learned))
    }

    fn expert_weights(&self) -> Option<[f32; 4]> {
        self.there.borrow().table.expert_weights()
    }

    fn write_state(&self, state: &mut StateWriter<'_>) -> io::Result<()> {
        self.fetch(None).map_err(io::Error::other)?;
        let here = self.here.borrow();
        here.write_small(state)?;
        here.write_table(state)
    }

    fn read_state(&mut self, state: &mut StateReader<'_>) -> io::Result<()> {
        let here = self.here.get_mut();
        here.read_small(state)?;
        here.table().fill(H::Cell::default());
        here.read_table(state)?;
        let there = self.there.get_mut();
        there.table.send(&there.stream, here).map_err(io::Error::other)
    }

    fn keep(&mut self) -> io::Result<()> {
        let copy = self.copy().map_err(io::Error::other)?;
        self.kept.push_back(copy);
        Ok(())
    }

    fn forget_oldest(&mut self) {
        self.free.extend(self.kept.pop_front());
    }

    fn go_back(&mut self) -> io::Result<()> {
        self.free.extend(self.kept.drain(1.min(self.kept.len())..));
        let (Some(oldest), there) = (self.kept.front(), self.there.get_mut()) else {
            return Ok(());
        };
        there.table.restore(&there.stream, oldest).map_err(io::Error::other)
    }

    /// The states are shown to the learner here from the oldest on: each is kept as what differs
    /// from it in the next one, as the learner itself would.
    fn write_kept(&self, state: &mut StateWriter<'_>) -> io::Result<()> {
        let later = self.kept.iter().skip(1).map(Some).chain([None]);
        for (own, next) in self.kept.iter().zip(later) {
            self.fetch(Some(own)).map_err(io::Error::other)?;
            let whole = kept::whole(&*self.here.borrow())?;
            self.fetch(next).map_err(io::Error::other)?;
            kept::keep_whole(&mut *self.here.borrow_mut(), whole)?;
        }
        // With none kept the learner may be of any state: nothing is written of it.
        let written = kept::write(&*self.here.borrow(), state);
        kept::forget_all(&mut *self.here.borrow_mut());
        written
    }

    fn read_kept(&mut self, state: &mut StateReader<'_>) -> io::Result<usize> {
        self.fetch(None).map_err(io::Error::other)?;
        let now = self.copy().map_err(io::Error::other)?;
        let count = kept::read(self.here.get_mut(), state)?;
        self.free.extend(self.kept.drain(..));
        let DeviceRows { there, here, kept: states, .. } = self;
        let there = there.get_mut();
        kept::unwind(here.get_mut(), |here| {
            let There { stream, table, .. } = &mut *there;
            let kept = table.send(stream, here).and_then(|()| table.copy(stream, None));
            states.push_front(kept.map_err(io::Error::other)?);
            Ok::<(), io::Error>(())
        })?;
        there.table.restore(&there.stream, &now).map_err(io::Error::other)?;
        self.free.push(now);
        Ok(count)
    }
}
