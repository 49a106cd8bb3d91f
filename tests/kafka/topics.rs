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
