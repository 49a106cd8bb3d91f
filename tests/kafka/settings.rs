//! Rows of the settings that only a broker can show: where records come from, and where they go.

use pelton::device::Device;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use pelton::checkpoint::recover::Recovery;
use pelton::config::stream::{KafkaConfig, Start, StateOf};
use pelton::emit::Emit;
use pelton::ring::{Position, Slot};
use pelton::run::Outcome;
use pelton::shards;
use pelton::source::kafka::Subscription;
use pelton::source::{Progress, kafka};
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
use rdkafka::message::Message;
use rdkafka::mocking::MockCluster;
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};

use super::away;
use super::sink::read_all;
use super::world::{Reader, Writer, brokers, config, create, subscription};
use crate::settings::look::{cuts_of, run};
use crate::settings::row::{NONE, Row, World, check, row};

const BASE: &str = "
    kafka.brokers = '{brokers}'
    source = { topics = ['events-{run}'], group = 'group-{run}', alone = true, stop_at_end = true }
    event = { id = 'id', time = 't' }
    labels = { topic = 'labels-{run}', id = 'id', field = 'label', time = 't' }
    fields.NUMBER = { type = 'number' }
    fields.CATEGORY = { type = 'category' }
    features = [{ number = 'NUMBER' }]";

const COMMITTED: &[(&str, &str)] = &[("source.start", "'committed'")];
const SHARED: &[(&str, &str)] = &[("source.alone", "false")];
const KEPT: &[(&str, &str)] = &[("checkpoint.dir", "'{dir}/state'")];
const SCORES: &[(&str, &str)] = &[("emit.topic", "'scores-{run}'")];
/// The topic of scores is in a cluster that goes away, and its producer holds few records.
const AWAY: &[(&str, &str)] = &[
    ("kafka.brokers", "'{second_brokers}'"),
    ("kafka.properties", "{ 'queue.buffering.max.messages' = 10 }"),
    ("emit.topic", "'scores-{run}'"),
    ("emit.spill_dir", "'{dir}/spill'"),
    ("emit.spill_after", "'100ms'"),
    ("emit.drain_patience", "'500ms'"),
];
const IN_TRANSACTIONS: &[(&str, &str)] = &[
    ("kafka.brokers", "'{second_brokers}'"),
    ("emit.topic", "'scores-{run}'"),
    ("emit.exactly_once", "'transactions'"),
];
/// A score record of more than the bytes that a message may then have.
const LONG: &[(&str, &str)] = &[("emit.topic", "'scores-{run}'"), ("emit.fields", "['note']")];

pub const ROWS: &[Row] = &[
    row("kafka.brokers", &["'{brokers}'", "'{second_brokers}'"], "5", clusters).on(BASE),
    row("kafka.properties", &["{}", "{ 'message.max.bytes' = 1200 }"], "{ a = [] }", outcome)
        .on(BASE)
        .with(LONG),
    row("source.topics", &["'events-{run}'", "['events-{run}', 'more-{run}']"], "5", totals)
        .on(BASE),
    row("source.group", &["'group-{run}'", "'other-{run}'"], "5", totals).on(BASE).with(COMMITTED),
    row("source.alone", &["true", "false"], "'no'", beside_a_member).on(BASE),
    row("source.state", &["'shared'", "'partitioned'"], "5", places).on(BASE).with(KEPT),
    row("source.member", &[NONE, "'engine-1'"], "5", members_left).on(BASE).with(SHARED),
    row(
        "source.start",
        &["'earliest'", "'latest'", "2", "'1970-01-01T00:08:27Z'", "'committed'"],
        "-1",
        totals,
    )
    .on(BASE),
    row("source.stop_at_end", &["true", "false"], "1", ends).on(BASE),
    row("source.hold", &["'100ms'", "'1h'"], "30", away::read_beside_a_silent_partition)
        .on(BASE)
        .with(&[("source.stop_at_end", "false")]),
    row("labels.topic", &[NONE, "'labels-{run}'", "'truths-{run}'"], "5", totals).on(BASE),
    row("batch.bytes_max", &["8388608", "1024"], "1", cuts).on(BASE).with(LONG),
    row("emit.topic", &[NONE, "'scores-{run}'", "'others-{run}'"], "5", sent).on(BASE),
    row("emit.key", &[NONE, "'CATEGORY'"], "5", sent).on(BASE).with(SCORES),
    row("emit.linger", &["'0ms'", "'60s'"], "'2m'", held_back).on(BASE).with(SCORES),
    row("emit.spill_dir", &[NONE, "'{dir}/a'", "'{dir}/b'"], "5", away::last_words)
        .on(BASE)
        .with(AWAY),
    row("emit.spill_max_bytes", &["1073741824", "65536"], "1", away::taken).on(BASE).with(AWAY),
    row("emit.spill_after", &["'10ms'", "'1h'"], "'9ms'", away::is_kept).on(BASE).with(AWAY),
    row("emit.drain_patience", &["'0ms'", "'20s'"], "30", away::last_words_after_a_while)
        .on(BASE)
        .with(AWAY),
    row("emit.exactly_once", &["'idempotent'", "'transactions'"], "true", away::committed)
        .on(BASE)
        .with(IN_TRANSACTIONS),
    row("emit.transactional_id", &["'pelton'", "'other'"], "5", away::committed)
        .on(BASE)
        .with(IN_TRANSACTIONS),
    row("emit.commit_every", &["'1ms'", "'30s'"], "'31s'", away::committed)
        .on(BASE)
        .with(IN_TRANSACTIONS),
    row("dead_letters.topic", &[NONE, "'scores-{run}'", "'others-{run}'"], "5", sent).on(BASE),
];

#[test]
fn settings_of_kafka_do_something() {
    if brokers().is_some() {
        check(ROWS);
    }
}

thread_local! {
    pub static SECOND: MockCluster<'static, rdkafka::producer::DefaultProducerContext> =
        MockCluster::new(1).unwrap();
}

/// The brokers of a second cluster, which lives as long as the thread.
pub fn second_brokers() -> String {
    SECOND.with(MockCluster::bootstrap_servers)
}

/// Ten events and one record that is none, five events more, and labels in two topics.
fn fill(world: &World, brokers: &str) {
    let name = |what: &str| format!("{what}-{}", world.run);
    let topics = ["events", "more", "labels", "truths", "scores", "others"].map(name);
    create(brokers, &topics.each_ref().map(|topic| (topic.as_str(), 1)));
    let writer = Writer::new(brokers);
    for id in 0..11 {
        let note = "n".repeat(1500);
        let json = match id {
            10 => "no event".to_owned(),
            id => format!(
                r#"{{"id":{id},"t":{},"NUMBER":1,"CATEGORY":"c{id}","label":1,"note":"{note}"}}"#,
                500_000 + id
            ),
        };
        writer.write_with_header(&name("events"), &json, "1", 500_000 + id * 1000);
    }
    let label = |id| format!(r#"{{"id":{id},"t":500100,"label":1}}"#);
    let more = (20..25).map(|id| (name("more"), format!(r#"{{"id":{id},"t":500050,"NUMBER":2}}"#)));
    let labels = (0..8).map(|id| (name("labels"), label(id)));
    let truths = (0..3).map(|id| (name("truths"), label(id)));
    let records: Vec<_> = more.chain(labels).chain(truths).collect();
    writer.write_all(records.iter().map(|(topic, json)| (topic.as_str(), 0, json.clone())));
    commit(brokers, &name("group"), &name("events"), 6);
}

fn commit(brokers: &str, group: &str, topic: &str, next: i64) {
    let client: BaseConsumer = client(brokers, group);
    let mut list = TopicPartitionList::new();
    list.add_partition_offset(topic, 0, Offset::Offset(next)).unwrap();
    client.commit(&list, CommitMode::Sync).unwrap();
}

fn client(brokers: &str, group: &str) -> BaseConsumer {
    let mut client = ClientConfig::new();
    client.set("bootstrap.servers", brokers).set("group.id", group).create().unwrap()
}

/// What was read, joined and refused; nothing without a broker.
fn totals(world: &World) -> Option<String> {
    fill(world, &brokers()?);
    Some(run_as_told(world))
}

fn run_as_told(world: &World) -> String {
    let source = kafka::open(&world.config, &[], Vec::new()).expect("a source");
    let outcome = run(&world.config, source).expect("a run");
    let joined = outcome.pipeline.join().counts().joined;
    format!("{} read, {} scored, {joined} joined", outcome.totals.consumed, outcome.totals.scored)
}

/// What lies in the folder of the checkpoints.
fn places(world: &World) -> Option<String> {
    fill(world, &brokers()?);
    let config = &world.config;
    if config.source.state() == StateOf::Each {
        let stop = AtomicBool::new(false);
        let mut events = 0;
        let done = &mut |_, outcome: Outcome| events += outcome.totals.consumed;
        shards::run((config, &Device::Cpu), &stop, &Arc::default(), done).expect("a run");
        assert_eq!(events, 11);
    } else {
        let recovery = Recovery::open(config, &Device::Cpu).expect("a folder");
        let source = kafka::open(config, &[], Vec::new()).expect("a source");
        pelton::run::run(config, source, recovery, &Arc::default(), &Arc::default())
            .expect("a run");
    }
    let dir = config.checkpoint.dir.as_ref().expect("it is set");
    let entries = std::fs::read_dir(dir).expect("a folder");
    let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name()).collect();
    names.sort();
    Some(format!("{names:?}"))
}

/// The same where the events of a second cluster are others.
fn clusters(world: &World) -> Option<String> {
    fill(world, &brokers()?);
    let name = |what: &str| format!("{what}-{}", world.run);
    for topic in ["events", "labels"] {
        SECOND.with(|cluster| cluster.create_topic(&name(topic), 1, 1)).unwrap();
    }
    let json = r#"{"id":1,"t":500000,"NUMBER":1}"#;
    Writer::new(&second_brokers()).write(&name("events"), 0, json);
    Some(run_as_told(world))
}

/// Whether a run comes to its end.
fn outcome(world: &World) -> Option<String> {
    fill(world, &brokers()?);
    let source = kafka::open(&world.config, &[], Vec::new()).expect("a source");
    Some(match run(&world.config, source) {
        Ok(_) => "a run".to_owned(),
        Err(error) => error.to_string(),
    })
}

/// Where batches are cut.
fn cuts(world: &World) -> Option<String> {
    fill(world, &brokers()?);
    let source = kafka::open(&world.config, &[], Vec::new()).expect("a source");
    Some(cuts_of(world, source))
}

/// Keys of the score records and reasons of the dead letters, by topic.
fn sent(world: &World) -> Option<String> {
    let brokers = brokers()?;
    fill(world, &brokers);
    run_as_told(world);
    let mut seen = String::new();
    for topic in ["scores", "others"] {
        let found = read_all(&brokers, &format!("{topic}-{}", world.run), 1, 0);
        let key = |key: &[u8]| String::from_utf8_lossy(key).into_owned();
        let keys: Vec<_> = found.iter().map(|message| message.key().map(key)).collect();
        seen += &format!("{topic}: {keys:?} ");
    }
    Some(seen)
}

/// Whether the source says by itself that there is no more.
fn ends(world: &World) -> Option<String> {
    fill(world, &brokers()?);
    let mut source = kafka::open(&world.config, &[], Vec::new()).expect("a source");
    let mut slot = Slot::new(&world.config.event.schema, 100);
    let patience = if told(world).stop_at_end { 300 } else { 20 };
    let ended = (0..patience).any(|_| {
        let until = Instant::now() + Duration::from_millis(100);
        source.read(&mut slot, until).expect("readable") == Progress::Ended
    });
    Some(format!("ended: {ended}"))
}

fn told(world: &World) -> Subscription {
    Subscription::of(&world.config).expect("topics")
}

fn shared(world: &World) -> (KafkaConfig, Subscription) {
    let brokers = world.config.kafka.brokers.clone();
    let mut what = subscription(&[&format!("events-{}", world.run)], None);
    what.group = format!("group-{}", world.run);
    (what.alone, what.stop_at_end, what.start) = (false, false, Start::Earliest);
    (config(&brokers, &[]), what)
}

/// How much is read while another member of the group has the only partition.
fn beside_a_member(world: &World) -> Option<String> {
    fill(world, &brokers()?);
    let (kafka, what) = shared(world);
    let mut first = Reader::open(&kafka, &what, 100, &[]);
    first.until(11);
    let mut source = kafka::open(&world.config, &[], Vec::new()).expect("a source");
    let mut slot = Slot::new(&world.config.event.schema, 100);
    let patience = Duration::from_secs(if told(world).alone { 30 } else { 4 });
    let deadline = Instant::now() + patience;
    while slot.consumed < 11 && Instant::now() < deadline {
        first.batch(Duration::from_millis(20));
        source.read(&mut slot, Instant::now() + Duration::from_millis(20)).expect("readable");
    }
    Some(format!("{} read", slot.consumed))
}

/// How many members the group still has when its only one has left: a static one may come back.
fn members_left(world: &World) -> Option<String> {
    let brokers = brokers()?;
    fill(world, &brokers);
    run_as_told(world);
    let group = format!("group-{}", world.run);
    let client: BaseConsumer = client(&brokers, "observer");
    let list = client.fetch_group_list(Some(&group), Duration::from_secs(10)).unwrap();
    let members: Vec<usize> = list.groups().iter().map(|group| group.members().len()).collect();
    Some(format!("members: {members:?}"))
}

/// A batch of scores.
pub fn scored(world: &World, rows: usize) -> Slot {
    let mut slot = Slot::new(&world.config.event.schema, rows);
    (slot.rows, slot.scores, slot.versions) = (rows, vec![0.5; rows], vec![1; rows]);
    let span = slot.span_index(&"topic".into(), 0);
    for row in 0..rows {
        slot.positions[row] = Position { span, offset: row as i64 };
        slot.texts.push_with(|text| text.push(b'1'));
    }
    slot
}

/// Whether a score arrives though nobody asks for its delivery.
fn held_back(world: &World) -> Option<String> {
    let brokers = brokers()?;
    fill(world, &brokers);
    let mut emit = Emit::open(&world.config, &Arc::default()).expect("a sink");
    emit.run(&scored(world, 1)).expect("sent");
    // What is sent at once is waited for; what is held back is held for longer than this.
    let is_held = world.config.emit.linger_ms > 10_000;
    std::thread::sleep(Duration::from_secs(if is_held { 3 } else { 0 }));
    let found = read_all(&brokers, &format!("scores-{}", world.run), 1, usize::from(!is_held));
    Some(format!("{} arrived", found.len()))
}
