//! Sums that can be added to and taken from in any order without a trace.
//!
//! A value is quantised once to 40 fractional bits and summed as an integer, so a withdrawn row
//! leaves the sum exactly as if it had never been judged, and a sum does not depend on the order of
//! its rows. The quantisation moves a mean by at most 2^-41 (4.6e-13). Values must stay below 2^22
//! in size; the losses and scores summed here are at most 16. Not for regression, whose errors have
//! no bound.

use std::io;

use crate::state::{StateReader, StateWriter};

const FRACTION_BITS: u32 = 40;
const SCALE: f64 = (1u64 << FRACTION_BITS) as f64;

/// A sum of quantised values.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ExactSum(pub(super) i128);

impl ExactSum {
    /// Adds the value (`sign` 1) or takes it away again (`sign` -1).
    #[inline]
    pub fn add(&mut self, value: f64, sign: i64) {
        self.0 += i128::from((value * SCALE).round_ties_even() as i64 * sign);
    }

    /// The sum.
    #[must_use]
    pub fn value(self) -> f64 {
        self.0 as f64 / SCALE
    }

    /// Writes the sum.
    ///
    /// # Errors
    /// Those of the writer.
    pub fn write(self, state: &mut StateWriter<'_>) -> io::Result<()> {
        state.put(self.0)
    }

    /// Reads one.
    ///
    /// # Errors
    /// Those of the reader.
    pub fn read(state: &mut StateReader<'_>) -> io::Result<ExactSum> {
        Ok(ExactSum(state.get()?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn what_is_taken_away_was_never_there(
            kept in prop::collection::vec(0.0f64..16.0, 0..50),
            gone in prop::collection::vec(0.0f64..16.0, 0..50),
        ) {
            let mut with = ExactSum::default();
            gone.iter().for_each(|&value| with.add(value, 1));
            kept.iter().for_each(|&value| with.add(value, 1));
            gone.iter().rev().for_each(|&value| with.add(value, -1));
            let mut without = ExactSum::default();
            kept.iter().rev().for_each(|&value| without.add(value, 1));
            prop_assert_eq!(with, without);
            let plain: f64 = kept.iter().sum();
            prop_assert!((without.value() - plain).abs() <= 1e-12 * (1.0 + kept.len() as f64));
        }
    }
}
