//! Numbers, texts and times against the standard library and plain counting.

use proptest::prelude::*;

use super::super::number::scan;
use super::super::text::{canonical_integer, character_bytes, time_ms};
use crate::cases::Draw;

/// What a whole text is as a number, if it is plain: an integer and a double.
fn scanned(text: &str) -> Option<(Option<i64>, Option<f64>)> {
    let (number, end) = scan(text.as_bytes(), 0)?;
    (end == text.len()).then(|| (number.integer().filter(|_| number.is_whole()), number.double()))
}

/// A plain number has the bits of the standard library; whether it has a double.
fn agrees(text: &str) -> bool {
    let Some((integer, double)) = scanned(text) else { return false };
    if let Some(integer) = integer {
        assert_eq!(text.parse().ok(), Some(integer), "{text}");
    }
    if let Some(double) = double {
        let expected: f64 = text.parse().expect("JSON's numbers are Rust's");
        assert_eq!(double.to_bits(), expected.to_bits(), "{text}");
    }
    double.is_some()
}

#[test]
fn numbers_as_people_write_them_are_plain() {
    for cents in 0..20_000_u64 {
        for cents in [cents, cents * 1_000_003] {
            assert!(agrees(&format!("{}.{:02}", cents / 100, cents % 100)));
        }
    }
    for text in ["0", "-0", "0.0", "-0.0", "0e9", "1E5", "1e+5", "25e-3", "9007199254740992"] {
        assert!(agrees(text), "{text}");
    }
    assert_eq!(scanned("-9223372036854775807").and_then(|n| n.0), Some(-i64::MAX));
    assert_eq!(scanned("9223372036854775808").and_then(|n| n.0), None);
    assert_eq!(scanned("99999999999999999999").and_then(|n| n.0), None);
}

/// Half way between two doubles, and as near to it as digits go.
#[test]
fn ties_go_to_the_even_double() {
    let mut draw = Draw::new(3);
    for _ in 0..40_000 {
        // Odd numbers of 54 bits times a power of two, as they are and around.
        let odd = 1 << 53 | draw.bits() >> 11 | 1;
        let whole = odd << (draw.bits() % 10);
        for near in [whole - 1, whole, whole + 1] {
            assert!(agrees(&near.to_string()), "{near}");
            // As tenths to ten-thousandths of ten to ten thousand times as much.
            for power in 1..=4 {
                if let Some(digits) = (odd + near - whole).checked_mul(10_u64.pow(power)) {
                    let is_short = digits < 10_u64.pow(19);
                    assert_eq!(agrees(&format!("{digits}e-{power}")), is_short);
                }
            }
        }
        // Times five to the power, 54 bits and odd.
        let power = (draw.bits() % 23) as u32 + 1;
        let five = 5_u64.pow(power);
        let digits = ((1 << 53 | draw.bits() >> 11) / five) | 1;
        for near in [digits.saturating_sub(1), digits, digits + 1] {
            assert!(agrees(&format!("{near}e{power}")), "{near}e{power}");
        }
    }
}

#[test]
fn digits_and_powers_of_every_size() {
    let mut draw = Draw::new(4);
    for power in -27..=55 {
        for _ in 0..2000 {
            let digits = (draw.bits() >> (draw.bits() % 64)) % 10_000_000_000_000_000_000;
            assert!(agrees(&format!("{digits}e{power}")), "{digits}e{power}");
        }
        for digits in [0_u64, 1, 5, 9_999_999_999_999_999_999, 1 << 63, (1 << 53) + 1] {
            assert!(agrees(&format!("-{digits}e{power}")), "{digits}e{power}");
        }
    }
    assert!(!agrees("1e56") && !agrees("1e-28") && !agrees("12345678901234567890"));
}

#[test]
fn what_is_no_number_is_none() {
    for text in [
        "", "-", "+1", "01", "-01", "00", ".5", "1.", "1.e5", "1e", "1e+", "1e-", "--1", "0x1",
        "inf", "nan", "NaN", "Infinity", "1e100", "1e-100", "e5", "1 ", " 1", "1,0", "1_0", "１",
    ] {
        assert_eq!(scanned(text), None, "{text}");
    }
    assert!(scanned(&"1".repeat(128)).is_some() && scanned(&"1".repeat(129)).is_none());
    let long = format!("0.{}", "0".repeat(127));
    assert_eq!(scanned(&long), None);
}

proptest! {
    #[test]
    fn numbers_in_every_spelling(
        text in "-?(0|[1-9][0-9]{0,20})(\\.[0-9]{1,22})?([eE][+-]?[0-9]{1,3})?",
    ) {
        agrees(&text);
    }

    #[test]
    fn near_numbers_are_numbers_or_none(text in "[-+.eE0-9]{0,12}") {
        if text.parse::<f64>().is_err() {
            prop_assert_eq!(scanned(&text), None);
        }
        agrees(&text);
    }

    #[test]
    fn doubles_and_halves_between_them(bits: u64, digits in 1..25_usize) {
        let x = f64::from_bits(bits);
        if x.is_finite() {
            agrees(&format!("{x:e}"));
            agrees(&format!("{x:.digits$e}"));
            let near = (x.abs() % 1e16) / 1e4;
            agrees(&format!("{near}"));
            agrees(&format!("{near:.digits$}"));
        }
    }

    #[test]
    fn characters_are_those_of_utf8(bytes in prop::collection::vec(
        prop::sample::select(vec![
            0x00, 0x41, 0x7f, 0x80, 0x8f, 0x90, 0x9f, 0xa0, 0xbf, 0xc0, 0xc1, 0xc2, 0xdf, 0xe0,
            0xe1, 0xec, 0xed, 0xee, 0xef, 0xf0, 0xf1, 0xf3, 0xf4, 0xf5, 0xff_u8,
        ]), 0..7,
    )) {
        let mut at = 0;
        while at < bytes.len() {
            match character_bytes(&bytes, at) {
                0 => break,
                count => at += count,
            }
        }
        let valid = match std::str::from_utf8(&bytes) {
            Ok(_) => bytes.len(),
            Err(error) => error.valid_up_to(),
        };
        prop_assert_eq!(at, valid);
    }

    #[test]
    fn canonical_integers_are_printed_ones(text in "-?[0-9]{0,20}|[-0-9a]{0,5}") {
        let expected = text.parse::<i64>().ok().filter(|i| i.to_string() == text);
        prop_assert_eq!(canonical_integer(text.as_bytes()), expected);
    }

    #[test]
    fn integers_are_canonical(integer: i64) {
        prop_assert_eq!(canonical_integer(integer.to_string().as_bytes()), Some(integer));
    }
}

#[test]
fn days_are_counted_one_by_one() {
    // 0001-01-01 is 719162 days before the epoch.
    let mut expected_ms = -719_162 * 86_400_000;
    for year in 1..=9998 {
        let is_leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
        let february = if is_leap { 29 } else { 28 };
        for (month, days) in (1..).zip([31, february, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31]) {
            for day in 1..=days {
                // Every day of some years, the ends of months of all.
                if year % 97 == 0 || day == 1 || day == days {
                    let text = format!("{year:04}-{month:02}-{day:02}T01:02:03");
                    let clock = 3_723_000;
                    assert_eq!(time_ms(text.as_bytes()), Some(expected_ms + clock), "{text}");
                }
                expected_ms += 86_400_000;
            }
            let text = format!("{year:04}-{month:02}-{:02}T01:02:03", days + 1);
            assert_eq!(time_ms(text.as_bytes()), None, "{text}");
        }
    }
}

#[test]
fn times_in_their_forms_and_in_no_other() {
    let at = |text: &str| time_ms(text.as_bytes());
    assert_eq!(at("1970-01-01T00:00:00Z"), Some(0));
    assert_eq!(at("2018-04-01T00:00:31Z"), Some(1_522_540_831_000));
    assert_eq!(at("2018-04-01 00:00:31"), Some(1_522_540_831_000));
    assert_eq!(at("2018-04-01T00:00:31.25Z"), Some(1_522_540_831_250));
    assert_eq!(at("2018-04-01T23:59:59.999999999"), Some(1_522_627_199_999));
    assert_eq!(at("1969-12-31T23:59:59"), Some(-1000));
    for text in [
        "",
        "2018-04-01",
        "2018-04-01T00:00",
        "2018-04-01T00:00:31.",
        "2018-04-01T00:00:31.Z",
        "2018-04-01T00:00:31.0123456789Z",
        "2018-04-01T00:00:31+02:00",
        "2018-04-01t00:00:31Z",
        "2018-04-01T00:00:31z",
        "2018-04-01T24:00:00Z",
        "2018-04-01T00:60:00Z",
        "2018-04-01T00:00:60Z",
        "2018-00-01T00:00:00Z",
        "2018-13-01T00:00:00Z",
        "0000-01-01T00:00:00Z",
        "9999-01-01T00:00:00Z",
        "1969-12-31T23:59:59.5Z",
        "2018-04-01T00:00:31ZZ",
        " 2018-04-01T00:00:31Z",
        "2018-04-01T00:00:31 Z",
        "2018-04-0xT00:00:31Z",
        "+2018-04-01T00:00:31",
        "２018-04-01T00:00:31",
    ] {
        assert_eq!(at(text), None, "{text}");
    }
}
