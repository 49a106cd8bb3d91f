//! Binary records into cells: every field in its place, as [`Layout`] says.
//!
//! A record of another length, a text that is no UTF-8, or one with something behind its first NUL
//! is unparsable. A float that is NaN, an empty text and the integer that the layout calls missing
//! are what `null` is in JSON; a `u64` beyond `i64` goes on as the text of its digits, and negative
//! zero is zero, as there.

use pelton_kernels::decode::BinaryKind;

use crate::config::layout::{Laid, Layout};
use crate::ring::Reason;
use crate::schema::Scalar;
use crate::source::rows::{Cells, Fault};

/// The fields of a schema in a binary record.
#[derive(Clone, Debug)]
pub struct Fields {
    record_bytes: usize,
    /// With their indices in the schema.
    fields: Vec<(usize, Laid)>,
}

impl Fields {
    /// Those of `names` that the layout has, by their indices.
    #[must_use]
    pub fn new<'a>(layout: &Layout, names: impl Iterator<Item = (usize, &'a str)>) -> Fields {
        let found = names.filter_map(|(index, name)| Some((index, layout.find(name)?.clone())));
        Fields { record_bytes: layout.record_bytes, fields: found.collect() }
    }
}

/// Reads one record into the cells.
///
/// # Errors
/// The first fault in the order of the fields; cells before it have been set.
pub fn decode_record(bytes: &[u8], fields: &Fields, cells: &mut impl Cells) -> Result<(), Fault> {
    if bytes.len() != fields.record_bytes {
        return Err(Fault::record(Reason::Unparsable));
    }
    for (index, laid) in &fields.fields {
        let set = with_scalar(bytes, laid, |value| cells.set(*index, value));
        set.unwrap_or(Err(Fault { reason: Reason::Unparsable, field: Some(*index) }))?;
    }
    Ok(())
}

/// Hands on the value of a field of a record; `None` when it is no value at all.
pub fn with_scalar<T>(record: &[u8], laid: &Laid, take: impl FnOnce(Scalar<'_>) -> T) -> Option<T> {
    let bytes = record.get(laid.offset..)?.get(..laid.kind.bytes())?;
    let bits = bytes.iter().rev().take(8).fold(0, |bits: u64, &byte| bits << 8 | u64::from(byte));
    let float = |x: f64| if x.is_nan() { Scalar::Null } else { Scalar::Float(x + 0.0) };
    let value = match laid.kind {
        BinaryKind::F32 => float(f64::from(f32::from_bits(bits as u32))),
        BinaryKind::F64 => float(f64::from_bits(bits)),
        BinaryKind::Text { .. } => text(bytes)?,
        _ if laid.missing_bits == Some(bits) => Scalar::Null,
        BinaryKind::I32 => Scalar::Int(i64::from((bits as u32).cast_signed())),
        BinaryKind::U32 | BinaryKind::I64 => Scalar::Int(bits.cast_signed()),
        BinaryKind::U64 => match i64::try_from(bits) {
            Ok(whole) => Scalar::Int(whole),
            Err(_) => return Some(take(Scalar::Text(itoa::Buffer::new().format(bits)))),
        },
    };
    Some(take(value))
}

fn text(bytes: &[u8]) -> Option<Scalar<'_>> {
    let end = bytes.iter().position(|&byte| byte == 0).unwrap_or(bytes.len());
    let (text, rest) = bytes.split_at(end);
    if rest.iter().any(|&byte| byte != 0) {
        return None;
    }
    let text = std::str::from_utf8(text).ok()?;
    Some(if text.is_empty() { Scalar::Null } else { Scalar::Text(text) })
}
