//! One flat JSON object into a row.

use super::Decoded;
use super::number::{self, byte_at};
use super::table::{Entry, NO_FIELD, Table, first_word};
use super::text::character_bytes;
use super::value::{Value, store};

/// More names in a record are too many.
const PAIRS_MAX: usize = 256;

/// Reads a record; the fields that were seen, or `None` where it is not plain.
pub(super) fn read(
    table: &Table,
    record: &[u8],
    out: &mut Decoded<'_>,
    row: usize,
) -> Option<u128> {
    if record.len() > table.record_bytes as usize {
        return None;
    }
    let mut seen: u128 = 0;
    let mut expected = table.first;
    walk(record, |name, at| {
        let (value, end) = read_value(record, at)?;
        if let Some(found) = find(table, name, expected) {
            if seen >> found & 1 != 0 {
                return None;
            }
            seen |= 1 << found;
            let entry = &table.entries[found as usize];
            expected = entry.next;
            let span = [at as u32, (end - at) as u32];
            store(table, (out, row), table.targets_of(entry), value?, span)?;
        }
        Some(end)
    })?;
    Some(seen)
}

/// Makes the table expect the wanted names in the order of this record; a part of one will do.
pub(super) fn follow(table: &mut Table, record: &[u8]) {
    let mut order = Vec::new();
    let _ = walk(record, |name, at| {
        let found = find(table, name, 0);
        order.push(found.unwrap_or(NO_FIELD));
        read_value(record, at).map(|(_, end)| end)
    });
    let wanted: Vec<u32> = order.iter().copied().filter(|&field| field != NO_FIELD).collect();
    let Some(&first) = wanted.first() else { return };
    table.first = first;
    for pair in wanted.windows(2) {
        table.entries[pair[0] as usize].next = pair[1];
    }
    table.order = order;
}

/// Walks through an object; `take` has the name and where the value begins, and says where that
/// ends.
fn walk<'a>(
    record: &'a [u8],
    mut take: impl FnMut(&'a [u8], usize) -> Option<usize>,
) -> Option<()> {
    let mut at = pass(record, 0, b'{')?;
    at = skip_space(record, at);
    if byte_at(record, at) == b'}' {
        at += 1;
    } else {
        for pair in 0.. {
            if pair == PAIRS_MAX {
                return None;
            }
            let start = pass(record, at, b'"')?;
            let end = text_end(record, start)?;
            at = pass(record, end + 1, b':')?;
            at = take(&record[start..end], skip_space(record, at))?;
            at = skip_space(record, at);
            match byte_at(record, at) {
                b',' => at += 1,
                b'}' => break,
                _ => return None,
            }
        }
        at += 1;
    }
    (skip_space(record, at) == record.len()).then_some(())
}

fn skip_space(record: &[u8], mut at: usize) -> usize {
    while matches!(byte_at(record, at), b' ' | b'\n' | b'\r' | b'\t') {
        at += 1;
    }
    at
}

/// Behind this byte, whitespace before it allowed.
fn pass(record: &[u8], at: usize, byte: u8) -> Option<usize> {
    let at = skip_space(record, at);
    (byte_at(record, at) == byte).then_some(at + 1)
}

/// Where a text that begins at `at` ends: its closing quote.
fn text_end(record: &[u8], mut at: usize) -> Option<usize> {
    loop {
        match byte_at(record, at) {
            b'"' => return Some(at),
            0..0x20 | b'\\' => return None,
            0x20..0x80 => at += 1,
            _ => match character_bytes(record, at) {
                0 => return None,
                bytes => at += bytes,
            },
        }
    }
}

/// The value that begins at `at`, and where it ends; no value is one that only a field that is not
/// wanted may have.
fn read_value(record: &[u8], at: usize) -> Option<(Option<Value<'_>>, usize)> {
    match byte_at(record, at) {
        b'"' => {
            let end = text_end(record, at + 1)?;
            Some((Some(Value::Text(&record[at + 1..end])), end + 1))
        }
        b'n' => word(record, at, b"null", Value::Missing),
        b't' => word(record, at, b"true", Value::Bool(true)),
        b'f' => word(record, at, b"false", Value::Bool(false)),
        _ => {
            let (number, end) = number::scan(record, at)?;
            let value = match number.is_whole() {
                true => number.integer().map(Value::Whole),
                // Adding zero makes zero of negative zero.
                false => number.double().map(|x| Value::Decimal(x + 0.0)),
            };
            Some((value, end))
        }
    }
}

fn word<'a>(
    record: &[u8],
    at: usize,
    word: &[u8],
    value: Value<'a>,
) -> Option<(Option<Value<'a>>, usize)> {
    let end = at + word.len();
    (record.get(at..end)? == word).then_some((Some(value), end))
}

/// The field of that name; the expected one is tried first.
fn find(table: &Table, name: &[u8], expected: u32) -> Option<u32> {
    let first = first_word(name);
    let is_it = |entry: &Entry| {
        entry.length as usize == name.len()
            && entry.word == first
            && (name.len() <= 8 || table.text(entry.at, entry.length)[8..] == name[8..])
    };
    if table.entries.get(expected as usize).is_some_and(is_it) {
        return Some(expected);
    }
    table.entries.iter().position(is_it).map(|found| found as u32)
}
