//! Four linear experts per coordinate: how one coordinate is read and learned by all of them.
//!
//! Every expert moves a weight by `pull * v * x`. Lanes 0 and 1 are Kalman experts, for whom `v` is
//! the variance of the weight (diagonal here, see [`crate::covariance`] for the dense block); lanes
//! 2 and 3 are descents, for whom it is a constant rate: a filter that neither learns nor forgets
//! its certainty. So four lanes do the same, and a cell of eight floats, half a cache line, serves
//! all with one touch. Invariant: a `v` stays in `VARIANCE_MIN..=prior`; 0 in memory means "never
//! seen", that is the prior, so that a fresh table is all zeros.

pub mod device;

use crate::coordinate::shrink;
use crate::implicit::PROBLEMS;

/// Experts of a blend.
pub const EXPERTS: usize = PROBLEMS;

/// Experts with variances, the first ones.
pub const FILTERS: usize = 2;

const VARIANCE_MIN: f32 = 1e-9;

/// The weights of the experts for one coordinate, then their variances.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
#[repr(C, align(32))]
pub struct BlendCell {
    /// A weight per expert.
    pub weights: [f32; EXPERTS],
    /// A variance (or rate) per expert, 0 for the prior.
    pub variances: [f32; EXPERTS],
}

/// What one example does to the coordinates it names.
#[derive(Debug, Clone, Copy)]
pub struct BlendStep {
    /// Pull per expert, signed toward the label.
    pub pulls: [f32; EXPERTS],
    /// `h / (1 + h s)` per filter, 0 for the descents.
    pub reductions: [f32; EXPERTS],
    /// `1 + f` per filter, 1 for the descents.
    pub inflations: [f32; EXPERTS],
    /// The prior variance per filter, the rate of the descents.
    pub priors: [f32; EXPERTS],
    /// L1 penalty per example.
    pub l1: f32,
    /// L2 penalty per example.
    pub l2: f32,
}

impl BlendStep {
    /// Weights after the penalties of one example, at the given rates.
    #[inline]
    pub fn penalize(&self, weights: &mut [f32; EXPERTS], rates: [f32; EXPERTS]) {
        for (weight, rate) in weights.iter_mut().zip(rates) {
            let kept = *weight * (1.0 - (rate * self.l2).min(1.0));
            *weight = shrink(kept, rate * self.l1);
        }
    }

    /// Whether [`BlendStep::penalize`] does anything.
    #[inline]
    pub fn is_penalized(&self) -> bool {
        self.l1 > 0.0 || self.l2 > 0.0
    }
}

impl BlendCell {
    /// The variance of each expert's weight.
    #[inline]
    pub fn variances(&self, priors: &[f32; EXPERTS]) -> [f32; EXPERTS] {
        let mut variances = self.variances;
        for (variance, prior) in variances.iter_mut().zip(priors) {
            *variance = if *variance == 0.0 { *prior } else { *variance };
        }
        variances
    }

    /// Learns one example in which the coordinate has the given value.
    #[inline]
    pub fn learn(&mut self, step: &BlendStep, value: f32) {
        let variances = self.variances(&step.priors);
        if step.is_penalized() {
            step.penalize(&mut self.weights, variances);
        }
        for (lane, variance) in variances.into_iter().enumerate() {
            let moved = variance * value;
            self.weights[lane] += step.pulls[lane] * moved;
            let reduced = variance - step.reductions[lane] * (moved * moved);
            let next = reduced * step.inflations[lane];
            let bounded = if next < step.priors[lane] { next } else { step.priors[lane] };
            self.variances[lane] = if bounded > VARIANCE_MIN { bounded } else { VARIANCE_MIN };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fresh_cell_is_the_prior_and_variances_stay_inside() {
        let mut cell = BlendCell::default();
        let mut step = BlendStep {
            pulls: [0.5; 4],
            reductions: [0.2, 0.2, 0.0, 0.0],
            inflations: [1.001, 1.5, 1.0, 1.0],
            priors: [1.0, 0.1, 0.05, 0.5],
            l1: 0.0,
            l2: 0.0,
        };
        assert_eq!(cell.variances(&step.priors), step.priors);
        cell.learn(&step, 1.0);
        assert_eq!(cell.weights, [0.5, 0.05, 0.025, 0.25]);
        assert_eq!(cell.variances, [(1.0 - 0.2) * 1.001, 0.1, 0.05, 0.5]);
        step.reductions = [1.0, 1e9, 0.0, 0.0];
        for _ in 0..1000 {
            cell.learn(&step, 1.0);
            assert!(cell.variances[0] > 0.0 && cell.variances[0] <= 1.0);
            assert!(cell.variances[1] > 0.0 && cell.variances[1] <= 0.1);
            assert_eq!(cell.variances[2..], [0.05, 0.5]);
        }
    }

    #[test]
    fn penalties_stop_at_zero() {
        let (pulls, reductions, inflations) = ([0.0; 4], [0.0; 4], [1.0; 4]);
        let step = BlendStep { pulls, reductions, inflations, priors: [0.5; 4], l1: 0.1, l2: 0.2 };
        let mut weights = [1.0, -1.0, 0.05, 0.0];
        step.penalize(&mut weights, [0.5; 4]);
        assert_eq!(weights, [0.9 - 0.05, -(0.9 - 0.05), 0.0, 0.0]);
    }
}
