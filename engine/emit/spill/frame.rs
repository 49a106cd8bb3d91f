//! One record as bytes on the disk.
//!
//! `length u32 | check u64 | body`, the body being `sequence u64 | time i64 | key length u32 |
//! header count u32 | payload length u32 | key | (name length u32 | value length u32 | name |
//! value)* | payload`, all little-endian. The check is a 64-bit hash of the body: what a crash
//! tore, or a disk turned, is told from what was written. It is no protection against intent.

use pelton_kernels::hash;

use crate::emit::Record;

/// Bytes before the body.
pub const HEAD_BYTES: usize = 12;
/// Bytes of a body before its key.
const FIXED_BYTES: usize = 28;
/// No record is longer; a length beyond it was never written.
pub const BODY_BYTES_MAX: usize = 1 << 30;
/// Told apart from any other hash of the same bytes.
const SEED: u64 = 0x7370_696c_6c5f_7631;
/// Stands for no time.
const NO_TIME: i64 = i64::MIN;

/// What some bytes begin with.
#[derive(Debug, PartialEq)]
pub enum Begins<'a> {
    /// A whole frame.
    Whole(Frame<'a>),
    /// The beginning of one, or nothing.
    Cut,
    /// Something else.
    Damaged,
}

/// A record as it was written.
#[derive(Clone, Debug, PartialEq)]
pub struct Frame<'a> {
    /// Its number among all records of its sink.
    pub sequence: u64,
    /// Bytes of the whole frame.
    pub length: usize,
    key: &'a [u8],
    payload: &'a [u8],
    time_ms: Option<i64>,
    headers: Vec<(&'a str, &'a [u8])>,
}

impl Frame<'_> {
    /// The record.
    #[must_use]
    pub fn record(&self) -> Record<'_> {
        let Frame { key, payload, time_ms, headers, .. } = self;
        Record { key, payload, time_ms: *time_ms, headers }
    }
}

/// Bytes of a record's frame.
#[must_use]
pub fn length(record: &Record<'_>) -> usize {
    let headers: usize = record.headers.iter().map(|(n, v)| 8 + n.len() + v.len()).sum();
    HEAD_BYTES + FIXED_BYTES + record.key.len() + headers + record.payload.len()
}

/// Appends a record; false, and nothing, when it is too long for a frame.
pub fn write(out: &mut Vec<u8>, sequence: u64, record: &Record<'_>) -> bool {
    let body_bytes = length(record) - HEAD_BYTES;
    if body_bytes > BODY_BYTES_MAX {
        return false;
    }
    let start = out.len();
    let short =
        |length: usize| u32::try_from(length).expect("less than the whole body").to_le_bytes();
    out.extend_from_slice(&short(body_bytes));
    out.extend_from_slice(&[0; 8]);
    out.extend_from_slice(&sequence.to_le_bytes());
    out.extend_from_slice(&record.time_ms.unwrap_or(NO_TIME).to_le_bytes());
    for count in [record.key.len(), record.headers.len(), record.payload.len()] {
        out.extend_from_slice(&short(count));
    }
    out.extend_from_slice(record.key);
    for (name, value) in record.headers {
        out.extend_from_slice(&short(name.len()));
        out.extend_from_slice(&short(value.len()));
        out.extend_from_slice(name.as_bytes());
        out.extend_from_slice(value);
    }
    out.extend_from_slice(record.payload);
    let check = hash::hash_bytes_seeded(&out[start + HEAD_BYTES..], SEED);
    out[start + 4..start + HEAD_BYTES].copy_from_slice(&check.to_le_bytes());
    true
}

/// Bytes of the frame that `head` begins, when it is one; `head` holds [`HEAD_BYTES`] at least.
#[must_use]
pub fn whole_length(head: &[u8]) -> Option<usize> {
    let body = u32::from_le_bytes(head[..4].try_into().ok()?) as usize;
    (FIXED_BYTES..=BODY_BYTES_MAX).contains(&body).then_some(HEAD_BYTES + body)
}

/// Reads the frame that the bytes begin with.
#[must_use]
pub fn read(bytes: &[u8]) -> Begins<'_> {
    if bytes.len() < HEAD_BYTES {
        return Begins::Cut;
    }
    let Some(length) = whole_length(bytes) else { return Begins::Damaged };
    if bytes.len() < length {
        return Begins::Cut;
    }
    let body = &bytes[HEAD_BYTES..length];
    let check = hash::hash_bytes_seeded(body, SEED).to_le_bytes();
    if bytes[4..HEAD_BYTES] != check {
        return Begins::Damaged;
    }
    parse(body, length).map_or(Begins::Damaged, Begins::Whole)
}

fn parse(body: &[u8], length: usize) -> Option<Frame<'_>> {
    let mut rest = body;
    let sequence = u64::from_le_bytes(take(&mut rest, 8)?.try_into().ok()?);
    let time_ms = i64::from_le_bytes(take(&mut rest, 8)?.try_into().ok()?);
    let [key, headers, payload] = [number(&mut rest)?, number(&mut rest)?, number(&mut rest)?];
    let key = take(&mut rest, key)?;
    let headers = (0..headers).map(|_| {
        let (name, value) = (number(&mut rest)?, number(&mut rest)?);
        let name = std::str::from_utf8(take(&mut rest, name)?).ok()?;
        Some((name, take(&mut rest, value)?))
    });
    let headers = headers.collect::<Option<Vec<_>>>()?;
    let payload = take(&mut rest, payload)?;
    let time_ms = (time_ms != NO_TIME).then_some(time_ms);
    rest.is_empty().then_some(Frame { sequence, length, key, payload, time_ms, headers })
}

fn take<'a>(rest: &mut &'a [u8], count: usize) -> Option<&'a [u8]> {
    let (taken, left) = rest.split_at_checked(count)?;
    *rest = left;
    Some(taken)
}

fn number(rest: &mut &[u8]) -> Option<usize> {
    let bytes = take(rest, 4)?.try_into().ok()?;
    usize::try_from(u32::from_le_bytes(bytes)).ok()
}

/// Records held in memory, one after another.
#[derive(Debug, Default)]
pub struct Frames {
    bytes: Vec<u8>,
    count: u64,
}

impl Frames {
    /// Appends one.
    pub fn push(&mut self, record: &Record<'_>) {
        self.count += u64::from(write(&mut self.bytes, self.count, record));
    }

    /// How many there are.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.count
    }

    /// Forgets them all.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.count = 0;
    }

    /// The records, in order, until one fails.
    ///
    /// # Errors
    /// The first of `each`.
    pub fn try_for_each<E>(
        &self,
        mut each: impl FnMut(&Record<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut rest = &self.bytes[..];
        while let Begins::Whole(frame) = read(rest) {
            each(&frame.record())?;
            rest = &rest[frame.length..];
        }
        Ok(())
    }

    /// The records, in order.
    pub fn for_each(&self, mut each: impl FnMut(&Record<'_>)) {
        let Ok(()) = self.try_for_each(|record| {
            each(record);
            Ok::<(), std::convert::Infallible>(())
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes() -> Vec<u8> {
        let headers: [(&str, &[u8]); 2] = [("reason", b"late"), ("", b"\xff\0")];
        let mut bytes = Vec::new();
        let record = Record { key: b"k", payload: b"{}", time_ms: Some(-7), headers: &headers };
        assert!(write(&mut bytes, 9, &record));
        assert_eq!(bytes.len(), length(&record));
        let empty = Record { key: b"", payload: b"", time_ms: None, headers: &[] };
        assert!(write(&mut bytes, 10, &empty));
        bytes
    }

    #[test]
    fn records_come_back_as_they_were() {
        let bytes = bytes();
        let Begins::Whole(first) = read(&bytes) else { panic!("{:?}", read(&bytes)) };
        assert_eq!((first.sequence, first.record().time_ms), (9, Some(-7)));
        assert_eq!(first.record().headers[1], ("", &b"\xff\0"[..]));
        let Begins::Whole(second) = read(&bytes[first.length..]) else { panic!("the second") };
        assert_eq!((second.sequence, second.record().payload), (10, &b""[..]));
        assert_eq!(second.record().time_ms, None);
        assert_eq!(first.length + second.length, bytes.len());
    }

    #[test]
    fn every_cut_and_every_turned_bit_is_seen() {
        let bytes = bytes();
        let Begins::Whole(Frame { length, .. }) = read(&bytes) else { panic!("the first") };
        for cut in 0..length {
            assert_eq!(read(&bytes[..cut]), Begins::Cut, "{cut}");
        }
        for bit in 0..length * 8 {
            let mut turned = bytes.clone();
            turned[bit / 8] ^= 1 << (bit % 8);
            assert!(!matches!(read(&turned), Begins::Whole(_)), "bit {bit}");
        }
    }
}
