//! Score records and dead letters to Kafka topics.
//!
//! Records are copied into the producer's queue and sent in batches on its own threads. When that
//! queue is full, [`Sink::send`] waits: nothing is dropped, and waiting here is what slows
//! the source down while the brokers are away. Sending is idempotent, so that a retried batch is
//! not written twice, and patient, so that a record fails only when the brokers refuse it; such a
//! failure ends the run at the next call. Successful deliveries cost no call each: once
//! [`Sink::flush`] has returned, everything sent before has been acknowledged.

mod tail;

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{Header, OwnedHeaders, ToBytes};
use rdkafka::producer::{BaseProducer, BaseRecord, DeliveryResult, Producer, ProducerContext};

use crate::config::stream::KafkaConfig;
use crate::error::Error;
use crate::kafka;

use super::delivered::Delivered;
use super::{Record, Sink, SinkPosition};

/// How long the brokers and topics are waited for at the start.
const CONNECT: Duration = Duration::from_secs(30);
/// Failures are looked for this often while records are sent.
const RECORDS_PER_POLL: u32 = 256;
/// How long nothing may be acknowledged while the last records are waited for.
const PATIENCE: Duration = Duration::from_secs(30);
/// Failures are looked for this often meanwhile.
const FLUSH_STEP: Duration = Duration::from_millis(100);
/// Of a dead letter (a record with headers) that is too large for a message, this much is kept.
const KEPT_BYTES: usize = 64 << 10;

/// What librdkafka calls back.
#[derive(Default)]
struct SinkContext {
    /// Why the first record that could not be delivered was not.
    failure: Mutex<Option<KafkaError>>,
}

impl SinkContext {
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
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        if let Err((error, _)) = result {
            self.fail(error.clone());
        }
    }
}

/// A producer for one topic.
pub struct KafkaSink {
    producer: BaseProducer<SinkContext>,
    kafka: KafkaConfig,
    brokers: String,
    topic: String,
    unpolled: u32,
}

impl KafkaSink {
    /// Connects, and makes sure that the topic is there.
    ///
    /// # Errors
    /// [`Error::Usage`] for a property that librdkafka does not take; [`Error::Kafka`] when no
    /// broker answers within 30 s, refuses us, or the topic does not exist.
    pub fn open(kafka: &KafkaConfig, linger_ms: i64, topic: &str) -> Result<KafkaSink, Error> {
        let mut config = kafka::client_config(kafka, &DEFAULTS, &OURS)?;
        config.set("linger.ms", linger_ms.to_string());
        let brokers = kafka.brokers.clone();
        let producer: BaseProducer<SinkContext> = config
            .create_with_context(SinkContext::default())
            .map_err(kafka::error(&brokers, || "create a producer".to_owned()))?;
        kafka::find_topic(producer.client(), &brokers, topic, CONNECT)?;
        Ok(KafkaSink {
            producer,
            kafka: kafka.clone(),
            brokers,
            topic: topic.to_owned(),
            unpolled: 0,
        })
    }

    /// Hands over a record that is too large for a message: its beginning, and how long it was.
    fn send_beginning(&self, record: &Record<'_>) -> Result<(), KafkaError> {
        let length = record.payload.len().to_string();
        let kept = Record { payload: &record.payload[..KEPT_BYTES], ..*record };
        let headers = headers(record);
        let length = Header { key: "cut_from_bytes", value: Some(&length) };
        self.put(message(&self.topic, &kept).headers(headers.insert(length)))
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

    /// Records handed over and not yet acknowledged.
    #[must_use]
    pub fn waiting_count(&self) -> usize {
        usize::try_from(self.producer.in_flight_count()).unwrap_or(0)
    }

    /// Puts a record into the queue, waiting for room in it; errors are those of this record.
    fn put<K, P>(&self, mut record: BaseRecord<'_, K, P>) -> Result<(), KafkaError>
    where
        K: ToBytes + ?Sized,
        P: ToBytes + ?Sized,
    {
        let mut has_waited = false;
        loop {
            match self.producer.send(record) {
                Ok(()) => return Ok(()),
                Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), back)) => {
                    if !std::mem::replace(&mut has_waited, true) {
                        metrics::counter!("pelton_kafka_queue_full_total").increment(1);
                    }
                    record = back;
                    self.producer.poll(Duration::from_millis(1));
                    if let Some(failure) = self.take_failure() {
                        return Err(failure);
                    }
                }
                Err((error, _)) => return Err(error),
            }
        }
    }

    fn serve(&mut self) -> Result<(), Error> {
        self.unpolled = 0;
        self.producer.poll(Duration::ZERO);
        self.take_failure().map_or(Ok(()), |error| Err(self.failed(error)))
    }

    fn take_failure(&self) -> Option<KafkaError> {
        let context = self.producer.client().context();
        context.failure.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    fn failed(&self, error: KafkaError) -> Error {
        kafka::error(&self.brokers, || format!("write to topic {:?}", self.topic))(error)
    }
}

impl Sink for KafkaSink {
    fn send(&mut self, record: &Record<'_>) -> Result<(), Error> {
        let mut whole = message(&self.topic, record);
        if !record.headers.is_empty() {
            whole = whole.headers(headers(record));
        }
        let is_dead_letter = !record.headers.is_empty() && record.payload.len() > KEPT_BYTES;
        match self.put(whole) {
            Err(KafkaError::MessageProduction(RDKafkaErrorCode::MessageSizeTooLarge))
                if is_dead_letter =>
            {
                self.send_beginning(record)
            }
            sent => sent,
        }
        .map_err(|error| self.failed(error))?;
        self.unpolled += 1;
        if self.unpolled < RECORDS_PER_POLL { Ok(()) } else { self.serve() }
    }

    fn flush(&mut self) -> Result<(), Error> {
        self.flush_within(PATIENCE)
    }

    fn position(&mut self) -> Result<SinkPosition, Error> {
        let next = tail::ends(self.producer.client(), &self.brokers, &self.topic)?;
        Ok(SinkPosition::Kafka { topic: self.topic.clone(), next })
    }

    fn tail(&mut self, position: &SinkPosition, delivered: &mut Delivered) -> Result<(), Error> {
        match position {
            SinkPosition::Kafka { topic, next } if *topic == self.topic => {
                let ends = tail::ends(self.producer.client(), &self.brokers, topic)?;
                tail::read(&self.kafka, topic, next, &ends, delivered)
            }
            _ => Ok(()),
        }
    }

    fn batch_done(&mut self) -> Result<(), Error> {
        self.serve()
    }
}

/// The record as a message, without its headers; an empty key is none.
fn message<'a>(topic: &'a str, record: &Record<'a>) -> BaseRecord<'a, [u8], [u8]> {
    let mut message = BaseRecord::to(topic).payload(record.payload);
    message.key = (!record.key.is_empty()).then_some(record.key);
    message.timestamp = record.time_ms.filter(|&time_ms| time_ms > 0);
    message
}

fn headers(record: &Record<'_>) -> OwnedHeaders {
    record.headers.iter().fold(OwnedHeaders::new(), |headers, &(key, value)| {
        headers.insert(Header { key, value: Some(value) })
    })
}

/// Nothing is given up while the brokers are away; keys go where Java producers put them; the
/// queue is bounded by memory and count.
const DEFAULTS: [(&str, &str); 6] = [
    ("enable.idempotence", "true"),
    ("message.timeout.ms", "0"),
    ("partitioner", "murmur2_random"),
    ("queue.buffering.max.messages", "500000"),
    ("queue.buffering.max.kbytes", "262144"),
    ("reconnect.backoff.max.ms", "1000"),
];

/// Not to be set by the user: linger has a setting of its own, and reports of success are not read.
const OURS: [(&str, &str); 2] = [("delivery.report.only.error", "true"), ("linger.ms", "1")];
