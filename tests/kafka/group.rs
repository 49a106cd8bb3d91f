//! Where reading starts, how partitions move between members, what is committed.

use std::sync::Arc;
use std::time::{Duration, Instant};

use pelton::config::stream::Start;
use pelton::error::{Actor, Error};
use pelton::ring::Span;
use pelton::source::Source;
use pelton::source::kafka::KafkaSource;
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::topic_partition_list::TopicPartitionList;

use crate::kafka::world::{
    Reader, Words, Writer, brokers, config, schema, subscription, topic, unique,
};

fn offsets(reader: &Reader) -> Vec<i64> {
    reader.read.iter().map(|read| read.offset).collect()
}

#[test]
fn reading_starts_where_it_is_told() {
    let Some(brokers) = brokers() else { return };
    let events = topic(&brokers, "start", 1);
    let writer = Writer::new(&brokers);
    for i in 0..10_i64 {
        writer.write_with_header(&events, &format!("{i} {} 1", 1000 + i), "1", 500_000 + i * 1000);
    }
    let read = |start, resume: &[Span]| {
        let mut what = subscription(&[&events], None);
        what.start = start;
        offsets(&Reader::open(&config(&brokers, &[]), &what, 100, resume).read_to_end())
    };
    assert_eq!(read(Start::Earliest, &[]), Vec::from_iter(0..10));
    assert_eq!(read(Start::Offset(4), &[]), Vec::from_iter(4..10));
    assert_eq!(read(Start::Timestamp(507_000), &[]), Vec::from_iter(7..10));
    assert_eq!(read(Start::Timestamp(900_000), &[]), Vec::<i64>::new());
    assert_eq!(read(Start::Latest, &[]), Vec::<i64>::new());
    assert_eq!(read(Start::Committed, &[]), Vec::from_iter(0..10), "nothing was committed");
    let checkpoint = [Span { topic: Arc::from(&*events), partition: 0, next: 8 }];
    assert_eq!(read(Start::Latest, &checkpoint), [8, 9], "a checkpoint is above all of them");
}

#[test]
fn what_was_processed_is_committed_and_found_by_the_next_member() {
    let Some(brokers) = brokers() else { return };
    let events = topic(&brokers, "commit", 1);
    Writer::new(&brokers).write_all((0..10).map(|i| (&*events, 0, format!("{i} {i} 1"))));
    let mut what = subscription(&[&events], None);
    what.start = Start::Committed;
    let mut first = Reader::open(&config(&brokers, &[]), &what, 6, &[]);
    first.until(6);
    first.source.acknowledge(&first.next).unwrap();
    drop(first);
    let mut client = ClientConfig::new();
    let client: BaseConsumer =
        client.set("bootstrap.servers", &brokers).set("group.id", &what.group).create().unwrap();
    let mut list = TopicPartitionList::new();
    list.add_partition(&events, 0);
    let committed = client.committed_offsets(list, Duration::from_secs(10)).unwrap();
    assert_eq!(committed.elements()[0].offset().to_raw(), Some(6), "the next offset, not the last");
    let second = Reader::open(&config(&brokers, &[]), &what, 6, &[]).read_to_end();
    assert_eq!(offsets(&second), Vec::from_iter(6..10));
}

#[test]
fn members_share_partitions_and_take_over_from_one_another() {
    let Some(brokers) = brokers() else { return };
    let events = topic(&brokers, "share", 4);
    let writer = Writer::new(&brokers);
    let write = |round: i64| {
        let bodies = (0..40).map(|i| (&*events, i % 4, format!("{i} {} 1", round * 100)));
        writer.write_all(bodies);
    };
    let mut what = subscription(&[&events], None);
    (what.start, what.stop_at_end, what.alone) = (Start::Committed, false, false);
    let kafka = config(&brokers, &[("heartbeat.interval.ms", "300")]);
    let mut first = Reader::open(&kafka, &what, 100, &[]);
    write(1);
    first.until(40);
    first.source.acknowledge(&first.next).unwrap();
    let mut second = Reader::open(&kafka, &what, 100, &[]);
    for _ in 0..600 {
        first.batch(Duration::from_millis(20));
        second.batch(Duration::from_millis(20));
        if second.source.lag().count() == 2 && first.source.lag().count() == 2 {
            break;
        }
    }
    write(2);
    let deadline = Instant::now() + Duration::from_secs(30);
    while first.read.len() + second.read.len() < 80 {
        first.batch(Duration::from_millis(20));
        second.batch(Duration::from_millis(20));
        let read = (first.read.len(), second.read.len());
        assert!(Instant::now() < deadline, "a record was lost: {read:?} read");
    }
    assert_eq!((first.read.len(), second.read.len()), (60, 20), "two partitions each");
    second.source.acknowledge(&second.next).unwrap();
    drop(second);
    write(3);
    first.until(100);
    let mut seen: Vec<_> = first.read.iter().map(|r| (r.partition, r.offset)).collect();
    seen.sort_unstable();
    seen.dedup();
    assert_eq!(seen.len(), 100, "nothing twice");
}

#[test]
fn what_the_user_can_fix_is_said_so() {
    let Some(brokers) = brokers() else { return };
    let events = topic(&brokers, "fix", 1);
    let open = |topics: &[&str], properties: &[(&str, &str)]| {
        let what = subscription(topics, None);
        let decode = Words(Arc::new(schema()));
        match KafkaSource::open(&config(&brokers, properties), &what, decode, &[]) {
            Ok(_) => panic!("opened with {properties:?}"),
            Err(error) => error,
        }
    };
    let error = open(&[&events], &[("fetch.min.byte", "1")]);
    assert_eq!(error.actor(), Actor::User);
    assert!(error.to_string().contains("fetch.min.byte"), "{error}");
    let error = open(&[&events], &[("enable.partition.eof", "false")]);
    assert_eq!(error.actor(), Actor::User);
    let error = open(&[&unique("no-such-topic")], &[]);
    assert!(matches!(&error, Error::Kafka { action, .. } if action.contains("no-such-topic")));
    assert_eq!(error.actor(), Actor::Outside);
}

#[test]
fn a_static_member_that_restarts_gets_its_partitions_back_at_once() {
    let Some(brokers) = brokers() else { return };
    let events = topic(&brokers, "static", 2);
    let writer = Writer::new(&brokers);
    writer.write_all((0..10).map(|i| (&*events, i % 2, format!("{i} {i} 1"))));
    let mut what = subscription(&[&events], None);
    (what.member, what.alone) = (Some("engine-1".to_owned()), false);
    let first = Reader::open(&config(&brokers, &[]), &what, 100, &[]).read_to_end();
    assert_eq!(first.read.len(), 10);
    let checkpoint = first.next.clone();
    drop(first);
    writer.write_all((0..4).map(|i| (&*events, i % 2, format!("{i} {i} 1"))));
    let second = Reader::open(&config(&brokers, &[]), &what, 100, &checkpoint).read_to_end();
    assert_eq!(second.read.len(), 4);
}
