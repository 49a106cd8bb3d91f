//! Whole topics read back. The broker is asked for records until each partition says that it ends:
//! not every broker tells the last offset rightly when it is asked for that alone.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::message::{Headers, Message};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};

/// Shows every record of a topic: its payload and its headers.
pub fn read_topic(
    brokers: &str,
    topic: &str,
    mut show: impl FnMut(&[u8], &BTreeMap<String, String>),
) {
    let mut config = rdkafka::config::ClientConfig::new();
    config.set("bootstrap.servers", brokers).set("group.id", "verifier");
    config.set("enable.partition.eof", "true");
    let consumer: BaseConsumer = config.create().unwrap();
    let metadata = consumer.fetch_metadata(Some(topic), Duration::from_secs(10)).unwrap();
    let mut list = TopicPartitionList::new();
    let mut open: BTreeSet<i32> =
        metadata.topics()[0].partitions().iter().map(|p| p.id()).collect();
    for &partition in &open {
        list.add_partition_offset(topic, partition, Offset::Beginning).unwrap();
    }
    consumer.assign(&list).unwrap();
    let deadline = Instant::now() + Duration::from_secs(60);
    while !open.is_empty() {
        assert!(Instant::now() < deadline, "partitions {open:?} of {topic} do not end");
        let message = match consumer.poll(Duration::from_millis(100)) {
            Some(Ok(message)) => message,
            Some(Err(KafkaError::PartitionEOF(partition))) => {
                open.remove(&partition);
                continue;
            }
            _ => continue,
        };
        let headers = message.headers().map(|headers| {
            let text = |value: Option<&[u8]>| {
                String::from_utf8_lossy(value.unwrap_or_default()).into_owned()
            };
            headers.iter().map(|h| (h.key.to_owned(), text(h.value))).collect()
        });
        show(message.payload().unwrap_or_default(), &headers.unwrap_or_default());
    }
}

/// A record of a topic.
#[derive(Debug)]
pub struct Stored {
    pub key: Option<Vec<u8>>,
    pub payload: Vec<u8>,
    pub time_ms: Option<i64>,
    headers: Vec<(String, String)>,
}

impl Stored {
    /// A header, when it has one of this name.
    pub fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(header, _)| header == name)?;
        Some(&found.1)
    }
}

/// Everything in a topic, of which `count` records at least are waited for.
pub fn stored(brokers: &str, topic: &str, count: usize) -> Vec<Stored> {
    let all = super::sink::read_all(brokers, topic, 1, count);
    let text = |value: Option<&[u8]>| String::from_utf8_lossy(value.unwrap_or_default()).into();
    let found = all.iter().map(|message| Stored {
        key: message.key().map(<[u8]>::to_vec),
        payload: message.payload().unwrap_or_default().to_vec(),
        time_ms: message.timestamp().to_millis(),
        headers: message.headers().map_or(Vec::new(), |headers| {
            headers.iter().map(|header| (header.key.to_owned(), text(header.value))).collect()
        }),
    });
    found.collect()
}
