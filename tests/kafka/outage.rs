//! The brokers go away and come back: the source waits and reads on, the sink holds and delivers.

use std::time::{Duration, Instant};

use pelton::emit::kafka::KafkaSink;
use pelton::emit::{Record, Sink};
use rdkafka::mocking::MockCluster;
use rdkafka::producer::DefaultProducerContext;

use crate::kafka::world::{Reader, Writer, config, subscription, unique};

pub fn cluster() -> (MockCluster<'static, DefaultProducerContext>, String) {
    let cluster = MockCluster::new(1).unwrap();
    let brokers = cluster.bootstrap_servers();
    (cluster, brokers)
}

#[test]
fn the_source_reads_on_after_an_outage() {
    let (cluster, brokers) = cluster();
    let events = unique("outage");
    cluster.create_topic(&events, 2, 1).unwrap();
    let writer = Writer::new(&brokers);
    let write = || writer.write_all((0..20).map(|i| (&*events, i % 2, format!("{i} {i} 1"))));
    write();
    let mut what = subscription(&[&events], None);
    (what.stop_at_end, what.alone) = (false, false);
    let mut reader = Reader::open(&config(&brokers, &[]), &what, 100, &[]);
    reader.until(20);
    cluster.broker_down(1).unwrap();
    let down = Instant::now();
    while down.elapsed() < Duration::from_secs(2) {
        reader.batch(Duration::from_millis(50));
    }
    cluster.broker_up(1).unwrap();
    write();
    reader.until(40);
    let mut seen: Vec<_> = reader.read.iter().map(|r| (r.partition, r.offset)).collect();
    seen.sort_unstable();
    seen.dedup();
    assert_eq!(seen.len(), 40);
}

#[test]
fn the_sink_holds_what_it_was_given_and_delivers_it_after_an_outage() {
    let (cluster, brokers) = cluster();
    let scores = unique("outage-scores");
    cluster.create_topic(&scores, 1, 1).unwrap();
    let mut sink = KafkaSink::open(&config(&brokers, &[]), 0, &scores).unwrap();
    let send = |sink: &mut KafkaSink, payload: &[u8]| {
        sink.send(&Record { key: b"k", payload, time_ms: None, headers: &[] }).unwrap();
    };
    send(&mut sink, b"before");
    sink.flush().unwrap();
    cluster.broker_down(1).unwrap();
    for i in 0..100 {
        send(&mut sink, format!("during {i}").as_bytes());
    }
    assert!(sink.flush_within(Duration::from_secs(1)).is_err(), "what is not acknowledged is said");
    assert_eq!(sink.waiting_count(), 100);
    cluster.broker_up(1).unwrap();
    sink.flush().unwrap();
    assert_eq!(sink.waiting_count(), 0);
}
