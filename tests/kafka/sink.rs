//! Score records and dead letters arrive, none is dropped, and what is refused is said.

use std::sync::Arc;
use std::time::Duration;

use pelton::emit::kafka::KafkaSink;
use pelton::error::{Actor, Error};
use pelton::ring::{Position, Reason, Reject, Span};
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::message::{Headers, Message, OwnedMessage};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};

use crate::kafka::world::{brokers, config, topic, unique};

fn read_all(brokers: &str, topic: &str, partitions: i32, count: usize) -> Vec<OwnedMessage> {
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

#[test]
fn a_full_queue_blocks_and_drops_nothing() {
    let Some(brokers) = brokers() else { return };
    let scores = topic(&brokers, "scores", 3);
    let kafka = config(&brokers, &[("queue.buffering.max.messages", "50")]);
    let mut sink = KafkaSink::open(&kafka, 1, &[&scores]).unwrap();
    for i in 0..3000 {
        sink.send(&scores, format!("{}", i % 100).as_bytes(), format!("score {i}").as_bytes())
            .unwrap();
    }
    sink.flush(Duration::from_secs(20)).unwrap();
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
    }
}

#[test]
fn a_dead_letter_has_its_bytes_and_says_why_and_where_from() {
    let Some(brokers) = brokers() else { return };
    let dead = topic(&brokers, "dead", 1);
    let mut sink = KafkaSink::open(&config(&brokers, &[]), 0, &[&dead]).unwrap();
    let from = Span { topic: Arc::from("payments"), partition: 3, next: 18 };
    let mut reject = Reject {
        reason: Reason::WrongType,
        field: Some(Arc::from("amount")),
        position: Position { span: 0, offset: 17 },
        is_label: false,
        bytes: b"{\"amount\": \"\xff\"}".to_vec(),
    };
    sink.send_dead_letter(&dead, &reject, &from).unwrap();
    reject.bytes = vec![7; 3 << 20];
    sink.send_dead_letter(&dead, &reject, &from).unwrap();
    sink.flush(Duration::from_secs(20)).unwrap();
    let found = read_all(&brokers, &dead, 1, 2);
    assert_eq!(found[0].payload().unwrap(), b"{\"amount\": \"\xff\"}");
    let header = |message: &OwnedMessage, name: &str| {
        let headers = message.headers().unwrap();
        let value = headers.iter().find(|h| h.key == name).unwrap().value.unwrap();
        String::from_utf8(value.to_vec()).unwrap()
    };
    let expected = [
        ("reason", "wrong_type"),
        ("field", "amount"),
        ("topic", "payments"),
        ("partition", "3"),
        ("offset", "17"),
        ("kind", "event"),
    ];
    for (name, value) in expected {
        assert_eq!(header(&found[0], &format!("pelton.{name}")), value);
    }
    assert_eq!(found[1].payload().unwrap().len(), 64 << 10, "cut to what a message can hold");
    assert_eq!(header(&found[1], "pelton.bytes"), (3 << 20).to_string());
}

#[test]
fn a_refused_record_is_an_error_with_the_topic() {
    let Some(brokers) = brokers() else { return };
    let scores = topic(&brokers, "refused", 1);
    let mut sink = KafkaSink::open(&config(&brokers, &[]), 0, &[&scores]).unwrap();
    let error = sink.send(&scores, b"key", &vec![b' '; 3 << 20]).unwrap_err();
    assert!(matches!(&error, Error::Kafka { action, .. } if action.contains(&scores)), "{error}");
    assert_eq!(error.actor(), Actor::Outside);
    let error = KafkaSink::open(&config(&brokers, &[("linger.ms", "5")]), 0, &[]).err().unwrap();
    assert_eq!(error.actor(), Actor::User, "linger has a setting of its own");
}
