//! Records as Parquet: columns of one row group are gathered, then written.
//!
//! Types are those of the fields, small integers annotated with their width, compressed with
//! zstd. Invariant: the file holds what the visitor was given; an integer that its column's type
//! cannot hold makes writing fail rather than wrap.

use std::io::Write;
use std::sync::Arc;

use parquet::basic::{Compression, LogicalType, Repetition, Type as PhysicalType, ZstdLevel};
use parquet::data_type::{DoubleType, Int32Type, Int64Type};
use parquet::errors::{ParquetError, Result};
use parquet::file::properties::WriterProperties;
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::types::{Type, TypePtr};

use super::record::{Field, FieldKind, FieldVisitor, Parts, Record};

/// Rows gathered before they are written: 20 MB of clicks.
const GROUP_ROWS: usize = 1 << 17;

/// Writes records to a Parquet file.
pub(super) struct ParquetWriter<W: Write + Send> {
    file: SerializedFileWriter<W>,
    columns: Columns,
    rows: usize,
}

impl<W: Write + Send> ParquetWriter<W> {
    pub(super) fn new<R: Record>(out: W, parts: Parts) -> Result<ParquetWriter<W>> {
        let fields = R::FIELDS.iter().filter(|field| parts.take(field));
        let schema = schema(fields.clone())?;
        let properties = WriterProperties::builder()
            .set_compression(Compression::ZSTD(ZstdLevel::try_new(1)?))
            .set_created_by("pelton".to_owned())
            .build();
        let buffers = fields.map(Buffer::new).collect();
        Ok(ParquetWriter {
            file: SerializedFileWriter::new(out, schema, Arc::new(properties))?,
            columns: Columns { parts, buffers, next: 0, has_overflow: false },
            rows: 0,
        })
    }

    pub(super) fn push<R: Record>(&mut self, record: &R) -> Result<()> {
        self.columns.next = 0;
        record.visit(&mut self.columns);
        self.rows += 1;
        if self.rows == GROUP_ROWS { self.write_group() } else { Ok(()) }
    }

    pub(super) fn finish(mut self) -> Result<W> {
        if self.rows > 0 {
            self.write_group()?;
        }
        self.file.into_inner()
    }

    fn write_group(&mut self) -> Result<()> {
        if self.columns.has_overflow {
            return Err(ParquetError::General("an integer exceeds its column's type".to_owned()));
        }
        let mut group = self.file.next_row_group()?;
        for buffer in &mut self.columns.buffers {
            let Some(mut column) = group.next_column()? else {
                break;
            };
            let levels = buffer.is_nullable.then_some(buffer.levels.as_slice());
            match &mut buffer.values {
                Values::Int32(values) => {
                    column.typed::<Int32Type>().write_batch(values, levels, None)?;
                    values.clear();
                }
                Values::Int64(values) => {
                    column.typed::<Int64Type>().write_batch(values, levels, None)?;
                    values.clear();
                }
                Values::Float64(values) => {
                    column.typed::<DoubleType>().write_batch(values, levels, None)?;
                    values.clear();
                }
            }
            buffer.levels.clear();
            column.close()?;
        }
        self.rows = 0;
        group.close().map(drop)
    }
}

/// The columns of the open row group: takes one record at a time.
struct Columns {
    parts: Parts,
    buffers: Vec<Buffer>,
    next: usize,
    has_overflow: bool,
}

struct Buffer {
    values: Values,
    is_nullable: bool,
    /// 1 where there is a value, 0 where it is missing; only for nullable columns.
    levels: Vec<i16>,
}

enum Values {
    Int32(Vec<i32>),
    Int64(Vec<i64>),
    Float64(Vec<f64>),
}

impl Buffer {
    fn new(field: &Field) -> Buffer {
        let values = match field.kind {
            FieldKind::Int8 | FieldKind::Int32 => Values::Int32(Vec::new()),
            FieldKind::Int64 => Values::Int64(Vec::new()),
            FieldKind::Float64 => Values::Float64(Vec::new()),
        };
        Buffer { values, is_nullable: field.is_nullable, levels: Vec::new() }
    }
}

impl Columns {
    #[inline]
    fn next(&mut self, field: &Field, level: i16) -> Option<&mut Buffer> {
        if !self.parts.take(field) {
            return None;
        }
        let buffer = &mut self.buffers[self.next];
        self.next += 1;
        if buffer.is_nullable {
            buffer.levels.push(level);
        }
        Some(buffer)
    }
}

impl FieldVisitor for Columns {
    #[inline]
    fn integer(&mut self, field: &'static Field, value: i64) {
        let Some(buffer) = self.next(field, 1) else {
            return;
        };
        match &mut buffer.values {
            Values::Int32(values) => {
                let narrow = i32::try_from(value);
                values.push(narrow.unwrap_or(0));
                self.has_overflow |= narrow.is_err();
            }
            Values::Int64(values) => values.push(value),
            Values::Float64(values) => values.push(value as f64),
        }
    }

    #[inline]
    fn decimal(&mut self, field: &'static Field, value: f64) {
        if let Some(Buffer { values: Values::Float64(values), .. }) = self.next(field, 1) {
            values.push(value);
        }
    }

    #[inline]
    fn hundredths(&mut self, field: &'static Field, value: u64) {
        self.decimal(field, value as f64 / 100.0);
    }

    #[inline]
    fn missing(&mut self, field: &'static Field) {
        self.next(field, 0);
    }
}

fn schema<'a>(fields: impl Iterator<Item = &'a Field>) -> Result<TypePtr> {
    let columns = fields.map(|field| {
        let (physical, width) = match field.kind {
            FieldKind::Int8 => (PhysicalType::INT32, Some(8)),
            FieldKind::Int32 => (PhysicalType::INT32, None),
            FieldKind::Int64 => (PhysicalType::INT64, None),
            FieldKind::Float64 => (PhysicalType::DOUBLE, None),
        };
        let repetition =
            if field.is_nullable { Repetition::OPTIONAL } else { Repetition::REQUIRED };
        let logical = width.map(|bit_width| LogicalType::integer(bit_width, true));
        let column = Type::primitive_type_builder(field.name, physical)
            .with_repetition(repetition)
            .with_logical_type(logical)
            .build()?;
        Ok(Arc::new(column))
    });
    let columns = columns.collect::<Result<Vec<TypePtr>>>()?;
    Ok(Arc::new(Type::group_type_builder("records").with_fields(columns).build()?))
}
