//! Whatever is left to chance in a simulation: the same numbers for the same seed, everywhere.

use pelton_kernels::hash;

/// A sequence of random numbers (splitmix64).
#[derive(Clone, Debug)]
pub struct Dice(u64);

impl Dice {
    /// The sequence for one purpose under a seed; those of other purposes are independent of it.
    #[must_use]
    pub fn new(seed: u64, purpose: &str) -> Dice {
        Dice(hash::mix64(seed) ^ hash::hash_bytes(purpose.as_bytes()))
    }

    /// Uniform below `bound`, which is not 0.
    pub fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        hash::mix64(self.0) % bound
    }

    /// Uniform below `bound`, as an index.
    pub fn index(&mut self, bound: usize) -> usize {
        self.below(bound as u64) as usize
    }

    /// Whether something of this many in a thousand happens.
    pub fn per_mille(&mut self, probability: u64) -> bool {
        self.below(1000) < probability
    }

    /// One of these.
    pub fn pick<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.index(choices.len())]
    }
}
