//! Weights of experts by how well they predicted: fixed share over exponential weights.
//!
//! After each example every weight is multiplied by `exp(-rate * loss)`, the weights are divided by
//! their sum, and a share of the total is spread evenly, so that an expert that was bad for long
//! can come back within `ln(1 / share) / rate` of loss (Herbster, Warmuth 1998, "Tracking the best
//! expert"). Predictions are pooled in log odds, that is as a normalised geometric mean, which is
//! again a linear model. Invariant: weights are positive and sum to one.

use crate::implicit::PROBLEMS as EXPERTS;
use crate::math::exp_f32;

/// Log odds beyond this say nothing more in a pool.
pub const LOG_ODDS_MAX: f32 = 15.0;

/// How fast weights follow losses.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Mixture {
    /// Multiplies the losses.
    pub rate: f32,
    /// Spread evenly after each example.
    pub share: f32,
}

impl Mixture {
    /// Moves the weights by one example's losses; a loss that is not finite counts as very large.
    #[inline]
    pub fn observe(&self, weights: &mut [f32; EXPERTS], losses: [f32; EXPERTS], importance: f32) {
        // Against the smallest loss, so that one of the factors is 1 and the sum is never 0.
        let least = losses.iter().fold(f32::MAX, |least, loss| loss.min(least));
        let mut kept = [0.0; EXPERTS];
        for lane in 0..EXPERTS {
            let worse = (losses[lane] - least) * self.rate * importance;
            let bounded = if worse < 80.0 { worse } else { 80.0 };
            kept[lane] = weights[lane] * exp_f32(-bounded);
        }
        let total = (kept[0] + kept[2]) + (kept[1] + kept[3]);
        let even = self.share / EXPERTS as f32;
        for lane in 0..EXPERTS {
            weights[lane] = (1.0 - self.share) * (kept[lane] / total) + even;
        }
    }

    /// The pooled score of the experts' scores.
    #[inline]
    pub fn pool(weights: &[f32; EXPERTS], scores: &[f32; EXPERTS]) -> f32 {
        let mut parts = [0.0; EXPERTS];
        for lane in 0..EXPERTS {
            parts[lane] = weights[lane] * scores[lane].clamp(-LOG_ODDS_MAX, LOG_ODDS_MAX);
        }
        (parts[0] + parts[2]) + (parts[1] + parts[3])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn follows_the_better_expert_and_changes_its_mind() {
        let mixture = Mixture { rate: 0.5, share: 1e-5 };
        let mut weights = [0.25; EXPERTS];
        for _ in 0..10_000 {
            mixture.observe(&mut weights, [0.9, 0.1, 0.5, f32::INFINITY], 1.0);
            assert!((weights.iter().sum::<f32>() - 1.0).abs() < 1e-5);
        }
        assert!(weights[1] > 0.999, "{weights:?}");
        for _ in 0..60 {
            mixture.observe(&mut weights, [0.1, 0.9, 0.5, f32::NAN], 1.0);
        }
        assert!(weights[0] > 0.99, "{weights:?}");
        assert!(weights.iter().all(|weight| *weight > 0.0));
    }
}
