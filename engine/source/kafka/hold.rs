//! How long a partition that is behind and silent may hold the others back.
//!
//! The merge waits for a partition that is known to have more, so that a backlog comes in the order
//! of event time. When the brokers of that partition are away the others would wait with it; after
//! a while it is passed over, and what it has then comes later, as it would from a slow producer.
//! Pure: now is an argument.

use std::time::{Duration, Instant};

use super::merge::Stand;

/// The patience with one partition.
#[derive(Debug)]
pub struct Hold {
    limit: Option<Duration>,
    behind_since: Option<Instant>,
    is_passed_over: bool,
}

impl Hold {
    /// Passes over after `limit`; without one, never.
    #[must_use]
    pub fn new(limit: Option<Duration>) -> Hold {
        Hold { limit, behind_since: None, is_passed_over: false }
    }

    /// What the others are told of a partition that stands so.
    pub fn judge(&mut self, stand: Stand, now: Instant, topic: &str, partition: i32) -> Stand {
        if stand != Stand::Behind {
            if std::mem::take(&mut self.is_passed_over) {
                tracing::info!(topic, partition, "the partition sends again");
            }
            self.behind_since = None;
            return stand;
        }
        let since = *self.behind_since.get_or_insert(now);
        if self.limit.is_none_or(|limit| now.saturating_duration_since(since) < limit) {
            return Stand::Behind;
        }
        if !std::mem::replace(&mut self.is_passed_over, true) {
            metrics::counter!("pelton_kafka_passed_over_total").increment(1);
            tracing::warn!(
                topic,
                partition,
                "the partition has more and sends nothing; the \
                others go on without it"
            );
        }
        Stand::AtEnd
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_silent_partition_holds_the_others_for_a_while_and_no_longer() {
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        let mut hold = Hold::new(Some(Duration::from_millis(100)));
        let mut judge = |stand, ms| hold.judge(stand, at(ms), "t", 0);
        assert_eq!(judge(Stand::Behind, 0), Stand::Behind);
        assert_eq!(judge(Stand::Behind, 99), Stand::Behind);
        assert_eq!(judge(Stand::Behind, 100), Stand::AtEnd);
        assert_eq!(judge(Stand::Behind, 5000), Stand::AtEnd);
        assert_eq!(judge(Stand::Ready(7), 5001), Stand::Ready(7));
        assert_eq!(judge(Stand::Behind, 5002), Stand::Behind, "it has shown that it is there");
        assert_eq!(judge(Stand::AtEnd, 5050), Stand::AtEnd);
        assert_eq!(judge(Stand::Behind, 5110), Stand::Behind);
        let mut patient = Hold::new(None);
        assert_eq!(patient.judge(Stand::Behind, at(0), "t", 0), Stand::Behind);
        assert_eq!(patient.judge(Stand::Behind, at(1 << 40), "t", 0), Stand::Behind);
    }
}
