//! What librdkafka calls back about records that were not delivered.

use std::sync::{Mutex, PoisonError};

use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};
use rdkafka::message::OwnedMessage;
use rdkafka::producer::{DeliveryResult, ProducerContext};

use crate::kafka;

/// What a record carries through librdkafka besides itself, in one word: its place in the order in
/// which records were handed over, and its time, which a record that comes back has lost.
///
/// The place is kept in 22 bits: it tells fewer than [`Tag::RECORDS_MAX`] records apart. The time
/// has 42, up to the year 2109; one beyond comes back as none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tag {
    /// How many records were handed over before.
    pub number: usize,
    /// Milliseconds since the epoch.
    pub time_ms: Option<i64>,
}

impl Tag {
    /// No producer may hold as many.
    pub const RECORDS_MAX: usize = 1 << 22;
    const TIME_BITS: u32 = 42;

    /// The word.
    #[must_use]
    pub fn word(self) -> usize {
        let time = self.time_ms.and_then(|time_ms| usize::try_from(time_ms).ok());
        let time = time.filter(|time| time >> Tag::TIME_BITS == 0).unwrap_or(0);
        (self.number % Tag::RECORDS_MAX) << Tag::TIME_BITS | time
    }

    /// What the word says, when `next` records have been handed over.
    #[must_use]
    pub fn of(word: usize, next: usize) -> Tag {
        let place = word >> Tag::TIME_BITS;
        let since = next.wrapping_sub(place) % Tag::RECORDS_MAX;
        let time_ms = i64::try_from(word & ((1 << Tag::TIME_BITS) - 1)).unwrap_or(0);
        Tag {
            number: next - if since == 0 { Tag::RECORDS_MAX } else { since },
            time_ms: (time_ms > 0).then_some(time_ms),
        }
    }
}

/// Called by the producer during its polls.
#[derive(Default)]
pub struct SinkContext {
    /// Why the first record that could not be delivered was not.
    failure: Mutex<Option<KafkaError>>,
    /// Records that were taken back, with their words; none are kept while nobody asks for them.
    returned: Mutex<Option<Vec<(usize, OwnedMessage)>>>,
}

impl SinkContext {
    /// Why the first record since the last call could not be delivered.
    pub fn take_failure(&self) -> Option<KafkaError> {
        self.failure.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Records that are purged from now on are kept.
    pub fn keep_returned(&self) {
        *self.returned.lock().unwrap_or_else(PoisonError::into_inner) = Some(Vec::new());
    }

    /// What was purged since, in the order in which it was handed over; `next` records were in all.
    pub fn take_returned(&self, next: usize) -> Vec<(Tag, OwnedMessage)> {
        let returned = self.returned.lock().unwrap_or_else(PoisonError::into_inner).take();
        let returned = returned.unwrap_or_default().into_iter();
        let mut returned: Vec<_> =
            returned.map(|(word, message)| (Tag::of(word, next), message)).collect();
        returned.sort_unstable_by_key(|(tag, _)| tag.number);
        returned
    }

    fn fail(&self, error: KafkaError) {
        metrics::counter!("pelton_kafka_undelivered_total").increment(1);
        let mut failure = self.failure.lock().unwrap_or_else(PoisonError::into_inner);
        failure.get_or_insert(error);
    }
}

impl ClientContext for SinkContext {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        kafka::log(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        if kafka::ends_a_run(error.rdkafka_error_code()) {
            self.fail(error);
        } else {
            metrics::counter!("pelton_kafka_errors_total").increment(1);
            tracing::debug!(%error, reason, "a Kafka error that is waited out");
        }
    }
}

impl ProducerContext for SinkContext {
    /// The word of the record's [`Tag`].
    type DeliveryOpaque = usize;

    fn delivery(&self, result: &DeliveryResult<'_>, word: usize) {
        let Err((error, message)) = result else { return };
        let is_purged =
            matches!(error.rdkafka_error_code(), Some(Code::PurgeQueue | Code::PurgeInflight));
        let mut returned = self.returned.lock().unwrap_or_else(PoisonError::into_inner);
        match returned.as_mut().filter(|_| is_purged) {
            Some(returned) => returned.push((word, message.detach())),
            None => self.fail(error.clone()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_tells_place_and_time_among_those_that_can_be_out() {
        let next = 3 * Tag::RECORDS_MAX + 17;
        for number in [next - 1, next - 18, next - Tag::RECORDS_MAX + 1] {
            for time_ms in [None, Some(1), Some(1_795_577_024_134), Some((1 << 42) - 1)] {
                let tag = Tag { number, time_ms };
                assert_eq!(Tag::of(tag.word(), next), tag);
            }
        }
        let late = Tag { number: 0, time_ms: Some(1 << 42) };
        assert_eq!(Tag::of(late.word(), 1), Tag { time_ms: None, ..late });
        assert_eq!(Tag::of(Tag { time_ms: Some(-5), ..late }.word(), 1).time_ms, None);
    }
}
