//! A stack: experts' scores as the inputs of one more linear model, learned by a Kalman filter.
//!
//! Exponential weights ([`crate::mixture`]) follow the best expert; they cannot say that two good
//! ones err in different ways, or that all of them are too sure. A linear model over their scores
//! can (Wolpert 1992, "Stacked generalization"). It begins as the pool it is given and moves away
//! from it by an extended Kalman filter that forgets slowly, so that it costs nothing at first and
//! follows a stream that runs. Inputs are the pool, the experts and a bias.
//!
//! Invariant: a function of the scores and pulls in their order; memory is that of a matrix of
//! `experts + 2` rows. What this does not do: links and losses; the caller knows the pull.

use std::io;

use crate::covariance::Covariance;
use crate::state::{StateReader, StateWriter, invalid};

/// Prior variance of a weight, which also bounds it.
const PRIOR: f64 = 0.02;
/// Forgetting per example of full uncertainty (information 1/4).
const FORGETTING: f64 = 5e-4;
/// Scores (log odds, or targets in their deviations) beyond this say nothing more.
const SCORE_MAX: f32 = 15.0;

/// The weights of a stack and what is known of them.
#[derive(Clone, Debug)]
pub struct Stack {
    weights: Vec<f64>,
    covariance: Covariance,
    /// Room for the inputs, padded with zeros.
    inputs: Vec<f64>,
}

impl Stack {
    /// A stack that says what the pool says.
    #[must_use]
    pub fn new(experts: usize) -> Stack {
        let size = experts + 2;
        let mut weights = vec![0.0; size];
        weights[0] = 1.0;
        let inputs = vec![0.0; size.next_multiple_of(8)];
        Stack { weights, covariance: Covariance::new(size, PRIOR), inputs }
    }

    /// The weights of the pool, of each expert, and the bias.
    #[must_use]
    pub fn weights(&self) -> &[f64] {
        &self.weights
    }

    /// The score of the pooled score and the experts'.
    ///
    /// # Shapes
    /// `scores: [experts]`.
    #[inline]
    #[must_use]
    pub fn score(&self, pooled: f32, scores: &[f32]) -> f32 {
        let mut score = self.weights[0] * bounded(pooled);
        for (weight, expert) in self.weights[1..].iter().zip(scores) {
            score += weight * bounded(*expert);
        }
        (score + self.weights[scores.len() + 1]) as f32
    }

    /// Takes in the scores of an example; how far a full pull moves its score.
    ///
    /// # Shapes
    /// `scores: [experts]`.
    #[inline]
    pub fn spread(&mut self, pooled: f32, scores: &[f32]) -> f32 {
        self.inputs[0] = bounded(pooled);
        for (input, expert) in self.inputs[1..].iter_mut().zip(scores) {
            *input = bounded(*expert);
        }
        self.inputs[scores.len() + 1] = 1.0;
        self.covariance.project(&self.inputs) as f32
    }

    /// Learns the example last taken in: `pull`, signed toward the label, counts `importance` times
    /// and brings `information` (the curvature of the loss) as often.
    #[inline]
    pub fn learn(&mut self, spread: f32, pull: f32, information: f32, importance: f32) {
        let [spread, pull, information, importance] =
            [spread, pull, information, importance].map(f64::from);
        for (weight, moved) in self.weights.iter_mut().zip(self.covariance.projected()) {
            *weight += pull * importance * moved;
        }
        let seen = information * importance;
        let forgotten = (FORGETTING * 4.0 * seen).min(0.5);
        self.covariance.observe(seen / (1.0 + seen * spread), 1.0 + forgotten);
    }

    /// The weights, and the entries of their covariance row by row, padded to eight.
    #[must_use]
    pub fn values(&self) -> (&[f64], std::borrow::Cow<'_, [f64]>) {
        (&self.weights, self.covariance.values())
    }

    /// Takes what [`Stack::values`] gave of as many experts.
    ///
    /// # Panics
    /// If it is of another number.
    pub fn restore(&mut self, weights: &[f64], values: &[f64]) {
        self.weights.copy_from_slice(weights);
        let Ok(()) = self.covariance.restore(|own| {
            own.copy_from_slice(values);
            Ok::<(), std::convert::Infallible>(())
        });
    }

    /// Writes it.
    ///
    /// # Errors
    /// Those of the writer.
    pub fn write(&self, state: &mut StateWriter<'_>) -> io::Result<()> {
        state.slice(&self.weights)?;
        state.slice(&self.covariance.values())
    }

    /// Reads what [`Stack::write`] wrote of as many experts.
    ///
    /// # Errors
    /// Those of the reader; `InvalidData` for numbers that are not finite.
    pub fn read(&mut self, state: &mut StateReader<'_>) -> io::Result<()> {
        state.fill(&mut self.weights)?;
        let mut are_finite = self.weights.iter().all(|weight| weight.is_finite());
        self.covariance.restore(|values| {
            state.fill(values)?;
            are_finite &= values.iter().all(|value| value.is_finite());
            Ok::<(), io::Error>(())
        })?;
        if are_finite { Ok(()) } else { Err(invalid("a stack is not finite")) }
    }
}

#[inline]
fn bounded(score: f32) -> f64 {
    f64::from(score.clamp(-SCORE_MAX, SCORE_MAX))
}

#[cfg(test)]
mod tests;
