//! Settings of boosted trees.

use pelton_kernels::KernelError;

use super::tree::Growth;
use crate::Task;

/// Rounds of a generation, and trees of all its rounds where there are many classes.
const ROUNDS: usize = 100;
const TREES: usize = 500;
const ROUNDS_MIN: usize = 20;
/// A tree goes no further, however few there are.
const RATE_MAX: f32 = 0.3;

/// Settings of [`Boost`](super::Boost); the defaults need no tuning.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct BoostConfig {
    /// What is learned.
    pub task: Task,
    /// Labelled rows kept, all kinds of labels together.
    pub sample_rows: usize,
    /// Rounds of a generation: a tree for each output.
    pub rounds: usize,
    /// Splits from the root to a leaf.
    pub depth: usize,
    /// Share of the sample that a tree is grown from, about.
    pub rows_share: f32,
    /// How far a tree goes of what it would best.
    pub rate: f32,
    /// Penalty on the square of a leaf's value.
    pub lambda: f32,
    /// Least sum of second derivatives on each side of a split.
    pub hessian_min: f32,
    /// Labels in which a generation grows, once there are as many.
    pub period_labels: u64,
    /// Whole generations whose mean is the score.
    pub generations: usize,
}

impl BoostConfig {
    /// The defaults.
    #[must_use]
    pub fn new(task: Task) -> BoostConfig {
        // Of many classes fewer rounds, each going further: as good, for less (docs/boost.md).
        let rounds = (TREES / task.outputs()).clamp(ROUNDS_MIN, ROUNDS);
        BoostConfig {
            task,
            sample_rows: 100_000,
            rounds,
            depth: 4,
            rows_share: 0.3,
            rate: (0.1 * ROUNDS as f32 / rounds as f32).min(RATE_MAX),
            lambda: 3.0,
            hessian_min: 3.0,
            period_labels: 40_000,
            generations: 3,
        }
    }

    /// Refuses settings outside their ranges.
    pub(super) fn check(&self) -> Result<(), KernelError> {
        let classes = self.task.outputs();
        let checks = [
            ("classes", (1..=1024).contains(&classes), "must be in 1..=1024"),
            ("sample_rows", (64..=1 << 26).contains(&self.sample_rows), "must be in 64..=2^26"),
            ("rounds", (1..=10_000).contains(&self.rounds), "must be in 1..=10000"),
            ("depth", (1..=10).contains(&self.depth), "must be in 1..=10"),
            ("rate", self.rate > 0.0 && self.rate <= 1.0, "must be above 0, at most 1"),
            ("rows_share", self.rows_share > 0.0 && self.rows_share <= 1.0, "must be in 0..=1"),
            ("lambda", self.lambda > 0.0 && self.lambda <= 1e9, "must be above 0, at most 1e9"),
            ("hessian_min", self.hessian_min >= 0.0, "must not be below 0"),
            ("period_labels", self.period_labels >= 1, "must be at least 1"),
            ("generations", (1..=64).contains(&self.generations), "must be in 1..=64"),
        ];
        let wrong = checks.into_iter().find(|(_, is_legal, _)| !is_legal);
        wrong.map_or(Ok(()), |(argument, _, reason)| {
            Err(KernelError::Value { kernel: "boost", argument, reason })
        })
    }

    pub(super) fn growth(&self) -> Growth {
        Growth {
            depth: self.depth,
            rate: self.rate,
            lambda: f64::from(self.lambda),
            hessian_min: f64::from(self.hessian_min),
        }
    }

    /// Kinds of labels that are sampled apart.
    pub(super) fn kinds(&self) -> usize {
        match self.task {
            Task::Binary => 2,
            Task::MultiClass { classes } => classes as usize,
            Task::Regression => 1,
        }
    }
}
