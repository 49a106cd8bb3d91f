//! `[emit]`, `[dead_letters]`: what flows out.

use std::path::PathBuf;

use crate::schema::Target;

use super::event::EventConfig;
use super::read::{Key, Section};

/// Where scores or dead letters go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SinkConfig {
    /// Nowhere: they are only counted.
    None,
    /// A file of JSON lines.
    File(PathBuf),
    /// A Kafka topic.
    Kafka(String),
}

/// Scores and dead letters go out in Kafka transactions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TransactionsConfig {
    /// The transactional id is this, a dash, and the name of the sink.
    pub id: String,
    /// A transaction is committed when it is so old.
    pub commit_every_ms: i64,
}

/// The score records.
#[derive(Clone, Debug, PartialEq)]
pub struct EmitConfig {
    /// Where they go.
    pub sink: SinkConfig,
    /// Fields of the event that a score record repeats.
    pub fields: Vec<String>,
    /// Field whose value keys the record; the id by default.
    pub key: Option<String>,
    /// How many reasons a score record gives.
    pub reasons: usize,
    /// Whether a score record repeats the features that were scored.
    pub features: bool,
    /// How long the producer gathers records.
    pub linger_ms: i64,
    /// Folder for records that a Kafka sink cannot take, scores and dead letters each in their own.
    pub spill_dir: Option<PathBuf>,
    /// Most bytes in each of these.
    pub spill_max_bytes: u64,
    /// A sink is away when it has acknowledged nothing for so long.
    pub spill_after_ms: i64,
    /// Whether topics are written in transactions, and how.
    pub transactions: Option<TransactionsConfig>,
    /// At the end of a run a sink is given up when it has acknowledged nothing for so long.
    pub drain_patience_ms: i64,
}

impl EmitConfig {
    /// Reads `[emit]`; repeated fields become text columns, the id is the first of them.
    pub fn read(root: &mut Section<'_>, event: &mut EventConfig) -> EmitConfig {
        let mut section = root.section("emit");
        let sink = read_sink(&mut section, "score records");
        let fields =
            section.texts(Key("fields", "fields of the event that a score record repeats"));
        let key = section.text_maybe(Key("key", "field whose value keys the record; else the id"));
        let doc = "reasons a score record gives: the inputs that add or take the most, in log odds";
        let reasons = section.count(Key("reasons", doc), 0, 0..=64);
        let doc = "whether a score record repeats the features that were scored, as the model saw \
                   them";
        let features = section.flag(Key("features", doc), false);
        let doc = "how long the Kafka producer gathers records";
        let linger_ms = section.duration_ms(Key("linger", doc), "1ms", ["0ms", "60s"]);
        let doc = "folder for score records and dead letters while their topic cannot be written; \
               none = they wait in memory, and reading stops";
        let spill_dir = section.text_maybe(Key("spill_dir", doc)).map(PathBuf::from);
        let doc = "most bytes that scores, and dead letters, may take there; then reading stops";
        let spill_max_bytes =
            section.count(Key("spill_max_bytes", doc), 1 << 30, 1 << 16..=1 << 45);
        let doc = "a topic that acknowledges nothing for so long is away";
        let spill_after_ms = section.duration_ms(Key("spill_after", doc), "5s", ["10ms", "1h"]);
        let doc = "how scores and dead letters reach a topic once: by an idempotent producer and \
                   the topic's own end, or in transactions, for readers at read_committed";
        let choices = [("idempotent", false), ("transactions", true)];
        let is_transactional = section.choice(Key("exactly_once", doc), &choices);
        let doc = "first part of the transactional ids; one engine at a time may have it";
        let id = section.text_or(Key("transactional_id", doc), "pelton");
        let doc = "age at which a transaction is committed";
        let commit_every_ms =
            section.duration_ms(Key("commit_every", doc), "100ms", ["1ms", "30s"]);
        let transactions = is_transactional.then_some(TransactionsConfig { id, commit_every_ms });
        let doc = "how long the end of a run waits for a topic that acknowledges nothing";
        let drain_patience_ms =
            section.duration_ms(Key("drain_patience", doc), "30s", ["0ms", "1d"]);
        section.finish();
        if sink != SinkConfig::None {
            for name in event.id.iter().chain(&fields).chain(&key).cloned().collect::<Vec<_>>() {
                if !event.schema.texts.contains(&name) {
                    event.add_target(&name, Target::Text(event.schema.texts.len()));
                    event.schema.texts.push(name);
                }
            }
        }
        EmitConfig {
            sink,
            fields,
            key,
            reasons,
            features,
            linger_ms,
            spill_dir,
            spill_max_bytes: spill_max_bytes as u64,
            spill_after_ms,
            transactions,
            drain_patience_ms,
        }
    }
}

/// Reads `[dead_letters]`; a sink for them means that rows keep their original bytes.
pub fn read_dead_letters(root: &mut Section<'_>, event: &mut EventConfig) -> SinkConfig {
    let mut section = root.section("dead_letters");
    let sink = read_sink(&mut section, "records that cannot be scored, with reason and bytes");
    section.finish();
    event.schema.keeps_raw = sink != SinkConfig::None;
    sink
}

fn read_sink(section: &mut Section<'_>, what: &'static str) -> SinkConfig {
    let topic = section.text_maybe(Key("topic", what));
    let file = section.text_maybe(Key("file", "the same as JSON lines in a file"));
    match (topic, file) {
        (None, None) => SinkConfig::None,
        (Some(topic), None) => SinkConfig::Kafka(topic),
        (None, Some(file)) => SinkConfig::File(file.into()),
        (Some(_), Some(_)) => {
            section.problem("file", "choose one of topic and file");
            SinkConfig::None
        }
    }
}
