//! Records of a topic decoded on a device: what goes out is what went out without it.

use std::path::Path;

use pelton::checkpoint::recover::Recovery;
use pelton::config::Config;
use pelton::device::Device;
use pelton::metrics::Totals;
use pelton::run::Outcome;
use pelton::source::kafka;
use pelton_kernels::device::double::Double;

use super::world::{Writer, brokers, create, unique};
use crate::decode::hostile;

const CONFIG: &str = "
    kafka.brokers = 'BROKERS'
    source = { topics = ['RUN-events'], alone = true, stop_at_end = true, decode = 'DECODE' }
    event = { id = 'id', time = 'ts', lateness = '3650d'FORMAT }
    labels = { topic = 'RUN-labels', id = 'id', field = 'label', horizon = '30d' }
    fields.amount = { type = 'number' }
    fields.card = { type = 'category' }
    features = [{ number = 'amount' }, { category = 'card' },
                { window = 'card', widths = ['1h'], aggregates = ['count', 'mean(amount)'] }]
    model.kind = 'linear'
    batch = { rows_max = ROWS, linger = '60s' }
    emit = { file = 'DIR/scores.jsonl', fields = ['amount', 'card'] }
    dead_letters.file = 'DIR/dead.jsonl'";

/// The same events in binary.
const BINARY: &str = ", format = 'binary', record_bytes = 32";
const LAYOUT: &str = "
    layout.id = { offset = 0, type = 'i64' }
    layout.ts = { offset = 8, type = 'i64' }
    layout.amount = { offset = 16, type = 'f64' }
    layout.card = { offset = 24, type = 'text', bytes = 8 }";

fn json(id: i64) -> Vec<u8> {
    let (time, amount, shop) = (1000 * id, id % 40, id % 9);
    // Escapes are for the decoder of the stream.
    let card = if id % 7 == 0 { "\\u0062" } else { "b" };
    let card = format!("\"card\":\"{card}{shop}\"");
    format!("{{\"id\":{id},\"ts\":{time},\"amount\":{amount}.5,{card}}}").into_bytes()
}

fn binary(id: i64) -> Vec<u8> {
    let mut record = id.to_le_bytes().to_vec();
    record.extend((1000 * id).to_le_bytes());
    record.extend(((id % 40) as f64 + 0.5).to_le_bytes());
    record.extend(format!("b{}", id % 9).as_bytes());
    record.resize(32, 0);
    record
}

/// Events of two partitions, tombstones and hostile records among them, and their labels.
fn fill(brokers: &str, run: &str, is_binary: bool) {
    let [events, labels] = ["events", "labels"].map(|what| format!("{run}-{what}"));
    create(brokers, &[(&events, 2), (&labels, 1)]);
    let writer = Writer::new(brokers);
    let mut hostile = hostile::records().into_iter().filter(|record| record.len() < 100_000);
    for id in 0..700_i64 {
        let (partition, key) = ((id % 2) as i32, [id as u8; 3]);
        let body = if is_binary { binary(id) } else { json(id) };
        writer.write_keyed(&events, partition, &key, Some(&body));
        match id % 6 {
            0 => writer.write_keyed(&events, partition, &key, hostile.next().as_deref()),
            1 => {
                let truth = format!("{{\"id\":{},\"label\":{}}}", id / 2, id % 4);
                writer.write_keyed(&labels, 0, &key, Some(truth.as_bytes()));
            }
            _ => {}
        }
    }
    writer.flush();
}

#[test]
fn a_topic_decoded_on_a_device_gives_the_same_scores_and_dead_letters() {
    let Some(brokers) = brokers() else { return };
    let mut scores = Vec::new();
    for is_binary in [false, true] {
        let run = unique("decoded");
        fill(&brokers, &run, is_binary);
        let config = CONFIG.replace("BROKERS", &brokers).replace("RUN", &run);
        let config = match is_binary {
            true => format!("{}{LAYOUT}", config.replace("FORMAT", BINARY)),
            false => config.replace("FORMAT", ""),
        };
        let gpu = Device::Gpu(Double::open(0));
        for rows in ["13", "256"] {
            let config = config.replace("ROWS", rows);
            let here = all(&config.replace("DECODE", "cpu"), &Device::Cpu);
            assert!(here.totals.scored >= 700, "{:?}", here.totals);
            assert!(here.totals.dead_letters_total() > 50, "{:?}", here.totals);
            assert!(here.joined > 50, "{}", here.joined);
            let there = all(&config.replace("DECODE", "device"), &gpu);
            assert!(there == here, "batches of {rows} rows, binary: {is_binary}");
            scores.push(here.scores.replace(&run, "run"));
        }
    }
    // Odd records of JSON are events too: only the others are the same in both.
    let times = |text: &str| {
        let time =
            |line: &str| serde_json::from_str::<serde_json::Value>(line).unwrap()["time"].clone();
        text.lines().map(|line| time(line).as_i64().unwrap()).collect::<Vec<_>>()
    };
    assert!(times(&scores[2]).is_sorted(), "partitions are merged by the times of binary records");
    assert!(times(&scores[2]).len() == 700 && times(&scores[0]).len() >= 700);
}

/// A run whose GPU goes away at some call goes on from its checkpoint with another: the order log
/// leads records through the decoder.
#[test]
fn a_topic_decoded_on_devices_that_go_away_loses_nothing() {
    let Some(brokers) = brokers() else { return };
    let run = unique("decoded");
    fill(&brokers, &run, false);
    let config = CONFIG.replace("BROKERS", &brokers).replace("RUN", &run).replace("FORMAT", "");
    let config = config.replace("ROWS", "13");
    let here = all(&config.replace("DECODE", "cpu"), &Device::Cpu);
    let config = config.replace("DECODE", "device");
    let config = format!("checkpoint = {{ dir = 'DIR/state', every = '10ms' }}\n{config}");
    let mut losses = 0;
    for calls in [[700, 0, 0], [150, 1500, 0], [2500, 90, 0]] {
        let there = until_the_end(&config, &mut calls.into_iter().inspect(|_| losses += 1));
        losses -= 1;
        assert!(there.scores == here.scores && there.dead == here.dead, "{calls:?}");
        assert_eq!(there.digests, here.digests, "{calls:?}");
        assert_eq!(there.totals, here.totals, "{calls:?}");
    }
    assert!(losses >= 4, "{losses} GPUs have gone away");
}

/// Runs with doubles that fail at these calls, one after the other.
fn until_the_end(config: &str, calls: &mut dyn Iterator<Item = u64>) -> Left {
    let folder = tempfile::tempdir().expect("a folder");
    let text = config.replace("DIR", folder.path().to_str().expect("UTF-8"));
    let config = Config::parse(&text).unwrap_or_else(|problems| panic!("{problems}"));
    for call in calls {
        let gpu = Device::Gpu(Double::open(call));
        let run = || {
            let mut recovery = Recovery::open(&config, &gpu)?;
            let script = std::mem::take(&mut recovery.script);
            let source = kafka::open(&config, &recovery.positions, script)?;
            pelton::run::run(&config, source, recovery, &Default::default(), &Default::default())
        };
        match run() {
            Ok(outcome) => return left(folder.path(), outcome),
            Err(error) => assert!(error.is_device_lost(), "{}", error.chain()),
        }
    }
    panic!("the last one does not fail")
}

/// What a run leaves behind.
#[derive(PartialEq)]
struct Left {
    scores: String,
    dead: String,
    digests: [String; 2],
    totals: Totals,
    joined: u64,
}

fn all(config: &str, device: &Device) -> Left {
    let folder = tempfile::tempdir().expect("a folder");
    let text = config.replace("DIR", folder.path().to_str().expect("UTF-8"));
    let config = Config::parse(&text).unwrap_or_else(|problems| panic!("{problems}"));
    let source = kafka::open(&config, &[], Vec::new()).expect("a source");
    let recovery = Recovery::none(&config, device).expect("a pipeline");
    let (stop, live) = Default::default();
    let outcome = pelton::run::run(&config, source, recovery, &stop, &live).expect("a run");
    left(folder.path(), outcome)
}

fn left(folder: &Path, outcome: Outcome) -> Left {
    let read = |name| std::fs::read_to_string(folder.join(name)).expect("written");
    let learner = outcome.pipeline.learner();
    Left {
        scores: read("scores.jsonl"),
        dead: read("dead.jsonl"),
        digests: [learner.score_digest(), learner.model_digest().expect("it is there")],
        totals: outcome.totals,
        joined: outcome.pipeline.join().counts().joined,
    }
}
