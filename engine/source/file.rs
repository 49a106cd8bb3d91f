//! Recorded streams: the same records as from a broker, read from a file as fast as it goes.
//!
//! A file is one partition (0) of a topic that has the file's path for a name; the offset of a
//! record is its index among the records, from 0. Every format ends in the same
//! [`RowWriter`](super::rows::RowWriter) as a message does, so a stream means the same whatever
//! it is written in. What was the key or a header of a message is a column of that name here.

mod binary;
mod csv;
mod json_lines;
mod lines;
mod parquet;

use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use flate2::read::MultiGzDecoder;

use crate::config::Config;
use crate::config::layout::Layout;
use crate::config::read::distance;
use crate::error::Error;
use crate::ring::{Position, Slot};
use crate::schema::{Schema, TimeFrom};
use crate::source::decode::Names;
use crate::source::decode::events::Events;
use crate::source::{Progress, Source};
use crate::watchdog::{Doing, Heart};

/// How a recorded stream is read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileOptions {
    /// The first record to read, by its index in the file.
    pub from_row: u64,
    /// The most records to read.
    pub limit: Option<u64>,
    /// What separates the fields of a CSV line.
    pub csv_delimiter: u8,
    /// Records above this size are rejected.
    pub record_bytes_max: usize,
    /// The bytes after which a batch is full.
    pub batch_bytes_max: usize,
    /// How binary records are laid out.
    pub layout: Option<Layout>,
}

impl FileOptions {
    /// How a recording is read with this configuration.
    #[must_use]
    pub fn of(config: &Config) -> FileOptions {
        FileOptions {
            from_row: 0,
            limit: None,
            csv_delimiter: config.batch.csv_delimiter,
            record_bytes_max: config.event.record_bytes_max,
            batch_bytes_max: config.batch.bytes_max,
            layout: config.layout.clone(),
        }
    }
}

impl Default for FileOptions {
    fn default() -> FileOptions {
        FileOptions {
            from_row: 0,
            limit: None,
            csv_delimiter: b',',
            record_bytes_max: Names::RECORD_BYTES_MAX,
            batch_bytes_max: 64 << 20,
            layout: None,
        }
    }
}

/// Opens a recorded stream, by its extension: `.parquet`, `.csv`, `.jsonl`, `.ndjson`, `.json`,
/// `.bin` (binary records as the options lay them out), all but the first also with `.gz`.
///
/// # Errors
/// [`Error::File`] when it cannot be opened; [`Error::Recording`] when it is not of its format, or
/// lacks a column of the schema.
pub fn open(path: &Path, schema: &Schema, options: &FileOptions) -> Result<Box<dyn Source>, Error> {
    if schema.time == TimeFrom::Message {
        let reason = "events take their time from the message, which a recording does not keep; \
                      name a time field";
        return Err(recording(path, reason));
    }
    let name = path.to_string_lossy().to_ascii_lowercase();
    let plain = name.strip_suffix(".gz").unwrap_or(&name);
    let extension = plain.rsplit_once('.').map_or("", |(_, extension)| extension);
    match extension {
        "parquet" if plain.len() == name.len() => {
            Ok(Box::new(parquet::ParquetFile::open(path, schema, options)?))
        }
        "csv" => Ok(Box::new(csv::CsvFile::open(path, schema, options)?)),
        "jsonl" | "ndjson" | "json" => {
            Ok(Box::new(json_lines::JsonLines::open(path, schema, options)?))
        }
        "bin" => match &options.layout {
            Some(layout) => {
                Ok(Box::new(binary::BinaryFile::open(path, schema, (options, layout))?))
            }
            None => Err(recording(path, "binary records need event.format = \"binary\"")),
        },
        _ => Err(recording(
            path,
            "its name should end in .parquet, .csv, .jsonl, .ndjson, .json or .bin (all but the \
             first also with .gz)",
        )),
    }
}

/// Where a file source stands among the records of its file.
#[derive(Debug)]
struct Cursor {
    topic: Arc<str>,
    next: u64,
    end: Option<u64>,
    batch_bytes_max: usize,
    /// Bytes read for the batch.
    bytes: usize,
    /// Whether it may have nothing now and more later.
    is_pipe: bool,
    heart: Heart,
}

/// Records between two looks at the clock.
const ROWS_A_LOOK: u64 = 1024;

impl Cursor {
    fn new(path: &Path, options: &FileOptions) -> Cursor {
        Cursor {
            topic: path.to_string_lossy().into(),
            next: options.from_row,
            end: options.limit.map(|limit| options.from_row.saturating_add(limit)),
            batch_bytes_max: options.batch_bytes_max,
            bytes: 0,
            is_pipe: std::fs::metadata(path).is_ok_and(|about| !about.is_file()),
            heart: Heart::default(),
        }
    }

    /// Whether the limit is reached.
    fn is_at_end(&self) -> bool {
        self.end.is_some_and(|end| self.next >= end)
    }

    /// A batch, or a part of one, begins.
    fn begin(&mut self) {
        self.bytes = 0;
    }

    /// Whether the slot takes a further record.
    fn has_room(&self, slot: &Slot) -> bool {
        !slot.is_full() && !slot.is_full_of_rejects() && self.bytes < self.batch_bytes_max
    }

    /// [`Cursor::go_on`], with rows made by `events`: records that became rejects leave room.
    fn fill_by(
        &mut self,
        events: &mut Events,
        slot: &mut Slot,
        until: Instant,
        mut record: impl FnMut(&mut Events, &mut Slot, Position) -> Result<Option<usize>, Error>,
    ) -> Result<Progress, Error> {
        self.begin();
        loop {
            let add = |slot: &mut Slot, position| record(events, slot, position);
            let progress = self.go_on(slot, until, add)?;
            events.finish(slot)?;
            if progress != Progress::Full || !self.has_room(slot) {
                return Ok(progress);
            }
        }
    }

    /// [`Cursor::go_on`] from the beginning.
    fn fill(
        &mut self,
        slot: &mut Slot,
        until: Instant,
        record: impl FnMut(&mut Slot, Position) -> Result<Option<usize>, Error>,
    ) -> Result<Progress, Error> {
        self.begin();
        self.go_on(slot, until, record)
    }

    /// Calls `record` with the position of each record until it says that the file has ended, or
    /// the slot is full, or `until` has passed. `record` returns the bytes it has read.
    fn go_on(
        &mut self,
        slot: &mut Slot,
        until: Instant,
        mut record: impl FnMut(&mut Slot, Position) -> Result<Option<usize>, Error>,
    ) -> Result<Progress, Error> {
        let _waits = self.is_pipe.then(|| self.heart.meanwhile(Doing::WaitsForRecords));
        slot.mark_arrival();
        let span = slot.span_index(&self.topic, 0);
        let first = self.next;
        let progress = loop {
            if self.is_at_end() {
                break Progress::Ended;
            }
            if !self.has_room(slot) {
                break Progress::Full;
            }
            let count = self.next - first;
            if count > 0 && count.is_multiple_of(ROWS_A_LOOK) && Instant::now() >= until {
                break Progress::Waiting;
            }
            let offset = i64::try_from(self.next).expect("fewer records than bytes on any disk");
            match record(slot, Position { span, offset })? {
                Some(read) => self.bytes += read,
                None => break Progress::Ended,
            }
            self.next += 1;
        };
        slot.spans[span as usize].next = i64::try_from(self.next).expect("as above");
        Ok(progress)
    }
}

fn recording(path: &Path, reason: impl Into<String>) -> Error {
    Error::Recording { path: path.to_owned(), reason: reason.into() }
}

/// The bytes of a text file, unpacked when its name ends in `.gz`.
fn open_bytes(path: &Path) -> Result<Box<dyn Read + Send>, Error> {
    let file = File::open(path).map_err(Error::file("open", path))?;
    let is_packed = path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("gz"));
    if is_packed {
        Ok(Box::new(MultiGzDecoder::new(BufReader::with_capacity(1 << 17, file))))
    } else {
        Ok(Box::new(file))
    }
}

/// For `map_err`: why the bytes of a file ended early.
fn read_error(path: &Path) -> impl FnOnce(io::Error) -> Error {
    let path: PathBuf = path.to_owned();
    move |source| match source.kind() {
        io::ErrorKind::UnexpectedEof => {
            recording(&path, "its gzip data stop short: it is cut off; fetch it again")
        }
        io::ErrorKind::InvalidData | io::ErrorKind::InvalidInput => {
            recording(&path, format!("its gzip data are damaged ({source}); fetch it again"))
        }
        _ => Error::File { action: "read", path, source },
    }
}

/// For each field of the schema the index of its column in the file.
///
/// # Errors
/// [`Error::Recording`] naming every column that is not there, or is there twice.
fn find_columns(path: &Path, schema: &Schema, present: &[String]) -> Result<Vec<usize>, Error> {
    let mut columns = Vec::with_capacity(schema.fields.len());
    let mut problems = Vec::new();
    for field in &schema.fields {
        let name = field.name();
        let mut found = (0..present.len()).filter(|&i| present[i] == name);
        match (found.next(), found.next()) {
            (Some(column), None) => columns.push(column),
            (Some(_), Some(_)) => problems.push(format!("has two columns `{name}`")),
            (None, _) => {
                let near = present
                    .iter()
                    .min_by_key(|p| distance(&p.to_lowercase(), &name.to_lowercase()));
                let near = near.map_or(String::new(), |n| format!(" (the nearest is `{n}`)"));
                problems.push(format!("has no column `{name}`{near}"));
            }
        }
    }
    if problems.is_empty() {
        return Ok(columns);
    }
    Err(recording(path, format!("it {}", problems.join(", it "))))
}
