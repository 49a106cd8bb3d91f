//! How strange each row is among the last ones: a score without labels.
//!
//! Isolation trees (`anomaly/tree.rs`) over a window of the last rows (`anomaly/strangeness.rs`)
//! are grown again one after another as it goes by, so that they follow a stream that changes
//! (Ding, Fei 2013, "iForestASD", without the test for a change). Half-space trees (Tan, Ting, Liu
//! 2011) cost the same and need to know the range of each column beforehand; isolation trees cut
//! between the values that were seen. What they say becomes a rank among recent rows
//! (`anomaly/ranks.rs`), a category the rarity of its value (`anomaly/rarity.rs`).
//!
//! Invariants: a function of the features of the rows in their order, never of a label beyond its
//! being one; random numbers are part of the state; memory is bounded by the settings; a row that
//! is refused changes nothing. What this does not do: say whether strange is bad; [`Strangeness`]
//! is for models that can be told. Figures in `docs/anomaly.md`.

mod config;
mod explain;
mod ranks;
mod rarity;
mod state;
mod strangeness;
#[cfg(test)]
pub(crate) mod tests;
mod tree;

use std::io::{self, Read, Write};

use pelton_kernels::KernelError;

pub use config::AnomalyConfig;
pub use strangeness::Strangeness;

use crate::graph::{Graph, Inputs, Value};
use crate::kept::{Keeps, Kept};
use crate::{FeatureShape, Features, LabeledBatch, LearnOutcome, Model, ModelError, Task};

const NAME: &str = "anomaly";

/// A model whose score is the share of recent rows that were less strange: .5 is as strange as
/// usual, .99 as one row in a hundred is.
pub struct Anomaly {
    config: AnomalyConfig,
    shape: FeatureShape,
    strangeness: Strangeness,
    kept: Kept,
}

impl Anomaly {
    /// A model that has seen no row.
    ///
    /// # Errors
    /// [`ModelError::Kernel`] for a setting or shape outside its range, and for any task but
    /// [`Task::Binary`].
    pub fn new(config: AnomalyConfig, shape: FeatureShape) -> Result<Anomaly, ModelError> {
        if config.task != Task::Binary {
            let reason = "must be binary: how strange a row is, is one number in 0..1";
            return Err(KernelError::Value { kernel: NAME, argument: "task", reason }.into());
        }
        Ok(Anomaly {
            strangeness: Strangeness::new(config, shape)?,
            kept: Kept::new(shape, 0),
            config,
            shape,
        })
    }

    fn check(&self, features: &Features<'_>, out: Option<usize>) -> Result<(), ModelError> {
        self.shape.check(NAME, features, out.map(|out| (1, out)))?;
        Ok(self.shape.check_notes(NAME, features, 0)?)
    }

    /// The numbers and the categories of a row.
    fn row<'a>(&self, features: &Features<'a>, row: usize) -> (&'a [f32], &'a [u32]) {
        let (dense, sparse) = (self.shape.dense_width, self.shape.sparse_width);
        (&features.dense[row * dense..][..dense], &features.sparse[row * sparse..][..sparse])
    }

    fn can_learn(&self, batch: &LabeledBatch<'_>, row: usize) -> bool {
        self.config.task.can_learn(batch.labels[row], batch.weights[row])
    }

    fn outcome(&self, before: u64, rows: usize) -> LearnOutcome {
        let learned = self.version() - before;
        LearnOutcome { learned, refused: rows as u64 - learned }
    }
}

impl Model for Anomaly {
    fn outputs(&self) -> usize {
        1
    }

    fn version(&self) -> u64 {
        self.strangeness.learned
    }

    fn score(&self, features: &Features<'_>, out: &mut [f32]) -> Result<(), ModelError> {
        self.check(features, Some(out.len()))?;
        for (row, out) in out.iter_mut().enumerate() {
            let (dense, sparse) = self.row(features, row);
            *out = self.strangeness.rank(dense, sparse);
        }
        Ok(())
    }

    fn explain(&self, features: &Features<'_>, out: &mut [f32]) -> Result<(), ModelError> {
        let width = self.shape.explained_width(0);
        self.shape.check(NAME, features, Some((width, out.len())))?;
        self.shape.check_notes(NAME, features, 0)?;
        let usual = self.strangeness.usual();
        for (row, out) in out.chunks_exact_mut(width).enumerate() {
            self.strangeness.explain(self.row(features, row), &usual, out);
        }
        Ok(())
    }

    /// One after another: a step of rows is those rows.
    fn learn(&mut self, batch: &LabeledBatch<'_>) -> Result<LearnOutcome, ModelError> {
        self.shape.check_batch(NAME, batch)?;
        self.check(&batch.features, None)?;
        self.kept.note(batch);
        let (before, rows) = (self.version(), batch.features.rows);
        for row in 0..rows {
            if self.can_learn(batch, row) {
                let (dense, sparse) = self.row(&batch.features, row);
                self.strangeness.learn(dense, sparse);
            }
        }
        Ok(self.outcome(before, rows))
    }

    fn score_and_learn_each(
        &mut self,
        batch: &LabeledBatch<'_>,
        out: &mut [f32],
    ) -> Result<LearnOutcome, ModelError> {
        self.shape.check_batch(NAME, batch)?;
        self.check(&batch.features, Some(out.len()))?;
        self.kept.note_each(batch);
        let before = self.version();
        for (row, out) in out.iter_mut().enumerate() {
            let (dense, sparse) = self.row(&batch.features, row);
            *out = match self.can_learn(batch, row) {
                true => self.strangeness.rank_and_learn(dense, sparse),
                false => self.strangeness.rank(dense, sparse),
            };
        }
        Ok(self.outcome(before, batch.features.rows))
    }

    /// A rank among the last rows is no graph of operations.
    fn draw(&self, _: &mut Graph, _: &Inputs) -> Result<Value, ModelError> {
        Err(ModelError::NotDrawn("an anomaly model"))
    }

    fn write_state(&self, out: &mut dyn Write) -> io::Result<()> {
        self.write(out)
    }

    fn read_state(&mut self, from: &mut dyn Read) -> Result<(), ModelError> {
        let mut other = Anomaly::new(self.config, self.shape)?;
        other.read(from)?;
        *self = other;
        Ok(())
    }

    crate::kept::keeps_by_copies!();
}

impl Keeps for Anomaly {
    fn kept(&mut self) -> &mut Kept {
        &mut self.kept
    }
}
