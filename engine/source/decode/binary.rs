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

#[cfg(test)]
mod tests {
    use super::*;

    /// What the cells are given, or why nothing: fields `a` and `b` of 16 bytes.
    fn read(kinds: [BinaryKind; 2], missing_bits: Option<u64>, bytes: &[u8]) -> String {
        struct Shown(String);
        impl Cells for Shown {
            fn set(&mut self, field: usize, value: Scalar<'_>) -> Result<(), Fault> {
                self.0 += &format!("{field}:{value:?} ");
                Ok(())
            }
        }
        let laid = ["a", "b"].into_iter().zip(kinds).zip([0, 8]).map(|((name, kind), offset)| {
            Laid { name: name.to_owned(), offset, kind, missing_bits }
        });
        let layout = Layout { record_bytes: 16, fields: laid.collect() };
        let fields = Fields::new(&layout, [(0, "b"), (1, "other"), (2, "a")].into_iter());
        let mut shown = Shown(String::new());
        match decode_record(bytes, &fields, &mut shown) {
            Ok(()) => shown.0,
            Err(fault) => format!("{:?} {:?}", fault.reason, fault.field),
        }
    }

    fn record(a: impl AsRef<[u8]>, b: impl AsRef<[u8]>) -> Vec<u8> {
        let mut record = a.as_ref().to_vec();
        record.resize(8, 0);
        record.extend_from_slice(b.as_ref());
        record.resize(16, 0);
        record
    }

    const TEXT: BinaryKind = BinaryKind::Text { width: 8 };

    #[test]
    fn every_type_has_its_scalar() {
        use BinaryKind::{F32, F64, I32, I64, U32, U64};
        let le = |bits: u64| bits.to_le_bytes();
        let numbers = record(1.5_f32.to_le_bytes(), (-0.0_f64).to_le_bytes());
        assert_eq!(read([F32, F64], None, &numbers), "0:Float(0.0) 2:Float(1.5) ");
        let nans = record(f32::NAN.to_le_bytes(), (-f64::NAN).to_le_bytes());
        assert_eq!(read([F32, F64], None, &nans), "0:Null 2:Null ");
        let ones = record(le(u64::MAX), le(u64::MAX));
        assert_eq!(read([I32, U32], None, &ones), "0:Int(4294967295) 2:Int(-1) ");
        let digits = "0:Text(\"18446744073709551615\") 2:Int(-1) ";
        assert_eq!(read([I64, U64], None, &ones), digits);
        assert_eq!(read([I64, U64], Some(u64::MAX), &ones), "0:Null 2:Null ");
        assert_eq!(read([U32, U64], Some(7), &record(le(7), le(8))), "0:Int(8) 2:Null ");
        let texts = record("né", "12345678");
        assert_eq!(read([TEXT, TEXT], None, &texts), "0:Text(\"12345678\") 2:Text(\"né\") ");
        assert_eq!(read([TEXT, TEXT], None, &record("", "-1")), "0:Text(\"-1\") 2:Null ");
    }

    #[test]
    fn what_is_no_record_is_unparsable() {
        let good = record("a", "b");
        for bytes in [&good[..15], &[&good[..], b"\0"].concat(), b""] {
            assert_eq!(read([TEXT, TEXT], None, bytes), "Unparsable None");
        }
        for text in [&b"a\0b"[..], b"\xff", b"\0a", b"\xc3"] {
            assert_eq!(read([TEXT, TEXT], None, &record(text, "b")), "Unparsable Some(2)");
        }
    }
}
