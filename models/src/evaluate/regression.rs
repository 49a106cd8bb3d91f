//! Measures of a regression score: mean absolute error, root of the mean squared error, R2.
//!
//! Errors have no bound, so they are summed as doubles in the order of judging, and the targets'
//! spread with Welford's update (Knuth, The Art of Computer Programming 2, 4.2.2), which does not
//! cancel when the mean is large. Invariant: the sums are a function of the sequence of calls; a
//! corrected label leaves rounding behind (parts in 10^16 of the largest sum), not more.

use std::io;

use pelton_kernels::state::{StateReader, StateWriter};

use super::metric::Metric;
use super::row::JudgedRow;

/// Sums over judged rows.
#[derive(Clone, Debug, Default)]
pub(super) struct RegressionTally {
    rows: i64,
    absolute: f64,
    squares: f64,
    scores: f64,
    label_mean: f64,
    /// Sum of the squared distances of the labels from their mean.
    label_spread: f64,
}

impl RegressionTally {
    /// Adds (`sign` 1) or takes away (`sign` -1) a row.
    pub(super) fn add(&mut self, row: &JudgedRow, sign: i64) {
        let (score, label) = (f64::from(row.score), f64::from(row.label));
        let (miss, sign_f64) = (score - label, sign as f64);
        let rows = self.rows + sign;
        let distance = label - self.label_mean;
        self.label_mean =
            if rows == 0 { 0.0 } else { self.label_mean + sign_f64 * distance / rows as f64 };
        self.label_spread += sign_f64 * distance * (label - self.label_mean);
        self.rows = rows;
        self.absolute += sign_f64 * miss.abs();
        self.squares += sign_f64 * miss * miss;
        self.scores += sign_f64 * score;
        if rows == 0 {
            *self = RegressionTally::default();
        }
    }

    /// The value of a metric; NaN where undefined (R2 when all targets are equal).
    pub(super) fn value(&self, metric: Metric) -> f64 {
        let rows = self.rows as f64;
        match metric {
            Metric::Mae => self.absolute / rows,
            Metric::Rmse => (self.squares / rows).sqrt(),
            Metric::R2 if self.label_spread > 0.0 => 1.0 - self.squares / self.label_spread,
            Metric::MeanScore => self.scores / rows,
            Metric::MeanLabel if self.rows > 0 => self.label_mean,
            _ => f64::NAN,
        }
    }

    pub(super) fn write(&self, state: &mut StateWriter<'_>) -> io::Result<()> {
        state.put(self.rows)?;
        let sums = [self.absolute, self.squares, self.scores, self.label_mean, self.label_spread];
        state.slice(&sums)
    }

    pub(super) fn read(&mut self, state: &mut StateReader<'_>) -> io::Result<()> {
        *self = RegressionTally {
            rows: state.get()?,
            absolute: state.get()?,
            squares: state.get()?,
            scores: state.get()?,
            label_mean: state.get()?,
            label_spread: state.get()?,
        };
        Ok(())
    }
}
