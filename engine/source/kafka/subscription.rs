//! What a source subscribes to.

use std::time::Duration;

use crate::config::Config;
use crate::config::stream::{SourceConfig, Start, StateOf};

/// Which topics are read, as which member, from where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subscription {
    /// Topics with events.
    pub topics: Vec<String>,
    /// The topic with labels, if they have one.
    pub label_topic: Option<String>,
    /// Consumer group.
    pub group: String,
    /// Read all partitions and take no part in the group's balancing: nothing is waited for at the
    /// start. Offsets are committed under the group's name all the same.
    pub alone: bool,
    /// Only the partition of this number of each topic, alone; nothing is committed: the group
    /// knows another consumer as its member.
    pub partition: Option<i32>,
    /// Static member name.
    pub member: Option<String>,
    /// Where to start a partition that `resume` of
    /// [`KafkaSource::open`](super::KafkaSource::open) does not name.
    pub start: Start,
    /// End once every partition has been read to its end.
    pub stop_at_end: bool,
    /// A partition that is behind and silent for so long does not hold the others back.
    pub hold: Option<Duration>,
    /// Bytes of records after which a batch is full.
    pub batch_bytes_max: usize,
}

impl Subscription {
    /// What a configuration subscribes to; none when it names no topics.
    #[must_use]
    pub fn of(config: &Config) -> Option<Subscription> {
        let SourceConfig::Kafka {
            topics,
            group,
            alone,
            member,
            state,
            start,
            stop_at_end,
            hold_ms,
        } = &config.source
        else {
            return None;
        };
        Some(Subscription {
            topics: topics.clone(),
            label_topic: config.labels.topic.clone(),
            group: group.clone(),
            alone: *alone || matches!(state, StateOf::One(_)),
            partition: config.source.partition(),
            member: member.clone(),
            start: *start,
            stop_at_end: *stop_at_end,
            // To its end is to its end: a job over a backlog waits for every record.
            hold: (*hold_ms > 0 && !stop_at_end)
                .then(|| Duration::from_millis(hold_ms.unsigned_abs())),
            batch_bytes_max: config.batch.bytes_max,
        })
    }
}
