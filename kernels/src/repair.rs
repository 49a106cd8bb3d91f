//! Repair of number columns: what is missing is imputed, what lies too far out is clipped, by
//! running statistics of the values before it.
//!
//! Clean stage, after the rows that cannot be scored have left: every value that leaves is present,
//! and finite where those that came were. It knows no names and removes no rows.
//!
//! # Formula
//! A value outside the range is clipped to it or missing. A missing one becomes the constant, the
//! caller's value (the last of its key, say) or the mean of all values so far, 0 before the first;
//! it changes no statistic. Any other is clipped to `mean -+ sigma std` of the clipped values
//! before it, from [`COUNT_MIN`] on, or to two running quantiles of the values as they were
//! given, from [`QUANTILE_COUNT_MIN`] on. The moments learn the clipped value, or one wild value
//! would open the gate for the next; the quantiles learn the value as it was given, or their tails
//! would shrink by their own clipping.
//!
//! # Determinism
//! Exact integers ([`crate::fixed`]) and counts, row by row: the same bits for any cuts.

pub mod device;
mod quantiles;

use std::io;

use crate::fixed::{self, U256};
use crate::state::{StateReader, StateWriter, invalid};

pub use quantiles::{BINS, QUANTILE_COUNT_MIN};

use quantiles::RunningQuantiles;

/// Deviations are not believed before so many values.
pub const COUNT_MIN: u64 = 30;

/// How far from the others a number may be before it is clipped.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Outliers {
    /// As far as it likes.
    Keep,
    /// Clip to the running mean plus and minus this many standard deviations.
    Sigma(f32),
    /// Clip to these running quantiles.
    Quantiles(f32, f32),
}

/// How one column is repaired.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RepairSpec {
    /// Legal range, both ends included.
    pub range: Option<(f32, f32)>,
    /// Whether a value outside it is clipped to it; else it is missing.
    pub clips_range: bool,
    /// What a missing value becomes; else the running mean.
    pub constant: Option<f32>,
    /// What happens far from the others.
    pub outliers: Outliers,
}

/// What has been repaired so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RepairCounts {
    /// Missing values that were imputed.
    pub imputed: u64,
    /// Values outside the range that were clipped to it, or made missing.
    pub out_of_range: u64,
    /// Outliers that were clipped.
    pub clipped: u64,
}

/// One column under repair.
#[derive(Clone, Debug)]
pub struct Repair {
    spec: RepairSpec,
    moments: RunningMoments,
    quantiles: Option<RunningQuantiles>,
    counts: RepairCounts,
}

/// Count, sum and sum of squares as exact integers, so that they do not depend on batch cuts.
#[derive(Clone, Copy, Debug, Default)]
struct RunningMoments {
    count: u64,
    sum: i128,
    squares: U256,
}

impl Repair {
    /// A column that nothing is known of.
    #[must_use]
    pub fn new(spec: RepairSpec) -> Repair {
        let quantiles = match spec.outliers {
            Outliers::Quantiles(low, high) => Some(RunningQuantiles::new(low, high)),
            Outliers::Keep | Outliers::Sigma(_) => None,
        };
        let (moments, counts) = (RunningMoments::default(), RepairCounts::default());
        Repair { spec, moments, quantiles, counts }
    }

    /// Repairs the next values of the column, in their order.
    pub fn run(&mut self, values: &mut [f32]) {
        for value in values {
            (*value, _) = self.one(*value, || None);
        }
    }

    /// The next value, repaired, and whether it was there; a missing one becomes what `last` knows,
    /// where no constant is set.
    #[inline]
    pub fn one(&mut self, value: f32, last: impl FnOnce() -> Option<f32>) -> (f32, bool) {
        let given = self.in_range(value);
        if given.is_nan() {
            self.counts.imputed += 1;
            let imputed = self.spec.constant.or_else(last);
            let imputed = imputed.unwrap_or_else(|| self.moments.mean());
            return (imputed, false);
        }
        let clipped = self.clip_outlier(given);
        self.moments.add(clipped);
        if let Some(quantiles) = &mut self.quantiles {
            quantiles.add(given);
        }
        (clipped, true)
    }

    /// What has been repaired so far.
    #[must_use]
    pub fn counts(&self) -> RepairCounts {
        self.counts
    }

    /// Whether a histogram of its values is kept.
    #[must_use]
    pub fn has_quantiles(&self) -> bool {
        self.quantiles.is_some()
    }

    fn in_range(&mut self, value: f32) -> f32 {
        let Some((low, high)) = self.spec.range else { return value };
        if value.is_nan() || (low..=high).contains(&value) {
            return value;
        }
        self.counts.out_of_range += 1;
        if self.spec.clips_range { value.clamp(low, high) } else { f32::NAN }
    }

    fn clip_outlier(&mut self, value: f32) -> f32 {
        let bounds = match (self.spec.outliers, &self.quantiles) {
            (Outliers::Sigma(sigma), _) => self.moments.bounds(sigma),
            (_, Some(quantiles)) => quantiles.bounds(),
            (_, None) => None,
        };
        // Selections, which say what becomes of a zero's sign.
        let clipped = bounds.map_or(value, |(low, high)| {
            let raised = if value < low { low } else { value };
            if raised > high { high } else { raised }
        });
        self.counts.clipped += u64::from(clipped != value);
        clipped
    }

    /// Writes counts and moments.
    ///
    /// # Errors
    /// Those of the writer.
    pub fn write_sums(&self, state: &mut StateWriter<'_>) -> io::Result<()> {
        let RepairCounts { imputed, out_of_range, clipped } = self.counts;
        state.slice(&[imputed, out_of_range, clipped])?;
        let RunningMoments { count, sum, squares } = self.moments;
        state.put(count)?;
        state.put(sum)?;
        state.put([squares.low, squares.high])
    }

    /// Reads them back.
    ///
    /// # Errors
    /// Those of the reader.
    pub fn read_sums(&mut self, state: &mut StateReader<'_>) -> io::Result<()> {
        let [imputed, out_of_range, clipped] = state.get()?;
        self.counts = RepairCounts { imputed, out_of_range, clipped };
        let (count, sum, [low, high]) = (state.get()?, state.get()?, state.get()?);
        self.moments = RunningMoments { count, sum, squares: U256 { low, high } };
        Ok(())
    }

    /// Writes the histogram, where one is kept.
    ///
    /// # Errors
    /// Those of the writer.
    pub fn write_quantiles(&self, state: &mut StateWriter<'_>) -> io::Result<()> {
        let Some(quantiles) = &self.quantiles else { return Ok(()) };
        state.blocks(quantiles.bins(), |count| *count)
    }

    /// Reads it back.
    ///
    /// # Errors
    /// Those of the reader; `InvalidData` for more values than can be counted.
    pub fn read_quantiles(&mut self, state: &mut StateReader<'_>) -> io::Result<()> {
        let Some(quantiles) = &mut self.quantiles else { return Ok(()) };
        let mut bins = vec![0; BINS];
        state.blocks(&mut bins, |count| count)?;
        let read = quantiles.set_bins(bins);
        read.ok_or_else(|| invalid("a histogram holds more than can be counted"))
    }
}

impl RunningMoments {
    /// Counts a finite value in.
    fn add(&mut self, value: f32) {
        self.count += 1;
        let (value, _) = fixed::admit(value);
        let quantized = fixed::quantize(value);
        self.sum = self.sum.wrapping_add(quantized);
        self.squares = self.squares.plus(U256::square(quantized));
    }

    /// The mean of the values so far; 0 before the first.
    fn mean(&self) -> f32 {
        fixed::mean(self.count, self.sum) as f32
    }

    /// `mean -+ sigma` deviations; none before a few values are known.
    fn bounds(&self, sigma: f32) -> Option<(f32, f32)> {
        if self.count < COUNT_MIN {
            return None;
        }
        let mean = fixed::mean(self.count, self.sum);
        let reach = f64::from(sigma) * fixed::deviation(self.count, self.sum, self.squares);
        Some(((mean - reach) as f32, (mean + reach) as f32))
    }
}

#[cfg(test)]
mod tests;
