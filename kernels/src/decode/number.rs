//! Numbers as JSON spells them, and their nearest doubles.

use super::powers::{POWER_MAX, POWER_MIN, POWERS};

/// A longer number is hard.
const TOKEN_MAX: usize = 128;
/// An exponent of a larger size makes a number hard: with it and [`TOKEN_MAX`] nothing that is
/// spelled overflows.
const EXPONENT_MAX: i32 = 99;
/// More significant digits may not fit.
const DIGITS_MAX: u32 = 19;
/// Bits of a double's mantissa that are written down.
const MANTISSA_BITS: u32 = 52;

/// `mantissa * 10^exponent`, negative or not.
#[derive(Clone, Copy, Debug)]
pub(super) struct Number {
    /// Its significant digits, where they are not too many.
    mantissa: u64,
    exponent: i32,
    is_negative: bool,
    /// Neither a point nor an exponent.
    is_whole: bool,
    is_long: bool,
}

#[inline]
pub(super) fn byte_at(bytes: &[u8], at: usize) -> u8 {
    // No JSON has a NUL, so that it can stand for the end.
    bytes.get(at).copied().unwrap_or(0)
}

/// The number that begins at `at`, and where it ends; what follows it is not looked at.
pub(super) fn scan(bytes: &[u8], start: usize) -> Option<(Number, usize)> {
    let mut at = start;
    let is_negative = byte_at(bytes, at) == b'-';
    at += usize::from(is_negative);
    let mut number =
        Number { mantissa: 0, exponent: 0, is_negative, is_whole: true, is_long: false };
    let mut digits = 0;
    let first = at;
    at = take_digits(bytes, at, &mut number, &mut digits);
    if at == first || (at > first + 1 && bytes[first] == b'0') {
        return None;
    }
    if byte_at(bytes, at) == b'.' {
        let point = at + 1;
        at = take_digits(bytes, point, &mut number, &mut digits);
        if at == point || at - start > TOKEN_MAX {
            return None;
        }
        number.is_whole = false;
        number.exponent = -((at - point) as i32);
    }
    if byte_at(bytes, at) | 0x20 == b'e' {
        let (exponent, end) = take_exponent(bytes, at + 1)?;
        at = end;
        number.is_whole = false;
        number.exponent += exponent;
    }
    (at - start <= TOKEN_MAX).then_some((number, at))
}

fn take_digits(bytes: &[u8], mut at: usize, number: &mut Number, digits: &mut u32) -> usize {
    loop {
        let digit = byte_at(bytes, at).wrapping_sub(b'0');
        if digit > 9 {
            return at;
        }
        // Zeros in front do not count.
        *digits += u32::from(*digits > 0 || digit > 0);
        if *digits > DIGITS_MAX {
            number.is_long = true;
        } else {
            number.mantissa = number.mantissa * 10 + u64::from(digit);
        }
        at += 1;
    }
}

fn take_exponent(bytes: &[u8], mut at: usize) -> Option<(i32, usize)> {
    let sign = byte_at(bytes, at);
    at += usize::from(sign == b'-' || sign == b'+');
    let first = at;
    let mut exponent = 0;
    loop {
        let digit = byte_at(bytes, at).wrapping_sub(b'0');
        if digit > 9 {
            break;
        }
        exponent = exponent * 10 + i32::from(digit);
        if exponent > EXPONENT_MAX {
            return None;
        }
        at += 1;
    }
    if at == first {
        return None;
    }
    Some((if sign == b'-' { -exponent } else { exponent }, at))
}

impl Number {
    /// Whether it is spelled without point and exponent.
    pub fn is_whole(self) -> bool {
        self.is_whole
    }

    /// The integer of a whole number.
    pub fn integer(self) -> Option<i64> {
        if self.is_long || self.mantissa > i64::MAX as u64 {
            return None;
        }
        let size = self.mantissa as i64;
        Some(if self.is_negative { -size } else { size })
    }

    /// The double that is nearest, where its digits fit and the power is one of those at hand.
    ///
    /// The upper 128 bits of the product of the digits and the power of five, of which the upper 64
    /// decide unless bits below could carry into them (D. Lemire, "Number parsing at a gigabyte per
    /// second", 2021). For these powers, from -27 to 55, that always gives the nearest double; none
    /// of them is subnormal or infinite.
    pub fn double(self) -> Option<f64> {
        if self.is_long || !(POWER_MIN..=POWER_MAX).contains(&self.exponent) {
            return None;
        }
        let sign = u64::from(self.is_negative) << 63;
        if self.mantissa == 0 {
            return Some(f64::from_bits(sign));
        }
        let shift = self.mantissa.leading_zeros();
        let digits = self.mantissa << shift;
        let [high, low] = POWERS[(self.exponent - POWER_MIN) as usize];
        let (mut below, mut upper) = multiply(digits, high);
        // Bits that are cut off: where all of them are set, those below may carry.
        let cut = u64::MAX >> (MANTISSA_BITS + 3);
        if upper & cut == cut {
            let (_, carried) = multiply(digits, low);
            below = below.wrapping_add(carried);
            upper += u64::from(below < carried);
        }
        let top = (upper >> 63) as u32;
        let cut_bits = top + 64 - MANTISSA_BITS - 3;
        let mut mantissa = upper >> cut_bits;
        // Half way between two doubles, which only few powers can be: to the even one.
        let may_be_half = below <= 1 && (-4..=23).contains(&self.exponent);
        if may_be_half && mantissa & 3 == 1 && mantissa << cut_bits == upper {
            mantissa &= !1;
        }
        mantissa = (mantissa + (mantissa & 1)) >> 1;
        // The exponent of two of 10^q is that of 5^q, q log2(5) rounded down, and q.
        let two = ((self.exponent * 217_706) >> 16) + 63 + 1023;
        let two = (two + top as i32 - shift as i32) as u64;
        // Rounded up to the next power of two, a mantissa carries into the exponent by itself.
        let bits = (two << MANTISSA_BITS) + (mantissa - (1 << MANTISSA_BITS));
        Some(f64::from_bits(bits | sign))
    }
}

fn multiply(a: u64, b: u64) -> (u64, u64) {
    let product = u128::from(a) * u128::from(b);
    (product as u64, (product >> 64) as u64)
}
