//! Bytes of one record into the columns of a slot: part of the first stage.
//!
//! [`event`] makes a row or a reject of an event record, [`label`] a label or a reject of a label
//! record, and [`events`] lets a GPU read the plain ones of many event records at once. Invariant:
//! every record handed over is accounted for exactly once, whatever its bytes are, and its
//! neighbours are not touched. What is accepted as a body is said in [`json`] and [`binary`];
//! framing (lines, messages) is the business of the sources.

pub mod binary;
pub mod device;
pub mod events;
pub mod json;
mod names;
pub mod peek;
#[cfg(test)]
mod plain_tests;
pub mod spec;

pub use names::Names;

use crate::ring::{Envelope, LabelRecord, Position, Reason, Reject, Slot};
use crate::schema::{self, LabelMeaning, Place, Scalar, Schema, TimeUnit};
use crate::source::rows::{Cells, Fault, RowWriter, reject_event};

/// One message, borrowed from its transport.
#[derive(Clone, Copy, Debug, Default)]
pub struct MessageParts<'a> {
    /// The body.
    pub payload: &'a [u8],
    /// The key, when it has one.
    pub key: Option<&'a [u8]>,
    /// The headers; needed only when [`Names::has_headers`].
    pub headers: &'a [(&'a str, &'a [u8])],
    /// The time the transport gave it, milliseconds since the epoch.
    pub timestamp_ms: Option<i64>,
}

impl MessageParts<'_> {
    fn has_envelope(&self) -> bool {
        self.key.is_some() || self.timestamp_ms.is_some() || !self.headers.is_empty()
    }

    fn write_envelope(&self, out: &mut Vec<u8>) {
        Envelope::write(out, self.key, self.timestamp_ms, self.headers);
    }

    fn envelope(&self) -> Envelope {
        let headers = self.headers.iter().map(|&(name, value)| (name.to_owned(), value.to_vec()));
        Envelope {
            key: self.key.map(<[u8]>::to_vec),
            time_ms: self.timestamp_ms,
            headers: headers.collect(),
        }
    }
}

/// Appends an event to `slot`, which must not be full; false when it became a reject.
///
/// `names` is [`Names::new`] of the same schema, `position.span` an index into the slot's spans.
pub fn event(
    schema: &Schema,
    names: &Names,
    slot: &mut Slot,
    message: &MessageParts<'_>,
    position: Position,
) -> bool {
    let is_row = read_event(schema, names, slot, message, position);
    if is_row {
        keep_beside(schema, slot, message);
    } else {
        slot.rejects.last_mut().expect("it was just pushed").envelope = message.envelope();
    }
    is_row
}

/// Keeps what came along with the last row, where its bytes are kept too.
fn keep_beside(schema: &Schema, slot: &mut Slot, message: &MessageParts<'_>) {
    if schema.keeps_raw && message.has_envelope() {
        while slot.envelopes.len() + 1 < slot.rows {
            slot.envelopes.push_with(|_| {});
        }
        slot.envelopes.push_with(|out| message.write_envelope(out));
    }
}

fn read_event(
    schema: &Schema,
    names: &Names,
    slot: &mut Slot,
    message: &MessageParts<'_>,
    position: Position,
) -> bool {
    if message.payload.len() > names.record_bytes_max() {
        let fault = Fault::record(Reason::TooLarge);
        reject_event(schema, slot, fault, position, message.payload);
        return false;
    }
    let mut row = RowWriter::begin(schema, slot);
    match read_message(names, message, &mut row) {
        Ok(()) => row.finish(position, message.timestamp_ms, message.payload),
        Err(fault) => {
            row.reject(fault, position, message.payload);
            false
        }
    }
}

/// Where the parts of a label record are found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LabelFields {
    /// The id of the event it speaks of.
    pub id: Place,
    /// The truth.
    pub label: Place,
    /// When the truth became known; without it, the time of the message.
    pub time: Option<(Place, TimeUnit)>,
}

/// Reads label records.
#[derive(Clone, Debug)]
pub struct LabelNames {
    fields: LabelFields,
    names: Names,
}

impl LabelNames {
    /// A reader of label records with these fields.
    ///
    /// # Panics
    /// When two of the places are equal.
    #[must_use]
    pub fn new(fields: LabelFields, record_bytes_max: usize) -> LabelNames {
        let time = fields.time.as_ref().map(|(place, _)| place);
        let places = [&fields.id, &fields.label].into_iter().chain(time);
        let names = Names::of_places(places).limit(record_bytes_max);
        LabelNames { fields, names }
    }

    /// Whether a message's headers are needed at all.
    #[must_use]
    pub fn has_headers(&self) -> bool {
        self.names.has_headers()
    }

    fn place(&self, field: usize) -> &Place {
        match (field, &self.fields.time) {
            (LabelCells::ID, _) => &self.fields.id,
            (LabelCells::TIME, Some((place, _))) => place,
            _ => &self.fields.label,
        }
    }
}

/// Appends a label to `slot`, as read before the next row; false when it became a reject.
pub fn label(
    meaning: &LabelMeaning,
    labels: &LabelNames,
    slot: &mut Slot,
    message: &MessageParts<'_>,
    position: Position,
) -> bool {
    let mut cells = LabelCells::new(meaning, labels, message.timestamp_ms);
    let read = read_message(&labels.names, message, &mut cells).and_then(|()| cells.complete());
    match read {
        Ok((id, time_ms, value)) => {
            let before_row = u32::try_from(slot.rows).expect("a slot has far fewer rows");
            slot.labels.push(LabelRecord { id, time_ms, value, before_row, position });
            if slot.keeps_labels {
                slot.label_raw.push_with(|out| out.extend_from_slice(message.payload));
                slot.label_raw.push_with(|out| message.write_envelope(out));
            }
            true
        }
        Err(fault) => {
            slot.rejects.push(Reject {
                reason: fault.reason,
                field: fault.field.map(|field| labels.place(field).name().into()),
                position,
                is_label: true,
                bytes: message.payload.to_vec(),
                envelope: message.envelope(),
            });
            false
        }
    }
}

/// Key, headers and body of a message into the cells.
pub(crate) fn read_message<C: Cells>(
    names: &Names,
    message: &MessageParts<'_>,
    cells: &mut C,
) -> Result<(), Fault> {
    if let Some(key) = message.key {
        for &field in names.keys() {
            set_bytes(cells, field, key)?;
        }
    }
    if names.has_headers() {
        for &(name, value) in message.headers {
            for field in names.header_fields(name) {
                set_bytes(cells, field, value)?;
            }
        }
    }
    match names.layout() {
        Some(fields) => binary::decode_record(message.payload, fields, cells),
        None => json::decode_record(message.payload, names, cells),
    }
}

/// Sets a field that arrived as bytes, which have to be a text.
pub(crate) fn set_bytes(cells: &mut impl Cells, field: usize, bytes: &[u8]) -> Result<(), Fault> {
    match std::str::from_utf8(bytes) {
        Ok(text) => cells.set(field, Scalar::Text(text)),
        Err(_) => Err(Fault { reason: Reason::Unparsable, field: Some(field) }),
    }
}

/// The cells of a label record.
struct LabelCells<'a> {
    meaning: &'a LabelMeaning,
    unit: TimeUnit,
    id: Option<u128>,
    value: Option<f32>,
    time_ms: Option<i64>,
}

impl<'a> LabelCells<'a> {
    const ID: usize = 0;
    const LABEL: usize = 1;
    const TIME: usize = 2;

    fn new(meaning: &'a LabelMeaning, labels: &LabelNames, message_ms: Option<i64>) -> Self {
        let (unit, time_ms) = match labels.fields.time {
            Some((_, unit)) => (unit, None),
            None => (TimeUnit::Milliseconds, message_ms),
        };
        LabelCells { meaning, unit, id: None, value: None, time_ms }
    }

    fn complete(self) -> Result<(u128, i64, f32), Fault> {
        let lacks = |reason, field| Fault { reason, field: Some(field) };
        let id = self.id.ok_or(lacks(Reason::MissingId, LabelCells::ID))?;
        let value = self.value.ok_or(lacks(Reason::BadLabel, LabelCells::LABEL))?;
        let time_ms = self.time_ms.ok_or(lacks(Reason::BadTime, LabelCells::TIME))?;
        Ok((id, time_ms, value))
    }
}

impl Cells for LabelCells<'_> {
    fn set(&mut self, field: usize, value: Scalar<'_>) -> Result<(), Fault> {
        let fault = |reason| Fault { reason, field: Some(field) };
        match field {
            LabelCells::ID => {
                let id = schema::identity(value).ok_or(fault(Reason::MissingId))?;
                self.id = Some(id);
            }
            LabelCells::LABEL => {
                let label = schema::label(value, self.meaning).ok_or(fault(Reason::BadLabel))?;
                self.value = Some(label);
            }
            _ => {
                let time = schema::time_ms(value, self.unit).ok_or(fault(Reason::BadTime))?;
                self.time_ms = Some(time);
            }
        }
        Ok(())
    }
}
