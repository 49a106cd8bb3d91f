//! `[event] format` and `[layout.*]`: records that are no JSON, but bytes in fixed places.

use std::mem::discriminant;

use pelton_kernels::decode::BinaryKind;

use crate::schema::Place;

use super::event::EventConfig;
use super::read::{Key, Section};

/// The most bytes of such a record, which is what kernels take.
const RECORD_BYTES_MAX: usize = 1 << 20;

/// Where the fields of a binary record lie. Bytes between them are not looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layout {
    /// Bytes of every record.
    pub record_bytes: usize,
    /// The fields, by name.
    pub fields: Vec<Laid>,
}

/// A field of a binary record; numbers are little-endian.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Laid {
    /// Its name, as the other settings know it.
    pub name: String,
    /// Bytes of the record before it.
    pub offset: usize,
    /// Its type.
    pub kind: BinaryKind,
    /// The bits of an integer that stands for a missing value.
    pub missing_bits: Option<u64>,
}

/// The types by name; a text gets its width from `bytes`.
const KINDS: [(&str, BinaryKind); 7] = [
    ("f32", BinaryKind::F32),
    ("f64", BinaryKind::F64),
    ("i32", BinaryKind::I32),
    ("i64", BinaryKind::I64),
    ("u32", BinaryKind::U32),
    ("u64", BinaryKind::U64),
    ("text", BinaryKind::Text { width: 0 }),
];

/// Reads `format` and `record_bytes` of `[event]`; the bytes where records are binary.
pub fn read_format(section: &mut Section<'_>) -> Option<usize> {
    let doc = "how event records are written: JSON objects, or bytes as [layout] says, in topics \
               and in .bin files, one record after another; labels of their own topic are JSON";
    let is_binary = section.choice(Key("format", doc), &[("json", false), ("binary", true)]);
    let doc = "bytes of each binary record; one that is longer or shorter is dead-lettered";
    let legal = format!("1 to {RECORD_BYTES_MAX}, needed with format = \"binary\"");
    let key = Key("record_bytes", doc);
    let bytes = section.parsed(key, (None, "none"), &legal, |value| {
        let bytes = usize::try_from(value.as_integer()?).ok()?;
        (1..=RECORD_BYTES_MAX).contains(&bytes).then_some(Some(bytes))
    });
    if is_binary && bytes.is_none() {
        section.problem("record_bytes", "is missing; binary records are of one length");
    }
    bytes.filter(|_| is_binary)
}

/// Reads `[layout.*]`; nothing where records are JSON.
pub fn read(root: &mut Section<'_>, record_bytes: Option<usize>) -> Option<Layout> {
    let mut fields = Vec::new();
    for (name, mut section) in root.named_sections("layout") {
        let doc = "bytes of the record before the field NUMBER, or any other: the id, the time and \
                   the label too";
        if !section.has("offset") {
            section.problem("offset", "is missing");
        }
        let offset = section.count(Key("offset", doc), 0, 0..=RECORD_BYTES_MAX);
        let doc = "its type: a number, little-endian, or a text in UTF-8, filled up with NUL; a \
                   float that is NaN and an empty text are missing values";
        let kind = section.choice(Key("type", doc), &KINDS);
        let kind = read_width(&mut section, kind);
        let doc = "the integer that stands for a missing value; of a u64, -1 is the largest";
        let legal = "a whole number of the field's type";
        let missing_bits = section.parsed(Key("missing", doc), (None, "none"), legal, |value| {
            bits(value.as_integer()?, kind).map(Some)
        });
        let end = offset.saturating_add(kind.bytes());
        if record_bytes.is_some_and(|bytes| end > bytes) {
            section.problem("offset", "is such that the field ends beyond event.record_bytes");
        }
        section.finish();
        fields.push(Laid { name, offset, kind, missing_bits });
    }
    record_bytes.map(|record_bytes| Layout { record_bytes, fields })
}

/// The type with the width of a text.
fn read_width(section: &mut Section<'_>, kind: BinaryKind) -> BinaryKind {
    let legal = "1 to 65536, for type = \"text\"";
    let bytes = section.parsed(Key("bytes", "bytes of a text"), (None, "none"), legal, |value| {
        let bytes = usize::try_from(value.as_integer()?).ok()?;
        (1..=65_536).contains(&bytes).then_some(Some(bytes))
    });
    match (kind, bytes) {
        (BinaryKind::Text { .. }, Some(width)) => BinaryKind::Text { width },
        (BinaryKind::Text { .. }, None) => {
            section.problem("bytes", "is missing; a text has a fixed width");
            kind
        }
        (kind, Some(_)) => {
            section.problem("bytes", "is for texts; a number has the width of its type");
            kind
        }
        (kind, None) => kind,
    }
}

/// The bits of an integer in a field of this type, zeros above them.
fn bits(value: i64, kind: BinaryKind) -> Option<u64> {
    match kind {
        BinaryKind::I32 => i32::try_from(value).ok().map(|value| u64::from(value.cast_unsigned())),
        BinaryKind::U32 => u32::try_from(value).ok().map(u64::from),
        BinaryKind::I64 | BinaryKind::U64 => Some(value.cast_unsigned()),
        BinaryKind::F32 | BinaryKind::F64 | BinaryKind::Text { .. } => None,
    }
}

/// Every field of the body must have its place.
pub fn check(root: &mut Section<'_>, event: &EventConfig, layout: Option<&Layout>) {
    let Some(layout) = layout else { return };
    if layout.record_bytes > event.record_bytes_max {
        root.problem("event.record_bytes", "is more than event.record_bytes_max");
    }
    for field in &event.schema.fields {
        let Place::Body(name) = &field.place else { continue };
        if layout.find(name).is_none() {
            let message = "is missing; the settings name this field, and binary records name none";
            root.problem(&format!("layout.{name}"), message);
        }
    }
}

impl Layout {
    /// The settings that say this layout, as TOML.
    #[must_use]
    pub fn to_toml(&self) -> String {
        let mut text = format!(
            "[event]\nformat = \"binary\"\nrecord_bytes = {}\n\n[layout]\n",
            self.record_bytes
        );
        for laid in &self.fields {
            let is_same = |kind: &BinaryKind| discriminant(kind) == discriminant(&laid.kind);
            let name = KINDS.iter().find(|(_, kind)| is_same(kind)).map_or("", |(name, _)| name);
            text += &format!("{} = {{ offset = {}, type = \"{name}\"", laid.name, laid.offset);
            if let BinaryKind::Text { width } = laid.kind {
                text += &format!(", bytes = {width}");
            }
            if let Some(bits) = laid.missing_bits {
                let missing = match laid.kind {
                    BinaryKind::I32 => i64::from((bits as u32).cast_signed()),
                    _ => bits.cast_signed(),
                };
                text += &format!(", missing = {missing}");
            }
            text += " }\n";
        }
        text
    }

    /// The field of that name.
    #[must_use]
    pub fn find(&self, name: &str) -> Option<&Laid> {
        self.fields.iter().find(|field| field.name == name)
    }
}
