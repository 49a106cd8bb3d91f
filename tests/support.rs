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

/// Runs the stages over the stream in batches of `cut` rows, on this thread.
pub fn trace(config: &Config, records: &[Record], cut: usize) -> Trace {
    let schema = &config.event.schema;
    let names = Names::new(schema).limit(config.event.record_bytes_max);
    let labels = LabelNames::new(
        LabelFields {
            id: Place::Body(config.labels.id_field.clone()),
            label: Place::Body(config.labels.field.clone()),
            time: config.labels.time.clone().map(|(name, unit)| (Place::Body(name), unit)),
        },
        config.event.record_bytes_max,
    );
    let mut pipeline = Pipeline::new(config).expect("a possible configuration");
    let mut trace = Trace::default();
    let mut slot = Slot::new(schema, cut);
    let mut records = records.iter().enumerate().peekable();
    while records.peek().is_some() {
        slot.clear();
        let span = slot.span_index(&"memory".into(), 0);
        while let Some((offset, record)) = records.next_if(|_| !slot.is_full()) {
            let position = Position { span, offset: offset as i64 };
            let (Record::Event(json) | Record::Label(json)) = record;
            let key = format!("key {}", offset % 5);
            let header = format!("{}", offset % 7);
            let message = MessageParts {
                payload: json.as_bytes(),
                key: Some(key.as_bytes()),
                headers: &[("header", header.as_bytes())],
                timestamp_ms: Some(1_532_000_000_000 + 500_000 * offset as i64),
            };
            match record {
                Record::Event(_) => {
                    decode::event(schema, &names, &mut slot, &message, position);
                }
                Record::Label(_) => {
                    decode::label(&schema.label, &labels, &mut slot, &message, position);
                }
            }
        }
        pipeline.step(&mut slot).expect("data never ends a run");
        trace.add(&slot, &pipeline);
    }
    pipeline.finish().expect("data never ends a run");
    trace.score_digest = pipeline.learner().score_digest();
    trace.model_digest = pipeline.learner().model_digest();
    let bits = |metrics: Vec<(&'static str, f64)>| {
        metrics.into_iter().map(|(name, value)| (name, value.to_bits())).collect()
    };
    trace.metrics = bits(pipeline.learner().evaluator().report());
    trace.trailing = bits(pipeline.learner().evaluator().trailing());
    trace.joins = pipeline.join().counts();
    trace
}

impl Trace {
    fn add(&mut self, slot: &Slot, pipeline: &Pipeline) {
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
}
