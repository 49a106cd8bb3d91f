//! A backlog is one stream in event-time order, whatever the cuts; what is live is not held up.

use std::time::{Duration, Instant};

use pelton::source::Progress;

use crate::kafka::world::{Read, Reader, Writer, brokers, config, schema, subscription, topic};

const EVENTS: i64 = 3000;
const LABELS: i64 = 1000;

/// Two event topics of 2 and 1 partitions, and labels; every partition sorted by time, many ties.
fn backlog(brokers: &str) -> (String, String, String, Vec<Read>) {
    let (a, b) = (topic(brokers, "events-a", 2), topic(brokers, "events-b", 1));
    let labels = topic(brokers, "labels", 1);
    let mut order = Vec::new();
    let mut offsets = std::collections::HashMap::new();
    let mut add = |topic: &str, partition: i32, is_event: bool, time_ms: i64| {
        let offset: &mut i64 = offsets.entry((topic.to_owned(), partition)).or_default();
        let topic = topic.to_owned();
        order.push(Read { time_ms, is_event, topic, partition, offset: *offset });
        *offset += 1;
    };
    for i in 0..EVENTS {
        let (topic, partition) = [(&a, 0), (&a, 1), (&b, 0)][(i * i % 3) as usize];
        add(topic, partition, true, 1000 + i / 5);
    }
    for i in 0..LABELS {
        add(&labels, 0, false, 1100 + i / 3);
    }
    let bodies: Vec<_> = order
        .iter()
        .map(|read| (&*read.topic, read.partition, format!("{} {} 1", read.offset, read.time_ms)))
        .collect();
    Writer::new(brokers).write_all(bodies);
    order.sort();
    (a, b, labels, order)
}

#[test]
fn a_backlog_comes_in_event_time_order_whatever_the_cuts() {
    let Some(brokers) = brokers() else { return };
    let (a, b, labels, expected) = backlog(&brokers);
    for (rows, fetch_bytes) in [(7, "1000"), (1024, "1000000"), (100_000, "3000")] {
        // Small fetches make some partitions come in much later than others.
        let properties = [("max.partition.fetch.bytes", fetch_bytes)];
        let what = subscription(&[&a, &b], Some(&labels));
        let reader = Reader::open(&config(&brokers, &properties), &what, rows, &[]).read_to_end();
        assert_eq!(reader.read, expected, "slots of {rows} rows, fetches of {fetch_bytes} bytes");
    }
}

#[test]
fn a_restart_reads_on_where_the_checkpoint_stood() {
    let Some(brokers) = brokers() else { return };
    let (a, b, labels, expected) = backlog(&brokers);
    let what = subscription(&[&a, &b], Some(&labels));
    let kafka = config(&brokers, &[]);
    let mut first = Reader::open(&kafka, &what, 100, &[]);
    first.until(1500);
    // Read beyond the checkpoint, then lost with the process.
    let (checkpoint, mut read) = (first.next.clone(), first.read.clone());
    first.until(2500);
    drop(first);
    assert_eq!(checkpoint.len(), 4, "every partition is named, even one nothing was read from");
    let second = Reader::open(&kafka, &what, 64, &checkpoint).read_to_end();
    read.extend(second.read);
    assert_eq!(read, expected);
}

#[test]
fn live_records_come_at_once_though_other_partitions_are_idle() {
    let Some(brokers) = brokers() else { return };
    let (events, labels) = (topic(&brokers, "live", 3), topic(&brokers, "live-labels", 1));
    let mut what = subscription(&[&events], Some(&labels));
    what.stop_at_end = false;
    let mut reader = Reader::open(&config(&brokers, &[]), &what, 100, &[]);
    let writer = Writer::new(&brokers);
    writer.write(&events, 0, "0 1000 1");
    reader.until(1);
    let mut waits = Vec::new();
    for i in 1..=30 {
        writer.write(&events, i % 3, &format!("{i} {} 1", 1000 + i));
        let written = Instant::now();
        reader.until(1 + i as usize);
        waits.push(written.elapsed());
    }
    waits.sort();
    println!("live: from acknowledged write to read {:?}, worst {:?}", waits[15], waits[29]);
    // The fetch of an idle broker is answered by the first record; 100 ms is the fetch's own wait.
    assert!(waits[15] < Duration::from_millis(90), "{waits:?}");
    assert_eq!(reader.batch(Duration::from_millis(10)), Some(Progress::Waiting));
}

#[test]
fn poison_becomes_rejects_with_position_and_bytes_and_keeps_its_place() {
    let Some(brokers) = brokers() else { return };
    let (events, labels) = (topic(&brokers, "poison", 1), topic(&brokers, "poison-labels", 1));
    let writer = Writer::new(&brokers);
    let bodies = ["1 1000 1", "not a record", "2 1001 1", "\u{0}\u{1}", "3 1002 1"];
    writer.write_all(bodies.map(|body| (&*events, 0, body.to_owned())));
    writer.write(&labels, 0, "1 1001 maybe");
    let what = subscription(&[&events], Some(&labels));
    let reader = Reader::open(&config(&brokers, &[]), &what, 100, &[]).read_to_end();
    let times: Vec<_> = reader.read.iter().map(|read| read.time_ms).collect();
    assert_eq!(times, [1000, 1001, 1002]);
    let found: Vec<_> = reader
        .rejects
        .iter()
        .map(|(r, span)| (r.is_label, &*span.topic, r.position.offset, r.bytes.as_slice()))
        .collect();
    let expected = [
        (false, &*events, 1, &b"not a record"[..]),
        (true, &*labels, 0, b"1 1001 maybe"),
        (false, &*events, 3, b"\0\x01"),
    ];
    assert_eq!(found, expected);
}

#[test]
fn keys_headers_and_message_times_are_there_to_decode() {
    let Some(brokers) = brokers() else { return };
    let events = topic(&brokers, "headers", 1);
    let writer = Writer::new(&brokers);
    writer.write_with_header(&events, "1 1000 5", "42.5", 123_456);
    writer.write(&events, 0, "2 1001 7");
    let what = subscription(&[&events], None);
    let mut reader = Reader::open(&config(&brokers, &[]), &what, 2, &[]);
    reader.until(2);
    let column = schema().number("amount").unwrap();
    assert_eq!(reader.slot.number(column), [42.5, 7.0], "the last header of that name");
    assert_eq!(reader.slot.texts.get(0), b"null");
    assert_eq!(reader.slot.texts.get(1), b"\"k\"");
}
