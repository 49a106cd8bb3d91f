//! Membership in the consumer group by partition number: which partitions' state is ours to keep.
//!
//! Where each partition has a state of its own, the group only says who keeps which: this member
//! reads no record. It subscribes to the first topic of events; the partition of the same number of
//! every other topic goes with it, so all topics must have as many. What is taken away is given up
//! only by [`Membership::release`]: until then the group waits, and librdkafka's heartbeats go on.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka::error::{KafkaError, KafkaResult};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use rdkafka::types::RDKafkaRespErr;

use super::Subscription;
use super::callbacks::{assign, unassign};
use super::group::{CONNECT, client_config};
use crate::config::stream::KafkaConfig;
use crate::error::Error;
use crate::kafka;

/// Events that are served at a time.
const POLLS_PER_SERVE: usize = 8;

/// What the group decided.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// These are ours from now on.
    Assigned(Vec<i32>),
    /// These are to be given up, by [`Membership::release`] of just these.
    Revoked(Vec<i32>),
}

/// This instance in its group.
pub struct Membership {
    consumer: BaseConsumer<Callbacks>,
    brokers: String,
    topic: String,
    /// What this instance alone has, when it takes no part in the group.
    at_first: Vec<Change>,
}

impl Membership {
    /// Connects, makes sure that the topics go together, and joins the group.
    ///
    /// # Errors
    /// [`Error::Usage`] for a property librdkafka does not take, and for topics that do not have as
    /// many partitions as one another; [`Error::Kafka`] when no broker answers in time, refuses us,
    /// or a topic does not exist.
    pub fn join(kafka: &KafkaConfig, subscription: &Subscription) -> Result<Membership, Error> {
        let mut config = client_config(kafka, subscription)?;
        // Nothing is read here: the ends of partitions are no news.
        config.set("enable.partition.eof", "false");
        let consumer: BaseConsumer<Callbacks> = config
            .create_with_context(Callbacks::default())
            .map_err(kafka::error(&kafka.brokers, || "create a consumer".to_owned()))?;
        let topic = subscription.topics[0].clone();
        let find = |topic| kafka::find_topic(consumer.client(), &kafka.brokers, topic, CONNECT);
        let partitions = find(&topic)?;
        for other in subscription.topics[1..].iter().chain(&subscription.label_topic) {
            let count = find(other)?.len();
            if count != partitions.len() {
                return Err(Error::Usage {
                    what: format!(
                        "[source] state is \"partitioned\", but topic {topic:?} has {} partitions \
                         and {other:?} has {count}",
                        partitions.len()
                    ),
                    remedy: "give them as many, keyed alike, or set state = \"shared\"".into(),
                });
            }
        }
        let mut at_first = Vec::new();
        if subscription.alone {
            at_first.push(Change::Assigned(partitions));
        } else {
            let failed = || format!("subscribe to {topic:?}");
            consumer.subscribe(&[&topic]).map_err(kafka::error(&kafka.brokers, failed))?;
        }
        Ok(Membership { consumer, brokers: kafka.brokers.clone(), topic, at_first })
    }

    /// Serves the client, waiting for `wait` at most, and returns what changed, in order.
    ///
    /// # Errors
    /// [`Error::Kafka`] when the brokers refuse us for good.
    pub fn serve(&mut self, wait: Duration) -> Result<Vec<Change>, Error> {
        for poll in 0..POLLS_PER_SERVE {
            let wait = if poll == 0 { wait } else { Duration::ZERO };
            // A record that was on its way before the partition was paused is nobody's.
            let Some(Err(error)) = self.consumer.poll(wait) else { continue };
            let is_fatal = matches!(error, KafkaError::MessageConsumptionFatal(_));
            if is_fatal || kafka::ends_a_run(error.rdkafka_error_code()) {
                return Err(kafka::error(&self.brokers, || "stay in the group".to_owned())(error));
            }
            tracing::debug!(%error, "a Kafka error that is waited out");
        }
        let mut changes = std::mem::take(&mut self.at_first);
        let decided = &self.consumer.context().changes;
        changes.append(&mut decided.lock().unwrap_or_else(PoisonError::into_inner));
        Ok(changes)
    }

    /// Gives up what [`Change::Revoked`] named; the group may give it to another member.
    pub fn release(&self, partitions: &[i32]) {
        let given =
            list_of(&self.topic, partitions).and_then(|list| unassign(&self.consumer, &list));
        if let Err(error) = given {
            tracing::warn!(%error, "partitions could not be handed back");
        }
    }
}

/// What the client asks for while it is closed is done at once: nobody is served any more.
impl Drop for Membership {
    fn drop(&mut self) {
        self.consumer.context().is_closing.store(true, Ordering::Relaxed);
    }
}

fn list_of(topic: &str, partitions: &[i32]) -> KafkaResult<TopicPartitionList> {
    let mut list = TopicPartitionList::with_capacity(partitions.len());
    for &partition in partitions {
        list.add_partition_offset(topic, partition, Offset::Offset(0))?;
    }
    Ok(list)
}

/// Called by the client during its polls.
#[derive(Default)]
struct Callbacks {
    changes: Mutex<Vec<Change>>,
    is_closing: AtomicBool,
}

impl ClientContext for Callbacks {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        kafka::log(level, facility, message);
    }

    fn error(&self, _error: KafkaError, _reason: &str) {
        // The same error is returned by the poll that called this, and judged there.
    }
}

impl ConsumerContext for Callbacks {
    fn rebalance(
        &self,
        consumer: &BaseConsumer<Self>,
        code: RDKafkaRespErr,
        list: &mut TopicPartitionList,
    ) {
        let partitions = list.elements().iter().map(|element| element.partition()).collect();
        let change = match code {
            RDKafkaRespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS => {
                if let Err(error) = take_silently(consumer, list) {
                    tracing::warn!(%error, "partitions could not be taken");
                }
                Change::Assigned(partitions)
            }
            _ => {
                if self.is_closing.load(Ordering::Relaxed)
                    && let Err(error) = unassign(consumer, list)
                {
                    tracing::debug!(%error, "partitions could not be handed back at the end");
                }
                Change::Revoked(partitions)
            }
        };
        metrics::counter!("pelton_kafka_rebalances_total").increment(1);
        self.changes.lock().unwrap_or_else(PoisonError::into_inner).push(change);
    }
}

/// Ours, but not to be fetched: the partition's own pipeline does that.
fn take_silently(
    consumer: &BaseConsumer<Callbacks>,
    list: &mut TopicPartitionList,
) -> KafkaResult<()> {
    list.set_all_offsets(Offset::Offset(0))?;
    assign(consumer, list)?;
    consumer.pause(list)
}
