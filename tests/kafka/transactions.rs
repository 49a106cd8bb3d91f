//! Scores in transactions: what is committed, aborted, fenced, and taken back.
//!
//! librdkafka's mock cluster keeps the rules of a transaction's coordinator, but shows aborted
//! records to every reader; so these tests count what was committed by the sink's own word.

use std::time::{Duration, Instant};

use pelton::emit::kafka::transactions::{TransactionalSink, Transactions};
use pelton::emit::{Record, Sink};
use pelton::error::Error;
use rdkafka::message::Message;
use rdkafka::mocking::MockCluster;
use rdkafka::producer::DefaultProducerContext;
use rdkafka::types::{RDKafkaApiKey as Api, RDKafkaRespErr as Code};

use super::outage::cluster;
use super::sink::read_all;
use super::world::{config, unique};

type Cluster = MockCluster<'static, DefaultProducerContext>;

struct World {
    cluster: Cluster,
    brokers: String,
    topic: String,
}

impl World {
    fn new() -> World {
        let (cluster, brokers) = cluster();
        let topic = unique("transactions");
        cluster.create_topic(&topic, 2, 1).unwrap();
        World { cluster, brokers, topic }
    }

    fn open_every(&self, commit_every: Duration) -> TransactionalSink {
        let id = format!("{}-scores", self.topic);
        let kafka = config(&self.brokers, &[]);
        let transactions = Transactions { id, commit_every };
        TransactionalSink::open(&kafka, 0, &self.topic, &transactions).unwrap()
    }

    fn open(&self) -> TransactionalSink {
        self.open_every(Duration::from_secs(30))
    }

    /// Every payload in the topic, sorted.
    fn payloads(&self, count: usize) -> Vec<String> {
        let found = read_all(&self.brokers, &self.topic, 2, count);
        let text = |payload: &[u8]| String::from_utf8(payload.to_vec()).unwrap();
        let mut payloads: Vec<_> = found.iter().map(|m| text(m.payload().unwrap())).collect();
        payloads.sort();
        payloads
    }
}

fn payload(number: u32) -> String {
    format!("score {number:04}")
}

fn send(sink: &mut TransactionalSink, numbers: std::ops::Range<u32>) {
    for number in numbers {
        let (key, payload) = (format!("{number}"), payload(number));
        let record = Record {
            key: key.as_bytes(),
            payload: payload.as_bytes(),
            time_ms: Some(1),
            headers: &[],
        };
        sink.send(&record).unwrap();
    }
}

fn all(numbers: std::ops::Range<u32>) -> Vec<String> {
    numbers.map(payload).collect()
}

#[test]
fn a_transaction_is_committed_when_it_is_old_or_when_all_must_be_delivered() {
    let world = World::new();
    let mut sink = world.open_every(Duration::from_millis(200));
    send(&mut sink, 0..100);
    assert_eq!(sink.waiting_count(), 100, "nothing is delivered before it is committed");
    sink.batch_done().unwrap();
    assert_eq!(sink.waiting_count(), 100, "it is young");
    let begun = Instant::now();
    while sink.waiting_count() > 0 {
        sink.batch_done().unwrap();
        std::thread::sleep(Duration::from_millis(5));
        assert!(begun.elapsed() < Duration::from_secs(20), "it is never committed");
    }
    send(&mut sink, 100..130);
    sink.flush().unwrap();
    assert_eq!(sink.waiting_count(), 0);
    sink.flush().unwrap();
    assert_eq!(world.payloads(130), all(0..130));
}

#[test]
fn a_large_transaction_is_committed_before_it_takes_more() {
    let world = World::new();
    let mut sink = world.open();
    send(&mut sink, 0..10_001);
    assert_eq!(sink.waiting_count(), 1);
}

#[test]
fn a_coordinator_that_is_busy_or_has_moved_is_asked_again() {
    let world = World::new();
    let busy = [
        Code::RD_KAFKA_RESP_ERR_COORDINATOR_LOAD_IN_PROGRESS,
        Code::RD_KAFKA_RESP_ERR_NOT_COORDINATOR,
        Code::RD_KAFKA_RESP_ERR_COORDINATOR_NOT_AVAILABLE,
    ];
    world.cluster.request_errors(Api::InitProducerId, &busy);
    let mut sink = world.open();
    for api in [Api::AddPartitionsToTxn, Api::EndTxn] {
        world.cluster.request_errors(api, &busy);
    }
    send(&mut sink, 0..50);
    sink.flush().unwrap();
    assert_eq!(sink.waiting_count(), 0);
    assert_eq!(world.payloads(50), all(0..50));
}

/// An aborted transaction's records are sent again, in order, in another one.
#[test]
fn what_was_aborted_is_sent_again() {
    let world = World::new();
    let mut sink = world.open();
    world.cluster.request_errors(
        Api::AddPartitionsToTxn,
        &[Code::RD_KAFKA_RESP_ERR_INVALID_PRODUCER_ID_MAPPING],
    );
    send(&mut sink, 0..50);
    sink.flush().unwrap();
    assert_eq!(sink.waiting_count(), 0);
    let mut seen = world.payloads(50);
    seen.dedup();
    assert_eq!(seen, all(0..50));
    send(&mut sink, 50..60);
    sink.flush().unwrap();
    let mut seen = world.payloads(60);
    seen.dedup();
    assert_eq!(seen, all(0..60));
}

/// For ever aborted ends the run with an error that names topic and id.
#[test]
fn a_transaction_that_is_aborted_every_time_ends_the_run() {
    let world = World::new();
    let mut sink = world.open();
    let refused = [Code::RD_KAFKA_RESP_ERR_INVALID_PRODUCER_ID_MAPPING; 200];
    world.cluster.request_errors(Api::AddPartitionsToTxn, &refused);
    send(&mut sink, 0..5);
    let error = loop {
        match sink.flush_for(Duration::from_millis(20)) {
            Ok(is_empty) => assert!(!is_empty, "it cannot have been committed"),
            Err(error) => break error,
        }
    };
    assert!(matches!(error, Error::Kafka { .. }), "{error}");
    assert!(error.to_string().contains(&world.topic), "{error}");
}

/// The mock cluster does not fence by itself; it says here what a coordinator says then.
#[test]
fn an_engine_whose_id_was_taken_ends_with_an_error() {
    for code in
        [Code::RD_KAFKA_RESP_ERR_PRODUCER_FENCED, Code::RD_KAFKA_RESP_ERR_INVALID_PRODUCER_EPOCH]
    {
        let world = World::new();
        let mut sink = world.open();
        send(&mut sink, 0..10);
        world.cluster.request_errors(Api::EndTxn, &[code]);
        let error = sink.flush().expect_err("another has its id");
        assert!(error.to_string().contains("another engine has taken this id"), "{error}");
        let record = Record { key: b"k", payload: b"x", time_ms: None, headers: &[] };
        assert!(sink.send(&record).is_err(), "it must not write any more");
    }
}

/// While the brokers are away nothing is lost: what was not committed can be taken back, and the
/// sink goes on afterwards.
#[test]
fn what_is_not_committed_can_be_taken_back() {
    let world = World::new();
    let mut sink = world.open();
    send(&mut sink, 0..10);
    sink.flush().unwrap();
    send(&mut sink, 10..40);
    world.cluster.broker_down(1).unwrap();
    let down = Instant::now();
    while down.elapsed() < Duration::from_millis(500) {
        assert!(!sink.flush_for(Duration::from_millis(20)).unwrap());
    }
    let mut returned = Vec::new();
    sink.take_back(&mut |record| {
        returned.push(String::from_utf8(record.payload.to_vec()).unwrap());
        assert_eq!(record.time_ms, Some(1));
    })
    .unwrap();
    assert_eq!(returned, all(10..40));
    assert_eq!(sink.waiting_count(), 0);
    let record = Record { key: b"k", payload: b"x", time_ms: None, headers: &[] };
    assert!(!sink.try_send(&record).unwrap(), "the brokers do not know us");
    assert!(!sink.is_reachable());
    world.cluster.broker_up(1).unwrap();
    while !sink.is_reachable() {}
    send(&mut sink, 40..45);
    sink.flush().unwrap();
    let mut seen = world.payloads(15);
    seen.dedup();
    assert!(all(40..45).iter().all(|payload| seen.contains(payload)), "{seen:?}");
}
