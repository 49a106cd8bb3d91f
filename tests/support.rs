//! Streams made from a seed, and the engine run over them step by step.

use std::collections::BTreeMap;

use pelton::config::Config;
use pelton::join::JoinCounts;
use pelton::pipeline::Pipeline;
use pelton::ring::{Position, Slot};
use pelton::schema::Place;
use pelton::source::decode::{self, LabelFields, LabelNames, MessageParts, Names};

/// A small generator of pseudo-random numbers.
pub struct Random(u64);

impl Random {
    /// The seed is `PELTON_SEED` if that is set, else `seed`; it is printed for failing tests.
    pub fn new(seed: u64) -> Random {
        let seed = std::env::var("PELTON_SEED").ok().and_then(|s| s.parse().ok()).unwrap_or(seed);
        println!("PELTON_SEED={seed}");
        Random(seed)
    }

    /// Uniform below `bound`.
    pub fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        pelton_kernels::hash::mix64(self.0) % bound
    }

    /// Whether something of this many in a thousand happens.
    pub fn per_mille(&mut self, probability: u64) -> bool {
        self.below(1000) < probability
    }
}

/// A record of a stream, as JSON.
#[derive(Clone, Debug)]
pub enum Record {
    /// For the topic of events.
    Event(String),
    /// For the topic of labels.
    Label(String),
}

/// What a run over a stream has shown.
#[derive(Debug, Default, PartialEq)]
pub struct Trace {
    /// Bits of the dense features of each scored event, by id.
    pub dense: BTreeMap<u128, Vec<u32>>,
    /// Sparse features of each scored event, by id.
    pub sparse: BTreeMap<u128, Vec<u32>>,
    /// Bits of the scores and the model version of each scored event, by id.
    pub scores: BTreeMap<u128, (Vec<u32>, u64)>,
    /// Reasons of the dead letters, in order.
    pub rejects: Vec<&'static str>,
    /// Digest of the scores.
    pub score_digest: String,
    /// Digest of the model.
    pub model_digest: String,
    /// The metrics, as bits so that two traces can be compared.
    pub metrics: Vec<(&'static str, u64)>,
    /// The same over the trailing window.
    pub trailing: Vec<(&'static str, u64)>,
    /// What happened to labels.
    pub joins: JoinCounts,
    /// Events left out by the filter.
    pub filtered: u64,
}

/// A stream that is read batch by batch, as a source would.
pub struct Feed<'a> {
    config: &'a Config,
    names: Names,
    labels: LabelNames,
    records: &'a [Record],
    next: usize,
}

impl<'a> Feed<'a> {
    /// The stream from its beginning.
    pub fn new(config: &'a Config, records: &'a [Record]) -> Feed<'a> {
        let names = Names::of_events(config);
        let labels = LabelNames::new(
            LabelFields {
                id: Place::Body(config.labels.id_field.clone()),
                label: Place::Body(config.labels.field.clone()),
                time: config.labels.time.clone().map(|(name, unit)| (Place::Body(name), unit)),
            },
            config.event.record_bytes_max,
        );
        Feed { config, names, labels, records, next: 0 }
    }

    /// Fills the slot; false when the stream has ended.
    pub fn next_batch(&mut self, slot: &mut Slot) -> bool {
        let schema = &self.config.event.schema;
        slot.clear();
        let span = slot.span_index(&"memory".into(), 0);
        let first = self.next;
        while let Some(record) = self.records.get(self.next).filter(|_| !slot.is_full()) {
            let position = Position { span, offset: self.next as i64 };
            let (Record::Event(json) | Record::Label(json)) = record;
            let (key, header) = (format!("key {}", self.next % 5), format!("{}", self.next % 7));
            let message = MessageParts {
                payload: json.as_bytes(),
                key: Some(key.as_bytes()),
                headers: &[("header", header.as_bytes())],
                timestamp_ms: Some(1_532_000_000_000 + 500_000 * self.next as i64),
            };
            match record {
                Record::Event(_) => decode::event(schema, &self.names, slot, &message, position),
                Record::Label(_) => {
                    decode::label(&schema.label, &self.labels, slot, &message, position)
                }
            };
            self.next += 1;
        }
        self.next > first
    }
}

/// Runs the stages over the stream in batches of `cut` rows, on this thread.
pub fn trace(config: &Config, records: &[Record], cut: usize) -> Trace {
    let mut pipeline = Pipeline::new(config).expect("a possible configuration");
    let mut trace = Trace::default();
    let mut slot = Slot::new(&config.event.schema, cut);
    let mut feed = Feed::new(config, records);
    while feed.next_batch(&mut slot) {
        pipeline.step(&mut slot).expect("data never ends a run");
        trace.add(&slot, &pipeline);
    }
    pipeline.finish().expect("data never ends a run");
    trace.end(&pipeline);
    trace
}

impl Trace {
    /// Adds a batch that has been through the stages.
    pub fn add(&mut self, slot: &Slot, pipeline: &Pipeline) {
        let outputs = slot.scores.len() / slot.rows.max(1);
        for row in 0..slot.rows {
            let features = pipeline.features().rows(row, row + 1);
            let bits = |values: &[f32]| values.iter().map(|x| x.to_bits()).collect::<Vec<u32>>();
            let id = slot.ids[row];
            self.dense.insert(id, bits(features.dense));
            self.sparse.insert(id, features.sparse.to_vec());
            let scores = &slot.scores[row * outputs..(row + 1) * outputs];
            self.scores.insert(id, (bits(scores), slot.versions[row]));
        }
        self.filtered += slot.filtered;
        self.rejects.extend(slot.rejects.iter().map(|reject| reject.reason.name()));
    }

    /// Adds what the whole run has shown.
    pub fn end(&mut self, pipeline: &Pipeline) {
        self.score_digest = pipeline.learner().score_digest();
        self.model_digest = pipeline.learner().model_digest().expect("the CPU is there");
        let bits = |metrics: Vec<(&'static str, f64)>| {
            metrics.into_iter().map(|(name, value)| (name, value.to_bits())).collect()
        };
        self.metrics = bits(pipeline.learner().evaluator().report());
        self.trailing = bits(pipeline.learner().evaluator().trailing());
        self.joins = pipeline.join().counts();
    }
}

/// Sends a signal (`TERM`, `STOP`) to a process, by the shell: not every machine has a program for
/// it.
pub fn signal(name: &str, process: u32) {
    let line = format!("kill -{name} {process}");
    let status = std::process::Command::new("sh").args(["-c", &line]).status();
    assert!(status.expect("a shell").success(), "{line}");
}
