//! The walk over the rows of a batch, the same for every optimiser.
//!
//! A row reaches a learner as padded dense values with the bias behind them, and its sparse
//! indices. Rows soon to come are prefetched. Invariant: a row is scored from the same values by
//! the same code wherever a score is needed, so that separate and fused walks agree to the bit.

use std::cell::Cell;
use std::io;

use pelton_kernels::coordinate::LANES;
use pelton_kernels::coordinate::device::{RowsThere, Scorer};
use pelton_kernels::state::{StateReader, StateWriter};

use super::draw::{self, DrawnRow};
use super::explain;
use super::kept::{self, Beside, Kept, KeptCell};
use super::link::Link;
use crate::graph::{Graph, Inputs, Value};
use crate::{FeatureShape, Features, LabeledBatch, LearnOutcome, ModelError};

/// Rows between a prefetch and its use; far enough for main memory, near enough for the cache.
pub(crate) const AHEAD: usize = 6;

/// What is taken off the size of a dense value: about the mean of that of a normal one.
pub(super) const USUAL_SIZE: f32 = 0.8;

/// A row as a learner sees it.
#[derive(Clone, Copy)]
pub(crate) struct Row<'a> {
    /// Dense values, then 1 for the bias, then zeros up to a multiple of [`LANES`].
    pub values: &'a [f32],
    /// Sparse indices or [`crate::ABSENT`].
    pub sparse: &'a [u32],
}

/// Rows that are learned as one step.
pub(crate) struct StepRows<'a> {
    /// `[rows, stride]`, each as in [`Row::values`].
    values: &'a [f32],
    stride: usize,
    /// What the rows were laid out from.
    batch: LabeledBatch<'a>,
}

impl<'a> StepRows<'a> {
    pub fn len(&self) -> usize {
        self.batch.features.rows
    }

    #[inline]
    pub fn row(&self, row: usize) -> Row<'a> {
        let values = &self.values[row * self.stride..(row + 1) * self.stride];
        Row { values, sparse: self.sparse(row) }
    }

    #[inline]
    pub fn sparse(&self, row: usize) -> &'a [u32] {
        let width = self.batch.features.sparse.len() / self.len();
        &self.batch.features.sparse[row * width..(row + 1) * width]
    }

    /// Label and weight.
    pub fn example(&self, row: usize) -> (f32, f32) {
        (self.batch.labels[row], self.batch.weights[row])
    }

    /// Hints at a row that comes soon after this one.
    #[inline]
    pub fn prefetch_behind<L: RowLearner>(&self, learner: &L, row: usize) {
        if row + AHEAD < self.len() {
            learner.prefetch(self.sparse(row + AHEAD));
        }
    }
}

/// Learns rows one by one, each scored at the weights that the one before has left.
pub(crate) fn learn_in_order<L: RowLearner>(
    learner: &mut L,
    rows: &StepRows<'_>,
    scores: &mut Vec<f32>,
) -> LearnOutcome {
    scores.resize(learner.scores_width(), 0.0);
    let mut outcome = LearnOutcome::default();
    for row in 0..rows.len() {
        rows.prefetch_behind(learner, row);
        learner.score(rows.row(row), scores);
        let (label, weight) = rows.example(row);
        count(&mut outcome, learner.learn(rows.row(row), scores, label, weight));
    }
    outcome
}

/// Scores and learns single rows.
pub(crate) trait RowLearner: Beside + Send {
    /// Numbers that scoring leaves for learning, per row.
    fn scores_width(&self) -> usize;
    /// The linear scores of a row.
    fn score(&self, row: Row<'_>, scores: &mut [f32]);
    /// Predictions from linear scores.
    fn predict(&self, scores: &[f32], out: &mut [f32]);
    /// What each value of a row counts in the pooled score of a class, the bias behind the dense
    /// values, and what each sparse feature and all else adds to it. `scores` are those of the row.
    ///
    /// # Shapes
    /// `weights: [dense values + 1]`, overwritten; `out: [inputs + 1]`, added to.
    fn explain(&self, row: Row<'_>, scores: (&[f32], usize), weights: &mut [f32], out: &mut [f32]);
    /// Draws what is predicted of rows: `[rows, outputs]`; none where a row has no features.
    fn draw(&self, graph: &mut Graph, row: &DrawnRow<'_>) -> Option<Value>;
    /// The link between scores and predictions.
    fn link(&self) -> &Link;
    /// Learns a row at the scores it was given; false when refused.
    fn learn(&mut self, row: Row<'_>, scores: &[f32], label: f32, weight: f32) -> bool;
    /// Learns rows that came as one step; row after row where nothing else is said.
    fn learn_step(&mut self, rows: &StepRows<'_>, scores: &mut Vec<f32>) -> LearnOutcome
    where
        Self: Sized,
    {
        learn_in_order(self, rows, scores)
    }
    /// Hints at a row that comes soon.
    fn prefetch(&self, sparse: &[u32]);
    /// Weights of experts, if there are any.
    fn expert_weights(&self) -> Option<[f32; 4]> {
        None
    }
    /// A cell of the sparse table.
    type Cell: KeptCell;
    /// The sparse table.
    fn table(&mut self) -> &mut [Self::Cell];
    /// The same to look at.
    fn table_ref(&self) -> &[Self::Cell];
    /// Earlier states.
    fn kept(&mut self) -> &mut Kept<Self::Cell>;
    /// The same to look at.
    fn kept_ref(&self) -> &Kept<Self::Cell>;
    /// Writes what learning changes, without the sparse table.
    fn write_small(&self, state: &mut StateWriter<'_>) -> io::Result<()>;
    /// Reads it back.
    fn read_small(&mut self, state: &mut StateReader<'_>) -> io::Result<()>;
    /// Writes the sparse table.
    fn write_table(&self, state: &mut StateWriter<'_>) -> io::Result<()>;
    /// Reads it back.
    fn read_table(&mut self, state: &mut StateReader<'_>) -> io::Result<()>;
}

/// Whole batches; shapes have been checked.
pub(crate) trait Batches: Send {
    /// Rows that lie in the memory of a GPU as well may be taken from there.
    fn score(
        &self,
        features: &Features<'_>,
        there: Option<RowsThere<'_>>,
        out: &mut [f32],
    ) -> Result<(), ModelError>;
    /// As [`crate::Model::scorer`].
    fn scorer(&self) -> Option<&dyn Scorer> {
        None
    }
    /// As [`crate::Model::explain`].
    fn explain(&self, features: &Features<'_>, out: &mut [f32]) -> Result<(), ModelError>;
    /// As [`crate::Model::draw`].
    fn draw(&self, graph: &mut Graph, inputs: &Inputs) -> Result<Value, ModelError>;
    fn learn(&mut self, batch: &LabeledBatch<'_>) -> Result<LearnOutcome, ModelError>;
    fn score_and_learn_each(
        &mut self,
        batch: &LabeledBatch<'_>,
        out: &mut [f32],
    ) -> Result<LearnOutcome, ModelError>;
    fn expert_weights(&self) -> Option<[f32; 4]>;
    fn write_state(&self, state: &mut StateWriter<'_>) -> io::Result<()>;
    fn read_state(&mut self, state: &mut StateReader<'_>) -> io::Result<()>;
    fn keep(&mut self) -> io::Result<()>;
    fn forget_oldest(&mut self);
    fn go_back(&mut self) -> io::Result<()>;
    fn write_kept(&self, state: &mut StateWriter<'_>) -> io::Result<()>;
    fn read_kept(&mut self, state: &mut StateReader<'_>) -> io::Result<usize>;
}

/// Batches by a learner of rows.
pub(crate) struct Rows<L> {
    learner: L,
    layout: Layout,
    values: Vec<f32>,
    /// Rows that are learned as one step, `[rows, stride]`.
    laid_out: Vec<f32>,
    scores: Vec<f32>,
    /// The same for scoring, which leaves the rest alone; runs of few rows would feel the
    /// allocations.
    scratch: Cell<(Vec<f32>, Vec<f32>)>,
    explaining: Cell<explain::Room>,
}

/// Where a row lies in a batch and how it is padded.
#[derive(Clone, Copy)]
pub(super) struct Layout {
    pub dense: usize,
    pub sparse: usize,
    pub fold: bool,
}

impl<L: RowLearner> Rows<L> {
    pub fn new(learner: L, shape: FeatureShape, fold: bool) -> Rows<L> {
        let layout = Layout { dense: shape.dense_width, sparse: shape.sparse_width, fold };
        let values = layout.empty_values();
        let scores = vec![0.0; learner.scores_width()];
        let scratch = Cell::new((values.clone(), scores.clone()));
        let explaining = Cell::default();
        Rows { learner, layout, values, laid_out: Vec::new(), scores, scratch, explaining }
    }

    /// What learns the rows.
    pub fn learner(&self) -> &L {
        &self.learner
    }

    /// The same to change.
    #[cfg(test)]
    pub fn learner_mut(&mut self) -> &mut L {
        &mut self.learner
    }

    fn prefetch(&self, sparse: &[u32], row: usize) {
        if let Some(sparse) = sparse.get(row * self.layout.sparse..(row + 1) * self.layout.sparse) {
            self.learner.prefetch(sparse);
        }
    }

    fn prefetch_head(&self, features: &Features<'_>) {
        for row in 0..AHEAD.min(features.rows) {
            self.prefetch(features.sparse, row);
        }
    }
}

impl<L: RowLearner> Batches for Rows<L> {
    fn score(
        &self,
        features: &Features<'_>,
        _: Option<RowsThere<'_>>,
        out: &mut [f32],
    ) -> Result<(), ModelError> {
        let (mut values, mut scores) = self.scratch.take();
        let width = out.len().checked_div(features.rows).unwrap_or(0);
        self.prefetch_head(features);
        for row in 0..features.rows {
            self.prefetch(features.sparse, row + AHEAD);
            let input = self.layout.row(features, row, &mut values);
            self.learner.score(input, &mut scores);
            let out = &mut out[row * width..(row + 1) * width];
            predict(&self.learner, &self.layout, &mut scores, out);
        }
        self.scratch.set((values, scores));
        Ok(())
    }

    fn explain(&self, features: &Features<'_>, out: &mut [f32]) -> Result<(), ModelError> {
        let mut room = self.explaining.take();
        explain::explain(&self.learner, &self.layout, features, &mut room, out);
        self.explaining.set(room);
        Ok(())
    }

    fn draw(&self, graph: &mut Graph, inputs: &Inputs) -> Result<Value, ModelError> {
        draw::draw(&self.learner, &self.layout, (graph, inputs))
    }

    fn learn(&mut self, batch: &LabeledBatch<'_>) -> Result<LearnOutcome, ModelError> {
        let features = &batch.features;
        let stride = self.values.len();
        self.prefetch_head(features);
        self.laid_out.resize(features.rows * stride, 0.0);
        for (row, values) in self.laid_out.chunks_exact_mut(stride).enumerate() {
            self.layout.row(features, row, values);
            values[self.layout.width()] = 1.0;
        }
        let rows = StepRows { values: &self.laid_out, stride, batch: *batch };
        Ok(self.learner.learn_step(&rows, &mut self.scores))
    }

    fn score_and_learn_each(
        &mut self,
        batch: &LabeledBatch<'_>,
        out: &mut [f32],
    ) -> Result<LearnOutcome, ModelError> {
        let features = &batch.features;
        let width = out.len().checked_div(features.rows).unwrap_or(0);
        self.scores.resize(self.learner.scores_width(), 0.0);
        let mut outcome = LearnOutcome::default();
        self.prefetch_head(features);
        for row in 0..features.rows {
            self.prefetch(features.sparse, row + AHEAD);
            let input = self.layout.row(features, row, &mut self.values);
            self.learner.score(input, &mut self.scores);
            let out = &mut out[row * width..(row + 1) * width];
            if is_finite(&self.scores) {
                self.learner.predict(&self.scores, out);
                let (label, weight) = (batch.labels[row], batch.weights[row]);
                count(&mut outcome, self.learner.learn(input, &self.scores, label, weight));
            } else {
                predict(&self.learner, &self.layout, &mut self.scores, out);
                outcome.refused += 1;
            }
        }
        Ok(outcome)
    }

    fn expert_weights(&self) -> Option<[f32; 4]> {
        self.learner.expert_weights()
    }

    fn write_state(&self, state: &mut StateWriter<'_>) -> io::Result<()> {
        self.learner.write_small(state)?;
        self.learner.write_table(state)
    }

    fn read_state(&mut self, state: &mut StateReader<'_>) -> io::Result<()> {
        self.learner.read_small(state)?;
        self.learner.read_table(state)
    }

    fn keep(&mut self) -> io::Result<()> {
        kept::keep(&mut self.learner)
    }

    fn forget_oldest(&mut self) {
        kept::forget_oldest(&mut self.learner);
    }

    fn go_back(&mut self) -> io::Result<()> {
        kept::go_back(&mut self.learner)
    }

    fn write_kept(&self, state: &mut StateWriter<'_>) -> io::Result<()> {
        kept::write(&self.learner, state)
    }

    fn read_kept(&mut self, state: &mut StateReader<'_>) -> io::Result<usize> {
        kept::read(&mut self.learner, state)
    }
}

impl Layout {
    pub fn width(&self) -> usize {
        self.dense * if self.fold { 2 } else { 1 }
    }

    pub fn empty_values(&self) -> Vec<f32> {
        let mut values = vec![0.0; padded(self.width())];
        values[self.width()] = 1.0;
        values
    }

    #[inline]
    pub fn row<'a>(&self, features: &Features<'a>, row: usize, values: &'a mut [f32]) -> Row<'a> {
        let dense = &features.dense[row * self.dense..(row + 1) * self.dense];
        values[..self.dense].copy_from_slice(dense);
        if self.fold {
            for (size, value) in values[self.dense..].iter_mut().zip(dense) {
                let magnitude = value.abs();
                *size = (if magnitude > 5.0 { 5.0 } else { magnitude }) - USUAL_SIZE;
            }
        }
        Row { values, sparse: &features.sparse[row * self.sparse..(row + 1) * self.sparse] }
    }
}

/// Values of a row with its bias, padded.
pub(crate) fn padded(width: usize) -> usize {
    (width + 1).next_multiple_of(LANES)
}

#[inline]
pub(crate) fn is_finite(scores: &[f32]) -> bool {
    scores.iter().fold(true, |all, score| all & (score.abs() < 1e30))
}

fn count(outcome: &mut LearnOutcome, is_learned: bool) {
    outcome.learned += u64::from(is_learned);
    outcome.refused += u64::from(!is_learned);
}

/// Predictions of a row, or those of an empty row when its scores are not finite.
fn predict<L: RowLearner>(learner: &L, layout: &Layout, scores: &mut [f32], out: &mut [f32]) {
    if !is_finite(scores) {
        learner.score(Row { values: &layout.empty_values(), sparse: &[] }, scores);
    }
    learner.predict(scores, out);
}
