//! Exact sums: numbers as 128-bit integers, so that order, cuts and subtraction change no bit.
//!
//! Used by `window` (entries enter and leave) and `moments` (entries enter and fade).
//!
//! # Formula
//! `q = round_ties_even(value * 2^40)`; `S1 = sum q` in 128 bits, `S2 = sum q^2` in 256 bits, both
//! exact. `mean = S1 / n * 2^-40`, `std = sqrt(n * S2 - S1^2) / n * 2^-40` (the population's).
//! `n * S2 - S1^2` is computed exactly in 320 bits, so it is never negative and is zero only when
//! all q are equal; it becomes a double once, then follow one square root and one division.
//!
//! # Ranges
//! Values are clamped to +-2^62 (infinities too) by [`admit`]; 2^24 such extremes fit a sum.
//! Values of 2^-17 and more are held exactly, smaller ones to 2^-41.

pub(crate) mod device;

/// Bits behind the binary point of a quantised value.
pub const FRACTION_BITS: u32 = 40;
/// Values beyond this, infinities included, are clamped to it.
pub const VALUE_MAX: f32 = 4_611_686_018_427_387_904.0;

const SCALE: f64 = (1_u64 << FRACTION_BITS) as f64;
const UNSCALE: f64 = 1.0 / SCALE;

/// The value as the exact sums take it, and whether it had to be clamped. NaN stays NaN, -0 is 0.
#[inline]
pub fn admit(value: f32) -> (f32, bool) {
    if value.abs() <= VALUE_MAX {
        (value + 0.0, false)
    } else if value.is_nan() {
        (f32::NAN, false)
    } else {
        (VALUE_MAX.copysign(value), true)
    }
}

/// The admitted value as an integer number of 2^-40; NaN gives 0.
#[inline]
pub fn quantize(value: f32) -> i128 {
    if value.abs() < 4_194_304.0 {
        i128::from(quantize_small(value))
    } else {
        // Values of 2^22 and more are multiples of 1/2, so that nothing is rounded.
        (f64::from(value) * SCALE) as i128
    }
}

/// [`quantize`] of a value below 2^22, where 64 bits are enough.
#[inline]
pub fn quantize_small(value: f32) -> i64 {
    (f64::from(value) * SCALE).round_ties_even() as i64
}

/// `sum / count` as a double; 0 for no values.
#[inline]
pub fn mean(count: u64, sum: i128) -> f64 {
    if count == 0 { 0.0 } else { unscale(sum) / count as f64 }
}

/// The sum of quantised values as a double.
#[inline]
pub fn unscale(sum: i128) -> f64 {
    match i64::try_from(sum) {
        Ok(small) => small as f64 * UNSCALE,
        Err(_) => unscale_large(sum),
    }
}

/// A call, which keeps the long conversion out of the way of the short one.
#[cold]
#[inline(never)]
fn unscale_large(sum: i128) -> f64 {
    sum as f64 * UNSCALE
}

/// The population's standard deviation; 0 for no values.
pub fn deviation(count: u64, sum: i128, squares: U256) -> f64 {
    if count == 0 {
        return 0.0;
    }
    spread(count, 0, sum, squares).sqrt() / count as f64 * UNSCALE
}

/// `count * squares - (sum^2 << count_fraction_bits)` as the nearest double, 0 where negative.
///
/// `count` may have fraction bits of its own (fewer than 64), as a faded count has.
pub fn spread(count: u64, count_fraction_bits: u32, sum: i128, squares: U256) -> f64 {
    debug_assert!(count_fraction_bits < 64);
    let [a, b, c, d] = squares.limbs();
    let (first, carry) = multiply_add(a, count, 0);
    let (second, carry) = multiply_add(b, count, carry);
    let (third, carry) = multiply_add(c, count, carry);
    let (fourth, fifth) = multiply_add(d, count, carry);
    let [a, b, c, d] = U256::square(sum).limbs();
    let factor = 1_u64 << count_fraction_bits;
    let (a, carry) = multiply_add(a, factor, 0);
    let (b, carry) = multiply_add(b, factor, carry);
    let (c, carry) = multiply_add(c, factor, carry);
    let (d, e) = multiply_add(d, factor, carry);
    let (first, borrow) = subtract(first, a, false);
    let (second, borrow) = subtract(second, b, borrow);
    let (third, borrow) = subtract(third, c, borrow);
    let (fourth, borrow) = subtract(fourth, d, borrow);
    let (fifth, borrow) = subtract(fifth, e, borrow);
    if borrow { 0.0 } else { nearest_double([first, second, third, fourth, fifth]) }
}

/// An unsigned 256-bit integer; sums of squares live here.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct U256 {
    /// Bits 0..128.
    pub low: u128,
    /// Bits 128..256.
    pub high: u128,
}

impl U256 {
    /// `value * value`.
    #[inline]
    pub fn square(value: i128) -> Self {
        let magnitude = value.unsigned_abs();
        let (low, high) = (magnitude as u64, (magnitude >> 64) as u64);
        if high == 0 {
            return Self { low: wide(low, low), high: 0 };
        }
        let cross = wide(low, high);
        let (sum, carry) = wide(low, low).overflowing_add(cross << 65);
        Self { low: sum, high: wide(high, high) + (cross >> 63) + u128::from(carry) }
    }

    /// The sum, modulo 2^256.
    #[inline]
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        let (low, carry) = self.low.overflowing_add(other.low);
        let high = self.high.wrapping_add(other.high).wrapping_add(u128::from(carry));
        Self { low, high }
    }

    /// The difference, modulo 2^256.
    #[inline]
    #[must_use]
    pub fn minus(self, other: Self) -> Self {
        let (low, borrow) = self.low.overflowing_sub(other.low);
        let high = self.high.wrapping_sub(other.high).wrapping_sub(u128::from(borrow));
        Self { low, high }
    }

    /// Half of it, rounded down.
    #[must_use]
    pub fn half(self) -> Self {
        Self { low: (self.low >> 1) | (self.high << 127), high: self.high >> 1 }
    }

    /// Four words, the lowest first.
    pub fn limbs(self) -> [u64; 4] {
        let (low, high) = (self.low, self.high);
        [low as u64, (low >> 64) as u64, high as u64, (high >> 64) as u64]
    }
}

#[inline]
fn wide(a: u64, b: u64) -> u128 {
    u128::from(a) * u128::from(b)
}

#[inline]
fn multiply_add(a: u64, b: u64, carry: u64) -> (u64, u64) {
    let product = wide(a, b) + u128::from(carry);
    (product as u64, (product >> 64) as u64)
}

#[inline]
fn subtract(a: u64, b: u64, borrow: bool) -> (u64, bool) {
    let (difference, first) = a.overflowing_sub(b);
    let (difference, second) = difference.overflowing_sub(u64::from(borrow));
    (difference, first | second)
}

/// Rounds to the nearest double, ties to even: the top 64 bits with a sticky last bit, once.
fn nearest_double(limbs: [u64; 5]) -> f64 {
    let Some(top) = limbs.iter().rposition(|&limb| limb != 0) else {
        return 0.0;
    };
    if top == 0 {
        return limbs[0] as f64;
    }
    let shift = limbs[top].leading_zeros();
    let pair = (u128::from(limbs[top]) << 64) | u128::from(limbs[top - 1]);
    let shifted = pair << shift;
    let below = shifted as u64 != 0 || limbs[..top - 1].iter().any(|&limb| limb != 0);
    let mantissa = (shifted >> 64) as u64 | u64::from(below);
    let exponent = 64 * top as u64 - u64::from(shift);
    mantissa as f64 * f64::from_bits((1023 + exponent) << 52)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn quantize_rounds_once_and_holds_the_extremes() {
        assert_eq!(quantize(1.5), 3 << 39);
        assert_eq!(quantize(-VALUE_MAX), -(1 << 102));
        assert_eq!(quantize(f32::NAN), 0);
        assert_eq!(quantize(f32::from_bits(1)), 0);
        assert_eq!(quantize(4_194_304.5), (8_388_609 << 39));
        assert_eq!(admit(f32::INFINITY), (VALUE_MAX, true));
        assert_eq!(admit(-0.0).0.to_bits(), 0);
        assert!(admit(f32::NAN).0.is_nan());
    }

    #[test]
    fn deviation_of_equal_values_is_exactly_zero() {
        let q = quantize(0.1);
        let squares = (0..7).fold(U256::default(), |sum, _| sum.plus(U256::square(q)));
        assert_eq!(deviation(7, 7 * q, squares), 0.0);
    }

    proptest! {
        #[test]
        fn squares_agree_with_the_schoolbook(value: i128) {
            let [a, b, c, d] = U256::square(value).limbs().map(u128::from);
            let magnitude = value.unsigned_abs();
            let (x, y) = (magnitude & u128::from(u64::MAX), magnitude >> 64);
            // Checked modulo 2^128 and modulo 2^64 - 1, which together miss no single wrong limb.
            prop_assert_eq!(magnitude.wrapping_mul(magnitude), a | (b << 64));
            let m = u128::from(u64::MAX);
            prop_assert_eq!((a + b + c + d) % m, ((x + y) % m) * ((x + y) % m) % m);
        }

        #[test]
        fn spread_is_the_sum_of_squared_differences(
            values in prop::collection::vec(-1_000_000_i64..1_000_000, 1..20), high in 0_u32..60,
        ) {
            let scaled: Vec<i128> = values.iter().map(|&v| i128::from(v) << high).collect();
            let squares = scaled.iter().fold(U256::default(), |sum, &q| sum.plus(U256::square(q)));
            let mut pairs = 0_u64;
            for (i, a) in values.iter().enumerate() {
                pairs += values[..i].iter().map(|b| (a - b).unsigned_abs().pow(2)).sum::<u64>();
            }
            let expected = pairs as f64 * f64::from_bits((1023 + 2 * u64::from(high)) << 52);
            let sum = scaled.iter().sum::<i128>();
            let count = values.len() as u64;
            prop_assert_eq!(spread(count, 0, sum, squares), expected);
            prop_assert_eq!(spread(count << 9, 9, sum, squares), expected * 512.0);
        }
    }
}
