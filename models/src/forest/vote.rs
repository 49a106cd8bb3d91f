//! From what trees predict by each memory to one prediction.
//!
//! Trees are averaged with weights `exp(-sharpness loss)` of their trailing losses. For classes the
//! logarithms of the averages, one for each memory, are inputs of a last layer that learns online
//! how far to trust each (logistic mixing, as in Mattern 2012, "Mixing strategies in data
//! compression"); it also sharpens what averaging has blunted. For values the memories are weighted
//! by their trailing squared errors.

use pelton_kernels::math;

use super::config::{ForestConfig, MEMORIES};
use crate::Task;

/// No probability is nearer to 0 or 1.
pub(super) const NEAR: f32 = 1e-6;
/// What the first gradient is divided by, beside its own size.
const FIRST: f32 = 1e-2;
/// Rows that the trailing squared errors of memories last, how large one can be in variances, and
/// how sharply the memories of values follow them.
const ERROR_ROWS: f32 = 500.0;
const ERROR_MAX: f32 = 100.0;
const ERROR_SHARPNESS: f32 = 50.0;

/// The last layer: for values the squares are trailing errors.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Vote {
    /// Weight of each memory, and a bias.
    pub weights: [f32; MEMORIES + 1],
    /// Sums of squares of their gradients.
    pub squares: [f32; MEMORIES + 1],
}

impl Vote {
    /// All memories alike.
    pub fn new() -> Vote {
        let mut weights = [1.0 / MEMORIES as f32; MEMORIES + 1];
        weights[MEMORIES] = 0.0;
        Vote { weights, squares: [0.0; MEMORIES + 1] }
    }

    /// Predicts from the averages `[MEMORIES, outputs]`, which become inputs.
    pub fn predict(&self, task: Task, averages: &mut [f32], out: &mut [f32]) {
        match task {
            Task::Binary => {
                let mut margin = self.weights[MEMORIES];
                for (average, weight) in averages.iter_mut().zip(self.weights) {
                    *average = math::logit_f32(average.clamp(NEAR, 1.0 - NEAR));
                    margin += *average * weight;
                }
                out[0] = math::sigmoid_f32(margin);
            }
            Task::MultiClass { .. } => {
                out.fill(0.0);
                let outputs = out.len();
                for (own, weight) in averages.chunks_exact_mut(outputs).zip(self.weights) {
                    for (average, out) in own.iter_mut().zip(out.iter_mut()) {
                        *average = math::ln_f32(average.max(NEAR));
                        *out += *average * weight;
                    }
                }
                math::softmax_f32(out);
            }
            Task::Regression => {
                out[0] = averages.iter().zip(self.weights).map(|(mean, share)| mean * share).sum();
            }
        }
    }

    /// Learns from inputs and what was predicted from them; `spread` is the variance of labels.
    pub fn learn(
        &mut self,
        config: &ForestConfig,
        (inputs, predicted): (&[f32], &[f32]),
        (label, spread): (f32, f32),
    ) {
        let mut gradients = [0.0; MEMORIES + 1];
        match config.task {
            Task::Binary => {
                let error = predicted[0] - label;
                gradients.iter_mut().zip(inputs).for_each(|(own, input)| *own = error * input);
                gradients[MEMORIES] = error;
            }
            Task::MultiClass { .. } => {
                let each = inputs.chunks_exact(predicted.len());
                for (own, inputs) in gradients.iter_mut().zip(each) {
                    let expected: f32 = inputs.iter().zip(predicted).map(|(x, p)| x * p).sum();
                    *own = expected - inputs[label as usize];
                }
            }
            Task::Regression => return self.weigh(inputs, label, spread),
        }
        let parts = self.weights.iter_mut().zip(&mut self.squares);
        for ((weight, square), gradient) in parts.zip(gradients) {
            *square += gradient * gradient;
            *weight -= config.rate * gradient / (FIRST + square.sqrt());
        }
    }

    /// Weighs the memories by their trailing errors.
    fn weigh(&mut self, inputs: &[f32], label: f32, spread: f32) {
        let errors = &mut self.squares[..MEMORIES];
        for (trailing, input) in errors.iter_mut().zip(inputs) {
            let error = ((input - label) * (input - label) / spread).min(ERROR_MAX);
            *trailing += (error - *trailing) / ERROR_ROWS;
        }
        let least = errors.iter().fold(f32::MAX, |least, error| least.min(*error));
        let weights = &mut self.weights[..MEMORIES];
        for (weight, trailing) in weights.iter_mut().zip(&*errors) {
            *weight = math::exp_f32(-ERROR_SHARPNESS * (trailing - least));
        }
        let total: f32 = weights.iter().sum();
        weights.iter_mut().for_each(|weight| *weight /= total);
    }

    /// Everything that learning changes.
    pub fn numbers(&self) -> [[f32; MEMORIES + 1]; 2] {
        [self.weights, self.squares]
    }

    /// Takes it back; whether it can be.
    pub fn set(&mut self, [weights, squares]: [[f32; MEMORIES + 1]; 2]) -> bool {
        (self.weights, self.squares) = (weights, squares);
        let is_good = |square: &f32| square.is_finite() && *square >= 0.0;
        weights.iter().all(|weight| weight.is_finite()) && squares.iter().all(is_good)
    }
}
