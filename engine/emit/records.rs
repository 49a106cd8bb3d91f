//! What a score record and a dead letter say.

use pelton_models::ABSENT;

use crate::config::Config;
use crate::error::Error;
use crate::features::plan::Plan;
use crate::ring::{Envelope, QuarantinedLabel, Reason, Reject, Slot};

use super::{Record, Sink};

/// Before the name of an original header, in a dead letter.
pub const HEADER: &str = "header.";

/// Of a label that was put aside: how many were before it.
pub const NUMBER: &str = "number";

/// Renders score records: `{"id":..,"time":..,"score":..,"model_version":..,"topic":..,
/// "partition":..,"offset":..,FIELD:..}`, and, where reasons are asked for, before the fields
/// `"reasons":[{"feature":..,"adds":..},..]`, the largest first, in log odds or units of the value.
/// Where features are asked for, `"features":{"dense":[..],"sparse":[..]}` follows, in the order of
/// the columns; what is not finite, or absent, is null.
///
/// `scores` with one number per class takes the place of `score` for multi-class models.
pub struct ScoreRecords {
    /// `,"NAME":` of each repeated field, with its text column.
    fields: Vec<(Vec<u8>, usize)>,
    texts: usize,
    has_id: bool,
    key: Option<usize>,
    outputs: usize,
    /// Whether reasons are asked for, and the names they are about, quoted.
    has_reasons: bool,
    has_features: bool,
    reason_names: Vec<Vec<u8>>,
    payload: Vec<u8>,
    key_bytes: Vec<u8>,
}

impl ScoreRecords {
    /// The records of this configuration.
    pub fn new(config: &Config) -> ScoreRecords {
        let texts = &config.event.schema.texts;
        let column = |name: &String| texts.iter().position(|text| text == name);
        let fields = config.emit.fields.iter().filter_map(|name| {
            let quoted = serde_json::to_string(name).ok()?;
            Some((format!(",{quoted}:").into_bytes(), column(name)?))
        });
        let names = Plan::new(config).reason_names().into_iter();
        let quoted = |name: String| serde_json::to_vec(&name).unwrap_or_default();
        ScoreRecords {
            has_reasons: config.emit.reasons > 0,
            has_features: config.emit.features,
            reason_names: names.map(quoted).collect(),
            fields: fields.collect(),
            texts: texts.len(),
            has_id: config.event.schema.has_id,
            key: config.emit.key.as_ref().and_then(column),
            outputs: config.model.task.outputs(),
            payload: Vec::new(),
            key_bytes: Vec::new(),
        }
    }

    /// The record of one row.
    pub fn render<'a>(&'a mut self, slot: &Slot, row: usize) -> Record<'a> {
        let mut integer = itoa::Buffer::new();
        let position = slot.positions[row];
        let span = &slot.spans[position.span as usize];
        let out = &mut self.payload;
        out.clear();
        out.extend_from_slice(b"{");
        if self.has_id {
            out.extend_from_slice(b"\"id\":");
            push_text(slot, row * self.texts, out);
            out.push(b',');
        }
        out.extend_from_slice(b"\"time\":");
        out.extend_from_slice(integer.format(slot.times_ms[row]).as_bytes());
        push_scores(&slot.scores[row * self.outputs..][..self.outputs], out);
        out.extend_from_slice(b",\"model_version\":");
        out.extend_from_slice(integer.format(slot.versions[row]).as_bytes());
        out.extend_from_slice(b",\"topic\":");
        crate::source::rows::render_text(&span.topic, out);
        out.extend_from_slice(b",\"partition\":");
        out.extend_from_slice(integer.format(span.partition).as_bytes());
        out.extend_from_slice(b",\"offset\":");
        out.extend_from_slice(integer.format(position.offset).as_bytes());
        if self.has_reasons {
            push_reasons(slot.reasons.of(row), &self.reason_names, out);
        }
        if self.has_features {
            push_features(slot.features.of(row), out);
        }
        for (name, column) in &self.fields {
            out.extend_from_slice(name);
            push_text(slot, row * self.texts + column, out);
        }
        out.push(b'}');
        self.key_bytes.clear();
        if self.has_id || self.key.is_some() {
            push_text(slot, row * self.texts + self.key.unwrap_or(0), &mut self.key_bytes);
            unquote(&mut self.key_bytes);
        }
        Record {
            key: &self.key_bytes,
            payload: &self.payload,
            time_ms: Some(slot.times_ms[row]),
            headers: &[],
        }
    }
}

fn push_scores(scores: &[f32], out: &mut Vec<u8>) {
    let mut buffer = ryu::Buffer::new();
    let mut push = |score: f32, out: &mut Vec<u8>| {
        let text = if score.is_finite() { buffer.format_finite(score) } else { "null" };
        out.extend_from_slice(text.as_bytes());
    };
    if let [score] = *scores {
        out.extend_from_slice(b",\"score\":");
        push(score, out);
        return;
    }
    out.extend_from_slice(b",\"scores\":[");
    for (index, &score) in scores.iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        push(score, out);
    }
    out.push(b']');
}

fn push_features((dense, sparse): (&[f32], &[u32]), out: &mut Vec<u8>) {
    let (mut float, mut integer) = (ryu::Buffer::new(), itoa::Buffer::new());
    let lists = [b",\"features\":{\"dense\":[".as_slice(), b"],\"sparse\":["];
    out.extend_from_slice(lists[0]);
    for (index, value) in dense.iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        let text = if value.is_finite() { float.format_finite(*value) } else { "null" };
        out.extend_from_slice(text.as_bytes());
    }
    out.extend_from_slice(lists[1]);
    for (index, value) in sparse.iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        let text = if *value == ABSENT { "null" } else { integer.format(*value) };
        out.extend_from_slice(text.as_bytes());
    }
    out.extend_from_slice(b"]}");
}

fn push_reasons(reasons: &[(u32, f32)], names: &[Vec<u8>], out: &mut Vec<u8>) {
    let mut buffer = ryu::Buffer::new();
    out.extend_from_slice(b",\"reasons\":[");
    for (index, (name, adds)) in reasons.iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        out.extend_from_slice(b"{\"feature\":");
        out.extend_from_slice(names.get(*name as usize).map_or(b"null", Vec::as_slice));
        out.extend_from_slice(b",\"adds\":");
        let text = if adds.is_finite() { buffer.format_finite(*adds) } else { "null" };
        out.extend_from_slice(text.as_bytes());
        out.push(b'}');
    }
    out.push(b']');
}

/// A field that the event did not have is null.
fn push_text(slot: &Slot, index: usize, out: &mut Vec<u8>) {
    let text = slot.texts.get(index);
    out.extend_from_slice(if text.is_empty() { b"null" } else { text });
}

/// A key is the text itself, as producers of events write it.
fn unquote(key: &mut Vec<u8>) {
    if key.first() == Some(&b'"') {
        key.pop();
        key.remove(0);
    }
}

/// Sends dead letters: the original bytes, with reason and position beside them, and what is needed
/// to write the record again as it was: `key`, `time` and, as `header.NAME`, its headers.
#[derive(Default)]
pub struct DeadLetters {
    integer: itoa::Buffer,
}

impl DeadLetters {
    /// Sends one.
    pub fn send(&mut self, slot: &Slot, reject: &Reject, sink: &mut dyn Sink) -> Result<(), Error> {
        let span = &slot.spans[reject.position.span as usize];
        let field = reject.field.as_deref().map(|field| ("field", field.as_bytes()));
        let facts: Vec<(&str, &[u8])> = field.into_iter().collect();
        let from = (&*span.topic, span.partition, reject.position.offset);
        self.send_from(reject.reason, from, &facts, (&reject.bytes, &reject.envelope), sink)
    }

    /// Sends a label that was put aside: beside the rest it says in which trip of the guard, and
    /// the how many-eth it is, by which a restart knows it again.
    pub fn send_quarantined(
        &mut self,
        label: &QuarantinedLabel,
        sink: &mut dyn Sink,
    ) -> Result<(), Error> {
        let [span, number] = [label.span, label.number].map(|number| number.to_string());
        let facts = [("span", span.as_bytes()), (NUMBER, number.as_bytes())];
        let from = (&*label.topic, label.partition, label.offset);
        let record = (&label.bytes[..], &label.envelope);
        self.send_from(Reason::Quarantined, from, &facts, record, sink)
    }

    fn send_from(
        &mut self,
        reason: Reason,
        (topic, partition, offset): (&str, i32, i64),
        facts: &[(&str, &[u8])],
        (bytes, envelope): (&[u8], &Envelope),
        sink: &mut dyn Sink,
    ) -> Result<(), Error> {
        let offset = self.integer.format(offset).as_bytes();
        let partition = partition.to_string();
        let mut headers: Vec<(&str, &[u8])> = vec![
            ("reason", reason.name().as_bytes()),
            ("topic", topic.as_bytes()),
            ("partition", partition.as_bytes()),
            ("offset", offset),
        ];
        headers.extend_from_slice(facts);
        let Envelope { key, time_ms, headers: original } = envelope;
        let time = time_ms.map(|time_ms| time_ms.to_string());
        headers.extend(key.as_deref().map(|key| ("key", key)));
        headers.extend(time.as_ref().map(|time| ("time", time.as_bytes())));
        let names: Vec<String> = original.iter().map(|(n, _)| format!("{HEADER}{n}")).collect();
        let values = original.iter().map(|(_, value)| value.as_slice());
        headers.extend(names.iter().map(String::as_str).zip(values));
        let (key, payload, time_ms) = (&[][..], bytes, None);
        sink.send(&Record { key, payload, time_ms, headers: &headers })
    }
}
