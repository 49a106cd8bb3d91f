//! The columns of an event, fixed for a run: which named values are read from a record, and what
//! each of them becomes.
//!
//! A record is a set of named scalars. Every name that the configuration mentions is a [`Field`];
//! a field fills one or more columns of a [`Slot`](crate::ring::Slot) ([`Target`]): the amount of a
//! payment may be a number to the model and a text to repeat in the score record. Names that the
//! configuration does not mention are skipped without being decoded.

use std::ops::RangeInclusive;

pub use pelton_kernels::decode::{LabelMeaning, Target, TimeUnit};
use pelton_kernels::hash;

/// One scalar as a record spells it, borrowed from the record.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Scalar<'a> {
    /// Absent or null: a missing value.
    Null,
    /// A truth value; as a number 0 or 1.
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// Any other number.
    Float(f64),
    /// A text.
    Text(&'a str),
}

/// Where in a record a field is found.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Place {
    /// In the body, by name; dots step into nested objects (`card.country`).
    Body(String),
    /// The key of a Kafka message, as text.
    Key,
    /// A header of a Kafka message, as text.
    Header(String),
}

/// One named value that is read from every record.
#[derive(Clone, Debug, PartialEq)]
pub struct Field {
    /// Where it is found.
    pub place: Place,
    /// The columns it fills.
    pub targets: Vec<Target>,
}

impl Place {
    /// The place as errors and dead letters show it, and the name of its column in a recording.
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            Place::Body(path) => path,
            Place::Key => "key",
            Place::Header(name) => name,
        }
    }
}

impl Field {
    /// The field's name as errors and dead letters show it.
    #[must_use]
    pub fn name(&self) -> &str {
        self.place.name()
    }
}

/// Where an event's time comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TimeFrom {
    /// A field of the record (the one with [`Target::Time`]).
    Field,
    /// The record's position: row `i` happens at `i * step_ms` (a recording without times).
    Row {
        /// Milliseconds between two rows.
        step_ms: i64,
    },
    /// The timestamp of the Kafka message.
    Message,
}

/// The columns of an event.
#[derive(Clone, Debug, PartialEq)]
pub struct Schema {
    /// Every field that is read.
    pub fields: Vec<Field>,
    /// Names of the number columns.
    pub numbers: Vec<String>,
    /// Names of the category columns.
    pub categories: Vec<String>,
    /// Names of the text columns; when scores are written, the first one is the id.
    pub texts: Vec<String>,
    /// Where the time comes from.
    pub time: TimeFrom,
    /// Whether a record must carry an id; otherwise its position serves as one.
    pub has_id: bool,
    /// What labels mean.
    pub label: LabelMeaning,
    /// Whether the original bytes of a row are kept beside it for the dead-letter sink.
    pub keeps_raw: bool,
    /// Whether the original bytes of labels are kept, to be put aside one day.
    pub keeps_labels: bool,
}

impl Schema {
    /// The index of the number column of that name.
    #[must_use]
    pub fn number(&self, name: &str) -> Option<usize> {
        self.numbers.iter().position(|n| n == name)
    }

    /// The index of the category column of that name.
    #[must_use]
    pub fn category(&self, name: &str) -> Option<usize> {
        self.categories.iter().position(|n| n == name)
    }
}

/// A label as the model learns it; `None` when the scalar has no meaning as a label.
#[must_use]
pub fn label(value: Scalar<'_>, meaning: &LabelMeaning) -> Option<f32> {
    match meaning {
        LabelMeaning::Binary => match value {
            Scalar::Bool(b) => Some(f32::from(u8::from(b))),
            Scalar::Int(0) | Scalar::Text("0" | "false") => Some(0.0),
            Scalar::Int(1) | Scalar::Text("1" | "true") => Some(1.0),
            Scalar::Float(x) if x == 0.0 || x == 1.0 => Some(x as f32),
            _ => None,
        },
        LabelMeaning::Classes(classes) => {
            let index = match value {
                Scalar::Text(text) => classes.iter().position(|c| c == text),
                Scalar::Int(i) => classes.iter().position(|c| *c == i.to_string()),
                Scalar::Bool(b) => classes.iter().position(|c| *c == b.to_string()),
                Scalar::Float(x) if x.fract() == 0.0 && x.abs() < 1e15 => {
                    classes.iter().position(|c| *c == (x as i64).to_string())
                }
                _ => None,
            };
            index.map(|i| i as f32)
        }
        LabelMeaning::Number => number(value).filter(|x| x.is_finite()),
    }
}

/// A scalar as a number: `None` when it is not one, NaN when it is missing.
#[must_use]
pub fn number(value: Scalar<'_>) -> Option<f32> {
    match value {
        Scalar::Null => Some(f32::NAN),
        Scalar::Bool(b) => Some(f32::from(u8::from(b))),
        Scalar::Int(i) => Some(i as f32),
        Scalar::Float(x) => Some(x as f32),
        Scalar::Text(text) if text.trim().is_empty() => Some(f32::NAN),
        Scalar::Text(text) => text.trim().parse::<f64>().ok().map(|x| x as f32),
    }
}

/// A scalar as a category code: equal values have equal codes whatever the source, 0 is missing.
///
/// A text that is the canonical decimal form of a 64-bit integer has that integer's code, and a
/// float without a fraction too, so that a key is the same in Parquet, CSV and JSON. Integers
/// never collide; texts are hashed to 64 bits (two of n texts collide with probability n^2 / 2^65).
#[must_use]
pub fn category(value: Scalar<'_>) -> u64 {
    match value {
        Scalar::Null | Scalar::Text("") => 0,
        Scalar::Bool(b) => text_code(if b { "true" } else { "false" }),
        Scalar::Int(i) => integer_code(i),
        Scalar::Float(x) if x.is_nan() => 0,
        Scalar::Float(x) => match whole(x) {
            Some(i) => integer_code(i),
            None => nonzero(hash::mix64(x.to_bits() ^ FLOAT_SALT)),
        },
        Scalar::Text(text) => match canonical_integer(text.as_bytes()) {
            Some(i) => integer_code(i),
            None => text_code(text),
        },
    }
}

/// An event's identity: integers and texts of up to 14 bytes exactly, longer texts by 120 bits of
/// their BLAKE3 digest. `None` for a scalar that identifies nothing.
#[must_use]
pub fn identity(value: Scalar<'_>) -> Option<u128> {
    match value {
        Scalar::Int(i) => Some(integer_identity(i)),
        Scalar::Float(x) => whole(x).map(integer_identity),
        Scalar::Text("") | Scalar::Null | Scalar::Bool(_) => None,
        Scalar::Text(text) => Some(match canonical_integer(text.as_bytes()) {
            Some(i) => integer_identity(i),
            None => text_identity(text.as_bytes()),
        }),
    }
}

/// The integer's own 64 bits under tag 1.
fn integer_identity(i: i64) -> u128 {
    (1 << 120) | u128::from(i.cast_unsigned())
}

/// Tag 2 + length for texts that fit, tag 255 for digests.
fn text_identity(text: &[u8]) -> u128 {
    let mut bytes = [0_u8; 16];
    if text.len() <= 14 {
        bytes[..text.len()].copy_from_slice(text);
        bytes[15] = 2 + text.len() as u8;
    } else {
        bytes[..15].copy_from_slice(&blake3::hash(text).as_bytes()[..15]);
        bytes[15] = 255;
    }
    u128::from_le_bytes(bytes)
}

const FLOAT_SALT: u64 = 0x666c_6f61_7400_0001;
const TEXT_SALT: u64 = 0x7465_7874_0000_0001;

/// `mix64` is a bijection, so two integers never share a code; the one that lands on 0 is moved.
fn integer_code(i: i64) -> u64 {
    nonzero(hash::mix64(i.cast_unsigned()))
}

fn text_code(text: &str) -> u64 {
    nonzero(hash::mix64(hash::hash_bytes(text.as_bytes()) ^ TEXT_SALT))
}

fn nonzero(code: u64) -> u64 {
    if code == 0 { u64::MAX } else { code }
}

/// The integer a float stands for exactly, if it does.
fn whole(x: f64) -> Option<i64> {
    (x.fract() == 0.0 && x.abs() < 9.0e15).then_some(x as i64)
}

/// The integer that `text` spells in the one form `Display` would print it.
#[must_use]
pub fn canonical_integer(text: &[u8]) -> Option<i64> {
    let (negative, digits) = match text {
        [b'-', rest @ ..] => (true, rest),
        _ => (false, text),
    };
    let leading = *digits.first()?;
    if digits.len() > 19 || (leading == b'0' && (digits.len() > 1 || negative)) {
        return None;
    }
    let mut magnitude: u64 = 0;
    for &digit in digits {
        if !digit.is_ascii_digit() {
            return None;
        }
        magnitude = magnitude.checked_mul(10)?.checked_add(u64::from(digit - b'0'))?;
    }
    if negative { 0_i64.checked_sub_unsigned(magnitude) } else { i64::try_from(magnitude).ok() }
}

/// A scalar as milliseconds since the epoch; `None` when it is no time in that unit.
#[must_use]
pub fn time_ms(value: Scalar<'_>, unit: TimeUnit) -> Option<i64> {
    let value = match value {
        Scalar::Text(text) if unit == TimeUnit::Rfc3339 => {
            return text_time_ms(text).filter(|ms| TIMES_MS.contains(ms));
        }
        Scalar::Text(text) => match canonical_integer(text.as_bytes()) {
            Some(i) => Scalar::Int(i),
            None => Scalar::Float(text.parse().ok()?),
        },
        other => other,
    };
    let ms = match (value, unit) {
        (Scalar::Int(i), TimeUnit::Seconds) => i.checked_mul(1000)?,
        (Scalar::Int(i), TimeUnit::Milliseconds) => i,
        (Scalar::Int(i), TimeUnit::Microseconds) => i.div_euclid(1000),
        (Scalar::Int(i), TimeUnit::Nanoseconds) => i.div_euclid(1_000_000),
        (Scalar::Float(x), TimeUnit::Seconds) => float_ms(x * 1000.0)?,
        (Scalar::Float(x), TimeUnit::Milliseconds) => float_ms(x)?,
        (Scalar::Float(x), TimeUnit::Microseconds) => float_ms(x / 1e3)?,
        (Scalar::Float(x), TimeUnit::Nanoseconds) => float_ms(x / 1e6)?,
        _ => return None,
    };
    Some(ms).filter(|ms| TIMES_MS.contains(ms))
}

/// Times outside the years 1 to 9999 are refused: sums with any width stay far from overflow.
const TIMES_MS: RangeInclusive<i64> = -62_135_596_800_000..=253_402_300_799_999;

fn float_ms(x: f64) -> Option<i64> {
    (x.is_finite() && x.abs() < 1e15).then(|| x.floor() as i64)
}

fn text_time_ms(text: &str) -> Option<i64> {
    if let Ok(timestamp) = text.parse::<jiff::Timestamp>() {
        return Some(timestamp.as_millisecond());
    }
    let civil: jiff::civil::DateTime = text.parse().ok()?;
    let zoned = civil.to_zoned(jiff::tz::TimeZone::UTC).ok()?;
    Some(zoned.timestamp().as_millisecond())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_has_one_code_in_every_spelling() {
        for i in [0_i64, 7, -12, i64::MAX, i64::MIN] {
            assert_eq!(category(Scalar::Int(i)), category(Scalar::Text(&i.to_string())));
            assert_eq!(identity(Scalar::Int(i)), identity(Scalar::Text(&i.to_string())));
        }
        assert_eq!(category(Scalar::Float(7.0)), category(Scalar::Int(7)));
        assert_ne!(category(Scalar::Text("07")), category(Scalar::Int(7)));
        assert_ne!(category(Scalar::Text("-0")), category(Scalar::Int(0)));
        assert_eq!(category(Scalar::Text("")), 0);
    }

    #[test]
    fn identities_of_texts_differ_by_length_and_content() {
        let texts = ["a", "a\0", "aa", "fourteen-bytes", "fifteen-bytes..", "fifteen-bytes.!"];
        let ids: std::collections::BTreeSet<_> =
            texts.iter().map(|t| identity(Scalar::Text(t))).collect();
        assert_eq!(ids.len(), texts.len());
    }

    #[test]
    fn times_in_every_unit() {
        let expected = Some(1_522_540_831_000);
        assert_eq!(time_ms(Scalar::Int(1_522_540_831), TimeUnit::Seconds), expected);
        assert_eq!(time_ms(Scalar::Int(1_522_540_831_000_999), TimeUnit::Microseconds), expected);
        assert_eq!(time_ms(Scalar::Text("2018-04-01T00:00:31Z"), TimeUnit::Rfc3339), expected);
        assert_eq!(time_ms(Scalar::Text("2018-04-01 00:00:31"), TimeUnit::Rfc3339), expected);
        assert_eq!(time_ms(Scalar::Text("1522540831000"), TimeUnit::Milliseconds), expected);
        assert_eq!(time_ms(Scalar::Float(f64::NAN), TimeUnit::Seconds), None);
        assert_eq!(time_ms(Scalar::Int(i64::MAX), TimeUnit::Milliseconds), None);
        assert_eq!(time_ms(Scalar::Text("-009999-01-01T00:00:00Z"), TimeUnit::Rfc3339), None);
    }

    #[test]
    fn labels_mean_what_the_task_says() {
        assert_eq!(label(Scalar::Text("true"), &LabelMeaning::Binary), Some(1.0));
        assert_eq!(label(Scalar::Int(2), &LabelMeaning::Binary), None);
        let classes = LabelMeaning::Classes(vec!["0".into(), "b".into()]);
        assert_eq!(label(Scalar::Int(0), &classes), Some(0.0));
        assert_eq!(label(Scalar::Text("b"), &classes), Some(1.0));
        assert_eq!(label(Scalar::Text("c"), &classes), None);
        assert_eq!(label(Scalar::Null, &LabelMeaning::Number), None);
    }
}
