//! One column of a Parquet file: its values a chunk at a time, each as a scalar of its meaning.
//!
//! The physical type says how a value is stored, the logical one what it means. Decimals become
//! numbers (exact while the digits fit 53 bits), unsigned integers keep their value, dates are days
//! at midnight UTC, UUIDs are texts. Lists and types without a meaning as a scalar are refused when
//! the file is opened.

use ::parquet::basic::{ConvertedType, LogicalType, TimeUnit as FileUnit, Type};
use ::parquet::column::reader::{ColumnReaderImpl, get_typed_column_reader};
use ::parquet::data_type::{
    BoolType, ByteArrayType, DataType, DoubleType, FixedLenByteArrayType, FloatType, Int32Type,
    Int64Type, Int96Type,
};
use ::parquet::errors::ParquetError;
use ::parquet::file::reader::RowGroupReader;
use ::parquet::schema::types::ColumnDescriptor;

use crate::ring::Reason;
use crate::schema::{Scalar, TimeUnit};

/// A wanted column.
pub struct Column {
    leaf: usize,
    values: Values,
    meaning: Meaning,
}

/// What a stored value means.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Meaning {
    /// Itself.
    Plain,
    /// An integer without a sign, of 32 or 64 bits.
    Unsigned,
    /// An integer to be divided by this power of ten.
    Decimal(f64),
    /// A time since the epoch.
    Time(TimeUnit),
    /// Days since the epoch.
    Date,
    /// 16 bytes, written as a UUID.
    Uuid,
}

/// The column by its physical type.
enum Values {
    Bool(Chunk<BoolType>),
    Int32(Chunk<Int32Type>),
    Int64(Chunk<Int64Type>),
    Int96(Chunk<Int96Type>),
    Float(Chunk<FloatType>),
    Double(Chunk<DoubleType>),
    Bytes(Chunk<ByteArrayType>),
    Fixed(Chunk<FixedLenByteArrayType>),
}

/// Calls the same method of whichever chunk it is.
macro_rules! each_type {
    ($values:expr, $chunk:ident => $call:expr) => {
        match $values {
            Values::Bool($chunk) => $call,
            Values::Int32($chunk) => $call,
            Values::Int64($chunk) => $call,
            Values::Int96($chunk) => $call,
            Values::Float($chunk) => $call,
            Values::Double($chunk) => $call,
            Values::Bytes($chunk) => $call,
            Values::Fixed($chunk) => $call,
        }
    };
}

impl Column {
    /// The column with this index among the leaves of the file.
    ///
    /// # Errors
    /// Why it cannot be read, as the end of a sentence about it.
    pub fn new(leaf: usize, descriptor: &ColumnDescriptor) -> Result<Column, &'static str> {
        if descriptor.max_rep_level() > 0 {
            return Err("is a list; only single values can be read");
        }
        let meaning = meaning(descriptor)?;
        let levels = descriptor.max_def_level();
        let values = match descriptor.physical_type() {
            Type::BOOLEAN => Values::Bool(Chunk::new(levels)),
            Type::INT32 => Values::Int32(Chunk::new(levels)),
            Type::INT64 => Values::Int64(Chunk::new(levels)),
            Type::INT96 => Values::Int96(Chunk::new(levels)),
            Type::FLOAT => Values::Float(Chunk::new(levels)),
            Type::DOUBLE => Values::Double(Chunk::new(levels)),
            Type::BYTE_ARRAY => Values::Bytes(Chunk::new(levels)),
            Type::FIXED_LEN_BYTE_ARRAY => Values::Fixed(Chunk::new(levels)),
        };
        Ok(Column { leaf, values, meaning })
    }

    /// The unit of its times, when its own type says one.
    pub fn time_unit(&self) -> Option<TimeUnit> {
        match self.meaning {
            Meaning::Time(unit) => Some(unit),
            Meaning::Date => Some(TimeUnit::Seconds),
            _ => None,
        }
    }

    /// Begins a row group.
    ///
    /// # Errors
    /// When the file is damaged.
    pub fn open(&mut self, group: &dyn RowGroupReader) -> Result<(), ParquetError> {
        let reader = group.get_column_reader(self.leaf)?;
        each_type!(&mut self.values, chunk => chunk.reader = Some(get_typed_column_reader(reader)));
        Ok(())
    }

    /// Passes over rows of the group.
    ///
    /// # Errors
    /// When the file is damaged.
    pub fn pass(&mut self, rows: usize) -> Result<(), ParquetError> {
        each_type!(&mut self.values, chunk => chunk.pass(rows))
    }

    /// Decodes up to `rows` values of the group; returns how many there were.
    ///
    /// # Errors
    /// When the file is damaged.
    pub fn read(&mut self, rows: usize) -> Result<usize, ParquetError> {
        each_type!(&mut self.values, chunk => chunk.read(rows))
    }

    /// Why value `index` of the chunk cannot be handed out as the text it should be.
    #[inline]
    pub fn text_fault(&self, index: usize) -> Option<Reason> {
        let Values::Bytes(chunk) = &self.values else { return None };
        if self.meaning != Meaning::Plain {
            return None;
        }
        let is_text = chunk.get(index).is_none_or(|bytes| bytes.as_utf8().is_ok());
        (!is_text).then_some(Reason::Unparsable)
    }

    /// Hands value `index` of the chunk to `take`; bytes that are no text with replacements.
    #[inline]
    pub fn with_scalar<R>(&self, index: usize, take: impl FnOnce(Scalar<'_>) -> R) -> R {
        match &self.values {
            Values::Bool(chunk) => take(chunk.scalar(index, |&value| Scalar::Bool(value))),
            Values::Int32(chunk) => match self.meaning {
                Meaning::Unsigned => {
                    take(chunk.scalar(index, |value| Scalar::Int(i64::from(value.cast_unsigned()))))
                }
                meaning => take(chunk.scalar(index, |&v| integer(i64::from(v), meaning))),
            },
            Values::Int64(chunk) => match (self.meaning, chunk.get(index)) {
                (Meaning::Unsigned, Some(&value)) if value < 0 => {
                    take(Scalar::Text(itoa::Buffer::new().format(value.cast_unsigned())))
                }
                (meaning, value) => {
                    take(value.map_or(Scalar::Null, |&value| integer(value, meaning)))
                }
            },
            Values::Int96(chunk) => take(chunk.scalar(index, |v| Scalar::Int(v.to_millis()))),
            Values::Float(chunk) => take(chunk.scalar(index, |&v| Scalar::Float(f64::from(v)))),
            Values::Double(chunk) => take(chunk.scalar(index, |&v| Scalar::Float(v))),
            Values::Bytes(chunk) => self.with_bytes(chunk.get(index).map(|v| v.data()), take),
            Values::Fixed(chunk) => self.with_bytes(chunk.get(index).map(|v| v.data()), take),
        }
    }

    fn with_bytes<R>(&self, bytes: Option<&[u8]>, take: impl FnOnce(Scalar<'_>) -> R) -> R {
        match (bytes, self.meaning) {
            (None, _) => take(Scalar::Null),
            (Some(bytes), Meaning::Decimal(divisor)) => {
                take(Scalar::Float(big_endian(bytes) as f64 / divisor))
            }
            (Some(bytes), Meaning::Uuid) => take(Scalar::Text(&uuid(bytes))),
            (Some(bytes), _) => take(Scalar::Text(&String::from_utf8_lossy(bytes))),
        }
    }
}

/// A run of values of one physical type.
struct Chunk<T: DataType> {
    reader: Option<ColumnReaderImpl<T>>,
    values: Vec<T::T>,
    /// Definition levels; a value is present at the highest one.
    levels: Vec<i16>,
    level_max: i16,
    has_nulls: bool,
}

impl<T: DataType> Chunk<T> {
    fn new(level_max: i16) -> Chunk<T> {
        let (values, levels) = (Vec::new(), Vec::new());
        Chunk { reader: None, values, levels, level_max, has_nulls: false }
    }

    fn pass(&mut self, rows: usize) -> Result<(), ParquetError> {
        if let Some(reader) = &mut self.reader {
            reader.skip_records(rows)?;
        }
        Ok(())
    }

    fn read(&mut self, rows: usize) -> Result<usize, ParquetError> {
        self.values.clear();
        self.levels.clear();
        let Some(reader) = &mut self.reader else { return Ok(0) };
        let levels = (self.level_max > 0).then_some(&mut self.levels);
        let (read, present, _) = reader.read_records(rows, levels, None, &mut self.values)?;
        self.has_nulls = present < read;
        if self.has_nulls {
            self.spread(read, present);
        }
        Ok(read)
    }

    /// Moves the values that are present to their rows, from the last one on.
    fn spread(&mut self, rows: usize, present: usize) {
        self.values.resize(rows, T::T::default());
        let mut unmoved = present;
        for row in (0..rows).rev() {
            if self.levels[row] == self.level_max {
                unmoved -= 1;
                self.values.swap(row, unmoved);
            }
        }
    }

    #[inline]
    fn get(&self, index: usize) -> Option<&T::T> {
        if self.has_nulls && self.levels[index] != self.level_max {
            return None;
        }
        Some(&self.values[index])
    }

    #[inline]
    fn scalar<'a>(&'a self, index: usize, of: impl FnOnce(&'a T::T) -> Scalar<'a>) -> Scalar<'a> {
        self.get(index).map_or(Scalar::Null, of)
    }
}

#[inline]
fn integer(value: i64, meaning: Meaning) -> Scalar<'static> {
    match meaning {
        Meaning::Decimal(divisor) => Scalar::Float(value as f64 / divisor),
        Meaning::Date => Scalar::Int(value * 86_400),
        _ => Scalar::Int(value),
    }
}

/// The meaning of a column by its logical type, or by the older form of the same.
fn meaning(descriptor: &ColumnDescriptor) -> Result<Meaning, &'static str> {
    let logical = descriptor.logical_type_ref();
    let bytes = descriptor.type_length();
    Ok(match (descriptor.physical_type(), logical, descriptor.converted_type()) {
        (Type::INT96, ..) => Meaning::Time(TimeUnit::Milliseconds),
        (_, Some(LogicalType::Timestamp(timestamp)), _) => Meaning::Time(match timestamp.unit {
            FileUnit::MILLIS => TimeUnit::Milliseconds,
            FileUnit::MICROS => TimeUnit::Microseconds,
            FileUnit::NANOS => TimeUnit::Nanoseconds,
        }),
        (_, _, ConvertedType::TIMESTAMP_MILLIS) => Meaning::Time(TimeUnit::Milliseconds),
        (_, _, ConvertedType::TIMESTAMP_MICROS) => Meaning::Time(TimeUnit::Microseconds),
        (_, _, ConvertedType::DATE) => Meaning::Date,
        (Type::FIXED_LEN_BYTE_ARRAY, _, ConvertedType::DECIMAL) if bytes > 16 => {
            return Err("is a decimal of more than 16 bytes, which cannot be read");
        }
        (_, _, ConvertedType::DECIMAL)
            if descriptor.type_scale() == 0 && is_integer(descriptor) =>
        {
            Meaning::Plain
        }
        (_, _, ConvertedType::DECIMAL) => Meaning::Decimal(power_of_ten(descriptor.type_scale())),
        (_, _, ConvertedType::UINT_8 | ConvertedType::UINT_16) => Meaning::Unsigned,
        (_, _, ConvertedType::UINT_32 | ConvertedType::UINT_64) => Meaning::Unsigned,
        (Type::FIXED_LEN_BYTE_ARRAY, Some(LogicalType::Uuid), _) if bytes == 16 => Meaning::Uuid,
        (Type::FIXED_LEN_BYTE_ARRAY, ..) => {
            return Err("holds bytes of a fixed length that are neither a decimal nor a UUID");
        }
        _ => Meaning::Plain,
    })
}

fn is_integer(descriptor: &ColumnDescriptor) -> bool {
    matches!(descriptor.physical_type(), Type::INT32 | Type::INT64)
}

/// `10^scale`, exact up to 22.
fn power_of_ten(scale: i32) -> f64 {
    (0..scale).fold(1.0, |power, _| power * 10.0)
}

/// A two's complement integer of up to 16 bytes; of a longer one the last 16.
fn big_endian(bytes: &[u8]) -> i128 {
    let sign = if bytes.first().is_some_and(|byte| byte & 0x80 != 0) { -1 } else { 0 };
    bytes.iter().fold(sign, |value, &byte| (value << 8) | i128::from(byte))
}

fn uuid(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(36);
    for (i, byte) in bytes.iter().enumerate() {
        if matches!(i, 4 | 6 | 8 | 10) {
            text.push('-');
        }
        text.extend(
            [byte >> 4, byte & 15].map(|digit| char::from(b"0123456789abcdef"[usize::from(digit)])),
        );
    }
    text
}
