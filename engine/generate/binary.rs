//! Records as bytes in fixed places: what `[event] format = "binary"` reads.
//!
//! Fields follow one another without gaps, little-endian. A missing integer is the least of its
//! type, a missing float NaN; [`Layout::to_toml`] says so to whoever reads the file. Invariant: an
//! integer that its field cannot hold is told ([`write_binary`] gives false), never cut.

use pelton_kernels::decode::BinaryKind;

use super::record::{Field, FieldKind, FieldVisitor, Parts, Record};
use crate::config::layout::{Laid, Layout};

/// Where the fields of such records lie.
pub fn layout<R: Record>(parts: Parts) -> Layout {
    let mut record_bytes = 0;
    let fields = R::FIELDS.iter().filter(|field| parts.take(field));
    let fields = fields.map(|field| {
        let (offset, kind) = (record_bytes, kind_of(field));
        record_bytes += kind.bytes();
        let missing_bits = missing_of(field).filter(|_| field.is_nullable);
        Laid { name: field.name.to_owned(), offset, kind, missing_bits }
    });
    let fields = fields.collect();
    Layout { record_bytes, fields }
}

/// Appends the chosen parts of a record; false when one of its integers had no room.
pub fn write_binary<R: Record>(record: &R, parts: Parts, out: &mut Vec<u8>) -> bool {
    let mut binary = Binary { out, parts, has_room: true };
    record.visit(&mut binary);
    binary.has_room
}

fn kind_of(field: &Field) -> BinaryKind {
    match field.kind {
        FieldKind::Int8 | FieldKind::Int32 => BinaryKind::I32,
        FieldKind::Int64 => BinaryKind::I64,
        FieldKind::Float64 => BinaryKind::F64,
    }
}

/// The bits of an integer that is missing.
fn missing_of(field: &Field) -> Option<u64> {
    match kind_of(field) {
        BinaryKind::I32 => Some(u64::from(i32::MIN.cast_unsigned())),
        BinaryKind::I64 => Some(i64::MIN.cast_unsigned()),
        _ => None,
    }
}

struct Binary<'a> {
    out: &'a mut Vec<u8>,
    parts: Parts,
    has_room: bool,
}

impl Binary<'_> {
    fn whole(&mut self, field: &Field, value: i64) {
        if kind_of(field) == BinaryKind::I32 {
            let narrow = i32::try_from(value);
            self.has_room &= narrow.is_ok();
            self.out.extend_from_slice(&narrow.unwrap_or(0).to_le_bytes());
        } else {
            self.out.extend_from_slice(&value.to_le_bytes());
        }
    }
}

impl FieldVisitor for Binary<'_> {
    fn integer(&mut self, field: &'static Field, value: i64) {
        if !self.parts.take(field) {
            return;
        }
        match kind_of(field) {
            BinaryKind::F64 => self.out.extend_from_slice(&(value as f64).to_le_bytes()),
            _ => self.whole(field, value),
        }
    }

    fn decimal(&mut self, field: &'static Field, value: f64) {
        if self.parts.take(field) {
            self.out.extend_from_slice(&value.to_le_bytes());
        }
    }

    fn hundredths(&mut self, field: &'static Field, value: u64) {
        self.decimal(field, value as f64 / 100.0);
    }

    fn missing(&mut self, field: &'static Field) {
        match kind_of(field) {
            BinaryKind::I32 => self.integer(field, i64::from(i32::MIN)),
            BinaryKind::I64 => self.integer(field, i64::MIN),
            _ => self.decimal(field, f64::NAN),
        }
    }
}
