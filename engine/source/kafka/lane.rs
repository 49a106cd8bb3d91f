//! One partition of the source: its queue, and how far it has been read.

use super::group::Partition;
use super::hold::Hold;
use super::queue::{PartitionQueue, Record};

/// A partition that is ours.
pub struct Lane {
    pub name: Partition,
    pub queue: PartitionQueue,
    pub is_label: bool,
    /// Offset after the last record put into a slot.
    pub next: i64,
    /// Records are passed over until one is of this time.
    pub not_before_ms: Option<i64>,
    /// Where an end was last seen.
    pub end_at: i64,
    pub has_ended: bool,
    /// Time of its last record: the place of one that has no time of its own.
    pub time_ms: i64,
    /// Index in the spans of the slot that is being filled.
    pub span: Option<u32>,
    /// No slot has named it yet.
    pub is_new: bool,
    pub hold: Hold,
}

/// A record without a time is before nothing.
pub fn is_before(record: &Record<'_>, limit_ms: Option<i64>) -> bool {
    limit_ms.zip(record.time_ms()).is_some_and(|(limit, time)| time < limit)
}
