//! The test of Page and Hinkley: whether the mean of a stream of numbers has risen.
//!
//! # Formula
//! Page, "Continuous Inspection Schemes" (1954); Hinkley, "Inference about the change-point from
//! cumulative sum tests" (1971). With mean and deviation of all values before `x_t`:
//!
//! `z_t = (x_t - mean) / deviation`, kept within [`STEP_MAX`];
//! `m_t = max(0, m_(t-1) + z_t - tolerance)`; an alarm when `m_t > threshold`.
//!
//! That `m` is Page's sum less its minimum so far. Steps are in deviations, which the originals
//! are not, so that one threshold holds whatever the values are measured in; they are bounded so
//! that no single value of a heavy tail is an alarm. After an alarm the values of the rise are the
//! past, with the deviation as it was; until they are [`WARM_UP`] nothing is added.
//!
//! # False alarms
//! On independent normal values the mean time to one is about
//! `(exp(2 k b) - 2 k b - 1) / (2 k^2)`, `b = threshold + 1.166`, `k = tolerance` (Siegmund, 1985):
//! .1 and 50 give 1.4 million values, and a rise by one deviation is found after 55.

use std::io;

use pelton_kernels::state::{StateReader, StateWriter, invalid};

/// Values before anything is believed: the mean is off by about .07 deviations then.
pub const WARM_UP: u64 = 200;
/// No value counts for more deviations.
pub const STEP_MAX: f64 = 8.0;
/// Larger values are refused: their squares would not be finite.
pub const VALUE_MAX: f64 = 1e100;

/// A sum that grows while values are above their mean.
#[derive(Clone, Debug, PartialEq)]
pub struct PageHinkley {
    tolerance: f64,
    threshold: f64,
    count: u64,
    mean: f64,
    /// Sum of the squared distances from the mean.
    squares: f64,
    excess: f64,
    /// Values since the sum was zero, and their sum.
    since: u64,
    since_sum: f64,
}

/// What an alarm has found.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rise {
    /// Mean of the values before it.
    pub before: f64,
    /// Mean of those since.
    pub after: f64,
    /// How many those are.
    pub since: u64,
}

impl PageHinkley {
    /// A test that has seen nothing. Both in standard deviations: rises of less than `tolerance`
    /// are none, and `threshold` is how much must have come together.
    #[must_use]
    pub fn new(tolerance: f64, threshold: f64) -> PageHinkley {
        PageHinkley {
            tolerance,
            threshold,
            count: 0,
            mean: 0.0,
            squares: 0.0,
            excess: 0.0,
            since: 0,
            since_sum: 0.0,
        }
    }

    /// Takes in a value; the rise, when that is an alarm. A value that is not finite, or beyond
    /// [`VALUE_MAX`], changes nothing.
    pub fn update(&mut self, value: f64) -> Option<Rise> {
        // NaN is not within either.
        if !(-VALUE_MAX..=VALUE_MAX).contains(&value) {
            return None;
        }
        let moved = value - self.mean;
        if self.count >= WARM_UP {
            self.excess = (self.excess + self.step(moved) - self.tolerance).max(0.0);
            (self.since, self.since_sum) = match self.excess > 0.0 {
                true => (self.since + 1, self.since_sum + value),
                false => (0, 0.0),
            };
        }
        self.count += 1;
        self.mean += moved / self.count as f64;
        self.squares += moved * (value - self.mean);
        if self.excess <= self.threshold {
            return None;
        }
        let earlier = (self.count - self.since).max(1) as f64;
        let rise = Rise {
            before: (self.mean * self.count as f64 - self.since_sum) / earlier,
            after: self.since_sum / self.since.max(1) as f64,
            since: self.since,
        };
        let variance = self.squares / self.count as f64;
        *self = PageHinkley {
            count: rise.since,
            mean: rise.after,
            squares: variance * rise.since as f64,
            ..PageHinkley::new(self.tolerance, self.threshold)
        };
        Some(rise)
    }

    /// The sum so far, in deviations: an alarm is near when it is near the threshold.
    #[must_use]
    pub fn excess(&self) -> f64 {
        self.excess
    }

    fn step(&self, moved: f64) -> f64 {
        if moved == 0.0 {
            return 0.0;
        }
        // Where all values were the same, any other is as far as can be.
        let deviation = (self.squares / self.count as f64).sqrt();
        (moved / deviation).clamp(-STEP_MAX, STEP_MAX)
    }

    /// Writes the sums.
    ///
    /// # Errors
    /// Those of the writer.
    pub fn write(&self, state: &mut StateWriter<'_>) -> io::Result<()> {
        state.slice(&[self.tolerance, self.threshold])?;
        state.slice(&[self.count, self.since])?;
        state.slice(&[self.mean, self.squares, self.excess, self.since_sum])
    }

    /// Reads what [`PageHinkley::write`] wrote of one with the same settings; unchanged on an
    /// error.
    ///
    /// # Errors
    /// Those of the reader; `InvalidData` for what cannot have been written.
    pub fn read(&mut self, state: &mut StateReader<'_>) -> io::Result<()> {
        let settings = [self.tolerance, self.threshold];
        state.expect(&settings, "the sums had other settings")?;
        let [count, since] = state.get()?;
        let [mean, squares, excess, since_sum] = state.get::<[f64; 4]>()?;
        let most = VALUE_MAX * count as f64;
        let is_whole = since <= count
            && mean.abs() <= VALUE_MAX
            && (0.0..=most * VALUE_MAX * 4.0).contains(&squares)
            && (0.0..=self.threshold.max(0.0)).contains(&excess)
            && since_sum.abs() <= most;
        if !is_whole {
            return Err(invalid("sums of a rise are none"));
        }
        *self = PageHinkley { count, mean, squares, excess, since, since_sum, ..self.clone() };
        Ok(())
    }
}

#[cfg(test)]
mod tests;
