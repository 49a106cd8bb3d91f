//! The settings of the linear model, with their ranges and defaults.

use pelton_kernels::KernelError;

use crate::{FeatureShape, Task};

/// How weights learn.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Optimizer {
    /// Four experts weighted by their recent losses; the default, which needs no tuning.
    ///
    /// Two extended Kalman filters that forget slowly (about 2,000 labels' worth of certainty) and
    /// fast (about 125), and two descents with implicit steps at `rate` and ten times `rate`.
    Blend {
        /// Rate of the slower descent.
        rate: f32,
    },
    /// FTRL-Proximal: for stationary streams with many rare categories; the only one whose L1
    /// leaves most weights exactly zero.
    Ftrl {
        /// `alpha`, the size of steps.
        rate: f32,
        /// Smooths the first steps.
        beta: f32,
    },
    /// AdaGrad: the fastest per row; steps shrink for good.
    AdaGrad {
        /// The size of a coordinate's first step.
        rate: f32,
    },
    /// Normalised descent with implicit steps at a constant rate: never stops adapting.
    Sgd {
        /// The share of an error that one step takes away, for a row of average length.
        rate: f32,
    },
}

impl Optimizer {
    /// The default of the engine.
    pub const AUTO: Optimizer = Optimizer::Blend { rate: 0.05 };
    /// FTRL-Proximal with its usual settings.
    pub const FTRL: Optimizer = Optimizer::Ftrl { rate: 0.1, beta: 1.0 };
    /// AdaGrad with its usual rate.
    pub const ADAGRAD: Optimizer = Optimizer::AdaGrad { rate: 0.05 };
    /// Normalised descent with the rate that Vowpal Wabbit uses.
    pub const SGD: Optimizer = Optimizer::Sgd { rate: 0.5 };

    /// The same with another rate.
    #[must_use]
    pub fn with_rate(self, rate: f32) -> Optimizer {
        match self {
            Optimizer::Blend { .. } => Optimizer::Blend { rate },
            Optimizer::Ftrl { beta, .. } => Optimizer::Ftrl { rate, beta },
            Optimizer::AdaGrad { .. } => Optimizer::AdaGrad { rate },
            Optimizer::Sgd { .. } => Optimizer::Sgd { rate },
        }
    }

    pub(crate) fn rate(self) -> f32 {
        match self {
            Optimizer::Blend { rate }
            | Optimizer::Ftrl { rate, .. }
            | Optimizer::AdaGrad { rate }
            | Optimizer::Sgd { rate } => rate,
        }
    }
}

/// What a linear model is made of.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LinearConfig {
    /// What is predicted.
    pub task: Task,
    /// How weights learn.
    pub optimizer: Optimizer,
    /// Gives each dense input `z` a second weight for its size, `min(|z|, 5) - 0.8`, so that what
    /// is unusual in either direction can count; a linear model of `z` alone cannot say that.
    pub fold: bool,
    /// L1 penalty per example, on the coordinates it touches.
    pub l1: f32,
    /// L2 penalty per example, on the coordinates it touches.
    pub l2: f32,
    /// How many plain examples a positive counts for; probabilities are corrected for it exactly,
    /// by `ln(positive_weight)` taken off the log odds. Binary tasks only.
    pub positive_weight: f32,
}

impl LinearConfig {
    /// The defaults for a task.
    pub fn new(task: Task) -> LinearConfig {
        let optimizer = Optimizer::AUTO;
        LinearConfig { task, optimizer, fold: true, l1: 0.0, l2: 0.0, positive_weight: 1.0 }
    }

    /// Dense inputs of the model: those given, and their sizes.
    pub fn width(&self, shape: FeatureShape) -> usize {
        shape.dense_width * if self.fold { 2 } else { 1 }
    }

    pub(super) fn check(&self, shape: FeatureShape) -> Result<(), KernelError> {
        let is_rate = |rate: f32| rate.is_finite() && rate > 0.0 && rate <= 1e3;
        let is_penalty = |penalty: f32| (0.0..=1e6).contains(&penalty);
        let is_binary = self.task == Task::Binary;
        let classes = self.task.outputs();
        let beta = if let Optimizer::Ftrl { beta, .. } = self.optimizer { beta } else { 1.0 };
        for (argument, is_good, reason) in [
            ("rate", is_rate(self.optimizer.rate()), "must be above 0 and at most 1000"),
            ("beta", is_rate(beta), "must be above 0 and at most 1000"),
            ("l1", is_penalty(self.l1), "must be in 0..=1e6"),
            ("l2", is_penalty(self.l2), "must be in 0..=1e6"),
            ("positive_weight", (1e-3..=1e6).contains(&self.positive_weight), "must be 1e-3..=1e6"),
            ("positive_weight", is_binary || self.positive_weight == 1.0, "needs a binary task"),
            ("classes", (1..=1024).contains(&classes), "must be in 1..=1024"),
            ("sparse_bits", shape.sparse_bits <= 31, "must be at most 31"),
        ] {
            if !is_good {
                return Err(KernelError::Value { kernel: super::NAME, argument, reason });
            }
        }
        Ok(())
    }
}
