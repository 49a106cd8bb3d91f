//! The pen of the decoders: turns scalars into the columns of one row of a slot.
//!
//! A row is begun, its fields are set in any order, and it is finished or rejected. Whatever
//! happens to one row, its neighbours are not touched.

use pelton_kernels::hash;

use crate::ring::{Envelope, Position, Reason, Reject, Slot};
use crate::schema::{self, Scalar, Schema, Target, TimeFrom};

/// What went wrong with a field or a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fault {
    /// Why the record cannot be used.
    pub reason: Reason,
    /// The index in [`Schema::fields`] of the field that is wrong, when one is.
    pub field: Option<usize>,
}

impl Fault {
    /// A fault of the record as a whole.
    #[must_use]
    pub fn record(reason: Reason) -> Fault {
        Fault { reason, field: None }
    }
}

/// Receives the named scalars of one record.
pub trait Cells {
    /// Sets field `field` (an index into the decoder's list of names).
    ///
    /// # Errors
    /// The fault that makes the record unusable; decoding of this record stops.
    fn set(&mut self, field: usize, value: Scalar<'_>) -> Result<(), Fault>;
}

/// Writes event rows into a slot.
pub struct RowWriter<'a> {
    schema: &'a Schema,
    slot: &'a mut Slot,
    has_id: bool,
    has_time: bool,
    texts: usize,
}

impl<'a> RowWriter<'a> {
    /// Begins a row of `slot`, which must not be full; every column starts as missing.
    #[must_use]
    pub fn begin(schema: &'a Schema, slot: &'a mut Slot) -> RowWriter<'a> {
        let row = slot.rows;
        slot.numbers.fill_row(row, f32::NAN);
        slot.categories.fill_row(row, 0);
        slot.recorded_labels[row] = f32::NAN;
        let texts = slot.texts.len();
        for _ in 0..schema.texts.len() {
            slot.texts.push_with(|_| {});
        }
        RowWriter { schema, slot, has_id: false, has_time: false, texts }
    }

    /// Ends the row: it becomes part of the batch, or a reject when id or time are missing.
    /// `message_time_ms` is the time the transport gave the record, when it gave one.
    pub fn finish(self, position: Position, message_time_ms: Option<i64>, raw: &[u8]) -> bool {
        self.finish_with(position, message_time_ms, |bytes| bytes.extend_from_slice(raw))
    }

    /// The same for records whose bytes are only made when somebody wants them.
    pub fn finish_with(
        mut self,
        position: Position,
        message_time_ms: Option<i64>,
        write_raw: impl FnOnce(&mut Vec<u8>),
    ) -> bool {
        match self.complete(position, message_time_ms) {
            Ok(()) => {
                let slot = self.slot;
                slot.positions[slot.rows] = position;
                slot.arrived_ns[slot.rows] = slot.arriving_ns;
                if self.schema.keeps_raw {
                    slot.raw.push_with(write_raw);
                }
                slot.rows += 1;
                slot.consumed += 1;
                true
            }
            Err(fault) => {
                let mut raw = Vec::new();
                write_raw(&mut raw);
                self.reject(fault, position, &raw);
                false
            }
        }
    }

    /// Gives the row up: the record becomes a reject of the batch.
    pub fn reject(self, fault: Fault, position: Position, raw: &[u8]) {
        self.slot.texts.truncate(self.texts);
        reject_event(self.schema, self.slot, fault, position, raw);
    }

    fn complete(&mut self, position: Position, message: Option<i64>) -> Result<(), Fault> {
        let row = self.slot.rows;
        if !self.has_time {
            let time = match self.schema.time {
                TimeFrom::Field => None,
                TimeFrom::Row { step_ms } => position.offset.checked_mul(step_ms),
                TimeFrom::Message => message,
            };
            self.slot.times_ms[row] = time.ok_or(Fault::record(Reason::BadTime))?;
        }
        if !self.has_id {
            if self.schema.has_id {
                return Err(Fault::record(Reason::MissingId));
            }
            self.slot.ids[row] = position_identity(self.slot, position);
        }
        Ok(())
    }

    fn set_target(&mut self, target: Target, value: Scalar<'_>) -> Result<(), Reason> {
        let row = self.slot.rows;
        match target {
            Target::Text(column) => {
                self.slot.texts.set(self.texts + column, |bytes| render(value, bytes));
            }
            Target::Number(column) => {
                let x = schema::number(value).ok_or(Reason::WrongType)?;
                // Adding zero turns negative zero, which not every format can tell, into zero.
                self.slot.numbers[[column, row]] = if x.is_finite() { x + 0.0 } else { f32::NAN };
            }
            Target::Category(column) => {
                self.slot.categories[[column, row]] = schema::category(value);
            }
            Target::Id => {
                self.slot.ids[row] = schema::identity(value).ok_or(Reason::MissingId)?;
                self.has_id = true;
            }
            Target::Time(unit) => {
                self.slot.times_ms[row] = schema::time_ms(value, unit).ok_or(Reason::BadTime)?;
                self.has_time = true;
            }
            Target::Label => {
                self.slot.recorded_labels[row] = match value {
                    Scalar::Null => f32::NAN,
                    other => schema::label(other, &self.schema.label).ok_or(Reason::BadLabel)?,
                };
            }
        }
        Ok(())
    }
}

impl Cells for RowWriter<'_> {
    fn set(&mut self, field: usize, value: Scalar<'_>) -> Result<(), Fault> {
        let schema = self.schema;
        for &target in &schema.fields[field].targets {
            self.set_target(target, value)
                .map_err(|reason| Fault { reason, field: Some(field) })?;
        }
        Ok(())
    }
}

/// Adds a record that never became a row to the rejects of the batch.
pub fn reject_event(schema: &Schema, slot: &mut Slot, fault: Fault, at: Position, raw: &[u8]) {
    slot.consumed += 1;
    slot.rejects.push(Reject {
        reason: fault.reason,
        field: fault.field.map(|f| schema.fields[f].name().into()),
        position: at,
        is_label: false,
        bytes: raw.to_vec(),
        envelope: Envelope::default(),
    });
}

/// A record without an id of its own is identified by topic, partition and offset, under tag 3.
pub(super) fn position_identity(slot: &Slot, position: Position) -> u128 {
    let span = &slot.spans[position.span as usize];
    let topic = u128::from(hash::hash_bytes(span.topic.as_bytes()) & 0xffff_ffff);
    let partition = u128::from(span.partition.cast_unsigned() & 0x00ff_ffff);
    let offset = u128::from(position.offset.cast_unsigned());
    (3 << 120) | (partition << 96) | (topic << 64) | offset
}

/// Appends the scalar as JSON.
pub fn render(value: Scalar<'_>, bytes: &mut Vec<u8>) {
    match value {
        Scalar::Null => bytes.extend_from_slice(b"null"),
        Scalar::Bool(true) => bytes.extend_from_slice(b"true"),
        Scalar::Bool(false) => bytes.extend_from_slice(b"false"),
        Scalar::Int(i) => bytes.extend_from_slice(itoa::Buffer::new().format(i).as_bytes()),
        Scalar::Float(x) if x.is_finite() => {
            bytes.extend_from_slice(ryu::Buffer::new().format_finite(x).as_bytes());
        }
        Scalar::Float(_) => bytes.extend_from_slice(b"null"),
        Scalar::Text(text) => render_text(text, bytes),
    }
}

/// Appends the text as JSON.
pub fn render_text(text: &str, bytes: &mut Vec<u8>) {
    bytes.push(b'"');
    for &byte in text.as_bytes() {
        match byte {
            b'"' | b'\\' => bytes.extend_from_slice(&[b'\\', byte]),
            0..0x20 => bytes.extend_from_slice(format!("\\u{byte:04x}").as_bytes()),
            _ => bytes.push(byte),
        }
    }
    bytes.push(b'"');
}
