//! Weights of members by how well they predicted, their losses, and the regret of the mixture.
//!
//! Fixed share over exponential weights (Herbster, Warmuth 1998, "Tracking the best expert"), as in
//! [`pelton_kernels::mixture`], for any number of members and in double precision. What differs is
//! the share that is spread evenly after each example: it is proportional to the mixture's loss, so
//! that one setting serves a stream whose labels are hard to tell and one where one label in a
//! hundred says anything at all.

use std::io;

use pelton_kernels::math::exp;
use pelton_kernels::state::{StateReader, StateWriter};

/// Multiplies the losses.
const RATE: f64 = 0.5;
/// What is spread evenly after an example of loss 1.
const SHARE: f64 = 0.005;
/// The most that is spread.
const SHARE_MAX: f64 = 0.1;

/// Members' weights and losses.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Shares {
    /// Positive, their sum is 1.
    pub weights: Vec<f64>,
    /// Sums of losses by member.
    pub losses: Vec<f64>,
    /// Sum of the mixture's losses.
    pub mixed: f64,
    /// Examples.
    pub rows: u64,
    /// Room.
    kept: Vec<f64>,
}

impl Shares {
    /// Even weights.
    pub fn new(members: usize) -> Shares {
        let (weights, losses) = (vec![1.0 / members as f64; members], vec![0.0; members]);
        Shares { weights, losses, mixed: 0.0, rows: 0, kept: Vec::new() }
    }

    /// Moves the weights by one example's losses, of the members and of the mixture.
    pub fn observe(&mut self, losses: &[f64], mixed: f64) {
        // Against the smallest loss, so that one of the factors is 1 and the sum is never 0.
        let least = losses.iter().fold(f64::MAX, |least, loss| loss.min(least));
        self.kept.clear();
        self.kept.extend(self.weights.iter().zip(losses).map(|(weight, loss)| {
            let worse = (loss - least) * RATE;
            weight * exp(if worse < 80.0 { -worse } else { -80.0 })
        }));
        let total: f64 = self.kept.iter().sum();
        let share = (SHARE * mixed).clamp(0.0, SHARE_MAX);
        let even = share / self.weights.len() as f64;
        for (weight, kept) in self.weights.iter_mut().zip(&self.kept) {
            *weight = (1.0 - share) * (kept / total) + even;
        }
        self.losses.iter_mut().zip(losses).for_each(|(sum, loss)| *sum += loss);
        self.mixed += mixed;
        self.rows += 1;
    }

    /// What the mixture has lost more than its best member so far.
    pub fn regret(&self) -> f64 {
        self.mixed - self.losses.iter().fold(f64::MAX, |least, loss| loss.min(least))
    }

    pub fn write(&self, state: &mut StateWriter<'_>) -> io::Result<()> {
        state.slice(&self.weights)?;
        state.slice(&self.losses)?;
        state.put(self.mixed)?;
        state.put(self.rows)
    }

    pub fn read(&mut self, state: &mut StateReader<'_>) -> io::Result<()> {
        state.fill(&mut self.weights)?;
        state.fill(&mut self.losses)?;
        (self.mixed, self.rows) = (state.get()?, state.get()?);
        Ok(())
    }
}
