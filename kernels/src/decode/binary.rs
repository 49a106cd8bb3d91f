//! One binary record into a row.

use super::Decoded;
use super::table::{Entry, Table, kind};
use super::text::character_bytes;
use super::value::{Value, store};

/// Reads a record; the fields that were seen, which are all, or `None` where it is not plain.
pub(super) fn read(
    table: &Table,
    record: &[u8],
    out: &mut Decoded<'_>,
    row: usize,
) -> Option<u128> {
    if record.len() != table.record_bytes as usize {
        return None;
    }
    let mut seen: u128 = 0;
    for (index, entry) in table.entries.iter().enumerate() {
        let value = read_value(entry, record)?;
        seen |= 1 << index;
        let span = [entry.at, entry.length];
        store(table, (out, row), table.targets_of(entry), value, span)?;
    }
    Some(seen)
}

fn read_value<'a>(entry: &Entry, record: &'a [u8]) -> Option<Value<'a>> {
    let bytes = &record[entry.at as usize..][..entry.length as usize];
    if entry.kind == kind::TEXT {
        return text(bytes);
    }
    let bits = bytes.iter().rev().fold(0, |bits: u64, &byte| bits << 8 | u64::from(byte));
    if entry.kind & kind::CAN_MISS != 0 && bits == entry.word {
        return Some(Value::Missing);
    }
    match entry.kind & !kind::CAN_MISS {
        kind::F32 => Some(decimal(f64::from(f32::from_bits(bits as u32)))),
        kind::F64 => Some(decimal(f64::from_bits(bits))),
        kind::I32 => Some(Value::Whole(i64::from(bits as u32 as i32))),
        kind::U64 if bits > i64::MAX as u64 => None,
        _ => Some(Value::Whole(bits as i64)),
    }
}

fn decimal<'a>(x: f64) -> Value<'a> {
    // Adding zero makes zero of negative zero.
    if x.is_nan() { Value::Missing } else { Value::Decimal(x + 0.0) }
}

fn text(bytes: &[u8]) -> Option<Value<'_>> {
    let mut end = 0;
    while end < bytes.len() && bytes[end] != 0 {
        match character_bytes(bytes, end) {
            0 => return None,
            count => end += count,
        }
    }
    if bytes[end..].iter().any(|&byte| byte != 0) {
        return None;
    }
    Some(if end == 0 { Value::Missing } else { Value::Text(&bytes[..end]) })
}
