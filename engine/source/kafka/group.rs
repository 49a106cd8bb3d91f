//! Membership in the consumer group: which partitions are ours, from which offset each is read,
//! and what is committed.
//!
//! The engine's checkpoint is the truth about offsets: a partition that it knows is read from there
//! on. Committed offsets serve dashboards, and partitions that came over from another member.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};
use rdkafka::message::Message;
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};

use super::Subscription;
use super::callbacks::{self, Callbacks, Decision};
use super::queue::Bell;
use crate::config::stream::{KafkaConfig, Start};
use crate::error::Error;
use crate::kafka;

/// A partition of a topic.
pub type Partition = (Arc<str>, i32);

/// How long a question to the broker may take while a run goes on.
const ASK: Duration = Duration::from_secs(5);
/// How long the brokers and topics are waited for at the start.
pub(super) const CONNECT: Duration = Duration::from_secs(30);
/// Events (rebalances, errors, log lines) that are served at a time.
const POLLS_PER_SERVE: usize = 8;
/// Committed offsets are for the eye: no need to send them more often.
const COMMIT_EVERY: Duration = Duration::from_secs(1);

/// What changed by [`Group::serve`].
#[derive(Debug)]
pub enum Change {
    /// Ours from now on; not fetched before [`Group::begin`].
    Assigned(Vec<(Partition, From)>),
    /// Not ours any more.
    Revoked(Vec<Partition>),
}

/// From where a partition is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct From {
    /// Its first offset.
    pub next: i64,
    /// Records before the first of this time or later are passed over: not every broker finds
    /// offsets by time exactly.
    pub not_before_ms: Option<i64>,
}

impl From {
    fn offset(next: i64) -> From {
        From { next, not_before_ms: None }
    }
}

/// The group as this member sees it.
pub struct Group {
    consumer: Arc<BaseConsumer<Callbacks>>,
    brokers: String,
    start: Start,
    /// Where the checkpoint says to go on; an entry is used up when its partition is assigned.
    resume: BTreeMap<Partition, i64>,
    /// Where we stopped reading partitions that were revoked.
    left: BTreeMap<Partition, i64>,
    /// Decisions whose offsets could not be asked for yet.
    waiting: Vec<Decision>,
    processed: BTreeMap<Partition, i64>,
    committed_at: Instant,
    is_away: bool,
    commits: bool,
}

impl Group {
    /// Connects, makes sure that the topics are there, and joins the group.
    ///
    /// # Errors
    /// [`Error::Usage`] for a property librdkafka does not take; [`Error::Kafka`] when no broker
    /// answers in time, refuses us, or a topic does not exist.
    pub fn join(
        kafka: &KafkaConfig,
        subscription: &Subscription,
        bell: &Arc<Bell>,
    ) -> Result<Group, Error> {
        let config = client_config(kafka, subscription)?;
        let mut consumer: BaseConsumer<Callbacks> = config
            .create_with_context(Callbacks::default())
            .map_err(kafka::error(&kafka.brokers, || "create a consumer".to_owned()))?;
        let rung = Arc::clone(bell);
        consumer.set_nonempty_callback(move || rung.ring());
        let topics = subscription.topics.iter().chain(&subscription.label_topic);
        let topics: Vec<&str> = topics.map(String::as_str).collect();
        let mut all = TopicPartitionList::new();
        for &topic in &topics {
            let partitions = kafka::find_topic(consumer.client(), &kafka.brokers, topic, CONNECT)?;
            let is_ours = |number: &i32| subscription.partition.is_none_or(|only| only == *number);
            for partition in partitions.into_iter().filter(is_ours) {
                all.add_partition(topic, partition);
            }
        }
        let mut waiting = Vec::new();
        if subscription.alone {
            waiting.push(Decision::Assign(all));
        } else {
            let failed = || format!("subscribe to {topics:?}");
            consumer.subscribe(&topics).map_err(kafka::error(&kafka.brokers, failed))?;
        }
        Ok(Group {
            consumer: Arc::new(consumer),
            brokers: kafka.brokers.clone(),
            start: subscription.start,
            resume: BTreeMap::new(),
            left: BTreeMap::new(),
            waiting,
            processed: BTreeMap::new(),
            committed_at: Instant::now(),
            is_away: false,
            commits: subscription.partition.is_none(),
        })
    }

    /// Partitions assigned from now on are read from these offsets, whatever is committed.
    pub fn resume_from(&mut self, next: impl IntoIterator<Item = (Partition, i64)>) {
        self.resume.extend(next);
    }

    /// The consumer, for the queues of its partitions.
    #[must_use]
    pub fn consumer(&self) -> &Arc<BaseConsumer<Callbacks>> {
        &self.consumer
    }

    /// Serves the client without waiting and returns what changed. `next` are the offsets up to
    /// which the revoked partitions were read.
    ///
    /// # Errors
    /// [`Error::Kafka`] when the brokers refuse us for good.
    pub fn serve(&mut self) -> Result<Vec<Change>, Error> {
        // One poll serves one event, and does not say whether there was one.
        for _ in 0..POLLS_PER_SERVE {
            match self.consumer.poll(Duration::ZERO) {
                Some(Ok(stray)) => self.send_back(&stray.topic().into(), &stray),
                Some(Err(error)) => self.judge(error)?,
                None => {}
            }
        }
        if self.is_away {
            self.look_for_brokers();
        }
        self.commit_when_due();
        self.carry_out()
    }

    /// Starts fetching partitions that [`Change::Assigned`] named.
    ///
    /// # Errors
    /// [`Error::Kafka`] when librdkafka refuses the assignment.
    pub fn begin(&mut self, assigned: &[(Partition, From)]) -> Result<(), Error> {
        let failed = || format!("begin to read {assigned:?}");
        let mut list = TopicPartitionList::with_capacity(assigned.len());
        for ((topic, partition), from) in assigned {
            list.add_partition_offset(topic, *partition, Offset::Offset(from.next))
                .map_err(kafka::error(&self.brokers, failed))?;
        }
        callbacks::assign(&self.consumer, &list).map_err(kafka::error(&self.brokers, failed))
    }

    /// Remembers how far a revoked partition was read, in case it comes back.
    pub fn left_at(&mut self, partition: Partition, next: i64) {
        self.processed.remove(&partition);
        self.left.insert(partition, next);
    }

    /// A batch up to these offsets is done; they are committed in due time.
    pub fn processed(&mut self, partition: Partition, next: i64) {
        if self.commits {
            self.processed.insert(partition, next);
        }
    }

    /// Whether the brokers were last seen away.
    #[must_use]
    pub fn is_away(&self) -> bool {
        self.is_away
    }

    /// Says that something was heard from the brokers.
    pub fn heard(&mut self) {
        if std::mem::take(&mut self.is_away) {
            tracing::info!(brokers = self.brokers, "the brokers are back");
            kafka::broker_up().set(1.0);
        }
    }

    /// Decides whether an error ends the run or is waited out.
    ///
    /// # Errors
    /// [`Error::Kafka`] when it ends the run.
    pub fn judge(&mut self, error: KafkaError) -> Result<(), Error> {
        let code = error.rdkafka_error_code();
        if matches!(error, KafkaError::MessageConsumptionFatal(_)) || kafka::ends_a_run(code) {
            return Err(kafka::error(&self.brokers, || "read".to_owned())(error));
        }
        match code {
            Some(RDKafkaErrorCode::PartitionEOF) => {}
            Some(RDKafkaErrorCode::AllBrokersDown) => {
                if !std::mem::replace(&mut self.is_away, true) {
                    tracing::warn!(brokers = self.brokers, "no broker can be reached; waiting");
                    kafka::broker_up().set(0.0);
                }
            }
            _ => {
                metrics::counter!("pelton_kafka_errors_total").increment(1);
                tracing::debug!(%error, "a Kafka error that is waited out");
            }
        }
        Ok(())
    }

    /// As [`Group::judge`], of a partition's own failure.
    ///
    /// # Errors
    /// As there.
    pub fn judge_code(&mut self, code: RDKafkaErrorCode) -> Result<(), Error> {
        self.judge(KafkaError::MessageConsumption(code))
    }

    /// A record in the common queue belongs to no queue of ours: have it fetched again.
    fn send_back(&self, topic: &Arc<str>, stray: &impl Message) {
        let offset = Offset::Offset(stray.offset());
        let result = self.consumer.seek(topic, stray.partition(), offset, ASK);
        tracing::warn!(%topic, ?result, "a record came before its partition's queue was open");
    }

    fn look_for_brokers(&mut self) {
        if self.consumer.fetch_metadata(None, Duration::from_millis(100)).is_ok() {
            self.heard();
        }
    }

    fn carry_out(&mut self) -> Result<Vec<Change>, Error> {
        self.waiting.append(&mut self.consumer.context().take());
        let mut changes = Vec::new();
        let mut waiting = std::mem::take(&mut self.waiting).into_iter();
        for decision in waiting.by_ref() {
            match decision {
                Decision::Revoked(gone) => changes.push(Change::Revoked(gone)),
                Decision::Assign(list) => match self.offsets(&list) {
                    Ok(assigned) => changes.push(Change::Assigned(assigned)),
                    Err(error) => {
                        self.judge(error)?;
                        self.waiting.push(Decision::Assign(list));
                        break;
                    }
                },
            }
        }
        // What comes after a decision that waits, waits too.
        self.waiting.extend(waiting);
        Ok(changes)
    }

    /// From where each of the partitions is to be read.
    fn offsets(&mut self, list: &TopicPartitionList) -> KafkaResult<Vec<(Partition, From)>> {
        let mut found = Vec::new();
        for partition in partitions(list) {
            let from = match self.resume.get(&partition) {
                Some(&next) => From::offset(next),
                None => self.first_offset(&partition)?,
            };
            found.push((partition, from));
        }
        for (partition, _) in &found {
            self.resume.remove(partition);
        }
        Ok(found)
    }

    /// A partition the checkpoint does not know: one that was ours before is read on from there, or
    /// from where another member got to; others from the start of the settings.
    fn first_offset(&self, name: &Partition) -> KafkaResult<From> {
        let left = self.left.get(name).copied();
        if left.is_some() || self.start == Start::Committed {
            let next = left.max(self.committed(name)?);
            if let Some(next) = next {
                return Ok(From::offset(next));
            }
        }
        let (low, high) = self.consumer.fetch_watermarks(&name.0, name.1, ASK)?;
        Ok(match self.start {
            Start::Earliest | Start::Committed => From::offset(low),
            Start::Latest => From::offset(high),
            Start::Offset(offset) => From::offset(offset.clamp(low, high)),
            Start::Timestamp(time_ms) => {
                let next = self.offset_of(name, time_ms)?.map_or(high, |o| o.clamp(low, high));
                From { next, not_before_ms: Some(time_ms) }
            }
        })
    }

    fn committed(&self, (topic, partition): &Partition) -> KafkaResult<Option<i64>> {
        let mut list = TopicPartitionList::new();
        list.add_partition(topic, *partition);
        Ok(known_offset(&self.consumer.committed_offsets(list, ASK)?))
    }

    /// The first offset of this time or later; `None` when there is none yet.
    fn offset_of(&self, (topic, partition): &Partition, time_ms: i64) -> KafkaResult<Option<i64>> {
        let mut list = TopicPartitionList::new();
        list.add_partition_offset(topic, *partition, Offset::Offset(time_ms))?;
        Ok(known_offset(&self.consumer.offsets_for_times(list, ASK)?))
    }

    fn commit_when_due(&mut self) {
        if self.committed_at.elapsed() >= COMMIT_EVERY {
            self.commit(CommitMode::Async);
        }
    }

    fn commit(&mut self, mode: CommitMode) {
        self.committed_at = Instant::now();
        let mut list = TopicPartitionList::new();
        for ((topic, partition), next) in std::mem::take(&mut self.processed) {
            let added = list.add_partition_offset(&topic, partition, Offset::Offset(next));
            debug_assert!(added.is_ok(), "a next offset is never negative");
        }
        if list.count() > 0
            && let Err(error) = self.consumer.commit(&list, mode)
        {
            tracing::debug!(%error, "offsets for dashboards were not committed");
        }
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        if !self.is_away {
            self.commit(CommitMode::Sync);
        }
    }
}

/// Throughput and latency on one setting: fetches answer with the first byte, queues are refilled
/// long before they are empty, and a lost broker is found again within a second.
/// A member that died is noticed after 6 s, the shortest that brokers allow by default.
const DEFAULTS: [(&str, &str); 11] = [
    ("session.timeout.ms", "6000"),
    ("heartbeat.interval.ms", "2000"),
    ("fetch.min.bytes", "1"),
    ("fetch.wait.max.ms", "100"),
    ("fetch.error.backoff.ms", "50"),
    ("fetch.queue.backoff.ms", "10"),
    ("queued.max.messages.kbytes", "65536"),
    ("reconnect.backoff.max.ms", "1000"),
    ("partition.assignment.strategy", "cooperative-sticky"),
    ("auto.offset.reset", "error"),
    ("log.connection.close", "false"),
];

/// Not to be set by the user: the engine relies on them.
const OURS: [(&str, &str); 3] = [
    ("enable.auto.commit", "false"),
    ("enable.auto.offset.store", "false"),
    ("enable.partition.eof", "true"),
];

/// The properties of a consumer of the group.
///
/// # Errors
/// As [`kafka::client_config`].
pub fn client_config(kafka: &KafkaConfig, as_member: &Subscription) -> Result<ClientConfig, Error> {
    let mut config = kafka::client_config(kafka, &DEFAULTS, &OURS)?;
    config.set("group.id", &as_member.group);
    if let Some(member) = &as_member.member {
        config.set("group.instance.id", member);
    }
    Ok(config)
}

fn known_offset(answer: &TopicPartitionList) -> Option<i64> {
    answer.elements().first()?.offset().to_raw().filter(|&offset| offset >= 0)
}

/// The partitions a list names.
pub fn partitions(list: &TopicPartitionList) -> Vec<Partition> {
    list.elements().iter().map(|e| (Arc::from(e.topic()), e.partition())).collect()
}
