//! The end of a topic we write to: where it is, and what lies before it.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use rdkafka::client::{Client, ClientContext};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{BorrowedMessage, Headers, Message};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};

use crate::config::stream::KafkaConfig;
use crate::emit::delivered::Delivered;
use crate::error::Error;
use crate::kafka;

/// How long one question to the brokers may take.
const ASK: Duration = Duration::from_secs(10);
/// How long nothing may come while the tail is read.
const PATIENCE: Duration = Duration::from_secs(30);

/// The offset that the next record of each partition gets, or an earlier one.
///
/// # Errors
/// [`Error::Kafka`] when the brokers do not answer.
pub fn ends<C: ClientContext>(
    client: &Client<C>,
    brokers: &str,
    topic: &str,
) -> Result<Vec<(i32, i64)>, Error> {
    let partitions = kafka::find_topic(client, brokers, topic, ASK)?;
    let end = |partition| match client.fetch_watermarks(topic, partition, ASK) {
        Ok((_, high)) => Ok((partition, high)),
        Err(error) => {
            let action = || format!("find the end of {topic:?}, partition {partition}");
            Err(kafka::error(brokers, action)(error))
        }
    };
    partitions.into_iter().map(end).collect()
}

/// Notes every record from the offsets `from` on, until every partition of `ends` has been read to
/// its end and nothing has come for `settle`: what a process that died had on its way, the broker
/// may write only after we have come. A partition that `from` does not name is read whole.
///
/// The ends themselves are not believed: a broker was seen to answer with the first offset of the
/// last batch.
///
/// # Errors
/// [`Error::Kafka`] when the brokers refuse, or send nothing for half a minute.
pub fn read(
    config: &KafkaConfig,
    topic: &str,
    [from, ends]: [&[(i32, i64)]; 2],
    settle: Duration,
    delivered: &mut Delivered,
) -> Result<(), Error> {
    let action = || format!("read the end of {topic:?}");
    let failed = |error| kafka::error(&config.brokers, action)(error);
    let mut list = TopicPartitionList::new();
    for &(partition, _) in ends {
        let start = from.iter().find(|(p, _)| *p == partition).map_or(0, |&(_, next)| next);
        let offset = if start == 0 { Offset::Beginning } else { Offset::Offset(start) };
        list.add_partition_offset(topic, partition, offset).map_err(failed)?;
    }
    let mut client = kafka::client_config(config, &DEFAULTS, &OURS)?;
    client.set("group.id", "pelton-tail");
    let consumer: BaseConsumer = client.create().map_err(failed)?;
    consumer.assign(&list).map_err(failed)?;
    let mut open: BTreeSet<i32> = ends.iter().map(|&(partition, _)| partition).collect();
    let mut heard_at = Instant::now();
    while !open.is_empty() || heard_at.elapsed() < settle {
        match consumer.poll(Duration::from_millis(20)) {
            Some(Ok(message)) => {
                heard_at = Instant::now();
                note(&message, delivered);
            }
            Some(Err(KafkaError::PartitionEOF(partition))) => {
                open.remove(&partition);
            }
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

/// A dead letter names its record in headers, a score in its payload.
fn note(message: &BorrowedMessage<'_>, delivered: &mut Delivered) {
    let Some(headers) = message.headers() else {
        delivered.note_json(message.payload().unwrap_or_default());
        return;
    };
    let header = |name: &str| {
        let found = headers.iter().find(|header| header.key == name)?;
        std::str::from_utf8(found.value?).ok()
    };
    let partition = header("partition").and_then(|text| text.parse().ok());
    let offset = header("offset").and_then(|text| text.parse().ok());
    if let (Some(topic), Some(partition), Some(offset)) = (header("topic"), partition, offset) {
        delivered.note(topic, partition, offset);
    }
}

const DEFAULTS: [(&str, &str); 1] = [("fetch.wait.max.ms", "10")];
const OURS: [(&str, &str); 4] = [
    ("enable.auto.commit", "false"),
    ("enable.partition.eof", "true"),
    ("auto.offset.reset", "earliest"),
    ("isolation.level", "read_committed"),
];
