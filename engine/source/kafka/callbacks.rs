//! What librdkafka calls back about the group, kept until the source has time for it.

use std::sync::{Mutex, PoisonError};

use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext, RebalanceProtocol};
use rdkafka::error::{KafkaError, KafkaResult};
use rdkafka::topic_partition_list::TopicPartitionList;
use rdkafka::types::RDKafkaRespErr;

use super::group::{Partition, partitions};
use crate::kafka;

/// What the group decided.
#[derive(Debug)]
pub enum Decision {
    /// These partitions are to become ours. They are not until [`Group::begin`].
    ///
    /// [`Group::begin`]: super::group::Group::begin
    Assign(TopicPartitionList),
    /// These are not ours any more.
    Revoked(Vec<Partition>),
}

/// Called by the client during its polls.
#[derive(Default)]
pub struct Callbacks {
    decisions: Mutex<Vec<Decision>>,
}

impl Callbacks {
    /// Decisions since the last call, in order.
    pub fn take(&self) -> Vec<Decision> {
        std::mem::take(&mut *self.decisions.lock().unwrap_or_else(PoisonError::into_inner))
    }
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
    /// Assignments wait until their offsets are known; revocations are carried out at once, since
    /// the group waits for them.
    fn rebalance(
        &self,
        consumer: &BaseConsumer<Self>,
        code: RDKafkaRespErr,
        list: &mut TopicPartitionList,
    ) {
        let decision = match code {
            RDKafkaRespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS => Decision::Assign(list.clone()),
            _ => {
                if let Err(error) = unassign(consumer, list) {
                    tracing::warn!(%error, "partitions could not be handed back");
                }
                Decision::Revoked(partitions(list))
            }
        };
        self.decisions.lock().unwrap_or_else(PoisonError::into_inner).push(decision);
    }
}

/// Takes partitions, as the group's protocol wants it.
pub fn assign<C: ConsumerContext>(
    consumer: &BaseConsumer<C>,
    list: &TopicPartitionList,
) -> KafkaResult<()> {
    match consumer.rebalance_protocol() {
        RebalanceProtocol::Cooperative => consumer.incremental_assign(list),
        _ => consumer.assign(list),
    }
}

/// Hands partitions back, as the group's protocol wants it.
pub fn unassign<C: ConsumerContext>(
    consumer: &BaseConsumer<C>,
    list: &TopicPartitionList,
) -> KafkaResult<()> {
    match consumer.rebalance_protocol() {
        RebalanceProtocol::Cooperative => consumer.incremental_unassign(list),
        _ => consumer.unassign(),
    }
}
