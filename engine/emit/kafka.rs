//! Score records and dead letters to Kafka topics.
//!
//! Records are copied into the producer's queue and sent in batches on its own threads. When that
//! queue is full, [`Sink::send`] waits: nothing is dropped, and waiting here is what slows
//! the source down while the brokers are away. Sending is idempotent, so that a retried batch is
//! not written twice, and patient, so that a record fails only when the brokers refuse it; such a
//! failure ends the run at the next call. Successful deliveries cost no call each: once
//! [`Sink::flush`] has returned, everything sent before has been acknowledged.

mod context;
mod tail;
pub mod transactions;

use std::time::{Duration, Instant};

use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{Header, Headers, Message, OwnedHeaders, ToBytes};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer, PurgeConfig};

use crate::config::stream::KafkaConfig;
use crate::error::Error;
use crate::kafka;

use super::delivered::Delivered;
use super::{Record, Sink, SinkPosition};
use context::{SinkContext, Tag};

/// How long the brokers and topics are waited for at the start.
const CONNECT: Duration = Duration::from_secs(30);
/// Failures are looked for this often while records are sent.
const RECORDS_PER_POLL: u32 = 256;
/// How long nothing may be acknowledged while the last records are waited for.
const PATIENCE: Duration = Duration::from_secs(30);
/// Failures are looked for this often meanwhile.
const FLUSH_STEP: Duration = Duration::from_millis(100);
/// How long the brokers may take to show that they are there.
const ANSWER: Duration = Duration::from_secs(1);
/// So much news of the brokers is read before records are counted.
const NEWS_READ: u32 = 16;
/// How long the producer may take to hand back what it holds.
const HAND_BACK: Duration = Duration::from_secs(10);
/// Of a dead letter (a record with headers) that is too large for a message, this much is kept.
const KEPT_BYTES: usize = 64 << 10;

/// A producer for one topic.
pub struct KafkaSink {
    producer: BaseProducer<SinkContext>,
    kafka: KafkaConfig,
    linger_ms: i64,
    brokers: String,
    topic: String,
    /// Who we are in transactions, if records go out in these.
    transactional_id: Option<String>,
    unpolled: u32,
    /// The number of the next record.
    next: usize,
}

impl KafkaSink {
    /// Connects, and makes sure that the topic is there.
    ///
    /// # Errors
    /// [`Error::Usage`] for a property that librdkafka does not take; [`Error::Kafka`] when no
    /// broker answers within 30 s, refuses us, or the topic does not exist.
    pub fn open(kafka: &KafkaConfig, linger_ms: i64, topic: &str) -> Result<KafkaSink, Error> {
        KafkaSink::open_as(kafka, linger_ms, topic, None)
    }

    fn open_as(
        kafka: &KafkaConfig,
        linger_ms: i64,
        topic: &str,
        transactional_id: Option<&str>,
    ) -> Result<KafkaSink, Error> {
        let brokers = kafka.brokers.clone();
        let producer = producer(kafka, linger_ms, transactional_id)?;
        kafka::find_topic(producer.client(), &brokers, topic, CONNECT)?;
        Ok(KafkaSink {
            producer,
            kafka: kafka.clone(),
            linger_ms,
            brokers,
            topic: topic.to_owned(),
            transactional_id: transactional_id.map(str::to_owned),
            unpolled: 0,
            next: 0,
        })
    }

    /// Waits until everything sent has been acknowledged, and gives up when `wait` has passed
    /// without any acknowledgement.
    ///
    /// # Errors
    /// [`Error::Kafka`] when a record was refused, or some are still not acknowledged.
    pub fn flush_within(&mut self, wait: Duration) -> Result<(), Error> {
        let (mut waiting, mut moved_at) = (self.waiting_count(), Instant::now());
        loop {
            self.serve()?;
            let Err(error) = self.producer.flush(FLUSH_STEP) else { return self.serve() };
            let still = self.waiting_count();
            if still != waiting {
                (waiting, moved_at) = (still, Instant::now());
            } else if moved_at.elapsed() >= wait {
                let action = || format!("deliver the last {still} records to {:?}", self.topic);
                return Err(kafka::error(&self.brokers, action)(error));
            }
        }
    }

    /// Puts a record into the queue; false when there is no room in it.
    fn offer(&mut self, record: &Record<'_>) -> Result<bool, Error> {
        let has_headers = !record.headers.is_empty();
        let tag = Tag { number: self.next, time_ms: record.time_ms };
        let mut whole = message(&self.topic, record, tag);
        if has_headers {
            whole = whole.headers(headers(record));
        }
        let is_dead_letter = has_headers && record.payload.len() > KEPT_BYTES;
        let put = match put(&self.producer, whole) {
            Err(KafkaError::MessageProduction(RDKafkaErrorCode::MessageSizeTooLarge))
                if is_dead_letter =>
            {
                put_beginning(&self.producer, &self.topic, record, tag)
            }
            put => put,
        };
        let has_room = put.map_err(|error| self.failed(error))?;
        self.next += usize::from(has_room);
        Ok(has_room)
    }

    fn serve_now_and_then(&mut self) -> Result<(), Error> {
        self.unpolled += 1;
        if self.unpolled < RECORDS_PER_POLL { Ok(()) } else { self.serve() }
    }

    fn serve(&mut self) -> Result<(), Error> {
        self.unpolled = 0;
        self.producer.poll(Duration::ZERO);
        self.take_failure().map_or(Ok(()), |error| Err(self.failed(error)))
    }

    fn context(&self) -> &SinkContext {
        self.producer.client().context()
    }

    fn take_failure(&self) -> Option<KafkaError> {
        self.context().take_failure()
    }

    fn failed(&self, error: KafkaError) -> Error {
        kafka::error(&self.brokers, || format!("write to topic {:?}", self.topic))(error)
    }
}

impl Sink for KafkaSink {
    fn send(&mut self, record: &Record<'_>) -> Result<(), Error> {
        let mut has_waited = false;
        while !self.offer(record)? {
            if !std::mem::replace(&mut has_waited, true) {
                metrics::counter!("pelton_kafka_queue_full_total").increment(1);
            }
            self.producer.poll(Duration::from_millis(1));
            self.serve()?;
        }
        self.serve_now_and_then()
    }

    fn try_send(&mut self, record: &Record<'_>) -> Result<bool, Error> {
        let has_room = self.offer(record)?;
        if !has_room {
            metrics::counter!("pelton_kafka_queue_full_total").increment(1);
        }
        self.serve_now_and_then()?;
        Ok(has_room)
    }

    fn flush(&mut self) -> Result<(), Error> {
        self.flush_within(PATIENCE)
    }

    fn flush_for(&mut self, wait: Duration) -> Result<bool, Error> {
        let is_empty = self.producer.flush(wait).is_ok();
        self.serve()?;
        Ok(is_empty)
    }

    fn waiting_count(&self) -> usize {
        // News of the brokers that nobody has read counts as records; a poll reads one.
        let mut count = self.producer.in_flight_count();
        for _ in 0..NEWS_READ {
            self.producer.poll(Duration::ZERO);
            let before = std::mem::replace(&mut count, self.producer.in_flight_count());
            if count == before || count == 0 {
                break;
            }
        }
        usize::try_from(count).unwrap_or(0)
    }

    /// The producer is made anew: the numbers of an idempotent one must not have gaps.
    fn take_back(&mut self, each: &mut dyn FnMut(&Record<'_>)) -> Result<(), Error> {
        let id = self.transactional_id.as_deref();
        let fresh = producer(&self.kafka, self.linger_ms, id)?;
        let old = std::mem::replace(&mut self.producer, fresh);
        let context = old.client().context();
        context.keep_returned();
        old.purge(PurgeConfig::default().queue().inflight());
        let until = Instant::now() + HAND_BACK;
        while old.in_flight_count() > 0 && Instant::now() < until {
            old.poll(FLUSH_STEP);
        }
        for (tag, message) in context.take_returned(self.next) {
            let headers = message.headers().map(|headers| {
                headers.iter().map(|h| (h.key, h.value.unwrap_or_default())).collect::<Vec<_>>()
            });
            each(&Record {
                key: message.key().unwrap_or_default(),
                payload: message.payload().unwrap_or_default(),
                time_ms: tag.time_ms,
                headers: headers.as_deref().unwrap_or_default(),
            });
        }
        Ok(())
    }

    fn is_reachable(&mut self) -> bool {
        self.producer.client().fetch_metadata(Some(&self.topic), ANSWER).is_ok()
    }

    fn position(&mut self) -> Result<SinkPosition, Error> {
        let next = tail::ends(self.producer.client(), &self.brokers, &self.topic)?;
        Ok(SinkPosition::Kafka { topic: self.topic.clone(), next })
    }

    fn tail(
        &mut self,
        position: &SinkPosition,
        settle: Duration,
        delivered: &mut Delivered,
    ) -> Result<(), Error> {
        match position {
            SinkPosition::Kafka { topic, next } if *topic == self.topic => {
                tail::read(&self.kafka, topic, next, settle, delivered)
            }
            _ => Ok(()),
        }
    }

    fn batch_done(&mut self) -> Result<(), Error> {
        self.serve()
    }
}

fn producer(
    kafka: &KafkaConfig,
    linger_ms: i64,
    transactional_id: Option<&str>,
) -> Result<BaseProducer<SinkContext>, Error> {
    let mut config = kafka::client_config(kafka, &DEFAULTS, &OURS)?;
    match transactional_id {
        // Records wait as long as their transaction, which librdkafka bounds by itself.
        Some(id) => config.set(TRANSACTIONAL_ID, id),
        None => config.remove(TRANSACTIONAL_ID),
    };
    if transactional_id.is_none() && config.get(RECORD_TIMEOUT).is_none() {
        config.set(RECORD_TIMEOUT, "0");
    }
    config.set("linger.ms", linger_ms.to_string());
    let most = config.get(QUEUE_RECORDS).and_then(|most| most.parse::<usize>().ok());
    if most.is_some_and(|most| most >= Tag::RECORDS_MAX || most == 0) {
        return Err(Error::Usage {
            what: format!("kafka.properties.\"{QUEUE_RECORDS}\" is out of range"),
            remedy: format!("give 1 to {}", Tag::RECORDS_MAX - 1),
        });
    }
    let action = || "create a producer".to_owned();
    config.create_with_context(SinkContext::default()).map_err(kafka::error(&kafka.brokers, action))
}

/// False when the queue is full; errors are those of this record.
fn put<K, P>(
    producer: &BaseProducer<SinkContext>,
    record: BaseRecord<'_, K, P, usize>,
) -> Result<bool, KafkaError>
where
    K: ToBytes + ?Sized,
    P: ToBytes + ?Sized,
{
    match producer.send(record) {
        Ok(()) => Ok(true),
        Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), _)) => Ok(false),
        Err((error, _)) => Err(error),
    }
}

/// Of a record that is too large for a message: its beginning, and how long it was.
fn put_beginning(
    producer: &BaseProducer<SinkContext>,
    topic: &str,
    record: &Record<'_>,
    tag: Tag,
) -> Result<bool, KafkaError> {
    let length = record.payload.len().to_string();
    let kept = Record { payload: &record.payload[..KEPT_BYTES], ..*record };
    let length = Header { key: "cut_from_bytes", value: Some(&length) };
    put(producer, message(topic, &kept, tag).headers(headers(record).insert(length)))
}

/// The record as a message, without its headers; an empty key is none.
fn message<'a>(topic: &'a str, record: &Record<'a>, tag: Tag) -> BaseRecord<'a, [u8], [u8], usize> {
    let mut message = BaseRecord::with_opaque_to(topic, tag.word()).payload(record.payload);
    message.key = (!record.key.is_empty()).then_some(record.key);
    message.timestamp = record.time_ms.filter(|&time_ms| time_ms > 0);
    message
}

fn headers(record: &Record<'_>) -> OwnedHeaders {
    record.headers.iter().fold(OwnedHeaders::new(), |headers, &(key, value)| {
        headers.insert(Header { key, value: Some(value) })
    })
}

const TRANSACTIONAL_ID: &str = "transactional.id";
const RECORD_TIMEOUT: &str = "message.timeout.ms";
const QUEUE_RECORDS: &str = "queue.buffering.max.messages";

/// Nothing is given up while the brokers are away; keys go where Java producers put them; the
/// queue is bounded by memory and count.
const DEFAULTS: [(&str, &str); 5] = [
    ("enable.idempotence", "true"),
    ("partitioner", "murmur2_random"),
    (QUEUE_RECORDS, "500000"),
    ("queue.buffering.max.kbytes", "262144"),
    ("reconnect.backoff.max.ms", "1000"),
];

/// Not to be set by the user: linger and the id have settings of their own, and reports of success
/// are not read.
const OURS: [(&str, &str); 3] =
    [("delivery.report.only.error", "true"), ("linger.ms", "1"), (TRANSACTIONAL_ID, "")];
