//! Recorded streams as binary records of one length, one after another.
//!
//! What is left at the end of the file and is shorter than a record is one that cannot be parsed.

use std::io::{BufReader, Read};
use std::path::{Path, PathBuf};
use std::time::Instant;

use super::{Cursor, FileOptions, open_bytes, read_error, recording};
use crate::config::layout::Layout;
use crate::error::Error;
use crate::ring::{Position, Slot};
use crate::schema::Schema;
use crate::source::decode::device::DeviceReader;
use crate::source::decode::events::Events;
use crate::source::decode::{MessageParts, Names};
use crate::source::{Progress, Source};
use crate::watchdog::Heart;

/// Bytes of the file that are read at once.
const READ_BYTES: usize = 1 << 18;

/// A file of binary records.
pub struct BinaryFile {
    events: Events,
    records: Records,
    cursor: Cursor,
}

/// The records of the file, one at a time.
struct Records {
    path: PathBuf,
    reader: BufReader<Box<dyn Read + Send>>,
    record: Vec<u8>,
}

impl BinaryFile {
    /// Opens the file and passes over the records before the first one wanted.
    ///
    /// # Errors
    /// As [`super::open`]; [`Error::Recording`] where a field has no place in the layout.
    pub fn open(
        path: &Path,
        schema: &Schema,
        (options, layout): (&FileOptions, &Layout),
    ) -> Result<BinaryFile, Error> {
        for field in &schema.fields {
            if layout.find(field.name()).is_none() {
                let what = format!("its records have no {0}; give [layout.{0}]", field.name());
                return Err(recording(path, what));
            }
        }
        let names = Names::of_recording(schema).limit(options.record_bytes_max);
        let fields = schema.fields.iter().map(|field| field.name()).enumerate();
        let names = names.laid_out(layout, fields);
        let reader = BufReader::with_capacity(READ_BYTES, open_bytes(path)?);
        let record = vec![0; layout.record_bytes];
        let mut records = Records { path: path.to_owned(), reader, record };
        for _ in 0..options.from_row {
            if records.next()?.is_empty() {
                break;
            }
        }
        let cursor = Cursor::new(path, options);
        Ok(BinaryFile { events: Events::new(schema.clone(), names), records, cursor })
    }
}

impl Records {
    /// The next record; shorter, or empty, at the end of the file.
    fn next(&mut self) -> Result<&[u8], Error> {
        let mut filled = 0;
        while filled < self.record.len() {
            match self.reader.read(&mut self.record[filled..]) {
                Ok(0) => break,
                Ok(read) => filled += read,
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Err(error) => return Err(read_error(&self.path)(error)),
            }
        }
        Ok(&self.record[..filled])
    }
}

impl Source for BinaryFile {
    fn read(&mut self, slot: &mut Slot, until: Instant) -> Result<Progress, Error> {
        let BinaryFile { events, records, cursor } = self;
        cursor.fill_by(events, slot, until, |events, slot, position: Position| {
            let payload = records.next()?;
            if payload.is_empty() {
                return Ok(None);
            }
            let message = MessageParts { payload, ..MessageParts::default() };
            events.add(slot, &message, position)?;
            Ok(Some(payload.len()))
        })
    }

    fn watched_by(&mut self, heart: &Heart) {
        self.cursor.heart = heart.clone();
    }

    fn read_by(&mut self, reader: DeviceReader) -> bool {
        self.events.read_by(reader)
    }
}
