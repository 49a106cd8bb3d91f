//! Reliability: do events scored 0.3 turn out positive three times in ten, wherever the scores lie?
//!
//! The expected calibration error of Naeini, Cooper, Hauskrecht 2015 ("Obtaining Well Calibrated
//! Probabilities Using Bayesian Binning"): the mean over rows of the gap between a bin's mean
//! prediction and its observed share. The [`BINS`] bins hold equally many rows (adaptive binning,
//! Nixon et al. 2019), not equal widths: where positives are rare nearly all rows share the first
//! of fifteen equal widths, its gaps cancel, and the error says no more than the gap of the overall
//! means. The equal-width one is there as `calibration_error`.
//!
//! A row's bin is `floor(15 * rank / rows)`; rows of equal score share the rank in their middle, so
//! that they stay together and no order shows. A score that many rows share makes its bin larger
//! and leaves neighbours empty; empty bins are left out. Beyond `exact_rows_max` rows the scores
//! are those of the ranking's histogram, off by 2^-13 at most.

use super::ranking::Ranking;

/// Number of bins of equally many rows.
pub const BINS: usize = 15;

/// Neighbouring scores beside what came true.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ReliabilityBin {
    /// Rows of the bin, at least 1.
    pub rows: u64,
    /// Mean of what was predicted.
    pub mean_score: f64,
    /// Share that came true.
    pub observed: f64,
}

/// Fills the bins from ties that come in ascending order of their scores.
#[derive(Clone, Debug)]
pub(super) struct ReliabilityPass {
    rows: i64,
    below: i64,
    /// Rows, those that came true, and the sum of the scores.
    bins: [(i64, i64, f64); BINS],
}

impl ReliabilityPass {
    /// For so many rows in all.
    pub(super) fn new(rows: i64) -> ReliabilityPass {
        ReliabilityPass { rows, below: 0, bins: [(0, 0, 0.0); BINS] }
    }

    /// Takes the rows of one score.
    pub(super) fn take(&mut self, score: f32, negatives: i64, positives: i64) {
        let count = negatives + positives;
        let middle_twice = i128::from(2 * self.below + count);
        let bin = BINS as i128 * middle_twice / i128::from(2 * self.rows.max(1));
        let bin = usize::try_from(bin).map_or(0, |bin| bin.min(BINS - 1));
        let (rows, came_true, sum) = &mut self.bins[bin];
        *rows += count;
        *came_true += positives;
        *sum += count as f64 * f64::from(score);
        self.below += count;
    }

    /// The bins that hold rows, lowest scores first.
    pub(super) fn bins(&self) -> Vec<ReliabilityBin> {
        let filled = self.bins.iter().filter(|(rows, ..)| *rows > 0);
        let bin = |&(rows, came_true, sum): &(i64, i64, f64)| ReliabilityBin {
            rows: rows.unsigned_abs(),
            mean_score: sum / rows as f64,
            observed: came_true as f64 / rows as f64,
        };
        filled.map(bin).collect()
    }
}

/// The bins of a ranking.
pub(super) fn reliability(ranking: &Ranking) -> Vec<ReliabilityBin> {
    let mut pass = ReliabilityPass::new(ranking.totals().iter().sum());
    ranking.each_tie(|score, negatives, positives| pass.take(score, negatives, positives));
    pass.bins()
}

/// The expected calibration error of bins; NaN without rows.
#[must_use]
pub fn expected_error(bins: &[ReliabilityBin]) -> f64 {
    let rows: u64 = bins.iter().map(|bin| bin.rows).sum();
    let gap = |bin: &ReliabilityBin| bin.rows as f64 * (bin.mean_score - bin.observed).abs();
    bins.iter().map(gap).sum::<f64>() / rows as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Every row gets the rank in the middle of those with its score, counted one by one.
    fn brute_force(rows: &[(f32, bool)]) -> f64 {
        let mut bins = vec![Vec::new(); BINS];
        for &(score, came_true) in rows {
            let below = rows.iter().filter(|other| other.0 < score).count() as f64;
            let same = rows.iter().filter(|other| other.0 == score).count() as f64;
            let rank = (below + same / 2.0) / rows.len() as f64;
            bins[((rank * BINS as f64 + 1e-9) as usize).min(BINS - 1)].push((score, came_true));
        }
        let gap = |bin: &Vec<(f32, bool)>| {
            let scores: f64 = bin.iter().map(|row| f64::from(row.0)).sum();
            (scores - bin.iter().filter(|row| row.1).count() as f64).abs()
        };
        bins.iter().map(gap).sum::<f64>() / rows.len() as f64
    }

    fn bins(rows: &[(f32, bool)], exact_rows_max: usize) -> Vec<ReliabilityBin> {
        let mut ranking = Ranking::new(exact_rows_max);
        rows.iter().for_each(|&(score, came_true)| ranking.add(score, came_true, 1));
        reliability(&ranking)
    }

    proptest! {
        #[test]
        fn equals_brute_force(
            rows in prop::collection::vec(
                (prop_oneof![0.0_f32..=1.0, Just(0.25), Just(0.5)], any::<bool>()), 1..120,
            )
        ) {
            let exact = expected_error(&bins(&rows, usize::MAX));
            prop_assert!((exact - brute_force(&rows)).abs() < 1e-12);
            let held: u64 = bins(&rows, usize::MAX).iter().map(|bin| bin.rows).sum();
            prop_assert_eq!(held, rows.len() as u64);
        }

        #[test]
        fn a_histogram_moves_means_by_little(
            scores in prop::collection::vec(0.0_f32..=1.0, 1..100), base in any::<bool>()
        ) {
            // All of one label, so that it does not matter which bin a row falls into.
            let rows: Vec<_> = scores.iter().map(|&score| (score, base)).collect();
            let (exact, rough) = (bins(&rows, usize::MAX), bins(&rows, 0));
            let gap = expected_error(&exact) - expected_error(&rough);
            prop_assert!(gap.abs() <= 1.0 / 8192.0, "{gap}");
        }
    }

    #[test]
    fn bins_hold_equally_many_rows_however_small_the_scores() {
        let rows: Vec<_> = (0..1500).map(|row| (1e-6 * row as f32, row % 500 == 0)).collect();
        let bins = bins(&rows, usize::MAX);
        assert_eq!(bins.len(), BINS);
        assert!(bins.iter().all(|bin| bin.rows == 100));
        assert_eq!(bins.iter().filter(|bin| bin.observed > 0.0).count(), 3);
        assert!(expected_error(&[]).is_nan());
    }
}
