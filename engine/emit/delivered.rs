//! What was already sent before a crash, so that it is not sent a second time.
//!
//! Every score record and dead letter names the record it was made from: topic, partition, offset.
//! After a restart from a checkpoint the sink's own tail is read, from where it stood when the
//! checkpoint was taken, and what is found there is passed over when the same rows come by again.
//!
//! A label that was put aside may have been read long before: it is known by its number, as if that
//! were an offset in a partition of its own ([`quarantined_before`]).

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use serde::Deserialize;

use crate::emit::Record;
use crate::emit::records::NUMBER;
use crate::ring::{Position, Span};

/// In place of a topic: no topic has such a name.
const QUARANTINED: &str = "labels put aside";

/// Labels put aside before this number do not come again.
#[must_use]
pub fn quarantined_before(number: u64) -> Span {
    let next = i64::try_from(number).unwrap_or(i64::MAX);
    Span { topic: QUARANTINED.into(), partition: 0, next }
}

/// The records that were sent, by the offset of the record they were made from.
#[derive(Clone, Debug, Default)]
pub struct Delivered {
    partitions: HashMap<(Arc<str>, i32), HashSet<i64>>,
    left: usize,
    only: Option<i32>,
}

/// The parts of a score record that name its event.
#[derive(Deserialize)]
struct Origin<'a> {
    #[serde(borrow)]
    topic: Cow<'a, str>,
    partition: i32,
    offset: i64,
}

/// The same of a dead letter in a file.
#[derive(Deserialize)]
struct Letter<'a> {
    #[serde(borrow)]
    topic: Cow<'a, str>,
    #[serde(borrow)]
    partition: Cow<'a, str>,
    #[serde(borrow)]
    offset: Cow<'a, str>,
    #[serde(borrow)]
    number: Option<Cow<'a, str>>,
}

impl Delivered {
    /// Notes only what was made from partitions of this number, where it is given: other pipelines
    /// send to the same topic.
    #[must_use]
    pub fn only(partition: Option<i32>) -> Delivered {
        Delivered { only: partition, ..Delivered::default() }
    }

    /// Whether records made from this partition are noted.
    #[must_use]
    pub fn is_of(&self, partition: i32) -> bool {
        self.only.is_none_or(|only| only == partition)
    }

    /// Notes a score record, or a dead letter in a file; false when it names no record.
    pub fn note_json(&mut self, payload: &[u8]) -> bool {
        let origin = origin_of_json(payload);
        let is_named = origin.is_some();
        origin.into_iter().for_each(|(topic, partition, offset)| {
            self.note(&topic, partition, offset);
        });
        is_named
    }

    /// Notes a record that was made from this one.
    pub fn note(&mut self, topic: &str, partition: i32, offset: i64) {
        if !self.is_of(partition) {
            return;
        }
        let offsets = self.partitions.entry(key(topic, partition)).or_default();
        self.left += usize::from(offsets.insert(offset));
    }

    /// Drops what was made from records before these offsets: it does not come again.
    pub fn forget_before(&mut self, read_to: &[Span]) {
        for Span { topic, partition, next } in read_to {
            if let Some(offsets) = self.partitions.get_mut(&(Arc::clone(topic), *partition)) {
                offsets.retain(|offset| offset >= next);
            }
        }
        self.left = self.partitions.values().map(HashSet::len).sum();
    }

    /// Records noted and not yet passed over.
    #[must_use]
    pub fn left(&self) -> usize {
        self.left
    }

    /// Whether a record made from this one was sent before; asked once of each.
    pub fn passes_over(&mut self, spans: &[Span], position: Position) -> bool {
        if self.left == 0 {
            return false;
        }
        let span = &spans[position.span as usize];
        let key = (Arc::clone(&span.topic), span.partition);
        let found = self.partitions.get_mut(&key).is_some_and(|o| o.remove(&position.offset));
        self.left -= usize::from(found);
        found
    }

    /// The same of a label that was put aside.
    pub fn passes_over_quarantined(&mut self, number: u64) -> bool {
        self.passes_over(
            &[quarantined_before(0)],
            Position { span: 0, offset: i64::try_from(number).unwrap_or(i64::MAX) },
        )
    }

    /// The same of a record that is sent, whatever it was made from.
    pub fn passes_over_record(&mut self, record: &Record<'_>) -> bool {
        if self.left == 0 {
            return false;
        }
        let origin = match record.headers {
            [] => origin_of_json(record.payload),
            headers => origin_of_headers(headers),
        };
        let Some((topic, partition, offset)) = origin else { return false };
        let found = self.partitions.get_mut(&key(&topic, partition));
        let found = found.is_some_and(|offsets| offsets.remove(&offset));
        self.left -= usize::from(found);
        found
    }
}

/// Labels are numbered through, whatever partition they came from.
fn key(topic: &str, partition: i32) -> (Arc<str>, i32) {
    (topic.into(), if topic == QUARANTINED { 0 } else { partition })
}

/// Topic, partition and offset that a score record names, or a dead letter in a file, which carries
/// its headers as texts.
pub fn origin_of_json(payload: &[u8]) -> Option<(Cow<'_, str>, i32, i64)> {
    if let Ok(Origin { topic, partition, offset }) = serde_json::from_slice(payload) {
        return Some((topic, partition, offset));
    }
    let letter: Letter<'_> = serde_json::from_slice(payload).ok()?;
    if let Some(number) = letter.number {
        let partition = letter.partition.parse().ok()?;
        return Some((Cow::Borrowed(QUARANTINED), partition, number.parse().ok()?));
    }
    Some((letter.topic, letter.partition.parse().ok()?, letter.offset.parse().ok()?))
}

/// The same of a dead letter's headers.
pub fn origin_of_headers<'a>(headers: &[(&str, &'a [u8])]) -> Option<(Cow<'a, str>, i32, i64)> {
    let header = |wanted: &str| {
        let &(_, value) = headers.iter().find(|(name, _)| *name == wanted)?;
        std::str::from_utf8(value).ok()
    };
    let partition = header("partition")?.parse().ok()?;
    if let Some(number) = header(NUMBER) {
        return Some((Cow::Borrowed(QUARANTINED), partition, number.parse().ok()?));
    }
    Some((Cow::Borrowed(header("topic")?), partition, header("offset")?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_sent_is_passed_over_once() {
        let mut delivered = Delivered::default();
        let score = br#"{"id":7,"score":0.5,"topic":"events","partition":3,"offset":12,"x":"y"}"#;
        assert!(delivered.note_json(score));
        assert!(delivered.note_json(score), "a duplicate is noted once");
        assert!(delivered.note_json(br#"{"topic":"events","partition":"3","offset":"14"}"#));
        assert!(!delivered.note_json(b"not ours") && !delivered.note_json(b"{}"));
        assert_eq!(delivered.left(), 2);
        let spans = [Span { topic: "events".into(), partition: 3, next: 0 }];
        let mut asked = |offset| delivered.passes_over(&spans, Position { span: 0, offset });
        assert_eq!([11, 12, 12, 13, 14].map(&mut asked), [false, true, false, false, true]);
        assert_eq!(delivered.left(), 0);
    }

    #[test]
    fn what_others_sent_is_not_noted() {
        let mut delivered = Delivered::only(Some(3));
        delivered.note("events", 2, 1);
        delivered.note("events", 3, 1);
        assert_eq!((delivered.left(), delivered.is_of(2), delivered.is_of(3)), (1, false, true));
    }

    #[test]
    fn what_does_not_come_again_is_forgotten() {
        let mut delivered = Delivered::default();
        for offset in 5..9 {
            delivered.note("events", 0, offset);
            delivered.note("events", 1, offset);
        }
        delivered.forget_before(&[Span { topic: "events".into(), partition: 0, next: 7 }]);
        assert_eq!(delivered.left(), 2 + 4);
        let spans = [Span { topic: "events".into(), partition: 0, next: 0 }];
        assert!(!delivered.passes_over(&spans, Position { span: 0, offset: 6 }));
        assert!(delivered.passes_over(&spans, Position { span: 0, offset: 7 }));
    }
}
