//! Score records and dead letters arrive, none is dropped, and what is refused is said.

use std::time::Duration;

use pelton::emit::kafka::KafkaSink;
use pelton::emit::{Record, Sink};
use pelton::error::{Actor, Error};
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::message::{Headers, Message, OwnedMessage};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};

use crate::kafka::world::{brokers, config, topic, unique};

/// Everything in a topic, of which `count` messages at least are waited for.
pub fn read_all(brokers: &str, topic: &str, partitions: i32, count: usize) -> Vec<OwnedMessage> {
    let mut client = ClientConfig::new();
    client.set("bootstrap.servers", brokers).set("group.id", unique("reader"));
    let client: BaseConsumer = client.create().unwrap();
    let mut list = TopicPartitionList::new();
    for partition in 0..partitions {
        list.add_partition_offset(topic, partition, Offset::Beginning).unwrap();
    }
    client.assign(&list).unwrap();
    let mut found = Vec::new();
    while let Some(message) =
        client.poll(Duration::from_secs(if found.len() < count { 20 } else { 1 }))
    {
        found.push(message.unwrap().detach());
    }
    found
}

fn record<'a>(key: &'a [u8], payload: &'a [u8]) -> Record<'a> {
    Record { key, payload, time_ms: Some(1_500_000_000_000), headers: &[] }
}

#[test]
fn a_full_queue_blocks_and_drops_nothing() {
    let Some(brokers) = brokers() else { return };
    let scores = topic(&brokers, "scores", 3);
    let kafka = config(&brokers, &[("queue.buffering.max.messages", "50")]);
    let mut sink = KafkaSink::open(&kafka, 1, &scores).unwrap();
    for i in 0..3000 {
        let (key, payload) = (format!("{}", i % 100), format!("score {i}"));
        sink.send(&record(key.as_bytes(), payload.as_bytes())).unwrap();
    }
    sink.flush().unwrap();
    assert_eq!(sink.waiting_count(), 0);
    let found = read_all(&brokers, &scores, 3, 3000);
    let mut bodies: Vec<_> = found.iter().map(|m| m.payload().unwrap().to_vec()).collect();
    bodies.sort();
    bodies.dedup();
    assert_eq!((found.len(), bodies.len()), (3000, 3000));
    let mut partition_of = std::collections::HashMap::new();
    for message in &found {
        let key = message.key().unwrap().to_vec();
        assert_eq!(*partition_of.entry(key).or_insert(message.partition()), message.partition());
        assert_eq!(message.timestamp().to_millis(), Some(1_500_000_000_000));
    }
}

#[test]
fn a_dead_letter_has_its_bytes_and_its_facts_beside_them() {
    let Some(brokers) = brokers() else { return };
    let dead = topic(&brokers, "dead", 1);
    let mut sink = KafkaSink::open(&config(&brokers, &[]), 0, &dead).unwrap();
    let headers: [(&str, &[u8]); 2] = [("reason", b"wrong_type"), ("offset", b"17")];
    let bytes = b"{\"amount\": \"\xff\"}";
    let large = vec![7; 3 << 20];
    for payload in [&bytes[..], &large] {
        sink.send(&Record { key: b"", payload, time_ms: None, headers: &headers }).unwrap();
    }
    sink.flush().unwrap();
    let found = read_all(&brokers, &dead, 1, 2);
    assert_eq!(found[0].payload().unwrap(), bytes);
    assert_eq!(found[0].key(), None);
    let header = |message: &OwnedMessage, name: &str| {
        let value = message.headers().unwrap().iter().find(|h| h.key == name)?.value?;
        Some(String::from_utf8(value.to_vec()).unwrap())
    };
    for message in &found {
        assert_eq!(header(message, "reason").as_deref(), Some("wrong_type"));
        assert_eq!(header(message, "offset").as_deref(), Some("17"));
    }
    assert_eq!(header(&found[0], "cut_from_bytes"), None);
    assert_eq!(found[1].payload().unwrap().len(), 64 << 10, "cut to what a message can hold");
    assert_eq!(header(&found[1], "cut_from_bytes"), Some((3 << 20).to_string()));
}

#[test]
fn a_refused_record_is_an_error_with_the_topic() {
    let Some(brokers) = brokers() else { return };
    let scores = topic(&brokers, "refused", 1);
    let mut sink = KafkaSink::open(&config(&brokers, &[]), 0, &scores).unwrap();
    let error = sink.send(&record(b"key", &vec![b' '; 3 << 20])).unwrap_err();
    assert!(matches!(&error, Error::Kafka { action, .. } if action.contains(&scores)), "{error}");
    assert_eq!(error.actor(), Actor::Outside);
    let own = config(&brokers, &[("linger.ms", "5")]);
    let error = KafkaSink::open(&own, 0, &scores).err().unwrap();
    assert_eq!(error.actor(), Actor::User, "linger has a setting of its own");
}
