//! Exact sums as a GPU has them.

use super::U256;
use crate::device::Plain;

/// Count, sum and sum of squares of a column, as fixed.cuh declares them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub(crate) struct Sums {
    count: u64,
    sum: [u64; 2],
    squares: [u64; 4],
    unused: u64,
}

// SAFETY: numbers only, 64 bytes without padding.
unsafe impl Plain for Sums {}

impl Sums {
    pub fn new(count: u64, sum: i128, squares: U256) -> Sums {
        let sum = [sum as u64, (sum >> 64) as u64];
        Sums { count, sum, squares: squares.limbs(), unused: 0 }
    }

    /// Count, sum and sum of squares.
    pub fn parts(self) -> (u64, i128, U256) {
        let wide = |low: u64, high: u64| u128::from(low) | u128::from(high) << 64;
        let [a, b, c, d] = self.squares;
        let squares = U256 { low: wide(a, b), high: wide(c, d) };
        (self.count, wide(self.sum[0], self.sum[1]) as i128, squares)
    }
}
