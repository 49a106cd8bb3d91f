//! `[kafka]`, `[source]`, `[labels]`, `[batch]`: what flows in.

use std::path::PathBuf;

use toml::Value;

use crate::schema::{Target, TimeUnit};

use super::decode::DecodeBy;
use super::event::EventConfig;
use super::read::{Key, Section};

/// How to reach the brokers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KafkaConfig {
    /// `host:port`, comma separated.
    pub brokers: String,
    /// librdkafka properties for every client, as `(name, value)`.
    pub properties: Vec<(String, String)>,
}

/// Where reading starts when there is no position to go on from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// The oldest record.
    Earliest,
    /// Records that are written from now on.
    Latest,
    /// The first record of this time or later (milliseconds since the epoch).
    Timestamp(i64),
    /// This offset in every partition.
    Offset(i64),
    /// The offsets committed by the consumer group, else the oldest record.
    Committed,
}

/// What shares one state: a pipeline with its model, windows and checkpoints.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StateOf {
    /// All partitions that this instance reads.
    All,
    /// Each partition has one of its own, which goes with it from instance to instance.
    Each,
    /// The partitions of this number: one of those, see [`Config::of_partition`].
    ///
    /// [`Config::of_partition`]: super::Config::of_partition
    One(i32),
}

/// Where events come from in `pelton run`.
#[derive(Clone, Debug, PartialEq)]
pub enum SourceConfig {
    /// Kafka topics.
    Kafka {
        /// Topics with events.
        topics: Vec<String>,
        /// Consumer group.
        group: String,
        /// Whether all partitions are read, without sharing them in the group.
        alone: bool,
        /// Static member name of this instance.
        member: Option<String>,
        /// Whose state is one.
        state: StateOf,
        /// Where to start.
        start: Start,
        /// End when every partition has been read to its end (a batch job over a topic).
        stop_at_end: bool,
        /// A partition that is behind and silent for so long holds the others back no longer; 0 =
        /// for ever.
        hold_ms: i64,
    },
    /// A recorded stream.
    File {
        /// Its path; the format follows from the extension.
        path: PathBuf,
    },
    /// Nothing: only `pelton replay --input` can use this configuration.
    None,
}

/// How the truth arrives.
#[derive(Clone, Debug, PartialEq)]
pub struct LabelsConfig {
    /// The topic with label records, if labels have one.
    pub topic: Option<String>,
    /// Name of the id in a label record.
    pub id_field: String,
    /// Name of the label in a label record, and in a recorded stream.
    pub field: String,
    /// Name and unit of the time at which the truth became known; else the message's time.
    pub time: Option<(String, TimeUnit)>,
    /// Recorded streams: the label of an event arrives this long after it.
    pub delay_ms: i64,
    /// Whether events carry their label (recorded streams), to be released after the delay.
    pub recorded: bool,
    /// How long an event waits for its label.
    pub horizon_ms: i64,
    /// What an event without a label becomes after the horizon.
    pub unlabelled: Unlabelled,
    /// How long after an assumed label the true one still corrects it.
    pub correct_within_ms: i64,
    /// How long a label waits for its event.
    pub orphan_wait_ms: i64,
    /// Most events that may wait for labels.
    pub pending_max: usize,
}

/// What an event without a label becomes after the horizon.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unlabelled {
    /// Forgotten.
    Drop,
    /// Learned as negative.
    Negative,
}

/// When a micro-batch is closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BatchConfig {
    /// Most rows.
    pub rows_max: usize,
    /// Most bytes of records and texts.
    pub bytes_max: usize,
    /// Longest wait for a further record once it holds one.
    pub linger_ms: i64,
    /// Within which a record is to be scored, by what batches cost; 0 for none.
    pub budget_ms: i64,
    /// What separates the fields of a CSV line.
    pub csv_delimiter: u8,
}

impl KafkaConfig {
    /// Reads `[kafka]`.
    pub fn read(root: &mut Section<'_>) -> KafkaConfig {
        let mut section = root.section("kafka");
        let doc = "host:port of the brokers, comma separated";
        let brokers = section.text_or(Key("brokers", doc), "127.0.0.1:9092");
        let mut properties = Vec::new();
        let doc = "librdkafka properties of every client; { env = \"NAME\" } for a secret";
        for (name, value) in section.properties(Key("properties", doc)) {
            match property(&value) {
                Ok(text) => properties.push((name, text)),
                Err(reason) => section.problem(&format!("properties.{name}"), reason),
            }
        }
        section.finish();
        KafkaConfig { brokers, properties }
    }
}

/// A librdkafka property; `{ env = "NAME" }` takes a secret from the environment.
fn property(value: &Value) -> Result<String, String> {
    match value {
        Value::String(text) => Ok(text.clone()),
        Value::Integer(i) => Ok(i.to_string()),
        Value::Float(x) => Ok(x.to_string()),
        Value::Boolean(b) => Ok(b.to_string()),
        Value::Table(table) => {
            let name = table.get("env").and_then(Value::as_str);
            let name = name.filter(|_| table.len() == 1).ok_or("must be { env = \"NAME\" }")?;
            std::env::var(name).map_err(|_| format!("environment variable {name} is not set"))
        }
        _ => Err("must be a text, a number, true, false or { env = \"NAME\" }".to_owned()),
    }
}

impl SourceConfig {
    /// Reads `[source]`.
    pub fn read(root: &mut Section<'_>) -> (SourceConfig, DecodeBy) {
        let mut section = root.section("source");
        let topics = section.texts(Key("topics", "Kafka topics with events"));
        let file = section.text_maybe(Key("file", "a recorded stream instead of topics"));
        let group = section.text_or(Key("group", "Kafka consumer group"), "pelton");
        let doc = "read all partitions and share none with the group: starts seconds sooner";
        let alone = section.flag(Key("alone", doc), false);
        let doc = "static member name of this instance in its group";
        let member = section.text_maybe(Key("member", doc));
        let doc = "whose state is one: that of all partitions an instance reads, or each \
                   partition's own, which follows it through the group: partition N of all topics \
                   is then read by one instance";
        let choices = [("shared", StateOf::All), ("partitioned", StateOf::Each)];
        let state = section.choice(Key("state", doc), &choices);
        let legal = "\"earliest\", \"latest\", \"committed\", an offset, or a time in RFC 3339";
        let default = (Start::Earliest, "\"earliest\"");
        let start = section.parsed(Key("start", "where reading starts"), default, legal, start);
        let doc = "end once every partition has been read to its end, instead of waiting for more";
        let stop_at_end = section.flag(Key("stop_at_end", doc), false);
        let doc = "how long a partition that has more but sends nothing holds the others back; \
                   0ms = until it sends";
        let hold_ms = section.duration_ms(Key("hold", doc), "30s", ["0ms", "1d"]);
        let source = match (topics.is_empty(), file) {
            (false, None) => SourceConfig::Kafka {
                topics,
                group,
                alone,
                member,
                state,
                start,
                stop_at_end,
                hold_ms,
            },
            (true, Some(path)) => SourceConfig::File { path: path.into() },
            (true, None) => SourceConfig::None,
            (false, Some(_)) => {
                section.problem("file", "choose one of topics and file");
                SourceConfig::None
            }
        };
        let decode = DecodeBy::read(&mut section);
        section.finish();
        (source, decode)
    }
}

fn start(value: &Value) -> Option<Start> {
    match value {
        Value::Integer(offset) if *offset >= 0 => Some(Start::Offset(*offset)),
        Value::Datetime(time) => time_ms(&time.to_string()).map(Start::Timestamp),
        Value::String(text) => match text.as_str() {
            "earliest" => Some(Start::Earliest),
            "latest" => Some(Start::Latest),
            "committed" => Some(Start::Committed),
            text => time_ms(text).map(Start::Timestamp),
        },
        _ => None,
    }
}

fn time_ms(text: &str) -> Option<i64> {
    crate::schema::time_ms(crate::schema::Scalar::Text(text), TimeUnit::Rfc3339)
}

impl LabelsConfig {
    /// Reads `[labels]`; a recorded label becomes a column of the event.
    pub fn read(root: &mut Section<'_>, event: &mut EventConfig) -> LabelsConfig {
        let mut section = root.section("labels");
        let doc = "topic with label records; none = events carry their label (recorded streams)";
        let topic = section.text_maybe(Key("topic", doc));
        let doc = "name of the label, in label records and in recorded streams";
        let field = section.text_or(Key("field", doc), "label");
        let doc = "name of the event's id in a label record";
        let id_field = section.text_or(Key("id", doc), "id");
        let doc = "name of the time the truth became known, in a label record; else the message's";
        let time_name = section.text_maybe(Key("time", doc));
        let unit = section.choice(
            Key("time_unit", "how that time is written"),
            &[
                ("ms", TimeUnit::Milliseconds),
                ("s", TimeUnit::Seconds),
                ("us", TimeUnit::Microseconds),
                ("ns", TimeUnit::Nanoseconds),
                ("rfc3339", TimeUnit::Rfc3339),
            ],
        );
        let doc = "recorded streams: the label of an event arrives this long after it";
        let delay_ms = section.duration_ms(Key("delay", doc), "0ms", ["0ms", "3650d"]);
        let doc = "how long an event waits for its label";
        let horizon_ms = section.duration_ms(Key("horizon", doc), "30d", ["1ms", "3650d"]);
        let unlabelled = section.choice(
            Key("unlabelled", "what an event without a label becomes after the horizon"),
            &[("drop", Unlabelled::Drop), ("negative", Unlabelled::Negative)],
        );
        let doc = "how long after an assumed label the true one still corrects it";
        let correct_within_ms =
            section.duration_ms(Key("correct_within", doc), "30d", ["0ms", "3650d"]);
        let doc = "how long a label waits for its event";
        let orphan_wait_ms = section.duration_ms(Key("orphan_wait", doc), "1h", ["0ms", "3650d"]);
        let doc = "most events that may wait for labels; beyond it the oldest is given up";
        let pending_max = section.count(Key("pending_max", doc), 50_000_000, 1..=1 << 31);
        if field == id_field {
            section.problem("field", "is the name of the id too (labels.id)");
        }
        if time_name.as_ref().is_some_and(|time| *time == id_field || *time == field) {
            section.problem("time", "is the name of the id or of the label too");
        }
        if delay_ms >= horizon_ms {
            section.problem("delay", "must be less than labels.horizon, or no label is in time");
        }
        section.finish();
        let recorded = topic.is_none();
        if recorded {
            event.add_target(&field, Target::Label);
        } else if !event.schema.has_id {
            root.problem("event.id", "is missing; labels of their own topic are joined by it");
        }
        LabelsConfig {
            topic,
            id_field,
            field,
            time: time_name.map(|name| (name, unit)),
            delay_ms,
            recorded,
            horizon_ms,
            unlabelled,
            correct_within_ms,
            orphan_wait_ms,
            pending_max,
        }
    }
}

impl BatchConfig {
    /// Reads `[batch]`.
    pub fn read(root: &mut Section<'_>) -> BatchConfig {
        let mut section = root.section("batch");
        let doc = "rows that close a micro-batch";
        let rows_max = section.count(Key("rows_max", doc), 4096, 1..=1 << 20);
        let doc = "bytes of records and texts that close a micro-batch";
        let bytes_max = section.count(Key("bytes_max", doc), 8 << 20, 1 << 10..=1 << 30);
        let doc = "longest wait for a further record once a micro-batch holds one";
        let linger_ms = section.duration_ms(Key("linger", doc), "1ms", ["0ms", "60s"]);
        let doc = "time from a record's arrival to its score: batches become smaller and wait less \
                   than the above where what they cost on this device, which is measured, asks for \
                   it; 0ms = no budget";
        let budget_ms = section.duration_ms(Key("budget", doc), "0ms", ["0ms", "60s"]);
        let doc = "what separates the fields of a CSV line";
        let legal = "one ASCII character";
        let csv_delimiter =
            section.parsed(Key("csv_delimiter", doc), (b',', "\",\""), legal, |v| {
                match v.as_str()?.as_bytes() {
                    [byte] if byte.is_ascii() => Some(*byte),
                    _ => None,
                }
            });
        section.finish();
        BatchConfig { rows_max, bytes_max, linger_ms, budget_ms, csv_delimiter }
    }
}
