//! Factorization machines: the linear blend with interactions of pairs of features on top.
//!
//! A linear model cannot say that a carrier is late from one airport alone. Here each feature has a
//! short vector (its embedding), and each pair of features of a row counts by the product of theirs
//! ([`pelton_kernels::pairs`]): one vector a feature (Rendle 2010), or one a feature and field of
//! the other (Juan et al. 2016). As in the blend ([`crate::linear`]) four experts with different
//! memories share each row, so that no rate has to be tuned, and a stack improves on their pool.
//!
//! Invariants: those of the linear model; memory is bounded, since an embedding appears when its
//! index is first learned and idle ones are given away when there is no more room (counted, see
//! [`Factor::embedded`]). What this does not do: interactions of three, or of a feature with
//! itself; deep layers.

mod config;
mod draw;
mod embeddings;
mod kept;
mod machine;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::io::{self, Read, Write};

use pelton_kernels::state::{StateReader, StateWriter};

pub use config::{FactorConfig, Interaction};

use crate::graph::{Graph, Inputs, Value};
use crate::linear::rows::{Batches, Rows};
use crate::{FeatureShape, Features, LabeledBatch, LearnOutcome, Model, ModelError, Task};
use machine::Machine;

const NAME: &str = "factor";

/// A factorization machine, field-aware or not.
pub struct Factor {
    config: FactorConfig,
    shape: FeatureShape,
    version: u64,
    /// Versions of the states that are kept, oldest first.
    kept: VecDeque<u64>,
    rows: Rows<Machine>,
}

impl Factor {
    /// An untrained model.
    ///
    /// # Errors
    /// [`pelton_kernels::KernelError::Value`] when a setting or the shape is outside its range.
    pub fn new(config: FactorConfig, shape: FeatureShape) -> Result<Factor, ModelError> {
        config.check(shape)?;
        let rows = Rows::new(Machine::new(&config, shape), shape, true);
        Ok(Factor { config, shape, version: 0, kept: VecDeque::new(), rows })
    }

    /// Sparse indices that have an embedding now, and those that have lost theirs so far.
    #[must_use]
    pub fn embedded(&self) -> (usize, u64) {
        self.rows.learner().embeddings_ref().counts()
    }

    /// How much each expert counts in the pool now.
    #[must_use]
    pub fn expert_weights(&self) -> Option<[f32; 4]> {
        self.rows.expert_weights()
    }

    /// How much the pool, each expert and a bias count in the score of a class.
    #[must_use]
    pub fn stack_weights(&self, class: usize) -> Option<&[f64]> {
        let is_class = class < self.config.task.outputs();
        is_class.then(|| self.rows.learner().stack_weights(class))
    }

    /// Which model a state is of.
    fn header(&self) -> [u64; 6] {
        let task = match self.config.task {
            Task::Binary => 0_u64,
            Task::MultiClass { classes } => u64::from(classes) << 2 | 1,
            Task::Regression => 2,
        };
        let interaction = u64::from(self.config.interaction == Interaction::ByField);
        let shape = self.shape;
        [
            u64::from_le_bytes(*b"factor-1"),
            interaction << 32 | self.config.factors as u64,
            self.config.rows_max(shape) as u64,
            task,
            shape.dense_width as u64,
            (shape.sparse_width as u64) << 8 | u64::from(shape.sparse_bits),
        ]
    }
}

impl Model for Factor {
    fn outputs(&self) -> usize {
        self.config.task.outputs()
    }

    fn version(&self) -> u64 {
        self.version
    }

    /// A row whose score would not be finite gets the score of a row without features.
    fn score(&self, features: &Features<'_>, out: &mut [f32]) -> Result<(), ModelError> {
        self.shape.check(NAME, features, Some((self.outputs(), out.len())))?;
        self.rows.score(features, None, out)
    }

    fn explain(&self, features: &Features<'_>, out: &mut [f32]) -> Result<(), ModelError> {
        let numbers = self.outputs() * self.shape.explained_width(0);
        self.shape.check(NAME, features, Some((numbers, out.len())))?;
        self.rows.explain(features, out)
    }

    fn draw(&self, graph: &mut Graph, inputs: &Inputs) -> Result<Value, ModelError> {
        graph.within(NAME, |graph| self.rows.draw(graph, inputs))
    }

    /// One after another: a step of rows is those rows.
    fn learn(&mut self, batch: &LabeledBatch<'_>) -> Result<LearnOutcome, ModelError> {
        self.shape.check_batch(NAME, batch)?;
        let outcome = self.rows.learn(batch)?;
        self.version += outcome.learned;
        Ok(outcome)
    }

    fn score_and_learn_each(
        &mut self,
        batch: &LabeledBatch<'_>,
        out: &mut [f32],
    ) -> Result<LearnOutcome, ModelError> {
        self.shape.check_batch(NAME, batch)?;
        self.shape.check(NAME, &batch.features, Some((self.outputs(), out.len())))?;
        let outcome = self.rows.score_and_learn_each(batch, out)?;
        self.version += outcome.learned;
        Ok(outcome)
    }

    fn write_state(&self, out: &mut dyn Write) -> io::Result<()> {
        let state = &mut StateWriter::new(out);
        state.slice(&self.header())?;
        state.put(self.version)?;
        self.rows.write_state(state)
    }

    fn read_state(&mut self, from: &mut dyn Read) -> Result<(), ModelError> {
        let state = &mut StateReader::new(from);
        state.expect(&self.header(), "the model had another shape, task or settings")?;
        let version = state.get()?;
        let mut other = Factor::new(self.config, self.shape)?;
        other.rows.read_state(state)?;
        other.version = version;
        *self = other;
        Ok(())
    }

    /// A kept state is notes of what changes after it.
    fn keep(&mut self) -> Result<(), ModelError> {
        self.rows.keep()?;
        self.rows.learner_mut().embeddings().keep();
        self.kept.push_back(self.version);
        Ok(())
    }

    fn forget_oldest(&mut self) {
        self.kept.pop_front();
        self.rows.forget_oldest();
        self.rows.learner_mut().embeddings().forget_oldest();
    }

    fn go_back(&mut self) -> Result<(), ModelError> {
        self.rows.go_back()?;
        self.rows.learner_mut().embeddings().go_back()?;
        self.kept.truncate(1);
        self.version = self.kept.front().copied().unwrap_or(self.version);
        Ok(())
    }

    fn write_kept(&self, out: &mut dyn Write) -> io::Result<()> {
        let state = &mut StateWriter::new(out);
        self.rows.write_kept(state)?;
        self.rows.learner().embeddings_ref().write_kept(state)?;
        state.each(self.kept.iter().copied())
    }

    fn read_kept(&mut self, from: &mut dyn Read) -> Result<(), ModelError> {
        let state = &mut StateReader::new(from);
        let count = self.rows.read_kept(state)?;
        self.rows.learner_mut().embeddings().read_kept(state)?;
        self.kept = state.numbers(count)?.into();
        Ok(())
    }
}
