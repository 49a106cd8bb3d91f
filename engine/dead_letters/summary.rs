//! What there is among dead letters: counts by reason, field and topic, and the newest few.

use std::collections::{BTreeMap, VecDeque};

use serde::Serialize;

use super::{Letter, Place};

/// Of each field of a dead letter, so many characters are shown of its bytes.
const SHOWN_CHARS: usize = 120;

/// Dead letters of one reason, field and topic.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Group {
    /// Why they were refused.
    pub reason: String,
    /// The field that was wrong, when one was.
    pub field: Option<String>,
    /// The topic or file they were read from.
    pub topic: Option<String>,
    /// How many.
    pub count: u64,
    /// The first of them.
    pub first: Example,
    /// The last.
    pub last: Example,
}

/// One dead letter, in short.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Example {
    /// Where it lies.
    pub at: String,
    /// When it was written, RFC 3339.
    pub written: Option<String>,
    /// Why it was refused.
    pub reason: String,
    /// The field that was wrong, when one was.
    pub field: Option<String>,
    /// Where the record was read: `TOPIC/PARTITION:OFFSET`.
    pub from: String,
    /// The beginning of its bytes.
    pub bytes: String,
}

/// Counts dead letters.
#[derive(Debug)]
pub struct Summary {
    groups: BTreeMap<[Option<String>; 3], Group>,
    newest: VecDeque<(Option<i64>, Place, Example)>,
    newest_max: usize,
    total: u64,
}

/// The result.
#[derive(Debug, Serialize)]
pub struct Listing {
    /// All that were counted.
    pub total: u64,
    /// Most frequent first.
    pub groups: Vec<Group>,
    /// Newest first.
    pub newest: Vec<Example>,
}

impl Summary {
    /// Keeps so many of the newest.
    #[must_use]
    pub fn new(newest_max: usize) -> Summary {
        Summary { groups: BTreeMap::new(), newest: VecDeque::new(), newest_max, total: 0 }
    }

    /// Counts one.
    pub fn add(&mut self, letter: &Letter) {
        self.total += 1;
        let example = Example::of(letter);
        let owned = |name| letter.text(name).map(str::to_owned);
        let key = ["reason", "field", "topic"].map(owned);
        let [_, field, topic] = key.clone();
        let group = self.groups.entry(key).or_insert_with(|| Group {
            reason: example.reason.clone(),
            field,
            topic,
            count: 0,
            first: example.clone(),
            last: example.clone(),
        });
        group.count += 1;
        group.last = example.clone();
        let at = self.newest.partition_point(|(written_ms, place, _)| {
            (*written_ms, *place) < (letter.written_ms, letter.place)
        });
        self.newest.insert(at, (letter.written_ms, letter.place, example));
        if self.newest.len() > self.newest_max {
            self.newest.pop_front();
        }
    }

    /// What was counted.
    #[must_use]
    pub fn listing(self) -> Listing {
        let mut groups: Vec<Group> = self.groups.into_values().collect();
        groups.sort_by_key(|group| std::cmp::Reverse(group.count));
        let newest = self.newest.into_iter().rev().map(|(_, _, example)| example).collect();
        Listing { total: self.total, groups, newest }
    }
}

impl Example {
    fn of(letter: &Letter) -> Example {
        let text = |name| letter.text(name).unwrap_or("?");
        let from = format!("{}/{}:{}", text("topic"), text("partition"), text("offset"));
        let shown = String::from_utf8_lossy(&letter.bytes);
        Example {
            at: letter.place.to_string(),
            written: letter.written_ms.and_then(rfc3339),
            reason: text("reason").to_owned(),
            field: letter.text("field").map(str::to_owned),
            from,
            bytes: shown.chars().take(SHOWN_CHARS).flat_map(char::escape_default).collect(),
        }
    }
}

/// A time as people write it; none beyond the year 9999.
#[must_use]
pub fn rfc3339(time_ms: i64) -> Option<String> {
    jiff::Timestamp::from_millisecond(time_ms).ok().map(|time| time.to_string())
}
