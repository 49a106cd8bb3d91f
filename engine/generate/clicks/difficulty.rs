//! Brings every seed's truth to the same difficulty.
//!
//! The effects of a seed are random, and with them how much they tell. From a sample of their sums
//! this finds the level and the scale at which the wanted share is positive and the least log loss
//! is the wanted one. Invariant: a function of the sample, in fixed order of arithmetic.

use pelton_kernels::math;

/// Share of positives.
const POSITIVE_SHARE: f64 = 0.25;
/// Mean log loss of the truth itself, nats.
const LEAST_LOG_LOSS: f64 = 0.396;

/// Where the drawn log odds are put, so that every seed is as hard as another.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Difficulty {
    rest: f64,
    scale: f64,
}

impl Difficulty {
    /// The difficulty at which the sample has the wanted share of positives and least log loss.
    pub(super) fn reach(sample: &[f64]) -> Difficulty {
        let at = |scale: f64| {
            let rest = bisect(-40.0, 40.0, |rest| {
                mean(sample, |drawn| math::sigmoid(rest + scale * drawn)) < POSITIVE_SHARE
            });
            Difficulty { rest, scale }
        };
        // The larger the scale, the surer the truth.
        let scale = bisect(0.0, 8.0, |scale| {
            let difficulty = at(scale);
            let loss = mean(sample, |drawn| {
                let log_odds = difficulty.log_odds(drawn);
                math::softplus(log_odds) - math::sigmoid(log_odds) * log_odds
            });
            loss > LEAST_LOG_LOSS
        });
        at(scale)
    }

    /// The log odds of an event whose effects were drawn to be this in sum.
    #[inline]
    pub(super) fn log_odds(self, drawn: f64) -> f64 {
        self.rest + self.scale * drawn
    }
}

/// The place between the two up to which `is_below` holds.
fn bisect(mut low: f64, mut high: f64, is_below: impl Fn(f64) -> bool) -> f64 {
    for _ in 0..24 {
        let middle = 0.5 * (low + high);
        if is_below(middle) {
            low = middle;
        } else {
            high = middle;
        }
    }
    low
}

fn mean(sample: &[f64], of: impl Fn(f64) -> f64) -> f64 {
    sample.iter().map(|&drawn| of(drawn)).sum::<f64>() / sample.len() as f64
}
