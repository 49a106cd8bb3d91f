//! Score records and dead letters to Kafka topics.
//!
//! Records are copied into the producer's queue and sent in batches on its own threads. When that
//! queue is full, [`KafkaSink::send`] waits: nothing is dropped, and waiting here is what slows
//! the source down while the brokers are away. Sending is idempotent, so that a retried batch is
//! not written twice, and patient, so that a record fails only when the brokers refuse it; such a
//! failure ends the run at the next call. Successful deliveries cost no call each: once
//! [`KafkaSink::flush`] has returned, everything sent before has been acknowledged.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{Header, Message, OwnedHeaders};
use rdkafka::producer::{BaseProducer, BaseRecord, DeliveryResult, Producer, ProducerContext};

use crate::config::stream::KafkaConfig;
use crate::error::Error;
use crate::kafka;
use crate::ring::{Reject, Span};

/// How long the brokers and topics are waited for at the start.
const CONNECT: Duration = Duration::from_secs(30);
/// Failures are looked for this often while records are sent.
const RECORDS_PER_POLL: u32 = 256;
/// Of a dead letter too large for a message, this much is kept.
const KEPT_BYTES: usize = 64 << 10;

/// The first record that could not be delivered.
#[derive(Debug)]
struct Failure {
    topic: String,
    error: KafkaError,
}

/// What librdkafka calls back.
struct SinkContext {
    failure: Mutex<Option<Failure>>,
}

impl SinkContext {
    fn fail(&self, topic: &str, error: KafkaError) {
        metrics::counter!("pelton_kafka_undelivered_total").increment(1);
        let mut failure = self.failure.lock().unwrap_or_else(PoisonError::into_inner);
        failure.get_or_insert_with(|| Failure { topic: topic.to_owned(), error });
    }
}

impl ClientContext for SinkContext {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        kafka::log(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        if kafka::ends_a_run(error.rdkafka_error_code()) {
            self.fail("any topic", error);
        } else {
            metrics::counter!("pelton_kafka_errors_total").increment(1);
            tracing::debug!(%error, reason, "a Kafka error that is waited out");
        }
    }
}

impl ProducerContext for SinkContext {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, (): ()) {
        if let Err((error, message)) = result {
            self.fail(message.topic(), error.clone());
        }
    }
}

/// A producer for the score and dead-letter topics.
pub struct KafkaSink {
    producer: BaseProducer<SinkContext>,
    brokers: String,
    unpolled: u32,
}

impl KafkaSink {
    /// Connects, and makes sure that the topics are there.
    ///
    /// # Errors
    /// [`Error::Usage`] for a property that librdkafka does not take; [`Error::Kafka`] when no
    /// broker answers within 30 s, refuses us, or a topic does not exist.
    pub fn open(kafka: &KafkaConfig, linger_ms: i64, topics: &[&str]) -> Result<KafkaSink, Error> {
        let mut config = kafka::client_config(kafka, &DEFAULTS, &OURS)?;
        config.set("linger.ms", linger_ms.to_string());
        let producer: BaseProducer<SinkContext> = config
            .create_with_context(SinkContext { failure: Mutex::new(None) })
            .map_err(kafka::error(&kafka.brokers, || "create a producer".to_owned()))?;
        for topic in topics {
            kafka::find_topic(producer.client(), &kafka.brokers, topic, CONNECT)?;
        }
        Ok(KafkaSink { producer, brokers: kafka.brokers.clone(), unpolled: 0 })
    }

    /// Hands a record over; the key decides its partition. Waits while the queue is full.
    ///
    /// # Errors
    /// [`Error::Kafka`] when the brokers refuse this record or an earlier one.
    pub fn send(&mut self, topic: &str, key: &[u8], body: &[u8]) -> Result<(), Error> {
        self.put(BaseRecord::to(topic).key(key).payload(body))
            .map_err(|error| self.failed(topic, error))?;
        self.unpolled += 1;
        if self.unpolled >= RECORDS_PER_POLL {
            self.serve(Duration::ZERO)?;
        }
        Ok(())
    }

    /// Hands over a record that was not scored: its own bytes, and why and where in headers.
    ///
    /// # Errors
    /// As for [`KafkaSink::send`].
    pub fn send_dead_letter(
        &mut self,
        topic: &str,
        reject: &Reject,
        from: &Span,
    ) -> Result<(), Error> {
        let whole = BaseRecord::<(), [u8]>::to(topic)
            .payload(&reject.bytes)
            .headers(dead_letter_headers(reject, from));
        let sent = match self.put(whole) {
            Err(KafkaError::MessageProduction(RDKafkaErrorCode::MessageSizeTooLarge)) => {
                let kept = &reject.bytes[..reject.bytes.len().min(KEPT_BYTES)];
                let headers = dead_letter_headers(reject, from);
                self.put(BaseRecord::<(), [u8]>::to(topic).payload(kept).headers(headers))
            }
            sent => sent,
        };
        sent.map_err(|error| self.failed(topic, error))?;
        self.serve(Duration::ZERO)
    }

    /// Waits until everything sent has been acknowledged, `wait` at most.
    ///
    /// # Errors
    /// [`Error::Kafka`] when a record was refused, or some are still not acknowledged.
    pub fn flush(&mut self, wait: Duration) -> Result<(), Error> {
        let deadline = Instant::now() + wait;
        loop {
            self.serve(Duration::ZERO)?;
            let left = deadline.saturating_duration_since(Instant::now());
            match self.producer.flush(left.min(Duration::from_millis(100))) {
                Ok(()) => return self.serve(Duration::ZERO),
                Err(error) if left.is_zero() => {
                    let count = self.waiting_count();
                    let action = || format!("deliver the last {count} records");
                    return Err(kafka::error(&self.brokers, action)(error));
                }
                Err(_) => {}
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
        K: rdkafka::message::ToBytes + ?Sized,
        P: rdkafka::message::ToBytes + ?Sized,
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
                        return Err(failure.error);
                    }
                }
                Err((error, _)) => return Err(error),
            }
        }
    }

    fn serve(&mut self, wait: Duration) -> Result<(), Error> {
        self.unpolled = 0;
        self.producer.poll(wait);
        self.take_failure().map_or(Ok(()), |f| Err(self.failed(&f.topic, f.error)))
    }

    fn take_failure(&self) -> Option<Failure> {
        let context = self.producer.client().context();
        context.failure.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    fn failed(&self, topic: &str, error: KafkaError) -> Error {
        kafka::error(&self.brokers, || format!("write to topic {topic:?}"))(error)
    }
}

fn dead_letter_headers(reject: &Reject, from: &Span) -> OwnedHeaders {
    let (partition, offset) = (from.partition.to_string(), reject.position.offset.to_string());
    let bytes = reject.bytes.len().to_string();
    let facts = [
        ("pelton.reason", reject.reason.name()),
        ("pelton.topic", &from.topic),
        ("pelton.partition", &partition),
        ("pelton.offset", &offset),
        ("pelton.kind", if reject.is_label { "label" } else { "event" }),
        ("pelton.bytes", &bytes),
    ];
    let field = reject.field.as_deref().map(|field| ("pelton.field", field));
    facts.into_iter().chain(field).fold(OwnedHeaders::new(), |headers, (key, value)| {
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
