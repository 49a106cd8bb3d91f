//! What a checkpoint says about itself: a section of JSON that a person can read too.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::config::Config;
use crate::emit::SinkPosition;
use crate::ring::Span;

/// The section's name.
pub const SECTION: &str = "manifest";

/// The part of the settings that may change between two runs: models in the shadow.
pub const CHALLENGERS: &str = "challengers";

/// About a checkpoint.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// Its number.
    pub sequence: u64,
    /// When it was taken, milliseconds since the epoch.
    pub taken_ms: i64,
    /// The program's version.
    pub program: String,
    /// Digest of each part of the settings that gives the state its shape and meaning.
    pub settings: BTreeMap<String, String>,
    /// The challengers, as TOML: a run with others goes on with those that it has too.
    pub challengers: String,
    /// Whether the run ended right behind the cut, so that nothing lies behind it.
    pub is_last: bool,
    /// Event records consumed before the cut.
    pub consumed: u64,
    /// Event time at the cut, milliseconds since the epoch.
    pub watermark_ms: i64,
    /// What is read next, of every partition.
    pub positions: Vec<ReadPosition>,
    /// Score records sent after the cut lie behind this.
    pub scores: Option<SinkPosition>,
    /// Dead letters sent after the cut lie behind this.
    pub dead_letters: Option<SinkPosition>,
}

/// What is read next of a partition.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReadPosition {
    /// Its topic, or the path of the file.
    pub topic: String,
    /// Its number.
    pub partition: i32,
    /// The next offset.
    pub next: i64,
}

impl Manifest {
    /// The positions as a source takes them.
    #[must_use]
    pub fn spans(&self) -> Vec<Span> {
        let span = |p: &ReadPosition| {
            let (topic, partition, next) = (p.topic.as_str().into(), p.partition, p.next);
            Span { topic, partition, next }
        };
        self.positions.iter().map(span).collect()
    }
}

/// Digests of the settings that state depends on: a state of others is foreign. How fast things go
/// and where they come from is left out, so that it can be changed between two runs.
#[must_use]
pub fn settings(config: &Config) -> BTreeMap<String, String> {
    let event = crate::config::event::EventConfig {
        // What is repeated in score records, and how large a record may be, is no state.
        schema: crate::schema::Schema {
            texts: Vec::new(),
            keeps_raw: false,
            keeps_labels: false,
            fields: Vec::new(),
            ..config.event.schema.clone()
        },
        record_bytes_max: 0,
        ..config.event.clone()
    };
    let labels = crate::config::stream::LabelsConfig {
        topic: config.labels.topic.as_ref().map(|_| String::new()),
        ..config.labels.clone()
    };
    let model = crate::config::learn::ModelConfig {
        family: config.model.family.anywhere(),
        ..config.model.clone()
    };
    let challengers = &config.contest.challengers;
    let challengers: Vec<_> =
        challengers.iter().map(|(name, own)| (name, own.anywhere())).collect();
    let parts = [
        ("event", format!("{event:?}")),
        ("labels", format!("{labels:?}")),
        ("features", format!("{:?}", config.features)),
        ("model", format!("{model:?}")),
        // The rule of a contest may change between two runs.
        (CHALLENGERS, format!("{challengers:?}")),
        ("learn", format!("{:?}", config.learn)),
        ("evaluate", format!("{:?}", config.evaluate)),
    ];
    let digest = |text: &str| blake3::hash(text.as_bytes()).to_hex().to_string();
    parts.iter().map(|(name, text)| ((*name).to_owned(), digest(text))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn how_records_are_written_and_who_reads_them_can_change_between_two_runs() {
        let of = |text: &str| {
            let rest = "fields.a = { type = 'number' }\nfeatures = [{ number = 'a' }]";
            settings(&Config::parse(&format!("{text}\n{rest}")).unwrap())
        };
        let json = of("event = { id = 'id', time = 't' }\nlabels.topic = 'labels'");
        let binary = of("source.decode = 'device'
            event = { id = 'id', time = 't', format = 'binary', record_bytes = 24 }
            layout = { id.offset = 0, t = { offset = 8, type = 'i64' }, a.offset = 16 }
            labels.topic = 'labels'");
        assert_eq!(json, binary);
        assert_ne!(json, of("event = { id = 'id', time = 't' }"));
    }
}
