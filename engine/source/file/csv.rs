//! Recorded streams as CSV (RFC 4180): a header line, then one record a line.
//!
//! Types come from the schema and are never guessed; an empty field is a missing value. A field
//! in quotes may hold delimiters, doubled quotes and line ends. A record that is malformed or has a
//! wrong number of fields is rejected as its first line alone, and reading goes on with the next
//! line: an unbalanced quote costs one line, not the rest of the file. Blank lines are no records.

mod fields;

use std::path::Path;
use std::time::Instant;

use self::fields::{Fields, Shape};
use super::lines::{Line, Lines};
use super::{Cursor, FileOptions, find_columns, recording};
use crate::error::Error;
use crate::ring::{Position, Reason, Slot};
use crate::schema::{Scalar, Schema};
use crate::source::decode::set_bytes;
use crate::source::rows::{Cells, Fault, RowWriter, reject_event};
use crate::source::{Progress, Source};
use crate::watchdog::Heart;

/// A CSV file.
pub struct CsvFile {
    lines: Lines,
    records: Records,
    cursor: Cursor,
}

/// How records are taken apart.
struct Records {
    schema: Schema,
    /// For each field its column.
    columns: Vec<usize>,
    column_count: usize,
    record_bytes_max: usize,
    fields: Fields,
}

impl CsvFile {
    /// Opens the file, reads its header and passes over the records before the first one wanted.
    ///
    /// # Errors
    /// As [`super::open`].
    pub fn open(path: &Path, schema: &Schema, options: &FileOptions) -> Result<CsvFile, Error> {
        let mut lines = Lines::open(path, options.record_bytes_max)?;
        let mut fields = Fields::new(options.csv_delimiter);
        let header = read_header(path, &mut lines, &mut fields)?;
        let columns = find_columns(path, schema, &header)?;
        let mut records = Records {
            schema: schema.clone(),
            columns,
            column_count: header.len(),
            record_bytes_max: options.record_bytes_max,
            fields,
        };
        for _ in 0..options.from_row {
            let Some(record) = records.next(&mut lines)? else { break };
            record.take(&mut lines)?;
        }
        Ok(CsvFile { lines, records, cursor: Cursor::new(path, options) })
    }
}

impl Source for CsvFile {
    fn read(&mut self, slot: &mut Slot, until: Instant) -> Result<Progress, Error> {
        let CsvFile { lines, records, cursor } = self;
        cursor.fill(slot, until, |slot, position| {
            let Some(record) = records.next(lines)? else {
                return Ok(None);
            };
            records.write(&record, lines, slot, position);
            record.take(lines).map(Some)
        })
    }

    fn watched_by(&mut self, heart: &Heart) {
        self.cursor.heart = heart.clone();
    }
}

/// What stands at the cursor.
struct Record {
    line: Line,
    fault: Option<Reason>,
}

impl Record {
    fn broken(line: Line, reason: Reason) -> Record {
        Record { line, fault: Some(reason) }
    }

    /// Moves the cursor behind it; returns its bytes.
    fn take(&self, lines: &mut Lines) -> Result<usize, Error> {
        if !self.line.is_whole {
            return lines.pass();
        }
        lines.advance(self.line.step);
        Ok(self.line.step)
    }
}

impl Records {
    /// The next record, its fields taken apart unless it has a fault.
    fn next(&mut self, lines: &mut Lines) -> Result<Option<Record>, Error> {
        let line = loop {
            match lines.line(0)? {
                None => return Ok(None),
                Some(Line { length: 0, is_whole: true, step }) => lines.advance(step),
                Some(line) => break line,
            }
        };
        if !line.is_whole {
            return Ok(Some(Record::broken(line, Reason::TooLarge)));
        }
        let mut whole = line;
        let mut shape = self.fields.split(lines.bytes(0, line.length));
        if shape == Shape::Open
            && let Some(longer) = self.lines_to_the_closing_quote(lines, line)?
        {
            whole = longer;
            shape = self.fields.split(lines.bytes(0, longer.length));
        }
        if shape == Shape::Closed && self.fields.count() == self.column_count {
            return Ok(Some(Record { line: whole, fault: None }));
        }
        Ok(Some(Record::broken(line, Reason::Unparsable)))
    }

    /// The lines from `first` on up to the one that makes the number of quotes even.
    fn lines_to_the_closing_quote(
        &self,
        lines: &mut Lines,
        first: Line,
    ) -> Result<Option<Line>, Error> {
        let is_odd = |bytes: &[u8]| bytes.iter().filter(|&&b| b == b'"').count() % 2 == 1;
        let mut odd = is_odd(lines.bytes(0, first.length));
        let mut whole = first;
        while odd {
            let Some(line) = lines.line(whole.step)? else { return Ok(None) };
            odd ^= is_odd(lines.bytes(whole.step, line.length));
            whole.length = whole.step + line.length;
            whole.step += line.step;
            if !line.is_whole || whole.length > self.record_bytes_max {
                return Ok(None);
            }
        }
        Ok(Some(whole))
    }

    fn write(&self, record: &Record, lines: &Lines, slot: &mut Slot, position: Position) {
        let bytes = lines.bytes(0, record.line.length);
        if let Some(reason) = record.fault {
            reject_event(&self.schema, slot, Fault::record(reason), position, bytes);
            return;
        }
        let mut row = RowWriter::begin(&self.schema, slot);
        for (field, &column) in self.columns.iter().enumerate() {
            let set = match self.fields.get(bytes, column) {
                [] => row.set(field, Scalar::Null),
                value => set_bytes(&mut row, field, value),
            };
            if let Err(fault) = set {
                return row.reject(fault, position, bytes);
            }
        }
        row.finish(position, None, bytes);
    }
}

fn read_header(path: &Path, lines: &mut Lines, fields: &mut Fields) -> Result<Vec<String>, Error> {
    let Some(line) = lines.line(0)? else {
        return Err(recording(path, "it is empty, without even a header line"));
    };
    let bytes = lines.bytes(0, line.length);
    if !line.is_whole || fields.split(bytes) != Shape::Closed {
        return Err(recording(path, "its first line is not a CSV header"));
    }
    let names = (0..fields.count())
        .map(|column| String::from_utf8_lossy(fields.get(bytes, column)).into_owned())
        .collect();
    lines.advance(line.step);
    Ok(names)
}
