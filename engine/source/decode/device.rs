//! Event records read on a GPU: raw bytes go there together, columns come back.
//!
//! The kernels say of each record whether it is plain, that is whether they are sure of it
//! ([`pelton_kernels::decode`]). Hard ones are read here by [`event`], in their turn, which alone
//! says what is wrong with one. So rows, rejects and labels are in the slot as if [`event`] had
//! read every record when it came.
//!
//! # Memory
//! Page-locked and on the GPU, once each: `batch.bytes_max` of raw records, but at most 32 MiB, and
//! the columns of `batch.rows_max` rows. A batch of more bytes is read in parts.

use std::ops::Range;
use std::sync::Arc;

use metrics::Counter;
use pelton_kernels::decode::device::{DecodedBuffers, DeviceDecoder, RecordBuffers};
use pelton_kernels::decode::{DecodedRows, Decoder, PLAIN, Records};
use pelton_kernels::device::{Device, DeviceError, Gpu, Stream};

use crate::config::Config;
use crate::config::layout::Laid;
use crate::error::Error;
use crate::ring::{Position, Slot};
use crate::schema::{Place, Scalar, Schema, Target, TimeFrom, canonical_integer};
use crate::source::rows::{Cells, Fault, position_identity, render};

use super::spec::spec;
use super::{MessageParts, Names, binary, event, json, keep_beside};

/// Most bytes of raw records that are read together.
const BYTES_MAX: usize = 32 << 20;
/// So many records tell whether the kernels know what a stream is written like.
const SAMPLE: u64 = 10_000;

/// Reads event records on a GPU.
pub struct DeviceReader {
    stream: Stream,
    decoder: Decoder,
    there: DeviceDecoder,
    /// Whether it knows from a record in what order names come.
    has_followed: bool,
    records: Records,
    sent: RecordBuffers,
    read: DecodedBuffers,
    rows: DecodedRows,
    /// What else each record came with.
    waiting: Vec<Waiting>,
    keys: Vec<u8>,
    /// Of binary records: the field that each text comes from.
    texts: Option<Vec<Laid>>,
    /// Rejects and labels of the slot before the first of these records.
    rejects_before: usize,
    labels_before: usize,
    counts: Counts,
}

/// A record that waits to be read.
#[derive(Clone, Debug)]
struct Waiting {
    position: Position,
    message_ms: Option<i64>,
    /// Its time, where that is no field; none when it has none.
    time_ms: Option<i64>,
    key: Option<Range<usize>>,
    /// Rejects that were read since the first one that waits, and before this.
    rejects: usize,
    /// The row before which it was read: its own, if it became one.
    row: usize,
}

impl DeviceReader {
    /// A reader of the records of this configuration.
    ///
    /// # Errors
    /// [`Error::Device`]; [`Error::Kernel`] where kernels cannot read them, which the configuration
    /// rules out.
    pub fn new(config: &Config, gpu: &Arc<Gpu>) -> Result<DeviceReader, Error> {
        let spec = spec(&config.event, config.layout.as_ref());
        let (rows, bytes) = (config.batch.rows_max, config.batch.bytes_max.min(BYTES_MAX));
        let device = Device::Gpu(Arc::clone(gpu));
        let (stream, decoder) = (Stream::new(gpu)?, Decoder::new(&spec)?);
        Ok(DeviceReader {
            there: DeviceDecoder::new(&stream, &decoder)?,
            stream,
            decoder,
            has_followed: false,
            records: Records::new(&device, rows, bytes)?,
            sent: RecordBuffers::new(gpu, rows, bytes)?,
            read: DecodedBuffers::new(gpu, [spec.numbers, spec.categories, spec.texts], rows)?,
            rows: DecodedRows::new(&device, &spec, rows)?,
            waiting: Vec::with_capacity(rows),
            keys: Vec::new(),
            texts: texts_of(config),
            rejects_before: 0,
            labels_before: 0,
            counts: Counts::new(),
        })
    }

    /// Whether the records are binary ones.
    #[must_use]
    pub fn is_binary(&self) -> bool {
        self.texts.is_some()
    }

    /// Takes a record, which counts as a row of the slot from now on; false where there is no room.
    pub fn take(
        &mut self,
        schema: &Schema,
        slot: &mut Slot,
        message: &MessageParts<'_>,
        position: Position,
    ) -> bool {
        if !self.records.push(message.payload) {
            return false;
        }
        if slot.unread == 0 {
            (self.rejects_before, self.labels_before) = (slot.rejects.len(), slot.labels.len());
        }
        let key = message.key.map(|key| {
            let start = self.keys.len();
            self.keys.extend_from_slice(key);
            start..self.keys.len()
        });
        self.waiting.push(Waiting {
            position,
            message_ms: message.timestamp_ms,
            time_ms: match schema.time {
                TimeFrom::Field => Some(0),
                TimeFrom::Row { step_ms } => position.offset.checked_mul(step_ms),
                TimeFrom::Message => message.timestamp_ms,
            },
            key,
            rejects: slot.rejects.len() - self.rejects_before,
            row: 0,
        });
        slot.rows += 1;
        slot.unread += 1;
        true
    }

    /// Reads what waits.
    ///
    /// # Errors
    /// [`Error::Device`] when the GPU goes away.
    pub fn finish(&mut self, schema: &Schema, names: &Names, slot: &mut Slot) -> Result<(), Error> {
        let count = std::mem::take(&mut slot.unread);
        if count == 0 {
            return Ok(());
        }
        self.run()?;
        slot.rows -= count;
        let first = slot.rows;
        let mut others = slot.rejects.split_off(self.rejects_before).into_iter();
        let mut passed = 0;
        let mut row = 0;
        while row < count {
            let plain = (row..count).take_while(|&row| self.is_plain(row)).count();
            self.append(schema, slot, row..row + plain);
            row += plain;
            if row < count {
                let before = self.waiting[row].rejects - passed;
                slot.rejects.extend(others.by_ref().take(before));
                passed += before;
                self.read_here((schema, names), slot, row);
                row += 1;
            }
        }
        slot.rejects.extend(others);
        self.move_labels(slot, first);
        self.forget();
        self.counts.look();
        Ok(())
    }

    /// The kernels' part: the rows of all records that wait, with their marks.
    fn run(&mut self) -> Result<(), Error> {
        let DeviceReader {
            stream, decoder, there, has_followed, records, sent, read, rows, ..
        } = self;
        if !std::mem::replace(has_followed, true) {
            decoder.follow(records.record(0));
            match DeviceDecoder::new(stream, decoder) {
                Ok(quicker) => *there = quicker,
                // The one that is there reads the same.
                Err(DeviceError::Memory { .. }) => {}
                Err(error) => return Err(error.into()),
            }
        }
        sent.give(stream, records)?;
        there.run(stream, sent, read)?;
        read.fetch(stream, rows.memory())?;
        // Whoever reads them waits for the copies; a failure has to be seen here.
        Ok(stream.wait()?)
    }

    fn is_plain(&self, row: usize) -> bool {
        self.rows.marks[row] == PLAIN && self.waiting[row].time_ms.is_some()
    }

    /// Plain rows into the slot.
    fn append(&mut self, schema: &Schema, slot: &mut Slot, rows: Range<usize>) {
        let (to, count, stride) = (slot.rows, rows.len(), self.rows.stride);
        if count == 0 {
            return;
        }
        for column in 0..slot.numbers.count() {
            let from = &self.rows.numbers[column * stride..][rows.clone()];
            slot.numbers.column_mut(column)[to..to + count].copy_from_slice(from);
        }
        for column in 0..slot.categories.count() {
            let from = &self.rows.categories[column * stride..][rows.clone()];
            slot.categories.column_mut(column)[to..to + count].copy_from_slice(from);
        }
        slot.recorded_labels[to..to + count].copy_from_slice(&self.rows.labels[rows.clone()]);
        if self.decoder.has_time() {
            slot.times_ms[to..to + count].copy_from_slice(&self.rows.times_ms[rows.clone()]);
        }
        if self.decoder.has_id() {
            slot.ids[to..to + count].copy_from_slice(&self.rows.ids[rows.clone()]);
        }
        self.counts.plain(count);
        rows.for_each(|row| self.append_rest(schema, slot, row));
    }

    /// What of a plain row is no column, or was no field.
    fn append_rest(&mut self, schema: &Schema, slot: &mut Slot, row: usize) {
        let (to, of) = (slot.rows, &mut self.waiting[row]);
        of.row = to;
        if !self.decoder.has_time() {
            slot.times_ms[to] = of.time_ms.unwrap_or_default();
        }
        if !self.decoder.has_id() {
            slot.ids[to] = position_identity(slot, of.position);
        }
        let record = self.records.record(row);
        for column in 0..schema.texts.len() {
            let [at, length] = self.rows.texts[column * self.rows.stride + row];
            slot.texts.push_with(|bytes| match &self.texts {
                Some(laid) => render_laid(record, &laid[column], bytes),
                None => render_spelling(&record[at as usize..][..length as usize], bytes),
            });
        }
        slot.positions[to] = of.position;
        slot.arrived_ns[to] = slot.arriving_ns;
        if schema.keeps_raw {
            slot.raw.push_with(|bytes| bytes.extend_from_slice(record));
        }
        slot.rows += 1;
        slot.consumed += 1;
        let message = message(record, &self.waiting[row], &self.keys);
        keep_beside(schema, slot, &message);
    }

    /// A hard record, by the decoder of the stream.
    fn read_here(&mut self, (schema, names): (&Schema, &Names), slot: &mut Slot, row: usize) {
        self.waiting[row].row = slot.rows;
        let message = message(self.records.record(row), &self.waiting[row], &self.keys);
        event(schema, names, slot, &message, self.waiting[row].position);
        self.counts.hard();
    }

    /// Labels that came among the records precede the rows that became of them.
    fn move_labels(&self, slot: &mut Slot, first: usize) {
        let rows = slot.rows;
        for label in &mut slot.labels[self.labels_before..] {
            let waiting = self.waiting.get(label.before_row as usize - first);
            let row = waiting.map_or(rows, |waiting| waiting.row);
            label.before_row = u32::try_from(row).expect("a batch has at most 2^20 rows");
        }
    }

    fn forget(&mut self) {
        self.records.clear();
        self.waiting.clear();
        self.keys.clear();
    }
}

/// The message of a record that waits; headers are read by no schema of kernels.
fn message<'a>(payload: &'a [u8], of: &Waiting, keys: &'a [u8]) -> MessageParts<'a> {
    MessageParts {
        payload,
        key: of.key.clone().map(|key| &keys[key]),
        headers: &[],
        timestamp_ms: of.message_ms,
    }
}

/// The field of a binary record that each text comes from; nothing of JSON, which spells them.
fn texts_of(config: &Config) -> Option<Vec<Laid>> {
    let (event, layout) = (&config.event, config.layout.as_ref()?);
    let field_of = |column| {
        let mut fields = event.schema.fields.iter();
        fields.find(|field| field.targets.contains(&Target::Text(column)))
    };
    let columns = 0..event.schema.texts.len();
    columns.map(|column| layout.find(field_of(column)?.name()).cloned()).collect()
}

/// Appends a value as score records repeat it, from its place in a plain record.
fn render_laid(record: &[u8], laid: &Laid, bytes: &mut Vec<u8>) {
    let is_value = binary::with_scalar(record, laid, |value| render(value, bytes));
    debug_assert!(is_value.is_some(), "the kernels have seen that it is one");
}

/// Appends a value as score records repeat it, from its own spelling in a plain record; nothing for
/// one that is not there.
fn render_spelling(spelling: &[u8], bytes: &mut Vec<u8>) {
    match spelling {
        [] => {}
        b"null" | b"true" | b"false" => bytes.extend_from_slice(spelling),
        // The kernels have seen that it is UTF-8 without escapes.
        [b'"', text @ .., b'"'] if let Ok(text) = std::str::from_utf8(text) => {
            render(Scalar::Text(text), bytes);
        }
        number => match canonical_integer(number) {
            Some(whole) => render(Scalar::Int(whole), bytes),
            None => render_decoded(number, bytes),
        },
    }
}

/// The same by the decoder of the stream.
fn render_decoded(spelling: &[u8], bytes: &mut Vec<u8>) {
    struct Rendered<'a>(&'a mut Vec<u8>);
    impl Cells for Rendered<'_> {
        fn set(&mut self, _field: usize, value: Scalar<'_>) -> Result<(), Fault> {
            render(value, self.0);
            Ok(())
        }
    }
    let body = [b"{\"t\":", spelling, b"}"].concat();
    let names = Names::of_places([&Place::Body("t".to_owned())]);
    // A value of a plain record is a value of this one.
    let read = json::decode_record(&body, &names, &mut Rendered(bytes));
    debug_assert!(read.is_ok(), "{}", String::from_utf8_lossy(spelling));
}

/// How many records the kernels were sure of: on the metrics page, and once in the log.
struct Counts {
    plain: Counter,
    hard: Counter,
    records: u64,
    hard_records: u64,
    has_looked: bool,
}

impl Counts {
    fn new() -> Counts {
        let of = |read| metrics::counter!("pelton_decoded_records_total", "read" => read);
        Counts {
            plain: of("plain"),
            hard: of("hard"),
            records: 0,
            hard_records: 0,
            has_looked: false,
        }
    }

    fn plain(&mut self, count: usize) {
        self.plain.increment(count as u64);
        self.records += count as u64;
    }

    fn hard(&mut self) {
        self.hard.increment(1);
        self.records += 1;
        self.hard_records += 1;
    }

    /// Says once that the GPU is of little use to this stream.
    fn look(&mut self) {
        if self.has_looked || self.records < SAMPLE {
            return;
        }
        self.has_looked = true;
        if self.hard_records > self.records / 2 {
            let (records, hard) = (self.records, self.hard_records);
            tracing::warn!(
                records,
                hard,
                "most records are not plain enough for the GPU to decode; source.decode = \"cpu\" \
                 saves their way there"
            );
        }
    }
}

#[cfg(all(test, feature = "double"))]
mod tests;
