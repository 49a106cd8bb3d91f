//! What a record is: fields with names and types, visited in order, written as text.
//!
//! A record type lists its fields once and hands their values to a visitor in that order; JSON,
//! CSV and Parquet are visitors. Everything is known at compile time, so writing a record is a
//! run of plain copies. Invariant: `visit` calls the visitor once per field, in ascending order.

use std::fmt;

/// The type of a field in typed formats.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FieldKind {
    /// Integer of 8 bits.
    Int8,
    /// Integer of 32 bits.
    Int32,
    /// Integer of 64 bits.
    Int64,
    /// Double precision.
    Float64,
}

/// What a field tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Known when the event happens.
    Event,
    /// The truth, known later.
    Label,
    /// Never known: why the label is what it is. For judging only.
    Hidden,
}

/// A column of a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Field {
    /// Its name.
    pub name: &'static str,
    /// `,"name":`.
    pub(super) json: &'static str,
    /// Its type.
    pub kind: FieldKind,
    /// What it tells.
    pub role: Role,
    /// Whether values may be missing.
    pub is_nullable: bool,
}

/// A [`Field`] with its JSON form made at compile time.
macro_rules! field {
    ($name:literal, $kind:ident, $role:ident) => {
        field!($name, $kind, $role, false)
    };
    ($name:literal, $kind:ident, $role:ident, $is_nullable:literal) => {
        $crate::generate::record::Field {
            name: $name,
            json: concat!(",\"", $name, "\":"),
            kind: $crate::generate::record::FieldKind::$kind,
            role: $crate::generate::record::Role::$role,
            is_nullable: $is_nullable,
        }
    };
}
pub(super) use field;

/// Which fields are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Parts {
    has_label: bool,
    has_hidden: bool,
}

impl Parts {
    /// The event alone: its label travels on its own.
    pub const EVENT: Parts = Parts { has_label: false, has_hidden: false };
    /// The event with its label, as recorded streams have it.
    pub const RECORD: Parts = Parts { has_label: true, has_hidden: false };
    /// Hidden fields as well.
    pub const ALL: Parts = Parts { has_label: true, has_hidden: true };

    /// Whether the field is written.
    #[inline]
    pub fn take(self, field: &Field) -> bool {
        match field.role {
            Role::Event => true,
            Role::Label => self.has_label,
            Role::Hidden => self.has_hidden,
        }
    }
}

/// Takes the values of a record, in the order of its fields.
pub trait FieldVisitor {
    /// A whole number.
    fn integer(&mut self, field: &'static Field, value: i64);
    /// A number.
    fn decimal(&mut self, field: &'static Field, value: f64);
    /// A number of hundredths.
    fn hundredths(&mut self, field: &'static Field, value: u64);
    /// No value.
    fn missing(&mut self, field: &'static Field);
}

/// One record of a generated stream.
pub trait Record: Default + Clone + PartialEq + fmt::Debug {
    /// The fields in the order in which they are visited and written.
    const FIELDS: &'static [Field];

    /// Hands every value to the visitor.
    fn visit<V: FieldVisitor>(&self, visitor: &mut V);

    /// Event time, milliseconds since the epoch.
    fn time_ms(&self) -> i64;

    /// Appends the bytes of the key that keeps related records in one partition.
    fn write_key(&self, out: &mut Vec<u8>);

    /// Appends the event with its label as one JSON object, no line end.
    #[inline]
    fn write_json(&self, out: &mut Vec<u8>) {
        self.write_json_parts(Parts::RECORD, out);
    }

    /// Appends the chosen parts as one JSON object, no line end; a missing value is `null`.
    #[inline]
    fn write_json_parts(&self, parts: Parts, out: &mut Vec<u8>) {
        let start = out.len();
        self.visit(&mut Json { out, parts });
        // The first field's comma becomes the opening brace.
        out[start] = b'{';
        out.push(b'}');
    }

    /// Appends the chosen parts separated by commas, no line end; a missing value is empty.
    #[inline]
    fn write_csv(&self, parts: Parts, out: &mut Vec<u8>) {
        self.visit(&mut Csv { out, parts });
        out.pop();
    }
}

struct Json<'a> {
    out: &'a mut Vec<u8>,
    parts: Parts,
}

impl FieldVisitor for Json<'_> {
    #[inline(always)]
    fn integer(&mut self, field: &'static Field, value: i64) {
        if self.parts.take(field) {
            self.out.extend_from_slice(field.json.as_bytes());
            write_integer(value, self.out);
        }
    }

    #[inline(always)]
    fn decimal(&mut self, field: &'static Field, value: f64) {
        if self.parts.take(field) {
            self.out.extend_from_slice(field.json.as_bytes());
            self.out.extend_from_slice(ryu::Buffer::new().format(value).as_bytes());
        }
    }

    #[inline(always)]
    fn hundredths(&mut self, field: &'static Field, value: u64) {
        if self.parts.take(field) {
            self.out.extend_from_slice(field.json.as_bytes());
            write_hundredths(value, self.out);
        }
    }

    #[inline(always)]
    fn missing(&mut self, field: &'static Field) {
        if self.parts.take(field) {
            self.out.extend_from_slice(field.json.as_bytes());
            self.out.extend_from_slice(b"null");
        }
    }
}

struct Csv<'a> {
    out: &'a mut Vec<u8>,
    parts: Parts,
}

impl FieldVisitor for Csv<'_> {
    #[inline(always)]
    fn integer(&mut self, field: &'static Field, value: i64) {
        if self.parts.take(field) {
            write_integer(value, self.out);
            self.out.push(b',');
        }
    }

    #[inline(always)]
    fn decimal(&mut self, field: &'static Field, value: f64) {
        if self.parts.take(field) {
            self.out.extend_from_slice(ryu::Buffer::new().format(value).as_bytes());
            self.out.push(b',');
        }
    }

    #[inline(always)]
    fn hundredths(&mut self, field: &'static Field, value: u64) {
        if self.parts.take(field) {
            write_hundredths(value, self.out);
            self.out.push(b',');
        }
    }

    #[inline(always)]
    fn missing(&mut self, field: &'static Field) {
        if self.parts.take(field) {
            self.out.push(b',');
        }
    }
}

/// Appends a whole number in decimal.
#[inline]
pub(super) fn write_integer(value: i64, out: &mut Vec<u8>) {
    // Most fields of a click are one digit.
    if let Ok(digit @ 0..=9) = u8::try_from(value) {
        out.push(b'0' + digit);
    } else {
        out.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
    }
}

/// Appends hundredths as a decimal with two places: the double nearest to it is `value / 100`.
#[inline]
fn write_hundredths(value: u64, out: &mut Vec<u8>) {
    out.extend_from_slice(itoa::Buffer::new().format(value / 100).as_bytes());
    let cents = (value % 100) as u8;
    out.extend_from_slice(&[b'.', b'0' + cents / 10, b'0' + cents % 10]);
}
