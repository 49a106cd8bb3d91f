//! Recorded streams as JSON lines: one object a line, each decoded as a message body is.
//!
//! Blank lines are no records. A line that is too long is rejected with its beginning.

use std::path::Path;
use std::time::Instant;

use super::lines::Lines;
use super::{Cursor, FileOptions};
use crate::error::Error;
use crate::ring::{Position, Reason, Slot};
use crate::schema::Schema;
use crate::source::decode::device::DeviceReader;
use crate::source::decode::events::Events;
use crate::source::decode::{MessageParts, Names};
use crate::source::rows::{Fault, reject_event};
use crate::source::{Progress, Source};
use crate::watchdog::Heart;

/// A file of JSON lines.
pub struct JsonLines {
    events: Events,
    lines: Lines,
    cursor: Cursor,
}

impl JsonLines {
    /// Opens the file and passes over the records before the first one wanted.
    ///
    /// # Errors
    /// As [`super::open`].
    pub fn open(path: &Path, schema: &Schema, options: &FileOptions) -> Result<JsonLines, Error> {
        let mut lines = Lines::open(path, options.record_bytes_max)?;
        for _ in 0..options.from_row {
            if pass_blank_lines(&mut lines)?.is_none() {
                break;
            }
            lines.pass()?;
        }
        let names = Names::of_recording(schema).limit(options.record_bytes_max);
        let cursor = Cursor::new(path, options);
        Ok(JsonLines { events: Events::new(schema.clone(), names), lines, cursor })
    }
}

impl Source for JsonLines {
    fn read(&mut self, slot: &mut Slot, until: Instant) -> Result<Progress, Error> {
        let JsonLines { events, lines, cursor } = self;
        cursor.fill_by(events, slot, until, |events, slot, position| {
            add_line(events, lines, slot, position)
        })
    }

    fn read_by(&mut self, reader: DeviceReader) -> bool {
        self.events.read_by(reader)
    }

    fn watched_by(&mut self, heart: &Heart) {
        self.cursor.heart = heart.clone();
    }
}

/// Adds the next record to the slot; its bytes in the file, or `None` at the end.
fn add_line(
    events: &mut Events,
    lines: &mut Lines,
    slot: &mut Slot,
    position: Position,
) -> Result<Option<usize>, Error> {
    let Some(line) = pass_blank_lines(lines)? else {
        return Ok(None);
    };
    let payload = lines.bytes(0, line.length);
    if line.is_whole {
        let message = MessageParts { payload, ..MessageParts::default() };
        events.add(slot, &message, position)?;
        lines.advance(line.step);
        Ok(Some(line.step))
    } else {
        let fault = Fault::record(Reason::TooLarge);
        reject_event(events.schema(), slot, fault, position, payload);
        lines.pass().map(Some)
    }
}

/// The next line that is not blank.
fn pass_blank_lines(lines: &mut Lines) -> Result<Option<super::lines::Line>, Error> {
    while let Some(line) = lines.line(0)? {
        if !line.is_whole || !lines.bytes(0, line.length).trim_ascii().is_empty() {
            return Ok(Some(line));
        }
        lines.advance(line.step);
    }
    Ok(None)
}
