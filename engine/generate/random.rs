//! Random numbers that are the same everywhere: xoshiro256++ seeded by splitmix64.
//!
//! Sources: Blackman and Vigna, "Scrambled linear pseudorandom number generators" (2021); Steele,
//! Lea and Flood, "Fast splittable pseudorandom number generators" (2014). Many independent
//! sequences come from one seed, told apart by a number. Not for secrets.

use pelton_kernels::math;

/// One sequence of random numbers.
#[derive(Clone, Debug)]
pub(super) struct Random([u64; 4]);

impl Random {
    /// The sequence of this number under this seed.
    pub(super) fn new(seed: u64, sequence: u64) -> Random {
        let start = mix(seed) ^ mix(!sequence).rotate_left(32);
        Random([1, 2, 3, 4].map(|step: u64| mix(start.wrapping_add(step.wrapping_mul(GOLDEN)))))
    }

    /// 64 random bits.
    #[inline]
    pub(super) fn bits(&mut self) -> u64 {
        let [a, b, c, d] = &mut self.0;
        let result = a.wrapping_add(*d).rotate_left(23).wrapping_add(*a);
        let shifted = *b << 17;
        *c ^= *a;
        *d ^= *b;
        *b ^= *c;
        *a ^= *d;
        *c ^= shifted;
        *d = d.rotate_left(45);
        result
    }

    /// Uniform in `0..1`, a multiple of 2^-53.
    #[inline]
    pub(super) fn unit(&mut self) -> f64 {
        (self.bits() >> 11) as f64 * (1.0 / (1u64 << 53) as f64)
    }

    /// Uniform in `0..bound`, up to a bias of `bound / 2^32`.
    #[inline]
    pub(super) fn below(&mut self, bound: u32) -> u32 {
        (((self.bits() >> 32) * u64::from(bound)) >> 32) as u32
    }

    /// Normal with mean 0 and deviation 1 (Marsaglia's polar method, one of the pair).
    pub(super) fn normal(&mut self) -> f64 {
        loop {
            let (x, y) = (2.0 * self.unit() - 1.0, 2.0 * self.unit() - 1.0);
            let square = x * x + y * y;
            if square > 0.0 && square < 1.0 {
                return x * (-2.0 * math::ln(square) / square).sqrt();
            }
        }
    }

    /// Poisson with the mean whose `exp(-mean)` is given (Knuth's method: for small means).
    #[inline]
    pub(super) fn poisson(&mut self, exp_of_minus_mean: f64) -> u32 {
        let (mut count, mut product) = (0, self.unit());
        while product > exp_of_minus_mean {
            count += 1;
            product *= self.unit();
        }
        count
    }
}

const GOLDEN: u64 = 0x9E37_79B9_7F4A_7C15;

/// A bijection that makes every input bit count for every output bit (splitmix64's finalizer).
#[inline]
pub(super) fn mix(value: u64) -> u64 {
    let value = value.wrapping_add(GOLDEN);
    let value = (value ^ (value >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let value = (value ^ (value >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    value ^ (value >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mean_and_variance(count: u32, mut draw: impl FnMut() -> f64) -> (f64, f64) {
        let values: Vec<f64> = (0..count).map(|_| draw()).collect();
        let mean = values.iter().sum::<f64>() / f64::from(count);
        let spread = values.iter().map(|value| (value - mean).powi(2)).sum::<f64>();
        (mean, spread / f64::from(count))
    }

    #[test]
    fn moments_are_those_of_the_distributions() {
        let mut random = Random::new(1, 2);
        let (mean, variance) = mean_and_variance(100_000, || random.unit());
        assert!((mean - 0.5).abs() < 0.005 && (variance - 1.0 / 12.0).abs() < 0.002);
        let (mean, variance) = mean_and_variance(100_000, || random.normal());
        assert!(mean.abs() < 0.015 && (variance - 1.0).abs() < 0.03);
        let limit = math::exp(-2.5);
        let (mean, variance) = mean_and_variance(100_000, || f64::from(random.poisson(limit)));
        assert!((mean - 2.5).abs() < 0.03 && (variance - 2.5).abs() < 0.06);
        let (mean, variance) = mean_and_variance(100_000, || f64::from(random.below(6)));
        assert!((mean - 2.5).abs() < 0.03 && (variance - 35.0 / 12.0).abs() < 0.06);
    }

    #[test]
    fn sequences_differ_and_repeat() {
        let first = |seed, sequence| Random::new(seed, sequence).bits();
        assert_eq!(first(7, 1), first(7, 1));
        assert_ne!(first(7, 1), first(7, 2));
        assert_ne!(first(7, 1), first(1, 7));
        // The reference value of splitmix64 started at 0.
        assert_eq!(mix(0), 0xE220_A839_7B1D_CDAF);
    }
}
