//! JSON records into cells, without a tree in between.
//!
//! The fast parser drives one visitor that hands each wanted scalar to the cells and walks over
//! everything else. Any other parser under serde can drive the same visitor ([`read_object`]): that
//! is how the tests hold the fast one to account.
//!
//! What is accepted is RFC 8259 and no more: one object, UTF-8, at most [`DEPTH_MAX`] levels deep,
//! nothing after it; no byte order mark, no NaN or Infinity. Unwanted values are held to the same
//! rules as wanted ones, so a record is accepted or not whatever the configuration asks of it.
//! Where a name occurs twice, both values must be usable and the last one stays. Integers of
//! 64 bits are exact (those above `i64::MAX` go on as texts of their digits); longer ones and all
//! other numbers are read as `f64`, correctly rounded; one beyond its range is unparsable, and
//! negative zero is read as zero.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};

use super::names::{Lead, Names, ObjectId, Walk};
use crate::ring::Reason;
use crate::schema::Scalar;
use crate::source::rows::{Cells, Fault};

/// The most levels of objects and arrays in one another.
pub const DEPTH_MAX: usize = 64;

/// Reads one record into the cells.
///
/// # Errors
/// The first fault in the order of the record; cells before it have been set.
pub fn decode_record(bytes: &[u8], names: &Names, cells: &mut impl Cells) -> Result<(), Fault> {
    let text = checked_text(bytes, names)?;
    let mut parser = sonic_rs::Deserializer::from_str(text);
    read_object(&mut parser, names, cells)?;
    parser.end().map_err(|_| Fault::record(Reason::Unparsable))
}

/// The text of a record that is fit for a parser: not too large, UTF-8, not too deep.
///
/// Both are checked here because the fast parser recurses without limit through values it skips,
/// and checks the encoding only on some ways through it.
///
/// # Errors
/// [`Reason::TooLarge`], [`Reason::Unparsable`].
pub fn checked_text<'a>(bytes: &'a [u8], names: &Names) -> Result<&'a str, Fault> {
    if bytes.len() > names.record_bytes_max() {
        return Err(Fault::record(Reason::TooLarge));
    }
    let text = std::str::from_utf8(bytes).map_err(|_| Fault::record(Reason::Unparsable))?;
    if opening_count(bytes) > DEPTH_MAX && depth(bytes) > DEPTH_MAX {
        return Err(Fault::record(Reason::Unparsable));
    }
    Ok(text)
}

/// Drives the visitor with any parser; what follows the object is left to the caller.
///
/// # Errors
/// As [`decode_record`].
pub fn read_object<'de, D: Deserializer<'de>>(
    parser: D,
    names: &Names,
    cells: &mut impl Cells,
) -> Result<(), Fault> {
    let mut fault = None;
    let object = ObjectVisitor { names, object: names.body(), cells, fault: &mut fault };
    match parser.deserialize_any(object) {
        Ok(()) => Ok(()),
        Err(_) => Err(fault.unwrap_or(Fault::record(Reason::Unparsable))),
    }
}

/// Opening brackets, in texts too: an upper bound of the depth that costs nothing to compute.
fn opening_count(bytes: &[u8]) -> usize {
    // `{` and `[` differ in one bit. Counting a byte per chunk lets the loop use vectors of bytes.
    let opens = |byte: &u8| u8::from(byte | 0x20 == b'{');
    bytes.chunks(128).map(|chunk| usize::from(chunk.iter().map(opens).sum::<u8>())).sum()
}

/// The deepest nesting, brackets inside texts left out.
fn depth(bytes: &[u8]) -> usize {
    let (mut depth, mut deepest) = (0_usize, 0);
    let (mut is_text, mut is_escaped) = (false, false);
    for &byte in bytes {
        match byte {
            _ if is_escaped => is_escaped = false,
            b'\\' if is_text => is_escaped = true,
            b'"' => is_text = !is_text,
            _ if is_text => {}
            b'{' | b'[' => depth += 1,
            b'}' | b']' => depth = depth.saturating_sub(1),
            _ => {}
        }
        deepest = deepest.max(depth);
    }
    deepest
}

/// Takes an object apart.
struct ObjectVisitor<'a, C> {
    names: &'a Names,
    object: ObjectId,
    cells: &'a mut C,
    fault: &'a mut Option<Fault>,
}

impl<'de, C: Cells> Visitor<'de> for ObjectVisitor<'_, C> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    #[inline]
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let mut walk = self.names.walk(self.object);
        while let Some(lead) = map.next_key_seed(Name(&mut walk))? {
            match lead {
                Some(lead) => map.next_value_seed(Wanted {
                    names: self.names,
                    lead,
                    cells: &mut *self.cells,
                    fault: &mut *self.fault,
                })?,
                None => map.next_value_seed(Unwanted)?,
            }
        }
        Ok(())
    }
}

/// A name, looked up while it is still in the record.
struct Name<'w, 'n>(&'w mut Walk<'n>);

impl<'de> DeserializeSeed<'de> for Name<'_, '_> {
    type Value = Option<Lead>;

    #[inline]
    fn deserialize<D: Deserializer<'de>>(self, parser: D) -> Result<Option<Lead>, D::Error> {
        parser.deserialize_str(self)
    }
}

impl Visitor<'_> for Name<'_, '_> {
    type Value = Option<Lead>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a name")
    }

    #[inline]
    fn visit_str<E: Error>(self, name: &str) -> Result<Option<Lead>, E> {
        Ok(self.0.step(name))
    }
}

/// The value of a wanted name.
struct Wanted<'a, C> {
    names: &'a Names,
    lead: Lead,
    cells: &'a mut C,
    fault: &'a mut Option<Fault>,
}

impl<C: Cells> Wanted<'_, C> {
    #[inline]
    fn scalar<E: Error>(self, value: Scalar<'_>) -> Result<(), E> {
        match self.lead {
            Lead { field: Some(field), .. } => match self.cells.set(field, value) {
                Ok(()) => Ok(()),
                Err(fault) => stop(self.fault, fault),
            },
            Lead { object: Some(object), .. } if value != Scalar::Null => {
                let field = Some(self.names.field_under(object));
                stop(self.fault, Fault { reason: Reason::WrongType, field })
            }
            _ => Ok(()),
        }
    }
}

impl<'de, C: Cells> DeserializeSeed<'de> for Wanted<'_, C> {
    type Value = ();

    #[inline]
    fn deserialize<D: Deserializer<'de>>(self, parser: D) -> Result<(), D::Error> {
        parser.deserialize_any(self)
    }
}

impl<'de, C: Cells> Visitor<'de> for Wanted<'_, C> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a scalar")
    }

    fn visit_unit<E: Error>(self) -> Result<(), E> {
        self.scalar(Scalar::Null)
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<(), E> {
        self.scalar(Scalar::Bool(value))
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<(), E> {
        self.scalar(Scalar::Int(value))
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<(), E> {
        match i64::try_from(value) {
            Ok(value) => self.scalar(Scalar::Int(value)),
            Err(_) => self.scalar(Scalar::Text(itoa::Buffer::new().format(value))),
        }
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<(), E> {
        // Adding zero turns negative zero into zero and nothing else into anything else.
        self.scalar(Scalar::Float(value + 0.0))
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<(), E> {
        self.scalar(Scalar::Text(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, _: A) -> Result<(), A::Error> {
        let under = self.lead.object.map(|object| self.names.field_under(object));
        stop(self.fault, Fault { reason: Reason::WrongType, field: self.lead.field.or(under) })
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<(), A::Error> {
        let Wanted { names, lead, cells, fault } = self;
        match lead.object {
            Some(object) => ObjectVisitor { names, object, cells, fault }.visit_map(map),
            None => stop(fault, Fault { reason: Reason::WrongType, field: lead.field }),
        }
    }
}

/// Ends the record: the parser passes its own error on, the fault is kept beside it.
#[cold]
fn stop<E: Error>(kept: &mut Option<Fault>, fault: Fault) -> Result<(), E> {
    *kept = Some(fault);
    Err(E::custom("a field cannot be used"))
}

/// A value that is walked over. It goes the way of the wanted ones, because the parsers' own ways
/// of ignoring a value check less, and not the same.
#[derive(Clone, Copy)]
struct Unwanted;

impl<'de> DeserializeSeed<'de> for Unwanted {
    type Value = ();

    #[inline]
    fn deserialize<D: Deserializer<'de>>(self, parser: D) -> Result<(), D::Error> {
        parser.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Unwanted {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }

    fn visit_unit<E: Error>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_bool<E: Error>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E: Error>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E: Error>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E: Error>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_str<E: Error>(self, _: &str) -> Result<(), E> {
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<(), A::Error> {
        while elements.next_element_seed(Unwanted)?.is_some() {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while map.next_key_seed(Unwanted)?.is_some() {
            map.next_value_seed(Unwanted)?;
        }
        Ok(())
    }
}
