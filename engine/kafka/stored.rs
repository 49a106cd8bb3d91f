//! What a topic holds, from some offset to its present end: read once, by nobody's group.
//!
//! For whoever looks at a topic: the end of our own, after a crash, and dead letters. The engine's
//! stream is read by the [source](crate::source::kafka::KafkaSource).
//!
//! The ends that brokers name are not believed: one was seen to answer with the first offset of the
//! last batch. A partition has been read when the client says so.

use std::ops::ControlFlow;
use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{BorrowedMessage, Headers, Message};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};

use crate::config::stream::KafkaConfig;
use crate::error::Error;
use crate::kafka;

/// How long the brokers are waited for.
const PATIENCE: Duration = Duration::from_secs(30);

/// One record of a topic.
#[derive(Debug)]
pub struct Stored<'a> {
    /// Its partition.
    pub partition: i32,
    /// Its own offset.
    pub offset: i64,
    /// When it was written or happened, milliseconds since the epoch.
    pub time_ms: Option<i64>,
    /// Its headers.
    pub headers: Vec<(&'a str, &'a [u8])>,
    /// Its body.
    pub payload: &'a [u8],
}

/// Which records of a topic are shown.
pub struct Extent<'a> {
    /// The topic.
    pub topic: &'a str,
    /// Where a partition begins; `None` leaves it out.
    pub from: &'a dyn Fn(i32) -> Option<i64>,
    /// What a process that died had on its way, the broker may write only after we have come: so
    /// long nothing may have come before the end is believed.
    pub settle: Duration,
    /// Whether a record is of the process that died; others may come all the time.
    pub is_settling: &'a dyn Fn(&Stored<'_>) -> bool,
}

/// Shows every record of a topic, partition by partition in order, until `each` breaks off. What is
/// written meanwhile is shown only while it has to settle.
///
/// # Errors
/// [`Error::Kafka`] when no broker answers within 30 s, refuses us, or the topic does not exist;
/// those of `each`.
pub fn read_stored(
    config: &KafkaConfig,
    extent: &Extent<'_>,
    each: &mut dyn FnMut(&Stored<'_>) -> Result<ControlFlow<()>, Error>,
) -> Result<(), Error> {
    let Extent { topic, from, settle, is_settling } = *extent;
    let failed = |error| kafka::error(&config.brokers, || format!("read topic {topic:?}"))(error);
    let mut client = kafka::client_config(config, &DEFAULTS, &OURS)?;
    let consumer: BaseConsumer =
        client.set("group.id", "pelton-reader").create().map_err(failed)?;
    let partitions = kafka::find_topic(consumer.client(), &config.brokers, topic, PATIENCE)?;
    let mut list = TopicPartitionList::new();
    let mut open = Vec::new();
    for partition in partitions {
        if let Some(start) = from(partition) {
            // Beyond the end some brokers are silent. What lies before `from` is passed over below.
            let ends = consumer.fetch_watermarks(topic, partition, PATIENCE).map_err(failed)?;
            let start = start.min(ends.1);
            let start = if start == 0 { Offset::Beginning } else { Offset::Offset(start) };
            list.add_partition_offset(topic, partition, start).map_err(failed)?;
            open.push(partition);
        }
    }
    consumer.assign(&list).map_err(failed)?;
    let (mut heard_at, mut unsettled_at) = (Instant::now(), Instant::now());
    while !open.is_empty() || unsettled_at.elapsed() < settle {
        match consumer.poll(Duration::from_millis(20)) {
            Some(Ok(message)) => {
                heard_at = Instant::now();
                let at = message.partition();
                let is_open = !settle.is_zero() || open.contains(&at);
                let is_wanted = is_open && from(at).is_some_and(|start| message.offset() >= start);
                let stored = stored(&message);
                if open.contains(&at) || is_settling(&stored) {
                    unsettled_at = heard_at;
                }
                if is_wanted && each(&stored)?.is_break() {
                    return Ok(());
                }
            }
            Some(Err(KafkaError::PartitionEOF(at))) => open.retain(|&partition| partition != at),
            Some(Err(error)) if kafka::ends_a_run(error.rdkafka_error_code()) => {
                return Err(failed(error));
            }
            _ if !open.is_empty() && heard_at.elapsed() > PATIENCE => {
                let timed_out = RDKafkaErrorCode::OperationTimedOut;
                return Err(failed(KafkaError::MessageConsumption(timed_out)));
            }
            _ => {}
        }
    }
    Ok(())
}

fn stored<'a>(message: &'a BorrowedMessage<'_>) -> Stored<'a> {
    let headers = message.headers().map(|headers| {
        headers.iter().map(|header| (header.key, header.value.unwrap_or_default())).collect()
    });
    Stored {
        partition: message.partition(),
        offset: message.offset(),
        time_ms: message.timestamp().to_millis(),
        headers: headers.unwrap_or_default(),
        payload: message.payload().unwrap_or_default(),
    }
}

const DEFAULTS: [(&str, &str); 1] = [("fetch.wait.max.ms", "10")];
const OURS: [(&str, &str); 4] = [
    ("enable.auto.commit", "false"),
    ("enable.partition.eof", "true"),
    ("auto.offset.reset", "earliest"),
    ("isolation.level", "read_committed"),
];
