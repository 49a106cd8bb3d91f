//! Recorded streams as Parquet: only the columns the schema names are read, some thousand values of
//! each at a time, and then row by row into the slot like every other format.
//!
//! A column's own type wins over the schema's where it says more: a timestamp is read in its unit.
//! Dead letters carry the row as a JSON object of the columns that were read.

mod column;

use std::fs::File;
use std::path::{Path, PathBuf};
use std::time::Instant;

use ::parquet::errors::ParquetError;
use ::parquet::file::reader::{FileReader, SerializedFileReader};

use self::column::Column;
use super::{Cursor, FileOptions, find_columns, recording};
use crate::error::Error;
use crate::ring::{Position, Slot};
use crate::schema::{Schema, Target};
use crate::source::rows::{Cells, Fault, RowWriter, render, render_text};
use crate::source::{Progress, Source};

/// A Parquet file.
pub struct ParquetFile {
    rows: Rows,
    cursor: Cursor,
    rows_total: u64,
}

/// The rows of the file, of which a chunk is decoded but not yet in a slot.
struct Rows {
    path: PathBuf,
    reader: SerializedFileReader<File>,
    /// The schema with the units of the file.
    schema: Schema,
    /// One for each field.
    columns: Vec<Column>,
    next_group: usize,
    used: usize,
    filled: usize,
}

/// Rows of a chunk: their values stay in the nearer caches.
const CHUNK_ROWS: usize = 4096;

impl ParquetFile {
    /// Opens the file and passes over the rows before the first one wanted.
    ///
    /// # Errors
    /// As [`super::open`].
    pub fn open(path: &Path, schema: &Schema, options: &FileOptions) -> Result<ParquetFile, Error> {
        let file = File::open(path).map_err(Error::file("open", path))?;
        let reader = SerializedFileReader::new(file).map_err(damaged(path))?;
        let rows = u64::try_from(reader.metadata().file_metadata().num_rows()).unwrap_or(0);
        let rows = rows.saturating_sub(options.from_row);
        let mut file = ParquetFile {
            rows: Rows::new(path, schema, reader)?,
            cursor: Cursor::new(path, options),
            rows_total: options.limit.map_or(rows, |limit| limit.min(rows)),
        };
        file.rows.pass(options.from_row)?;
        Ok(file)
    }
}

impl Rows {
    fn new(
        path: &Path,
        schema: &Schema,
        reader: SerializedFileReader<File>,
    ) -> Result<Rows, Error> {
        let leaves = reader.metadata().file_metadata().schema_descr_ptr();
        let present: Vec<_> = leaves.columns().iter().map(|leaf| leaf.path().string()).collect();
        let mut schema = schema.clone();
        let mut columns = Vec::with_capacity(schema.fields.len());
        for (field, leaf) in find_columns(path, &schema, &present)?.into_iter().enumerate() {
            let column = Column::new(leaf, &leaves.column(leaf)).map_err(|reason| {
                recording(path, format!("column `{}` {reason}", present[leaf]))
            })?;
            for target in &mut schema.fields[field].targets {
                if let (Target::Time(unit), Some(own)) = (target, column.time_unit()) {
                    *unit = own;
                }
            }
            columns.push(column);
        }
        let path = path.to_owned();
        Ok(Rows { path, reader, schema, columns, next_group: 0, used: 0, filled: 0 })
    }

    /// Passes over rows: whole groups unread, then rows of the next group.
    fn pass(&mut self, mut rows: u64) -> Result<(), Error> {
        while let Some(group) = self.reader.metadata().row_groups().get(self.next_group) {
            let group_rows = u64::try_from(group.num_rows()).unwrap_or(0);
            if group_rows > rows {
                break;
            }
            rows -= group_rows;
            self.next_group += 1;
        }
        if rows > 0 && self.open_group()? {
            let rows = usize::try_from(rows).expect("less than a group has");
            for column in &mut self.columns {
                column.pass(rows).map_err(damaged(&self.path))?;
            }
        }
        Ok(())
    }

    /// Begins the next row group; false when there is none.
    fn open_group(&mut self) -> Result<bool, Error> {
        if self.next_group == self.reader.num_row_groups() {
            return Ok(false);
        }
        let group = self.reader.get_row_group(self.next_group).map_err(damaged(&self.path))?;
        for column in &mut self.columns {
            column.open(group.as_ref()).map_err(damaged(&self.path))?;
        }
        self.next_group += 1;
        Ok(true)
    }

    /// Decodes the next chunk; false at the end of the file.
    fn next_chunk(&mut self) -> Result<bool, Error> {
        loop {
            let mut counts = Vec::with_capacity(self.columns.len());
            for column in &mut self.columns {
                counts.push(column.read(CHUNK_ROWS).map_err(damaged(&self.path))?);
            }
            let filled = counts.first().copied().unwrap_or(0);
            if counts.iter().any(|&count| count != filled) {
                return Err(recording(&self.path, "its columns have different numbers of rows"));
            }
            (self.used, self.filled) = (0, filled);
            if filled > 0 {
                return Ok(true);
            }
            if !self.open_group()? {
                return Ok(false);
            }
        }
    }

    fn write_row(&self, index: usize, slot: &mut Slot, position: Position) {
        let mut row = RowWriter::begin(&self.schema, slot);
        for (field, column) in self.columns.iter().enumerate() {
            let set = match column.text_fault(index) {
                Some(reason) => Err(Fault { reason, field: Some(field) }),
                None => column.with_scalar(index, |value| row.set(field, value)),
            };
            if let Err(fault) = set {
                let mut bytes = Vec::new();
                self.write_json(index, &mut bytes);
                return row.reject(fault, position, &bytes);
            }
        }
        row.finish_with(position, None, |bytes| self.write_json(index, bytes));
    }

    /// The row as a JSON object of the columns that are read.
    fn write_json(&self, index: usize, bytes: &mut Vec<u8>) {
        bytes.push(b'{');
        for (field, column) in self.columns.iter().enumerate() {
            if field > 0 {
                bytes.push(b',');
            }
            render_text(self.schema.fields[field].name(), bytes);
            bytes.push(b':');
            column.with_scalar(index, |value| render(value, bytes));
        }
        bytes.push(b'}');
    }
}

impl Source for ParquetFile {
    fn read(&mut self, slot: &mut Slot, until: Instant) -> Result<Progress, Error> {
        let ParquetFile { rows, cursor, .. } = self;
        cursor.fill(slot, until, |slot, position| {
            if rows.used == rows.filled && !rows.next_chunk()? {
                return Ok(None);
            }
            let before = slot.texts.byte_count() + slot.raw.byte_count();
            rows.write_row(rows.used, slot, position);
            rows.used += 1;
            let after = slot.texts.byte_count() + slot.raw.byte_count();
            Ok(Some(after - before + rows.columns.len() * size_of::<u64>()))
        })
    }

    fn rows_total(&self) -> Option<u64> {
        Some(self.rows_total)
    }
}

/// For `map_err`: what the reader of the format has found.
fn damaged(path: &Path) -> impl FnOnce(ParquetError) -> Error {
    let path = path.to_owned();
    move |error| recording(&path, format!("it cannot be read as Parquet: {error}"))
}
