//! Tensors of a file: numbers as bytes, or as fields of the message, by what they say they are.

use pelton_models::graph::{Data, Tensor};

use super::super::proto::{TensorProto, kind};

/// A tensor; small integers become 64-bit ones.
///
/// # Errors
/// What is wrong with it: its numbers are counted before any memory is taken for them.
pub(super) fn tensor(proto: &TensorProto) -> Result<Tensor, String> {
    if proto.data_location != 0 {
        return Err("its numbers lie in another file: save it as one".to_owned());
    }
    let dim = |dim: &i64| usize::try_from(*dim).map_err(|_| format!("a length of {dim}"));
    let shape = proto.dims.iter().map(dim).collect::<Result<Vec<usize>, String>>()?;
    let data = match &proto.raw_data {
        Some(raw) => from_bytes(proto.data_type, raw)?,
        None => from_fields(proto)?,
    };
    let count = data.len();
    Tensor::new(shape, data).ok_or_else(|| format!("{count} numbers for shape {:?}", proto.dims))
}

fn from_bytes(data_type: i32, raw: &[u8]) -> Result<Data, String> {
    Ok(match data_type {
        kind::FLOAT => Data::F32(numbers(raw, f32::from_le_bytes)?),
        kind::DOUBLE => Data::F64(numbers(raw, f64::from_le_bytes)?),
        kind::INT64 => Data::I64(numbers(raw, i64::from_le_bytes)?),
        kind::INT32 => Data::I64(numbers(raw, |raw| i32::from_le_bytes(raw).into())?),
        kind::INT16 => Data::I64(numbers(raw, |raw| i16::from_le_bytes(raw).into())?),
        kind::UINT16 => Data::I64(numbers(raw, |raw| u16::from_le_bytes(raw).into())?),
        kind::INT8 => Data::I64(numbers(raw, |raw| i8::from_le_bytes(raw).into())?),
        kind::UINT8 => Data::I64(numbers(raw, |raw| u8::from_le_bytes(raw).into())?),
        kind::BOOL => Data::Bool(raw.iter().map(|raw| *raw != 0).collect()),
        other => return Err(not_these(other)),
    })
}

fn from_fields(proto: &TensorProto) -> Result<Data, String> {
    let small = || proto.int32_data.iter();
    Ok(match proto.data_type {
        kind::FLOAT => Data::F32(proto.float_data.clone()),
        kind::DOUBLE => Data::F64(proto.double_data.clone()),
        kind::INT64 => Data::I64(proto.int64_data.clone()),
        kind::INT32 | kind::INT16 | kind::INT8 | kind::UINT16 | kind::UINT8 => {
            Data::I64(small().map(|x| i64::from(*x)).collect())
        }
        kind::BOOL => Data::Bool(small().map(|x| *x != 0).collect()),
        other => return Err(not_these(other)),
    })
}

fn numbers<const BYTES: usize, T>(
    raw: &[u8],
    one: impl Fn([u8; BYTES]) -> T,
) -> Result<Vec<T>, String> {
    let (words, rest) = raw.as_chunks::<BYTES>();
    match rest {
        [] => Ok(words.iter().map(|word| one(*word)).collect()),
        _ => Err(format!("{} bytes of numbers of {BYTES}", raw.len())),
    }
}

/// What a kind that is not read is called.
pub(super) fn not_these(data_type: i32) -> String {
    let name = match data_type {
        kind::STRING => "text",
        10 => "16-bit floats",
        16 => "bfloat16",
        _ => return format!("numbers of kind {data_type}"),
    };
    name.to_owned()
}
