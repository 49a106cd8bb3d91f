//! The topic of scores is away: they wait on the disk and arrive once, in order, when it is back.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use pelton::emit::kafka::KafkaSink;
use pelton::emit::spill::{SpillOptions, SpillSink};
use pelton::emit::{Record, Sink};
use rdkafka::message::{Headers, Message};
use rdkafka::mocking::MockCluster;
use rdkafka::producer::DefaultProducerContext;

use crate::kafka::outage::cluster;
use crate::kafka::sink::read_all;
use crate::kafka::world::{config, unique};

type Cluster = MockCluster<'static, DefaultProducerContext>;

/// A topic of one partition, so that its order can be told.
fn topic_of(cluster: &Cluster) -> String {
    let scores = unique("spill-scores");
    cluster.create_topic(&scores, 1, 1).unwrap();
    scores
}

fn options(dir: Option<&Path>) -> SpillOptions {
    SpillOptions {
        name: "scores",
        dir: dir.map(Path::to_owned),
        bytes_max: 1 << 30,
        away_after: Duration::from_millis(300),
        drain_patience: Duration::from_secs(2),
    }
}

fn send(sink: &mut dyn Sink, number: usize) {
    let (key, payload) = (format!("{}", number % 7), format!("score {number}"));
    let headers: [(&str, &[u8]); 1] = [("origin", b"test")];
    let (key, payload) = (key.as_bytes(), payload.as_bytes());
    sink.send(&Record { key, payload, time_ms: Some(1000), headers: &headers }).unwrap();
}

fn assert_arrived_in_order(brokers: &str, topic: &str, count: usize) {
    let found = read_all(brokers, topic, 1, count);
    assert_eq!(found.len(), count);
    for (number, message) in found.iter().enumerate() {
        assert_eq!(message.payload().unwrap(), format!("score {number}").as_bytes());
        assert_eq!(message.key().unwrap(), format!("{}", number % 7).as_bytes());
        assert_eq!(message.headers().unwrap().get(0).value, Some(&b"test"[..]));
        assert_eq!(message.timestamp().to_millis(), Some(1000));
    }
}

#[test]
fn what_the_producer_holds_is_taken_back_in_order() {
    let (cluster, brokers) = cluster();
    let scores = topic_of(&cluster);
    let mut sink = KafkaSink::open(&config(&brokers, &[]), 0, &scores).unwrap();
    cluster.broker_down(1).unwrap();
    (0..3000).for_each(|number| send(&mut sink, number));
    let mut returned = Vec::new();
    sink.take_back(&mut |record| {
        assert_eq!((record.time_ms, record.headers), (Some(1000), &[("origin", &b"test"[..])][..]));
        returned.push(String::from_utf8(record.payload.to_vec()).unwrap());
    })
    .unwrap();
    assert_eq!(returned, Vec::from_iter((0..3000).map(|number| format!("score {number}"))));
    assert_eq!(sink.waiting_count(), 0);
    assert!(!sink.is_reachable());
    cluster.broker_up(1).unwrap();
    (0..10).for_each(|number| send(&mut sink, number));
    sink.flush().unwrap();
    assert_arrived_in_order(&brokers, &scores, 10);
}

#[test]
fn scores_wait_on_the_disk_and_arrive_once_and_in_order() {
    let (cluster, brokers) = cluster();
    let scores = topic_of(&cluster);
    let folder = tempfile::tempdir().unwrap();
    let kafka = config(&brokers, &[("queue.buffering.max.messages", "500")]);
    let inner = KafkaSink::open(&kafka, 0, &scores).unwrap();
    let stop = Arc::default();
    let mut sink = SpillSink::open(Box::new(inner), &options(Some(folder.path())), &stop).unwrap();
    (0..100).for_each(|number| send(&mut sink, number));
    sink.flush().unwrap();
    cluster.broker_down(1).unwrap();
    let down = Instant::now();
    (100..20_000).for_each(|number| send(&mut sink, number));
    assert!(down.elapsed() < Duration::from_secs(20), "it goes on while the topic is away");
    sink.flush().unwrap();
    assert_eq!(sink.waiting_count(), 0, "nothing is held in memory after a flush");
    cluster.broker_up(1).unwrap();
    (20_000..20_100).for_each(|number| send(&mut sink, number));
    sink.finish().unwrap();
    assert_arrived_in_order(&brokers, &scores, 20_100);
    assert!(std::fs::read_dir(folder.path().join("scores")).unwrap().count() <= 2);
}

#[test]
fn what_is_left_when_the_run_ends_goes_out_at_the_next_start() {
    let (cluster, brokers) = cluster();
    let scores = topic_of(&cluster);
    let folder = tempfile::tempdir().unwrap();
    let kafka = config(&brokers, &[]);
    let stop = Arc::new(AtomicBool::new(false));
    let open = |stop| {
        let inner = KafkaSink::open(&kafka, 0, &scores).unwrap();
        SpillSink::open(Box::new(inner), &options(Some(folder.path())), stop).unwrap()
    };
    let mut first = open(&stop);
    cluster.broker_down(1).unwrap();
    (0..1000).for_each(|number| send(&mut first, number));
    stop.store(true, Ordering::Relaxed);
    let error = first.finish().unwrap_err();
    assert!(error.to_string().starts_with("1000 records could not be delivered"), "{error}");
    drop(first);
    cluster.broker_up(1).unwrap();
    let mut second = open(&Arc::default());
    (1000..1100).for_each(|number| send(&mut second, number));
    second.finish().unwrap();
    assert_arrived_in_order(&brokers, &scores, 1100);
}
