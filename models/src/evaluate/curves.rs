//! What can be drawn of scores and labels: thresholds, costs, scores by label, reliability.
//!
//! Made in one walk over a [`Ranking`] in ascending order of the scores, in bounded memory: exact
//! while every score is kept, and within a bin of its histogram beyond. A threshold calls all rows
//! of its score and above positive. Invariant: a function of the multiset of rows.

use pelton_kernels::math;

use super::ranking::Ranking;
use super::reliability::{ReliabilityBin, ReliabilityPass};

/// A class's share of rows between two thresholds that are kept, at most: 1 in so many.
const STEPS: i64 = 200;
/// Bins of [`Curves::histogram`].
pub const HISTOGRAM_BINS: usize = 40;
/// Log odds at which the histogram begins and, with the other sign, ends.
pub const HISTOGRAM_FROM: f64 = -10.0;

/// What is called positive at a threshold.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Threshold {
    /// Rows of this score and above are called positive; infinite where none is.
    pub score: f32,
    /// Positives among them.
    pub true_positives: u64,
    /// Negatives among them.
    pub false_positives: u64,
}

/// The price of each kind of mistake.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Costs {
    /// Of a negative that is called positive.
    pub false_positive: f64,
    /// Of a positive that is called negative.
    pub false_negative: f64,
}

impl Costs {
    /// What a threshold costs in all, among so many positives.
    #[must_use]
    pub fn of(&self, threshold: &Threshold, positives: u64) -> f64 {
        let missed = (positives - threshold.true_positives) as f64;
        self.false_positive * threshold.false_positives as f64 + self.false_negative * missed
    }
}

/// Scores and labels as they can be drawn.
#[derive(Clone, Debug, PartialEq)]
pub struct Curves {
    /// Rows with a negative label (multi-class: predicted wrong).
    pub negatives: u64,
    /// Rows with a positive label (multi-class: predicted right).
    pub positives: u64,
    /// Thresholds, lowest first, from all rows to none; at most 402, between two of which no class
    /// changes by more than a 200th and one score's rows.
    pub thresholds: Vec<Threshold>,
    /// The cheapest threshold of each of the costs asked for.
    pub cheapest: Vec<Threshold>,
    /// `[40]`: negatives and positives by the log odds of their score, half a unit wide from -10
    /// on; the first and last bin hold what lies beyond.
    pub histogram: Vec<[u64; 2]>,
    /// Scores beside what came true, in bins of equally many rows.
    pub reliability: Vec<ReliabilityBin>,
}

/// The bin of a score in [`Curves::histogram`].
fn histogram_bin(score: f32) -> usize {
    let at = (math::logit(f64::from(score)) - HISTOGRAM_FROM) / 0.5;
    // The cast takes -inf to 0 and caps what is large.
    (at as usize).min(HISTOGRAM_BINS - 1)
}

/// Curves of a ranking, with the cheapest threshold under each of the costs.
pub(super) fn curves(ranking: &Ranking, costs: &[Costs]) -> Curves {
    let [negatives, positives] = ranking.totals();
    let mut histogram = vec![[0_u64; 2]; HISTOGRAM_BINS];
    let mut reliability = ReliabilityPass::new(negatives + positives);
    let mut walk = Walk { left: [negatives, positives], kept: None, thresholds: Vec::new() };
    let all = walk.threshold(0.0);
    let mut cheapest = vec![all; costs.len()];
    let mut offer = |threshold: Threshold| {
        for (cost, best) in costs.iter().zip(&mut cheapest) {
            let price = |threshold| cost.of(threshold, positives.unsigned_abs());
            if price(&threshold) < price(best) {
                *best = threshold;
            }
        }
    };
    ranking.each_tie(|score, n, p| {
        reliability.take(score, n, p);
        let bin = &mut histogram[histogram_bin(score)];
        *bin = [bin[0] + n.unsigned_abs(), bin[1] + p.unsigned_abs()];
        let threshold = walk.threshold(score);
        offer(threshold);
        walk.keep_when_due(threshold, [negatives, positives]);
        walk.left = [walk.left[0] - n, walk.left[1] - p];
    });
    let none = walk.threshold(f32::INFINITY);
    offer(none);
    walk.thresholds.push(none);
    Curves {
        negatives: negatives.unsigned_abs(),
        positives: positives.unsigned_abs(),
        thresholds: walk.thresholds,
        cheapest,
        histogram,
        reliability: reliability.bins(),
    }
}

/// Where a walk from low to high thresholds stands.
struct Walk {
    /// Negatives and positives of this score and above.
    left: [i64; 2],
    /// The same at the threshold kept last.
    kept: Option<[i64; 2]>,
    thresholds: Vec<Threshold>,
}

impl Walk {
    fn threshold(&self, score: f32) -> Threshold {
        let [false_positives, true_positives] = self.left.map(i64::unsigned_abs);
        Threshold { score, true_positives, false_positives }
    }

    /// Keeps the first threshold, and those a step behind the last one.
    fn keep_when_due(&mut self, threshold: Threshold, totals: [i64; 2]) {
        let is_far = |kept: [i64; 2]| {
            let moved = kept.iter().zip(&self.left).zip(totals);
            moved.into_iter().any(|((kept, left), total)| (kept - left) * STEPS >= total.max(1))
        };
        if self.kept.is_none_or(is_far) {
            self.kept = Some(self.left);
            self.thresholds.push(threshold);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn ranking(rows: &[(f32, bool)]) -> Ranking {
        let mut ranking = Ranking::new(usize::MAX);
        rows.iter().for_each(|&(score, label)| ranking.add(score, label, 1));
        ranking
    }

    fn called(rows: &[(f32, bool)], score: f32) -> [u64; 2] {
        let count = |label| rows.iter().filter(|row| row.0 >= score && row.1 == label).count();
        [count(true) as u64, count(false) as u64]
    }

    proptest! {
        #[test]
        fn thresholds_and_costs_equal_brute_force(
            rows in prop::collection::vec(
                (prop_oneof![0.0_f32..=1.0, Just(0.25), Just(0.5)], any::<bool>()), 1..80,
            ),
            (false_positive, false_negative) in (0.1..5.0, 0.1..50.0),
        ) {
            let costs = Costs { false_positive, false_negative };
            let curves = curves(&ranking(&rows), &[costs]);
            for at in &curves.thresholds {
                let [true_positives, false_positives] = called(&rows, at.score);
                prop_assert_eq!(at.true_positives, true_positives);
                prop_assert_eq!(at.false_positives, false_positives);
            }
            let ends = [curves.thresholds[0], curves.thresholds[curves.thresholds.len() - 1]];
            prop_assert_eq!(ends[0].true_positives + ends[0].false_positives, rows.len() as u64);
            prop_assert_eq!(ends[1].true_positives + ends[1].false_positives, 0);
            let price = |score: f32| {
                let [hits, alarms] = called(&rows, score);
                false_positive * alarms as f64 + false_negative * (curves.positives - hits) as f64
            };
            let least = rows.iter().map(|row| price(row.0)).fold(price(f32::INFINITY), f64::min);
            let found = costs.of(&curves.cheapest[0], curves.positives);
            prop_assert!((found - least).abs() < 1e-9);
            let drawn: u64 = curves.histogram.iter().flatten().sum();
            prop_assert_eq!(drawn, rows.len() as u64);
        }
    }

    #[test]
    fn many_rows_become_few_thresholds() {
        let mut state = 1_u64;
        let rows: Vec<_> = (0..50_000)
            .map(|row| {
                state = pelton_kernels::hash::mix64(state);
                ((state >> 40) as f32 / (1_u64 << 24) as f32, row % 400 == 0)
            })
            .collect();
        let curves = curves(&ranking(&rows), &[]);
        assert!((200..=402).contains(&curves.thresholds.len()), "{}", curves.thresholds.len());
    }

    #[test]
    fn the_histogram_is_one_of_log_odds() {
        let bins = [0.0, 4e-5, 0.5, 0.6224, 0.6226, 1.0].map(histogram_bin);
        assert_eq!(bins, [0, 0, 20, 20, 21, 39]);
        let nothing = curves(&ranking(&[]), &[]);
        assert_eq!((nothing.thresholds.len(), nothing.negatives), (1, 0));
    }
}
