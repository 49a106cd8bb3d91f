//! Implicit steps: the pull of an example on a model *after* the step it causes.
//!
//! A plain step moves the score by `gain * (y - p)` with the probability `p` from before the step
//! and overshoots when `gain` is large. The implicit step solves `t = sigmoid(-(m + c t))`, where
//! `m` is the margin (the score, signed by the label) and `c` how far a full pull moves it; so no
//! step passes the label, whatever the rate or the size of the inputs (Kulis, Bartlett 2010;
//! Karampatziakis, Langford 2011, importance-invariant updates). Safeguarded Newton steps on four
//! independent problems at once; the same bits wherever it runs. Invariant: the result lies between
//! 0 and `sigmoid(-m)`. What this does not do: squared loss, whose implicit step is a division.

use crate::math::sigmoid_f32;

/// Problems solved at once.
pub const PROBLEMS: usize = 4;

const STEPS_MAX: usize = 10;

/// Solves `t = sigmoid(-(margin + reach * t))` per lane.
///
/// # Units
/// `margins` in log odds, positive when the label is already predicted; `reaches >= 0` in log odds
/// per unit of pull. Finite inputs give a `t` in `0..=1`.
#[inline]
pub fn pulls(margins: [f32; PROBLEMS], reaches: [f32; PROBLEMS]) -> [f32; PROBLEMS] {
    let (mut high, mut low) = ([0.0; PROBLEMS], [0.0; PROBLEMS]);
    for lane in 0..PROBLEMS {
        high[lane] = sigmoid_f32(-margins[lane]);
        // The slope of the sigmoid is at most 1/4, so the pull falls at most by this much.
        low[lane] = high[lane] / (1.0 + 0.25 * reaches[lane]);
    }
    let mut pull = low;
    for _ in 0..STEPS_MAX {
        let mut next = [0.0; PROBLEMS];
        let mut is_open = false;
        for lane in 0..PROBLEMS {
            let reach = reaches[lane];
            let after = sigmoid_f32(-(margins[lane] + reach * pull[lane]));
            let excess = pull[lane] - after;
            high[lane] = if excess > 0.0 { pull[lane] } else { high[lane] };
            low[lane] = if excess > 0.0 { low[lane] } else { pull[lane] };
            let newton = pull[lane] - excess / (1.0 + reach * (after * (1.0 - after)));
            let is_inside = newton >= low[lane] && newton <= high[lane];
            next[lane] = if is_inside { newton } else { 0.5 * (low[lane] + high[lane]) };
            // Newton's error is about the square of its last step.
            is_open |= (next[lane] - pull[lane]).abs() > 1e-3 * next[lane];
        }
        pull = next;
        if !is_open {
            break;
        }
    }
    pull
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Bisection in double precision.
    fn bisected(margin: f64, reach: f64) -> f64 {
        let (mut low, mut high) = (0.0_f64, 1.0_f64);
        for _ in 0..200 {
            let middle = 0.5 * (low + high);
            let after = 1.0 / (1.0 + (margin + reach * middle).exp());
            if middle > after { high = middle } else { low = middle }
        }
        high
    }

    #[test]
    fn agrees_with_bisection() {
        for margin in [-30.0, -8.0, -2.5, -0.1, 0.0, 0.3, 2.0, 9.0, 25.0_f32] {
            for reach in [0.0, 1e-4, 0.05, 0.5, 2.0, 10.0, 40.0_f32] {
                let pull = pulls([margin; 4], [reach; 4])[0];
                let expected = bisected(f64::from(margin), f64::from(reach));
                let error = (f64::from(pull) - expected).abs() / expected;
                assert!(error < 2e-3, "margin {margin}, reach {reach}: {pull}, not {expected}");
            }
        }
    }

    #[test]
    fn stays_inside_whatever_the_reach() {
        for margin in [-1e30, -100.0, -1.0, 0.0, 1.0, 100.0, 1e30_f32] {
            for reach in [0.0, 1.0, 1e6, 1e18, 1e30_f32] {
                let [pull, ..] = pulls([margin; 4], [reach; 4]);
                assert!((0.0..=sigmoid_f32(-margin)).contains(&pull), "{margin} {reach} {pull}");
            }
        }
    }

    #[test]
    fn lanes_do_not_mix() {
        let together = pulls([-3.0, 0.0, 2.0, -0.5], [9.0, 0.1, 3.0, 1e4]);
        assert_eq!(together[1], pulls([0.0, 0.0, 0.0, 0.0], [0.1, 0.1, 0.1, 0.1])[1]);
    }
}
