//! Four linear experts per coordinate: how a sparse coordinate is read and learned by all of them.
//!
//! Lanes 0 and 1 are Kalman experts, whose weights have a variance each (diagonal here, see
//! [`crate::covariance`] for the dense block); lanes 2 and 3 are descents at two constant rates.
//! A cell of eight floats is half a cache line, so one touch serves all. Invariant: variances stay
//! in `VARIANCE_MIN..=prior`; a variance of 0 in memory means "never seen", that is the prior, so
//! that a fresh table is all zeros.

use crate::coordinate::shrink;
use crate::implicit::PROBLEMS;

/// Experts of a blend: two with variances, then two without.
pub const EXPERTS: usize = PROBLEMS;

/// Experts with variances.
pub const FILTERS: usize = 2;

const VARIANCE_MIN: f32 = 1e-9;

/// The weights of the experts for one coordinate, then the filters' variances and two unused.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
#[repr(C, align(32))]
pub struct BlendCell {
    /// A weight per expert.
    pub weights: [f32; EXPERTS],
    /// A variance per filter, 0 for the prior; the rest stays 0.
    pub variances: [f32; EXPERTS],
}

/// What one example does to the coordinates it names.
#[derive(Debug, Clone, Copy)]
pub struct BlendStep {
    /// Pull per expert, signed toward the label; the descents' times their rates.
    pub pulls: [f32; EXPERTS],
    /// `h / (1 + h s)` per filter.
    pub reductions: [f32; FILTERS],
    /// `1 + f` per filter.
    pub inflations: [f32; FILTERS],
    /// The prior variance per filter.
    pub priors: [f32; FILTERS],
    /// Rate per expert; a filter's is its variance, its entry here is not read.
    pub rates: [f32; EXPERTS],
    /// L1 penalty per example.
    pub l1: f32,
    /// L2 penalty per example.
    pub l2: f32,
}

impl BlendStep {
    /// A weight after the penalties of one example, at the given rate.
    #[inline]
    pub fn penalize(&self, weight: f32, rate: f32) -> f32 {
        let kept = weight * (1.0 - (rate * self.l2).min(1.0));
        shrink(kept, rate * self.l1)
    }
}

impl BlendCell {
    /// The variance of a filter's weight.
    #[inline]
    pub fn variance(&self, filter: usize, prior: f32) -> f32 {
        let variance = self.variances[filter];
        if variance == 0.0 { prior } else { variance }
    }

    /// Learns one example in which the coordinate has the given value.
    #[inline]
    pub fn learn(&mut self, step: &BlendStep, value: f32) {
        if step.l1 > 0.0 || step.l2 > 0.0 {
            for expert in 0..EXPERTS {
                let rate = match step.priors.get(expert) {
                    Some(prior) => self.variance(expert, *prior),
                    None => step.rates[expert],
                };
                self.weights[expert] = step.penalize(self.weights[expert], rate);
            }
        }
        for filter in 0..FILTERS {
            let variance = self.variance(filter, step.priors[filter]);
            let projected = variance * value;
            self.weights[filter] += step.pulls[filter] * projected;
            let reduced = variance - step.reductions[filter] * (projected * projected);
            self.variances[filter] =
                (reduced * step.inflations[filter]).max(VARIANCE_MIN).min(step.priors[filter]);
        }
        for expert in FILTERS..EXPERTS {
            self.weights[expert] += step.pulls[expert] * value;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fresh_cell_is_the_prior_and_variances_stay_inside() {
        let mut cell = BlendCell::default();
        assert_eq!(cell.variance(1, 0.1), 0.1);
        let mut step = BlendStep {
            pulls: [0.5, 0.5, 0.1, 0.01],
            reductions: [0.2, 0.2],
            inflations: [1.001, 1.5],
            priors: [1.0, 0.1],
            rates: [0.0, 0.0, 0.1, 0.01],
            l1: 0.0,
            l2: 0.0,
        };
        cell.learn(&step, 1.0);
        assert_eq!(cell.weights, [0.5, 0.05, 0.1, 0.01]);
        assert_eq!(cell.variances[0], (1.0 - 0.2) * 1.001);
        assert_eq!(cell.variances[1], 0.1);
        step.reductions = [1.0, 1e9];
        for _ in 0..1000 {
            cell.learn(&step, 1.0);
            assert!(cell.variances[0] > 0.0 && cell.variances[0] <= 1.0);
            assert!(cell.variances[1] > 0.0 && cell.variances[1] <= 0.1);
        }
    }
}
