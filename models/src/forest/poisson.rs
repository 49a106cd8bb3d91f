//! Poisson numbers by table, for bagging a stream (Oza, Russell 2001).

use pelton_kernels::math;

/// Equally likely draws; a power of two.
const DRAWS: usize = 4096;
/// Bits of a draw.
const BITS: usize = DRAWS.trailing_zeros() as usize;
/// Draws of 64 random bits.
pub(super) const PER_WORD: usize = 64 / BITS;

/// The number that each draw stands for: quantiles of the distribution.
#[derive(Clone, Debug)]
pub(super) struct Poisson {
    table: Vec<u8>,
}

impl Poisson {
    /// Of a mean of at most 32.
    pub fn new(mean: f64) -> Poisson {
        let mut table = Vec::with_capacity(DRAWS);
        let (mut number, mut chance) = (0_u8, math::exp(-mean));
        let mut sum = chance;
        for draw in 0..DRAWS {
            let middle = (draw as f64 + 0.5) / DRAWS as f64;
            while sum < middle && number < u8::MAX {
                number += 1;
                chance *= mean / f64::from(number);
                sum += chance;
            }
            table.push(number);
        }
        Poisson { table }
    }

    /// The number of one of the draws in a word of random bits.
    #[inline]
    pub fn draw(&self, word: u64, at: usize) -> f32 {
        f32::from(self.table[(word >> (at * BITS)) as usize % DRAWS])
    }
}
