//! Numbers as JSON spells them, and their exact doubles.

/// A longer number is hard.
const TOKEN_MAX: usize = 128;
/// An exponent of a larger size makes a number hard: with it and [`TOKEN_MAX`] nothing that is
/// spelled overflows.
const EXPONENT_MAX: i32 = 99;
/// More significant digits may not fit.
const DIGITS_MAX: u32 = 19;
/// Whole numbers up to here are doubles.
const EXACT_MAX: u64 = 1 << 53;

/// Powers of ten that are doubles.
const POWERS: [f64; 23] = [
    1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16,
    1e17, 1e18, 1e19, 1e20, 1e21, 1e22,
];

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

    /// The double that is nearest, where one operation finds it.
    pub fn double(self) -> Option<f64> {
        if self.is_long || self.mantissa > EXACT_MAX {
            return None;
        }
        let power = *POWERS.get(self.exponent.unsigned_abs() as usize)?;
        let size = self.mantissa as f64;
        let size = if self.exponent < 0 { size / power } else { size * power };
        Some(if self.is_negative { -size } else { size })
    }
}
