//! Platt scaling by online Newton steps: the log odds of a score, times a slope, plus an offset.
//!
//! # Formula
//! `q = sigmoid(slope * logit(s) + offset)` (Platt 1999), by a Newton step a label. With
//! `x = (logit(s), 1)` and the gathered curvature
//! `H <- (1 - f) H + f H0 + w q (1 - q) x x'`, the weights move by
//! `H^-1 (w x t + f H0 (start - weights))`. The pull `t` is that *after* the step
//! ([`pelton_kernels::implicit`]), so no label is passed whatever its weight. `H0` draws to the
//! start, which is the score itself (slope 1, offset 0). What is old fades by
//! `f = 4 q (1 - q) w / memory`: a window as long as holds so many coin flips' worth of labels,
//! 2,000 rows of a balanced stream and a hundred thousand where positives are rare.
//!
//! Invariants: numbers stay finite; the slope stays above 0, so the order of scores stays.

use std::io;

use pelton_kernels::implicit::{PROBLEMS, pulls};
use pelton_kernels::math;
use pelton_kernels::state::{StateReader, StateWriter, invalid};

/// Labels of the trailing window, each as much as a coin flip tells.
const MEMORY: f64 = 2000.0;
/// Curvature that draws slope and offset to where they began.
const START: [f64; 2] = [10.0, 2.0];
/// The slope never falls below this.
const SLOPE_MIN: f64 = 0.05;
/// Scores closer to 0 or 1 count as this close.
pub(super) const SCORE_MIN: f32 = 1e-6;

/// Slope and offset, and what is known about them.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Platt {
    pub(super) slope: f64,
    pub(super) offset: f64,
    /// The curvature: of the slope, of both, of the offset.
    curvature: [f64; 3],
}

impl Platt {
    pub(super) fn new() -> Platt {
        Platt { slope: 1.0, offset: 0.0, curvature: [START[0], 0.0, START[1]] }
    }

    /// What log odds are multiplied by.
    pub(super) fn slope(&self) -> f32 {
        self.slope as f32
    }

    fn log_odds(score: f32) -> f64 {
        math::logit(f64::from(score.clamp(SCORE_MIN, 1.0 - SCORE_MIN)))
    }

    /// The log odds that belong to a score.
    pub(super) fn margin(&self, score: f32) -> f64 {
        self.slope * Platt::log_odds(score) + self.offset
    }

    /// The probability that belongs to a score.
    pub(super) fn apply(&self, score: f32) -> f32 {
        math::sigmoid(self.margin(score)) as f32
    }

    /// Learns what came of a score.
    pub(super) fn observe(&mut self, score: f32, is_positive: bool, weight: f64) {
        let x = Platt::log_odds(score);
        let z = self.slope * x + self.offset;
        let q = math::sigmoid(z);
        let tells = weight * q * (1.0 - q);
        let fades = (4.0 * tells / MEMORY).min(0.5);
        let [mut a, mut b, mut c] = self.curvature.map(|entry| (1.0 - fades) * entry);
        a += fades * START[0] + tells * x * x;
        b += tells * x;
        c += fades * START[1] + tells;
        self.curvature = [a, b, c];
        // Of a matrix whose diagonal has the start's share for ever, this is above 0.
        let determinant = a * c - b * b;
        let across = [(c * x - b) / determinant, (a - b * x) / determinant];
        let reach = weight * (across[0] * x + across[1]).max(0.0);
        let sign = if is_positive { 1.0 } else { -1.0 };
        let mut lanes = ([0.0; PROBLEMS], [0.0; PROBLEMS]);
        (lanes.0[0], lanes.1[0]) = ((sign * z) as f32, reach as f32);
        let [pull, ..] = pulls(lanes.0, lanes.1);
        let pull = sign * weight * f64::from(pull);
        let back = [fades * START[0] * (1.0 - self.slope), -fades * START[1] * self.offset];
        let slope = self.slope + across[0] * pull + (c * back[0] - b * back[1]) / determinant;
        let offset = self.offset + across[1] * pull + (a * back[1] - b * back[0]) / determinant;
        if slope.is_finite() && offset.is_finite() {
            (self.slope, self.offset) = (slope.max(SLOPE_MIN), offset);
        }
    }

    pub(super) fn write(&self, state: &mut StateWriter<'_>) -> io::Result<()> {
        state.slice(&[self.slope, self.offset])?;
        state.slice(&self.curvature)
    }

    pub(super) fn read(state: &mut StateReader<'_>) -> io::Result<Platt> {
        let [slope, offset] = [state.get::<f64>()?, state.get()?];
        let curvature = [state.get::<f64>()?, state.get()?, state.get()?];
        let is_good = slope >= SLOPE_MIN
            && offset.is_finite()
            && curvature.iter().all(|entry| entry.is_finite())
            && curvature[0] * curvature[2] > curvature[1] * curvature[1];
        match is_good {
            true => Ok(Platt { slope, offset, curvature }),
            false => Err(invalid("a slope and an offset cannot be these")),
        }
    }
}
