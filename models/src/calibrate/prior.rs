//! Probabilities of a stream whose negatives were thinned out, put right exactly.
//!
//! A model that saw each negative with probability `b` only, and all positives, estimates odds that
//! are `1/b` times too high, for every row alike (Bayes' rule: the sampling does not look at the
//! features). King, Zeng 2001 ("Logistic Regression in Rare Events Data", section 4.1, prior
//! correction) take it off the intercept; Dal Pozzolo et al. 2015 ("Calibrating Probability with
//! Undersampling for Unbalanced Classification", formula 4) give it for probabilities.
//! Invariants: 0 and 1 stay; the order of scores stays.

/// The probability that belongs to a score learned from all positives and a share of the negatives:
/// `b s / (b s - s + 1)`.
///
/// # Units
/// `score` in `0..=1`; `negatives_kept` is the probability `b > 0` with which a negative was kept.
#[must_use]
pub fn undo_sampling(score: f32, negatives_kept: f64) -> f32 {
    let score = f64::from(score);
    let odds_up = negatives_kept * score;
    // The parts are what is positive and what is negative; nothing cancels.
    (odds_up / (odds_up + (1.0 - score))) as f32
}

/// The probability that belongs to a score learned where a share `learned_share` of the rows was
/// positive, if in truth `true_share` of them are: odds times `t / (1 - t) * (1 - l) / l`.
///
/// # Units
/// `score` in `0..=1`, shares between 0 and 1, the ends left out.
#[must_use]
pub fn correct_prior(score: f32, learned_share: f64, true_share: f64) -> f32 {
    let factor = true_share / (1.0 - true_share) * ((1.0 - learned_share) / learned_share);
    undo_sampling(score, factor)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        /// Counts in a cell of features: the best score of the thinned rows becomes that of all.
        #[test]
        fn thinning_out_is_undone(
            positives in 1_u32..1000, negatives in 1_u32..1_000_000, kept in 1e-4..=1.0_f64
        ) {
            let (p, n) = (f64::from(positives), f64::from(negatives));
            let given = (p / (p + kept * n)) as f32;
            let (found, expected) = (f64::from(undo_sampling(given, kept)), p / (p + n));
            // The score itself is a float: near one its distance from it is what is rounded.
            let rounding = 2e-7 / f64::from(1.0 - given).max(1e-7) + 2e-7;
            prop_assert!((found - expected).abs() <= rounding * expected, "{found} {expected}");
        }

        /// Both papers say the same.
        #[test]
        fn by_shares_or_by_sampling(score in 0.0_f32..=1.0, t in 0.001..0.9, kept in 0.001..=1.0) {
            let learned_share = t / (t + kept * (1.0 - t));
            let (a, b) = (correct_prior(score, learned_share, t), undo_sampling(score, kept));
            prop_assert!((a - b).abs() <= 1e-6 * b);
        }

        #[test]
        fn order_and_ends_stay(a in 0.0_f32..=1.0, b in 0.0_f32..=1.0, kept in 1e-4..10.0_f64) {
            let (low, high) = (a.min(b), a.max(b));
            prop_assert!(undo_sampling(low, kept) <= undo_sampling(high, kept));
            prop_assert_eq!((undo_sampling(0.0, kept), undo_sampling(1.0, kept)), (0.0, 1.0));
            prop_assert_eq!(undo_sampling(a, 1.0), a);
        }
    }
}
