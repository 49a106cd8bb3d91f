//! Records of every kind into columns: what hostile bytes do, that two parsers agree, that a
//! stream is the same in every file format.

mod agreement;
mod binary;
mod corpus;
pub mod files;
mod formats;
pub mod hostile;

use std::time::Instant;

use pelton::ring::{Position, Reason, Slot};
use pelton::schema::{Field, LabelMeaning, Place, Schema, Target, TimeFrom, TimeUnit};
use pelton::source::decode::{MessageParts, Names, event};
use pelton::source::{Progress, Source};

/// A field of the body.
pub fn field(name: &str, targets: &[Target]) -> Field {
    Field { place: Place::Body(name.to_owned()), targets: targets.to_vec() }
}

/// A payment: every kind of column, and a value inside another object.
pub fn payments() -> Schema {
    Schema {
        fields: vec![
            field("id", &[Target::Id, Target::Text(0)]),
            field("ts", &[Target::Time(TimeUnit::Milliseconds)]),
            field("amount", &[Target::Number(0)]),
            field("card", &[Target::Category(0)]),
            field("shop.country", &[Target::Category(1), Target::Text(1)]),
            field("label", &[Target::Label]),
        ],
        numbers: vec!["amount".into()],
        categories: vec!["card".into(), "shop.country".into()],
        texts: vec!["id".into(), "shop.country".into()],
        time: TimeFrom::Field,
        has_id: true,
        label: LabelMeaning::Binary,
        keeps_raw: true,
        keeps_labels: false,
    }
}

/// Everything a row is, as bits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RowBits {
    pub id: u128,
    pub time_ms: i64,
    pub numbers: Vec<u32>,
    pub categories: Vec<u64>,
    pub label: u32,
    pub texts: Vec<Vec<u8>>,
    pub raw: Vec<u8>,
    pub position: Position,
}

/// The rows of a slot.
pub fn rows(schema: &Schema, slot: &Slot) -> Vec<RowBits> {
    let texts = schema.texts.len();
    assert_eq!(slot.texts.len(), texts * slot.rows, "every row has its texts");
    assert_eq!(slot.consumed, (slot.rows + slot.rejects.len()) as u64, "all are accounted for");
    (0..slot.rows)
        .map(|row| RowBits {
            id: slot.ids[row],
            time_ms: slot.times_ms[row],
            numbers: slot.numbers.row(row).map(f32::to_bits).collect(),
            categories: slot.categories.row(row).collect(),
            label: slot.recorded_labels[row].to_bits(),
            texts: (0..texts).map(|i| slot.texts.get(row * texts + i).to_vec()).collect(),
            raw: if schema.keeps_raw { slot.raw.get(row).to_vec() } else { vec![] },
            position: slot.positions[row],
        })
        .collect()
}

/// A slot into which all the payloads went, one after the other.
pub fn decoded(schema: &Schema, names: &Names, payloads: &[&[u8]]) -> Slot {
    let mut slot = Slot::new(schema, payloads.len());
    let span = slot.span_index(&"topic".into(), 3);
    for (offset, payload) in (0..).zip(payloads) {
        let message = MessageParts { payload, ..MessageParts::default() };
        event(schema, names, &mut slot, &message, Position { span, offset });
    }
    slot
}

/// Offset, reason and bytes of a reject.
pub type Rejected = (i64, Reason, Vec<u8>);

/// A whole source, in slots of `rows_max` rows: its rows and its rejects.
pub fn drained(
    source: &mut dyn Source,
    schema: &Schema,
    rows_max: usize,
) -> (Vec<RowBits>, Vec<Rejected>) {
    let (mut found, mut rejects) = (Vec::new(), Vec::new());
    let mut slot = Slot::new(schema, rows_max);
    loop {
        slot.clear();
        let progress = source.read(&mut slot, Instant::now()).expect("readable");
        found.extend(rows(schema, &slot));
        let offsets = slot.positions[..slot.rows].iter().map(|position| position.offset);
        let rejected = slot.rejects.iter().map(|reject| reject.position.offset);
        if let Some(last) = offsets.chain(rejected).max() {
            assert_eq!(slot.spans[0].next, last + 1);
        }
        rejects.extend(slot.rejects.drain(..).map(|r| (r.position.offset, r.reason, r.bytes)));
        if progress == Progress::Ended {
            return (found, rejects);
        }
        assert!(slot.consumed > 0, "a source with more to come makes progress");
    }
}
