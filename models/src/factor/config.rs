//! Settings of factorization machines.

use pelton_kernels::KernelError;
use pelton_kernels::blend::{BlendCell, EXPERTS};
use pelton_kernels::pairs::{Form, Lanes, Pairs};

use crate::{FeatureShape, Task};

/// Prior variance of what all pairs of a row add to a score, by expert, when embeddings are as
/// large as their deviations. As for the linear weights, it does not grow with the columns.
const SHARED_PRIORS: Lanes = [1.0, 0.3, 0.3, 0.1];
/// The same where each pair of fields has vectors of its own.
const FIELD_PRIORS: Lanes = [1.0, 2.0, 0.5, 0.1];
/// Deviation of what the pairs of a row add to a score before anything is learned. Vectors that
/// begin at zero would stay there: each one's derivative is the other.
const NOISE: f32 = 0.03;
/// Columns of a field-aware machine: the work of a row grows with their square.
const FIELDS_MAX: usize = 128;
/// Rows that the table of embeddings has at least, however little memory there is.
const ROWS_MIN: usize = 64;

/// Which embeddings two features are multiplied by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Interaction {
    /// One embedding a feature (Rendle 2010).
    Shared,
    /// One a feature and field of the other (Juan et al. 2016).
    ByField,
}

/// Settings of [`Factor`](super::Factor); the defaults need no tuning.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct FactorConfig {
    /// What is learned.
    pub task: Task,
    /// Factorization machine or field-aware one.
    pub interaction: Interaction,
    /// Length of an embedding.
    pub factors: usize,
    /// Most bytes of embeddings of sparse indices; a power of two of them fits.
    pub memory_bytes: usize,
}

impl FactorConfig {
    /// The defaults: 8 factors, 4 where each field has its own; 128 MiB.
    #[must_use]
    pub fn new(task: Task, interaction: Interaction) -> FactorConfig {
        let factors = match interaction {
            Interaction::Shared => 8,
            Interaction::ByField => 4,
        };
        FactorConfig { task, interaction, factors, memory_bytes: 128 << 20 }
    }

    /// Refuses settings and shapes outside their ranges.
    pub(super) fn check(&self, shape: FeatureShape) -> Result<(), KernelError> {
        let classes = self.task.outputs();
        let columns = shape.dense_width + shape.sparse_width;
        let fits = self.interaction == Interaction::Shared || columns <= FIELDS_MAX;
        let rows = self.rows_max(shape);
        let few = 4 * shape.sparse_width;
        let checks = [
            ("classes", (1..=1024).contains(&classes), "must be in 1..=1024"),
            ("factors", (1..=64).contains(&self.factors), "must be in 1..=64"),
            ("columns", fits, "are more than the 128 that \"ffm\" can pair; \"fm\" has no limit"),
            ("sparse_bits", shape.sparse_bits <= 31, "must be at most 31"),
            ("memory_bytes", rows >= few, "holds fewer embeddings than four rows have features"),
        ];
        let wrong = checks.into_iter().find(|(_, is_legal, _)| !is_legal);
        wrong.map_or(Ok(()), |(argument, _, reason)| {
            Err(KernelError::Value { kernel: super::NAME, argument, reason })
        })
    }

    /// How the pairs of such rows interact. An embedding is no shorter than one vector, though rows
    /// without a column have none.
    pub(super) fn pairs(&self, shape: FeatureShape) -> Pairs {
        let fields = (shape.dense_width + shape.sparse_width).max(1);
        let form = match self.interaction {
            Interaction::Shared => Form::Shared,
            Interaction::ByField => Form::ByField { fields },
        };
        Pairs { form, factors: self.factors }
    }

    /// Sparse indices that have an embedding at the same time: a power of two.
    pub(super) fn rows_max(&self, shape: FeatureShape) -> usize {
        // Also of settings that are about to be refused for having no factors.
        let cells = self.pairs(shape).width().max(1) * self.task.outputs();
        let fitting = self.memory_bytes / (cells * size_of::<BlendCell>());
        let power = (fitting + 1).next_power_of_two() / 2;
        power.max(ROWS_MIN).min(1 << shape.sparse_bits.min(31))
    }

    /// Prior variances (rates, for the descents) of embeddings, and the deviation they begin with.
    ///
    /// A pair's product of two vectors of variance `v` has variance `factors v^2`.
    pub(super) fn priors(&self, shape: FeatureShape) -> (Lanes, f32) {
        let columns = shape.dense_width + shape.sparse_width;
        let pairs = (columns * columns.saturating_sub(1) / 2).max(1);
        let terms = (pairs * self.factors) as f32;
        let priors = match self.interaction {
            Interaction::Shared => SHARED_PRIORS,
            Interaction::ByField => FIELD_PRIORS,
        };
        let mut variances = [0.0; EXPERTS];
        for (variance, prior) in variances.iter_mut().zip(priors) {
            *variance = (prior / terms).sqrt();
        }
        (variances, (NOISE / terms.sqrt()).sqrt())
    }
}
