//! Ranking measures: the area under the ROC curve and average precision, from bounded memory.
//!
//! Up to a stated number of rows every score is kept, four bytes each, and the measures are exact:
//! ties count one half in the area and one threshold in average precision, as in scikit-learn's
//! `roc_auc_score` and `average_precision_score`. Beyond it the rows move into a histogram over the
//! bits of the float (8 MB): 2^11 bins per power of two, towards 0 for scores below one half and
//! towards 1 above, so a bin is at most 0.05 % of the distance to the nearer end wide. Rows that
//! share a bin then count as ties, and the most that this can have cost is known from the counts
//! themselves and reported next to the value. Invariant: the result depends on the multiset of
//! judged rows only, never on their order; a withdrawn row leaves no trace. Curves and calibration
//! are drawn from the same walk over the ties (`evaluate/curves.rs`, `evaluate/reliability.rs`).

use std::cmp::Ordering;
use std::io;

use pelton_kernels::state::{StateReader, StateWriter, invalid};

use super::radix::{LABEL_BIT, pack, sort_rows};

/// Low bits of the float that a histogram bin does not tell apart.
const BIN_SHIFT: u32 = 12;
const HALF_BITS: u32 = 0x3F00_0000;
/// Bins below one half, the bin of one half and the bins above it.
pub(super) const BINS: usize = 2 * (HALF_BITS >> BIN_SHIFT) as usize + 1;

/// The judged rows of one binary score, kept to be ranked.
#[derive(Clone, Debug)]
pub(super) struct Ranking {
    rows_max: usize,
    store: Store,
}

#[derive(Clone, Debug)]
enum Store {
    /// Packed rows in order of arrival, and those of them that were withdrawn.
    Exact { rows: Vec<u32>, withdrawn: Vec<u32> },
    /// Negatives and positives per bin.
    Histogram(Vec<[i64; 2]>),
}

/// What the ranking of all rows says.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct RankingMeasures {
    /// Share of (positive, negative) pairs in the right order; NaN unless both classes occur.
    pub(super) auc: f64,
    /// Mean of the precision over the positives; NaN without a positive.
    pub(super) average_precision: f64,
    /// The exact area is within this of `auc`; 0 while every score is kept.
    pub(super) auc_error_max: f64,
    /// The exact average precision is within this of `average_precision`.
    pub(super) average_precision_error_max: f64,
}

impl Ranking {
    pub(super) fn new(rows_max: usize) -> Ranking {
        let store = Store::Exact { rows: Vec::new(), withdrawn: Vec::new() };
        Ranking { rows_max, store }
    }

    /// Adds a row (`sign` 1), or withdraws one that was added (`sign` -1).
    #[inline]
    pub(super) fn add(&mut self, score: f32, is_positive: bool, sign: i64) {
        match &mut self.store {
            Store::Exact { rows, withdrawn } => {
                if sign > 0 {
                    rows.push(pack(score, is_positive));
                } else {
                    withdrawn.push(pack(score, is_positive));
                }
                if rows.len() + withdrawn.len() > self.rows_max {
                    self.store = Store::Histogram(histogram(rows, withdrawn));
                }
            }
            Store::Histogram(bins) => {
                bins[bin(score.to_bits())][usize::from(is_positive)] += sign;
            }
        }
    }

    /// Whether every score is still kept.
    pub(super) fn is_exact(&self) -> bool {
        matches!(self.store, Store::Exact { .. })
    }

    /// Ranks the rows. Needs a second copy of the kept rows for the time it takes.
    pub(super) fn measures(&self) -> RankingMeasures {
        let mut pass = Pass::new(self.totals());
        self.each_tie(|_, n, p| pass.take(n, p));
        pass.measures(self.is_exact())
    }

    /// Negatives and positives of all rows.
    pub(super) fn totals(&self) -> [i64; 2] {
        match &self.store {
            Store::Exact { rows, withdrawn } => {
                let ([n, p], [n_gone, p_gone]) = (counts(rows), counts(withdrawn));
                [n - n_gone, p - p_gone]
            }
            Store::Histogram(bins) => {
                bins.iter().fold([0, 0], |[n, p], bin| [n + bin[0], p + bin[1]])
            }
        }
    }

    /// Visits each distinct score with its negatives and positives, lowest score first. A bin of
    /// the histogram has the score of its middle, off by 2^-13 at most.
    pub(super) fn each_tie(&self, mut visit: impl FnMut(f32, i64, i64)) {
        match &self.store {
            Store::Histogram(bins) => {
                let filled = bins.iter().enumerate().filter(|(_, counts)| **counts != [0, 0]);
                filled.for_each(|(index, &[n, p])| visit(middle(index), n, p));
            }
            Store::Exact { rows, withdrawn } => {
                let (rows, withdrawn) = (sort_rows(rows), sort_rows(withdrawn));
                let mut gone = withdrawn.as_slice();
                for tie in rows.chunk_by(|a, b| (a ^ b) & !LABEL_BIT == 0) {
                    let [mut negatives, mut positives] = counts(tie);
                    let score = tie[0] & !LABEL_BIT;
                    let before = gone.partition_point(|row| row & !LABEL_BIT < score);
                    gone = &gone[before..];
                    let same = gone.partition_point(|row| row & !LABEL_BIT <= score);
                    let [n, p] = counts(&gone[..same]);
                    negatives -= n;
                    positives -= p;
                    visit(f32::from_bits(score), negatives, positives);
                }
            }
        }
    }

    pub(super) fn write(&self, state: &mut StateWriter<'_>) -> io::Result<()> {
        match &self.store {
            Store::Exact { rows, withdrawn } => {
                state.put(0_u8)?;
                state.list(rows)?;
                state.list(withdrawn)
            }
            Store::Histogram(bins) => {
                state.put(1_u8)?;
                // Most bins are empty: only the others are written, each with its index.
                let filled = || bins.iter().enumerate().filter(|(_, counts)| **counts != [0, 0]);
                state.length(filled().count())?;
                state.each(filled().map(|(index, _)| index as u32))?;
                state.each(filled().map(|(_, counts)| *counts))
            }
        }
    }

    pub(super) fn read(rows_max: usize, state: &mut StateReader<'_>) -> io::Result<Ranking> {
        if state.get::<u8>()? == 0 {
            let (rows, withdrawn) = (state.list(rows_max)?, state.list(rows_max)?);
            let is_share = |row: &u32| row & !LABEL_BIT <= 1.0_f32.to_bits();
            if !rows.iter().chain(&withdrawn).all(is_share) {
                return Err(invalid("a ranked score is no probability"));
            }
            return Ok(Ranking { rows_max, store: Store::Exact { rows, withdrawn } });
        }
        let mut bins = vec![[0; 2]; BINS];
        let filled = state.length(BINS)?;
        let indices = state.numbers::<u32>(filled)?;
        for (index, counts) in indices.into_iter().zip(state.numbers(filled)?) {
            let bin = bins.get_mut(index as usize);
            *bin.ok_or_else(|| invalid("a bin is none of the histogram's"))? = counts;
        }
        Ok(Ranking { rows_max, store: Store::Histogram(bins) })
    }
}

/// One walk over the ties, lowest score first, with the totals known.
struct Pass {
    negatives: i64,
    positives: i64,
    negatives_below: i64,
    positives_below: i64,
    /// Pairs in the right order, twice, so that a tie's half stays a whole number.
    pairs_twice: u128,
    pairs_tied: u128,
    precision: f64,
    precision_error: f64,
}

impl Pass {
    fn new([negatives, positives]: [i64; 2]) -> Pass {
        Pass {
            negatives,
            positives,
            negatives_below: 0,
            positives_below: 0,
            pairs_twice: 0,
            pairs_tied: 0,
            precision: 0.0,
            precision_error: 0.0,
        }
    }

    fn take(&mut self, negatives: i64, positives: i64) {
        let pairs = |a: i64, b: i64| a.unsigned_abs() as u128 * b.unsigned_abs() as u128;
        self.pairs_twice +=
            2 * pairs(self.negatives_below, positives) + pairs(negatives, positives);
        self.pairs_tied += pairs(negatives, positives);
        if positives > 0 {
            // At this threshold all rows from here up are called positive.
            let (tp, fp) =
                (self.positives - self.positives_below, self.negatives - self.negatives_below);
            let share = positives as f64 / self.positives as f64;
            let precision = tp as f64 / (tp + fp) as f64;
            self.precision += share * precision;
            // Told apart, the positives of a tie could all have come first, or all last.
            let first = tp as f64 / (tp + fp - negatives) as f64;
            let last = (tp - positives + 1) as f64 / (tp + fp - positives + 1) as f64;
            self.precision_error += share * (first - precision).max(precision - last);
        }
        self.negatives_below += negatives;
        self.positives_below += positives;
    }

    fn measures(&self, is_exact: bool) -> RankingMeasures {
        let pairs = self.negatives as f64 * self.positives as f64;
        let bound = |error: f64| if is_exact { 0.0 } else { error };
        RankingMeasures {
            // Without a pair this is 0 / 0, which is NaN as promised.
            auc: self.pairs_twice as f64 / (2.0 * pairs),
            average_precision: if self.positives > 0 { self.precision } else { f64::NAN },
            auc_error_max: bound(self.pairs_tied as f64 / (2.0 * pairs)),
            average_precision_error_max: bound(self.precision_error),
        }
    }
}

fn counts(rows: &[u32]) -> [i64; 2] {
    let positives = rows.iter().filter(|&&row| row & LABEL_BIT != 0).count() as i64;
    [rows.len() as i64 - positives, positives]
}

fn histogram(rows: &[u32], withdrawn: &[u32]) -> Vec<[i64; 2]> {
    let mut bins = vec![[0; 2]; BINS];
    for (list, sign) in [(rows, 1), (withdrawn, -1)] {
        for &row in list {
            bins[bin(row & !LABEL_BIT)][usize::from(row & LABEL_BIT != 0)] += sign;
        }
    }
    bins
}

/// The bin of a score, by the bits of its distance to the nearer of 0 and 1.
#[inline]
pub(super) fn bin(score_bits: u32) -> usize {
    if score_bits < HALF_BITS {
        return (score_bits >> BIN_SHIFT) as usize;
    }
    // 1 - score has no rounding here: both are multiples of 2^-24 and the difference is below 1.
    let distance = 1.0 - f32::from_bits(score_bits);
    BINS - 1 - (distance.to_bits() >> BIN_SHIFT) as usize
}

/// The score in the middle of a bin.
fn middle(bin: usize) -> f32 {
    let halves = (HALF_BITS >> BIN_SHIFT) as usize;
    let centre = |bin: usize| f32::from_bits((bin as u32) << BIN_SHIFT | 1 << (BIN_SHIFT - 1));
    match bin.cmp(&halves) {
        Ordering::Less => centre(bin),
        Ordering::Equal => 0.5,
        Ordering::Greater => 1.0 - centre(BINS - 1 - bin),
    }
}

#[cfg(test)]
mod tests;
