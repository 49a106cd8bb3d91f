//! Records that will not be scored, and why: what becomes a dead letter.
//!
//! Every stage that refuses a record leaves a [`Reject`] in the slot; emit writes it out. The names
//! of the [`Reason`]s are an interface: metrics and dead letters carry them.

use std::sync::Arc;

use super::Position;

/// Why a record was not scored. The name is a metric label and a field of the dead letter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Reason {
    /// Not a record of the expected format.
    Unparsable,
    /// Larger than the limit for one record.
    TooLarge,
    /// No id, or one that identifies nothing.
    MissingId,
    /// No time, or one that is no time.
    BadTime,
    /// A field holds a value of another type.
    WrongType,
    /// A number outside its declared range.
    OutOfRange,
    /// A required value is missing.
    MissingValue,
    /// An id that was seen before.
    Duplicate,
    /// Later than the allowed lateness.
    Late,
    /// Further ahead of the stream than is believed.
    Ahead,
    /// A label that means nothing for this task.
    BadLabel,
    /// A label that came while something was wrong, and is kept for later.
    Quarantined,
}

impl Reason {
    /// Every reason, in the order of the metrics page.
    pub const ALL: [Reason; 12] = [
        Reason::Unparsable,
        Reason::TooLarge,
        Reason::MissingId,
        Reason::BadTime,
        Reason::WrongType,
        Reason::OutOfRange,
        Reason::MissingValue,
        Reason::Duplicate,
        Reason::Late,
        Reason::Ahead,
        Reason::BadLabel,
        Reason::Quarantined,
    ];

    /// The reason as it is written in metrics and dead letters.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Reason::Unparsable => "unparsable",
            Reason::TooLarge => "too_large",
            Reason::MissingId => "missing_id",
            Reason::BadTime => "bad_time",
            Reason::WrongType => "wrong_type",
            Reason::OutOfRange => "out_of_range",
            Reason::MissingValue => "missing_value",
            Reason::Duplicate => "duplicate",
            Reason::Late => "late",
            Reason::Ahead => "ahead",
            Reason::BadLabel => "bad_label",
            Reason::Quarantined => "quarantined",
        }
    }
}

/// A record that will not be scored, with all that is needed to find and repair it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reject {
    /// Why.
    pub reason: Reason,
    /// The field that was wrong, when one was.
    pub field: Option<Arc<str>>,
    /// Where it was read.
    pub position: Position,
    /// Whether it was a label record rather than an event.
    pub is_label: bool,
    /// The original bytes (for formats without a text of their own: the row as JSON).
    pub bytes: Vec<u8>,
    /// What the transport gave along with them.
    pub envelope: Envelope,
}

/// A label that was not learned, or taken back, because something was wrong when it came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QuarantinedLabel {
    /// The topic its record was read from, in this batch or an earlier one.
    pub topic: Arc<str>,
    /// Its partition.
    pub partition: i32,
    /// Its offset.
    pub offset: i64,
    /// The record's bytes.
    pub bytes: Vec<u8>,
    /// What the transport gave along with them.
    pub envelope: Envelope,
    /// The trip of the guard that it belongs to, from 1.
    pub span: u64,
    /// How many were put aside before it since the very first.
    pub number: u64,
}

/// What a transport gives along with a record's bytes, and the record is not the same without.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Envelope {
    /// The key, when it has one.
    pub key: Option<Vec<u8>>,
    /// The time of the message, milliseconds since the epoch.
    pub time_ms: Option<i64>,
    /// The headers, where the schema reads any.
    pub headers: Vec<(String, Vec<u8>)>,
}

impl Envelope {
    /// Appends an envelope as bytes, for the arena of a slot.
    pub fn write(
        out: &mut Vec<u8>,
        key: Option<&[u8]>,
        time_ms: Option<i64>,
        headers: &[(&str, &[u8])],
    ) {
        out.extend_from_slice(&time_ms.unwrap_or(i64::MIN).to_le_bytes());
        out.push(u8::from(key.is_some()));
        push(out, key.unwrap_or_default());
        for (name, value) in headers {
            push(out, name.as_bytes());
            push(out, value);
        }
    }

    /// The envelope that [`Envelope::write`] has written; an empty one for anything else.
    #[must_use]
    pub fn read(bytes: &[u8]) -> Envelope {
        let mut envelope = Envelope::default();
        let Some((time, rest)) = bytes.split_first_chunk::<8>() else { return envelope };
        let Some((&has_key, mut rest)) = rest.split_first() else { return envelope };
        let time_ms = i64::from_le_bytes(*time);
        envelope.time_ms = (time_ms != i64::MIN).then_some(time_ms);
        envelope.key = pull(&mut rest).filter(|_| has_key == 1).map(<[u8]>::to_vec);
        while let (Some(name), Some(value)) = (pull(&mut rest), pull(&mut rest)) {
            let name = String::from_utf8_lossy(name).into_owned();
            envelope.headers.push((name, value.to_vec()));
        }
        envelope
    }
}

fn push(out: &mut Vec<u8>, part: &[u8]) {
    let length = u32::try_from(part.len()).expect("a record has far less than 4 GiB");
    out.extend_from_slice(&length.to_le_bytes());
    out.extend_from_slice(part);
}

fn pull<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let (length, tail) = rest.split_first_chunk::<4>()?;
    let (part, tail) = tail.split_at_checked(u32::from_le_bytes(*length) as usize)?;
    *rest = tail;
    Some(part)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_envelope_comes_back_as_it_was() {
        let headers: [(&str, &[u8]); 2] = [("a", b"1"), ("", b"\xff")];
        for (key, time_ms) in [(None, None), (Some(&b""[..]), Some(0)), (Some(b"\0k"), Some(-4))] {
            for headers in [&[][..], &headers] {
                let mut bytes = Vec::new();
                Envelope::write(&mut bytes, key, time_ms, headers);
                let envelope = Envelope::read(&bytes);
                assert_eq!((envelope.key.as_deref(), envelope.time_ms), (key, time_ms));
                let read = envelope.headers.iter().map(|(n, v)| (n.as_str(), v.as_slice()));
                assert!(read.eq(headers.iter().copied()));
            }
        }
        assert_eq!(Envelope::read(b""), Envelope::default());
    }
}
