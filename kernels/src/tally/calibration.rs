//! Calibration: do events scored 0.3 turn out positive three times in ten?
//!
//! The expected calibration error over [`BINS`] equal-width bins (Guo et al. 2017, "On Calibration
//! of Modern Neural Networks", formula 3): the mean over rows of the gap between the bin's mean
//! score and its share of positives. Bin `i` covers `i/15 <= score < (i+1)/15`; a score of 1 is in
//! the last. Where positives are rare nearly all rows share the first bin and the value is close to
//! the gap of the overall means, which are reported besides. Invariant: independent of order.

use std::io;

use crate::state::{StateReader, StateWriter};

use super::exact::ExactSum;

/// Number of equal-width bins.
pub const BINS: usize = 15;

/// Rows, positives and scores per bin.
#[derive(Clone, Debug, Default)]
pub(super) struct Calibration(pub(super) [Bin; BINS]);

#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Bin {
    pub rows: i64,
    pub positives: i64,
    pub scores: ExactSum,
}

impl Calibration {
    /// Adds (`sign` 1) or takes away (`sign` -1) a row.
    #[inline]
    pub(super) fn add(&mut self, score: f64, is_positive: bool, sign: i64) {
        let bin = &mut self.0[((score * BINS as f64) as usize).min(BINS - 1)];
        bin.rows += sign;
        bin.positives += sign * i64::from(is_positive);
        bin.scores.add(score, sign);
    }

    /// The expected calibration error; NaN without rows.
    pub(super) fn error(&self) -> f64 {
        let rows: i64 = self.0.iter().map(|bin| bin.rows).sum();
        let gap = |bin: &Bin| (bin.scores.value() - bin.positives as f64).abs();
        self.0.iter().map(gap).sum::<f64>() / rows as f64
    }

    pub(super) fn write(&self, state: &mut StateWriter<'_>) -> io::Result<()> {
        self.0.iter().try_for_each(|bin| {
            state.put(bin.rows)?;
            state.put(bin.positives)?;
            bin.scores.write(state)
        })
    }

    pub(super) fn read(state: &mut StateReader<'_>) -> io::Result<Calibration> {
        let mut bins = [Bin::default(); BINS];
        for bin in &mut bins {
            *bin =
                Bin { rows: state.get()?, positives: state.get()?, scores: ExactSum::read(state)? };
        }
        Ok(Calibration(bins))
    }
}
