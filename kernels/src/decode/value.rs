//! One value into the columns it fills, where it is plain for all of them.
//!
//! What a value becomes is what the decoder of the stream makes of it: the same operations in the
//! same order.

use super::digest::{BLOCK_BYTES, digest};
use super::number;
use super::table::{Table, TargetEntry, meaning};
use super::text::{canonical_integer, time_ms};
use super::{Decoded, TargetKind};
use crate::hash;

/// One value of a record.
#[derive(Clone, Copy, Debug)]
pub(super) enum Value<'a> {
    Missing,
    Bool(bool),
    Whole(i64),
    /// Any other number; never negative zero.
    Decimal(f64),
    /// UTF-8.
    Text(&'a [u8]),
}

/// Sets the targets of a field; `None` where the value is not plain for one of them.
pub(super) fn store(
    table: &Table,
    (out, row): (&mut Decoded<'_>, usize),
    targets: &[TargetEntry],
    value: Value<'_>,
    span: [u32; 2],
) -> Option<()> {
    for target in targets {
        let at = target.column as usize * out.stride + row;
        match target.kind {
            TargetKind::ID => out.ids[row] = identity(value)?,
            TargetKind::NUMBER => {
                let x = number_of(value)?;
                out.numbers[at] = if x.is_finite() { x + 0.0 } else { f32::NAN };
            }
            TargetKind::CATEGORY => out.categories[at] = category(value),
            TargetKind::LABEL => out.labels[row] = label(table, value)?,
            TargetKind::TEXT => out.texts[at] = span,
            unit => out.times_ms[row] = time(value, unit)?,
        }
    }
    Some(())
}

/// The double that a text spells, spelled as JSON has it.
fn spelled(text: &[u8]) -> Option<f64> {
    let (number, end) = number::scan(text, 0)?;
    if end != text.len() { None } else { number.double() }
}

fn without_spaces(text: &[u8]) -> &[u8] {
    let (mut from, mut to) = (0, text.len());
    while from < to && text[from] == b' ' {
        from += 1;
    }
    while from < to && text[to - 1] == b' ' {
        to -= 1;
    }
    &text[from..to]
}

fn number_of(value: Value<'_>) -> Option<f32> {
    match value {
        Value::Missing => Some(f32::NAN),
        Value::Bool(is) => Some(f32::from(u8::from(is))),
        Value::Whole(i) => Some(i as f32),
        Value::Decimal(x) => Some(x as f32),
        Value::Text(text) => {
            let text = without_spaces(text);
            if text.is_empty() { Some(f32::NAN) } else { spelled(text).map(|x| x as f32) }
        }
    }
}

const FLOAT_SALT: u64 = 0x666c_6f61_7400_0001;
const TEXT_SALT: u64 = 0x7465_7874_0000_0001;

fn nonzero(code: u64) -> u64 {
    if code == 0 { u64::MAX } else { code }
}

fn integer_code(i: i64) -> u64 {
    nonzero(hash::mix64(i.cast_unsigned()))
}

fn text_code(text: &[u8]) -> u64 {
    nonzero(hash::mix64(hash::hash_bytes(text) ^ TEXT_SALT))
}

/// The categories of false and true.
pub(super) fn truth_codes() -> [u64; 2] {
    [text_code(b"false"), text_code(b"true")]
}

fn category(value: Value<'_>) -> u64 {
    match value {
        Value::Missing | Value::Text(b"") => 0,
        Value::Bool(is) => text_code(if is { b"true" } else { b"false" }),
        Value::Whole(i) => integer_code(i),
        Value::Decimal(x) => match whole(x) {
            Some(i) => integer_code(i),
            None => nonzero(hash::mix64(x.to_bits() ^ FLOAT_SALT)),
        },
        Value::Text(text) => match canonical_integer(text) {
            Some(i) => integer_code(i),
            None => text_code(text),
        },
    }
}

/// The integer a double stands for exactly, if it does.
fn whole(x: f64) -> Option<i64> {
    (x == x.trunc() && x.abs() < 9.0e15).then_some(x as i64)
}

/// The longest text that is an identity by itself; others are known by 120 bits of their digests.
const ID_BYTES_MAX: usize = 14;

fn identity(value: Value<'_>) -> Option<u128> {
    let integer = match value {
        Value::Missing | Value::Bool(_) => return None,
        Value::Whole(i) => i,
        Value::Decimal(x) => whole(x)?,
        Value::Text(text) => match canonical_integer(text) {
            Some(i) => i,
            None => return text_identity(text),
        },
    };
    Some((1 << 120) | u128::from(integer.cast_unsigned()))
}

fn text_identity(text: &[u8]) -> Option<u128> {
    if text.is_empty() || text.len() > BLOCK_BYTES {
        return None;
    }
    if text.len() > ID_BYTES_MAX {
        return Some(digest(text) | 255 << 120);
    }
    let bytes = text.iter().enumerate();
    let id = bytes.fold(0, |id, (at, &byte)| id | u128::from(byte) << (8 * at));
    Some(id | (2 + text.len() as u128) << 120)
}

/// Times outside the years 1 to 9999 are refused.
const TIMES_MS: std::ops::RangeInclusive<i64> = -62_135_596_800_000..=253_402_300_799_999;

fn float_ms(x: f64) -> Option<i64> {
    (x.abs() < 1e15).then(|| x.floor() as i64)
}

fn time(value: Value<'_>, unit: u32) -> Option<i64> {
    let value = match value {
        Value::Text(text) if unit == TargetKind::RFC3339 => return time_ms(text),
        Value::Text(text) => match canonical_integer(text) {
            Some(i) => Value::Whole(i),
            None => Value::Decimal(spelled(text)?),
        },
        other => other,
    };
    let ms = match (value, unit) {
        (Value::Whole(i), TargetKind::SECONDS) => i.checked_mul(1000)?,
        (Value::Whole(i), TargetKind::MILLISECONDS) => i,
        (Value::Whole(i), TargetKind::MICROSECONDS) => i.div_euclid(1000),
        (Value::Whole(i), TargetKind::NANOSECONDS) => i.div_euclid(1_000_000),
        (Value::Decimal(x), TargetKind::SECONDS) => float_ms(x * 1000.0)?,
        (Value::Decimal(x), TargetKind::MILLISECONDS) => float_ms(x)?,
        (Value::Decimal(x), TargetKind::MICROSECONDS) => float_ms(x / 1e3)?,
        (Value::Decimal(x), TargetKind::NANOSECONDS) => float_ms(x / 1e6)?,
        _ => return None,
    };
    Some(ms).filter(|ms| TIMES_MS.contains(ms))
}

fn label(table: &Table, value: Value<'_>) -> Option<f32> {
    if let Value::Missing = value {
        return Some(f32::NAN);
    }
    match table.meaning {
        meaning::BINARY => match value {
            Value::Bool(is) => Some(f32::from(u8::from(is))),
            Value::Whole(0) | Value::Text(b"0" | b"false") => Some(0.0),
            Value::Whole(1) | Value::Text(b"1" | b"true") => Some(1.0),
            Value::Decimal(x) if x == 0.0 || x == 1.0 => Some(x as f32),
            _ => None,
        },
        meaning::CLASSES => class(table, value),
        _ => number_of(value).filter(|x| x.is_finite()),
    }
}

/// The index of the class of that name.
fn class(table: &Table, value: Value<'_>) -> Option<f32> {
    let (integer, text) = match value {
        Value::Missing => return None,
        Value::Bool(is) => (None, if is { &b"true"[..] } else { b"false" }),
        Value::Whole(i) => (Some(i), &b""[..]),
        Value::Decimal(x) if x == x.trunc() && x.abs() < 1e15 => (Some(x as i64), &b""[..]),
        Value::Decimal(_) => return None,
        Value::Text(text) => (None, text),
    };
    let is_it = |class: &super::table::ClassEntry| match integer {
        Some(i) => class.is_integer != 0 && class.integer == i,
        None => table.text(class.at, class.length) == text,
    };
    table.classes.iter().position(is_it).map(|index| index as f32)
}
