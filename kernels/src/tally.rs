//! Sums over judged rows of a binary score: what accuracy, kappa, Brier score, log loss and
//! calibration are made of.
//!
//! Evaluation, as labels judge the scores of back then. It ranks nothing (the area under a curve
//! needs every score) and refuses nothing: scores are in `0..=1`.
//!
//! # Formula
//! Exact integers of quantised values ([`ExactSum`]): the score `p`, its squared error, and
//! `-ln p` of what came true, clipped to `[2^-23, 1 - 2^-23]`, the float's epsilon, as
//! `sklearn.metrics.log_loss` does for single precision, so that one certain error costs 15.9 nats
//! and not infinity. A score of at least one half predicts the positive class.
//!
//! # Determinism
//! A function of the multiset of rows: order, cuts and rows that were taken away leave no trace.

mod calibration;
pub mod device;
mod exact;

use std::io;

use crate::math;
use crate::state::{StateReader, StateWriter};

pub use calibration::BINS as CALIBRATION_BINS;
pub use exact::ExactSum;

use calibration::Calibration;

/// Counts and sums over judged rows.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    rows: i64,
    positives: i64,
    predicted: i64,
    agreed: i64,
    scores: ExactSum,
    squares: ExactSum,
    /// The costly parts are kept only where they are asked for.
    log_loss: Option<ExactSum>,
    calibration: Option<Calibration>,
}

impl Tally {
    /// Of no rows.
    #[must_use]
    pub fn new(has_log_loss: bool, has_calibration: bool) -> Tally {
        Tally {
            log_loss: has_log_loss.then(ExactSum::default),
            calibration: has_calibration.then(Calibration::default),
            ..Tally::default()
        }
    }

    /// Adds (`sign` 1) or takes away (`sign` -1) a row.
    #[inline]
    pub fn add(&mut self, score: f32, is_positive: bool, sign: i64) {
        let is_predicted = score >= 0.5;
        let score = f64::from(score);
        self.rows += sign;
        self.positives += sign * i64::from(is_positive);
        self.predicted += sign * i64::from(is_predicted);
        self.agreed += sign * i64::from(is_predicted == is_positive);
        let miss = score - f64::from(u8::from(is_positive));
        self.scores.add(score, sign);
        self.squares.add(miss * miss, sign);
        if let Some(sum) = &mut self.log_loss {
            sum.add(loss(if is_positive { score } else { 1.0 - score }), sign);
        }
        if let Some(calibration) = &mut self.calibration {
            calibration.add(score, is_positive, sign);
        }
    }

    /// Rows judged.
    #[must_use]
    pub fn rows(&self) -> i64 {
        self.rows
    }

    /// Those with a positive label.
    #[must_use]
    pub fn positives(&self) -> i64 {
        self.positives
    }

    /// Those predicted to be positive.
    #[must_use]
    pub fn predicted(&self) -> i64 {
        self.predicted
    }

    /// Those predicted right.
    #[must_use]
    pub fn agreed(&self) -> i64 {
        self.agreed
    }

    /// The mean score; NaN without rows, as the following.
    #[must_use]
    pub fn mean_score(&self) -> f64 {
        self.scores.value() / self.rows as f64
    }

    /// The mean squared error.
    #[must_use]
    pub fn brier(&self) -> f64 {
        self.squares.value() / self.rows as f64
    }

    /// The mean logarithmic loss in nats, where it is kept.
    #[must_use]
    pub fn log_loss(&self) -> Option<f64> {
        self.log_loss.map(|sum| sum.value() / self.rows as f64)
    }

    /// The expected calibration error, where it is kept.
    #[must_use]
    pub fn calibration_error(&self) -> Option<f64> {
        self.calibration.as_ref().map(Calibration::error)
    }

    /// Writes the sums.
    ///
    /// # Errors
    /// Those of the writer.
    pub fn write(&self, state: &mut StateWriter<'_>) -> io::Result<()> {
        state.slice(&[self.rows, self.positives, self.predicted, self.agreed])?;
        self.scores.write(state)?;
        self.squares.write(state)?;
        self.log_loss.map_or(Ok(()), |sum| sum.write(state))?;
        self.calibration.as_ref().map_or(Ok(()), |calibration| calibration.write(state))
    }

    /// Reads sums of the same parts.
    ///
    /// # Errors
    /// Those of the reader.
    pub fn read(&mut self, state: &mut StateReader<'_>) -> io::Result<()> {
        self.rows = state.get()?;
        self.positives = state.get()?;
        self.predicted = state.get()?;
        self.agreed = state.get()?;
        self.scores = ExactSum::read(state)?;
        self.squares = ExactSum::read(state)?;
        if let Some(sum) = &mut self.log_loss {
            *sum = ExactSum::read(state)?;
        }
        if let Some(calibration) = &mut self.calibration {
            *calibration = Calibration::read(state)?;
        }
        Ok(())
    }
}

/// The logarithmic loss in nats of the probability that was given to what came true.
#[inline]
#[must_use]
pub fn loss(probability: f64) -> f64 {
    let epsilon = f64::from(f32::EPSILON);
    -math::ln(probability.clamp(epsilon, 1.0 - epsilon))
}

#[cfg(all(test, feature = "double"))]
mod tests;
