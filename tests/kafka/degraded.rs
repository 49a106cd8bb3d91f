//! The whole engine while one of its neighbours is away: it goes on as far as it can, and when the
//! neighbour is back nothing is lost and nothing doubled. Meanwhile no stage counts as stalled.
//!
//! Events, scores and labels each have a broker of their own in a mock cluster.

use pelton::device::Device;
use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use pelton::checkpoint::recover::Recovery;
use pelton::config::Config;
use pelton::error::Error;
use pelton::live::Live;
use pelton::run::{Outcome, run};
use pelton::source::kafka;
use pelton::watchdog::Watch;
use pelton::watchdog::standing::Limits;
use rdkafka::mocking::MockCluster;
use rdkafka::producer::DefaultProducerContext;
use tempfile::TempDir;

use crate::kafka::topics::stored;
use crate::kafka::world::Writer;

const EVENTS: i32 = 1;
const SCORES: i32 = 2;
const LABELS: i32 = 3;
/// A stage that works on one batch for two seconds stands still; one that waits does not.
const LIMITS: Limits = Limits { say: Duration::from_secs(2), end: Duration::ZERO };

/// What the spill may take: about three hundred scores.
const CONFIG: &str = "
    kafka.brokers = '{brokers}'
    kafka.properties = { 'queue.buffering.max.messages' = 100 }
    source = { topics = ['events'], group = 'g', alone = true, hold = '200ms' }
    event = { id = 'id', time = 't' }
    labels = { topic = 'labels', id = 'id', field = 'label', time = 't' }
    batch.rows_max = 50
    fields.amount = { type = 'number', range = [0, 100], missing = 'reject' }
    fields.kind = { type = 'number' }
    filter = [{ field = 'kind', max = 1 }]
    features = [{ number = 'amount' }]
    emit = { topic = 'scores', spill_dir = '{dir}', spill_max_bytes = 65536,
             spill_after = '300ms', drain_patience = '20s' }
    dead_letters.topic = 'dead'";

struct World {
    cluster: MockCluster<'static, DefaultProducerContext>,
    brokers: String,
    writer: Writer,
    _folder: TempDir,
    stop: Arc<AtomicBool>,
    live: Arc<Live>,
    watch: RefCell<Watch>,
    engine: Option<JoinHandle<Result<Outcome, Error>>>,
}

impl World {
    /// A cluster and an engine at work in it.
    fn start() -> World {
        let cluster = MockCluster::new(3).unwrap();
        let topics = [("events", EVENTS), ("scores", SCORES), ("dead", SCORES), ("labels", LABELS)];
        for (topic, broker) in topics {
            cluster.create_topic(topic, 1, 1).unwrap();
            cluster.partition_leader(topic, 0, Some(broker)).unwrap();
        }
        let brokers = cluster.bootstrap_servers();
        let folder = tempfile::tempdir().unwrap();
        let config = CONFIG.replace("{brokers}", &brokers);
        let config = config.replace("{dir}", &folder.path().to_string_lossy());
        let config = Config::parse(&config.replace("\n             ", " ")).expect("legal");
        let (stop, live) = (Arc::new(AtomicBool::new(false)), Arc::new(Live::default()));
        let engine = {
            let (stop, live) = (Arc::clone(&stop), Arc::clone(&live));
            std::thread::spawn(move || {
                let source = kafka::open(&config, &[], Vec::new())?;
                run(&config, source, Recovery::none(&config, &Device::Cpu)?, &stop, &live)
            })
        };
        let writer = Writer::new(&brokers);
        let watch = RefCell::new(Watch::new(LIMITS, Instant::now()));
        let (_folder, engine) = (folder, Some(engine));
        World { cluster, brokers, writer, _folder, stop, live, watch, engine }
    }

    /// One event in ten is a dead letter, one is filtered, each of its own kind.
    fn write_events(&self, ids: std::ops::Range<u64>) {
        let event = |id: u64| {
            let (amount, kind) = (if id % 10 == 7 { 700 } else { 7 }, u8::from(id % 10 == 3) * 2);
            format!(r#"{{"id":{id},"t":{},"amount":{amount},"kind":{kind}}}"#, 1000 + id)
        };
        self.writer.write_all(ids.map(|id| ("events", 0, event(id))));
    }

    fn write_labels(&self, ids: std::ops::Range<u64>) {
        let label = |id| format!(r#"{{"id":{id},"t":{},"label":{}}}"#, 2000 + id, id % 2);
        self.writer.write_all(ids.map(|id| ("labels", 0, label(id))));
    }

    fn down(&self, broker: i32) {
        self.cluster.broker_down(broker).unwrap();
    }

    fn up(&self, broker: i32) {
        self.cluster.broker_up(broker).unwrap();
    }

    fn wait_until(&self, what: &str, is_so: impl Fn(&Live) -> bool) {
        let deadline = Instant::now() + Duration::from_secs(60);
        while !is_so(&self.live) {
            let is_running = !self.engine.as_ref().unwrap().is_finished();
            assert!(is_running && Instant::now() < deadline, "{what}: {:?}", self.live);
            let stalls = self.watch.borrow_mut().look(self.live.stages(), Instant::now());
            assert!(stalls.is_empty(), "whoever waits does not stand still: {stalls:?}");
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Stops the engine and holds its books against the topics.
    fn finish(mut self, events: u64) -> Outcome {
        self.stop.store(true, Ordering::Relaxed);
        let outcome = self.engine.take().unwrap().join().unwrap().expect("a good end");
        let totals = &outcome.totals;
        assert!(totals.balances(), "{totals:?}");
        assert_eq!((totals.consumed, totals.filtered), (events, events / 10));
        assert_eq!((totals.scored, totals.dead_letters_total()), (events * 8 / 10, events / 10));
        let scores = stored(&self.brokers, "scores", totals.scored as usize);
        let ids: Vec<u64> = scores
            .iter()
            .map(|score| {
                let json: serde_json::Value = serde_json::from_slice(&score.payload).unwrap();
                json["id"].as_u64().unwrap()
            })
            .collect();
        let expected: Vec<u64> = (0..events).filter(|id| id % 10 != 3 && id % 10 != 7).collect();
        assert_eq!(ids, expected, "every score once and in order");
        let dead = stored(&self.brokers, "dead", totals.dead_letters_total() as usize);
        let offsets: BTreeSet<_> = dead.iter().map(|letter| letter.header("offset")).collect();
        assert_eq!((dead.len(), offsets.len()), (events as usize / 10, events as usize / 10));
        outcome
    }
}

#[test]
fn scores_away_they_wait_on_the_disk_and_at_its_limit_reading_stops() {
    let world = World::start();
    world.write_events(0..200);
    world.wait_until("scored", |live| live.emitted() == 160);
    world.down(SCORES);
    world.write_events(200..400);
    world.wait_until("it goes on", |live| live.scored() == 320);
    world.write_events(400..5000);
    let before = Cell::new(0);
    world.wait_until("it stops reading", |live| {
        std::thread::sleep(Duration::from_secs(1));
        before.replace(live.consumed()) == live.consumed()
    });
    let stopped_at = world.live.consumed();
    assert!((500..3000).contains(&stopped_at), "{stopped_at} read");
    world.up(SCORES);
    world.wait_until("it reads on", |live| live.consumed() == 5000);
    world.finish(5000);
}

#[test]
fn labels_away_scoring_goes_on() {
    let world = World::start();
    world.write_events(0..100);
    world.write_labels(0..50);
    world.wait_until("scored", |live| live.emitted() == 80);
    world.down(LABELS);
    world.write_events(100..1000);
    world.wait_until("it goes on", |live| live.emitted() == 800);
    world.up(LABELS);
    world.write_labels(50..1000);
    // What is shown of the labels is as of the last batch of events.
    let mut events = 1000;
    while world.live.view().learned < 800 {
        assert!(events < 2000, "labels do not come: {:?}", world.live);
        world.write_events(events..events + 10);
        events += 10;
        std::thread::sleep(Duration::from_millis(300));
    }
    world.wait_until("scored", |live| live.consumed() == events);
    let outcome = world.finish(events);
    assert_eq!(outcome.pipeline.join().counts().joined, 800);
}

#[test]
fn events_away_it_waits_and_goes_on() {
    let world = World::start();
    world.write_events(0..100);
    world.wait_until("scored", |live| live.emitted() == 80);
    world.down(EVENTS);
    std::thread::sleep(Duration::from_secs(2));
    assert!(!world.engine.as_ref().unwrap().is_finished());
    world.up(EVENTS);
    world.write_events(100..1000);
    world.wait_until("it goes on", |live| live.emitted() == 800);
    world.finish(1000);
}
