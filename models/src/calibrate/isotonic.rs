//! Isotonic calibration: the rising steps that fit the last labels best.
//!
//! The last scores with their labels are kept: as many as hold 8,192 coin flips' worth of labels (a
//! score `s` counts `4 s (1 - s)`), [`ROWS_MAX`] rows at most, so that the window is long where
//! positives are rare. Every sixteenth of it they are sorted into at most [`BINS`] bins, cut evenly
//! by rows and by the sum of the scores together, so that there are bins where positives are as
//! well as where rows are; rows of one score stay together.
//! The share of positives of each bin, drawn to its mean score by [`PULL`] rows, goes through
//! pool-adjacent-violators (Ayer et al. 1955; Zadrozny, Elkan 2002 for probabilities). A score is
//! then read off the line through the pools' means, from (0, 0) to (1, 1).
//!
//! Invariants: the order of scores stays (some become equal); memory is 4 bytes a row, half a
//! megabyte. Before the first refit a score is itself.

use std::collections::VecDeque;
use std::io;

use pelton_kernels::state::{StateReader, StateWriter, invalid};

/// Labels of the trailing window, each as much as a coin flip tells.
const MEMORY: f64 = 8192.0;
/// Rows of the window at most.
const ROWS_MAX: usize = 1 << 17;
/// Labels between two refits at least; a sixteenth of the window where that is more.
const REFIT_MIN: usize = 1024;
/// Bins of a refit at most.
const BINS: usize = 64;
/// Rows' worth that each bin is drawn to its mean score.
const PULL: f64 = 4.0;
/// The float's sign carries the label.
const LABEL_BIT: u32 = 1 << 31;

/// The last scores with their labels, and the line fitted to them.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Isotonic {
    /// Scores as bits, the label in the sign.
    rows: VecDeque<u32>,
    /// Labels since the line was fitted.
    since: usize,
    /// Scores and what they mean, both rising, the ends left out.
    pub(super) line: Vec<[f32; 2]>,
}

/// Neighbouring rows as one: how many, the sum of their scores and of their labels.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Pool {
    pub(super) rows: f64,
    pub(super) scores: f64,
    pub(super) labels: f64,
}

impl Pool {
    pub(super) fn mean(&self) -> f64 {
        self.labels / self.rows
    }

    pub(super) fn and(self, other: Pool) -> Pool {
        Pool {
            rows: self.rows + other.rows,
            scores: self.scores + other.scores,
            labels: self.labels + other.labels,
        }
    }
}

impl Isotonic {
    pub(super) fn new() -> Isotonic {
        Isotonic { rows: VecDeque::new(), since: 0, line: Vec::new() }
    }

    /// The probability that belongs to a score.
    pub(super) fn apply(&self, score: f32) -> f32 {
        if self.line.is_empty() {
            return score;
        }
        let above = self.line.partition_point(|knot| knot[0] <= score);
        let end = |at: usize, end: f32| self.line.get(at).copied().unwrap_or([end, end]);
        let ([low, from], [high, to]) = (end(above.wrapping_sub(1), 0.0), end(above, 1.0));
        if high <= low {
            return from;
        }
        let way = (score - low) / (high - low);
        (from + way * (to - from)).clamp(from, to)
    }

    /// Learns what came of a score.
    pub(super) fn observe(&mut self, score: f32, is_positive: bool) {
        let row = (score + 0.0).to_bits() | u32::from(is_positive) << 31;
        if self.rows.len() == ROWS_MAX {
            self.rows.pop_front();
        }
        self.rows.push_back(row);
        self.since += 1;
        if self.since >= REFIT_MIN.max(self.rows.len() / 16) {
            self.since = 0;
            self.forget();
            self.line = fit(self.rows.make_contiguous());
        }
    }

    /// Lets go of what is older than the window.
    fn forget(&mut self) {
        let tells = |row: &u32| {
            let score = f64::from(f32::from_bits(row & !LABEL_BIT));
            4.0 * score * (1.0 - score)
        };
        let mut told = 0.0;
        let is_within = |row: &&u32| {
            told += tells(row);
            told <= MEMORY
        };
        let kept = self.rows.iter().rev().take_while(is_within).count();
        self.rows.drain(..self.rows.len() - kept);
    }

    pub(super) fn write(&self, state: &mut StateWriter<'_>) -> io::Result<()> {
        let (older, newer) = self.rows.as_slices();
        state.length(self.rows.len())?;
        state.slice(older)?;
        state.slice(newer)?;
        state.length(self.since)?;
        state.list(&self.line)
    }

    pub(super) fn read(state: &mut StateReader<'_>) -> io::Result<Isotonic> {
        let rows: Vec<u32> = state.list(ROWS_MAX)?;
        let since = state.length(ROWS_MAX / 16)?;
        let line: Vec<[f32; 2]> = state.list(BINS)?;
        let is_score = |row: &u32| row & !LABEL_BIT <= 1.0_f32.to_bits();
        let is_share = |knot: &[f32; 2]| knot.iter().all(|value| (0.0..=1.0).contains(value));
        let rises = |at: usize| line.windows(2).all(|pair| pair[0][at] <= pair[1][at]);
        let is_good = rows.iter().all(is_score) && line.iter().all(is_share);
        match is_good && rises(0) && rises(1) {
            true => Ok(Isotonic { rows: rows.into(), since, line }),
            false => Err(invalid("a rising line is none")),
        }
    }
}

/// The line through the pools of these rows.
fn fit(rows: &[u32]) -> Vec<[f32; 2]> {
    let pools = pooled(&binned(rows));
    pools.iter().map(|pool| [(pool.scores / pool.rows) as f32, pool.mean() as f32]).collect()
}

/// Rows in bins of ascending scores, each drawn to its mean score.
fn binned(rows: &[u32]) -> Vec<Pool> {
    let mut rows = rows.to_vec();
    rows.sort_unstable_by_key(|row| (row & !LABEL_BIT, *row));
    let score = |row: &u32| f64::from(f32::from_bits(row & !LABEL_BIT));
    let all = Pool { rows: rows.len() as f64, scores: rows.iter().map(score).sum(), labels: 0.0 };
    let mut bins: Vec<(usize, Pool)> = Vec::with_capacity(BINS);
    let mut below = Pool::default();
    for tie in rows.chunk_by(|a, b| (a ^ b) & !LABEL_BIT == 0) {
        let count = tie.len() as f64;
        let positives = tie.iter().filter(|row| *row & LABEL_BIT != 0).count() as f64;
        let tied = Pool { rows: count, scores: count * score(&tie[0]), labels: positives };
        let by_rows = (below.rows + 0.5 * tied.rows) / all.rows;
        let by_scores = (below.scores + 0.5 * tied.scores) / all.scores.max(1e-30);
        let bin = ((0.5 * (by_rows + by_scores) * BINS as f64) as usize).min(BINS - 1);
        match bins.last_mut() {
            Some((last, pool)) if *last == bin => *pool = pool.and(tied),
            _ => bins.push((bin, tied)),
        }
        below = below.and(tied);
    }
    let drawn = |(_, pool): (usize, Pool)| {
        let mean = pool.scores / pool.rows;
        pool.and(Pool { rows: PULL, scores: PULL * mean, labels: PULL * mean })
    };
    bins.into_iter().map(drawn).collect()
}

/// Pool-adjacent-violators: neighbours become one while their means do not rise.
pub(super) fn pooled(bins: &[Pool]) -> Vec<Pool> {
    let mut pools: Vec<Pool> = Vec::with_capacity(bins.len());
    for bin in bins {
        let mut pool = *bin;
        while let Some(before) = pools.pop_if(|before| before.mean() >= pool.mean()) {
            pool = before.and(pool);
        }
        pools.push(pool);
    }
    pools
}
