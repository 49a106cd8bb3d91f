//! Messages of the configured topics as rows and labels: the decoder of the Kafka source.
//!
//! The merge needs a record's time before the record is decoded, since what it is decoded into
//! depends on whose turn it is. A [`peek`] for its one name finds it in a plain record; only others
//! are gone through by the decoder. It is not looked for while only one partition has anything.

use crate::config::Config;
use crate::config::layout::Layout;
use crate::config::stream::LabelsConfig;
use crate::error::Error;
use crate::ring::{Position, Reason, Slot};
use crate::schema::{self, Place, Scalar, Schema, Target, TimeFrom, TimeUnit};
use crate::source::decode::device::DeviceReader;
use crate::source::decode::events::Events;
use crate::source::decode::{self, LabelFields, LabelNames, MessageParts, Names, peek};
use crate::source::rows::{Cells, Fault};

use super::Decode;
use super::queue::Record;

/// Decodes the messages of a configuration.
pub struct Messages {
    events: Events,
    labels: LabelNames,
    event_time: TimeOf,
    label_time: TimeOf,
}

impl Messages {
    /// The decoder of this configuration.
    #[must_use]
    pub fn new(config: &Config) -> Messages {
        let bytes_max = config.event.record_bytes_max;
        let schema = config.event.schema.clone();
        let fields = label_fields(&config.labels);
        let event_time = match schema.time {
            TimeFrom::Field => {
                TimeOf::field(time_place(&schema), bytes_max).laid_out(config.layout.as_ref())
            }
            TimeFrom::Row { .. } => TimeOf::Nothing,
            TimeFrom::Message => TimeOf::Message,
        };
        let label_time = match fields.time.clone() {
            Some(place) => TimeOf::field(Some(place), bytes_max),
            None => TimeOf::Message,
        };
        Messages {
            labels: LabelNames::new(fields, bytes_max),
            events: Events::new(schema, Names::of_events(config)),
            event_time,
            label_time,
        }
    }
}

impl Decode for Messages {
    fn event_time_ms(&mut self, record: &Record<'_>) -> Option<i64> {
        self.event_time.read(record)
    }

    fn label_time_ms(&mut self, record: &Record<'_>) -> Option<i64> {
        self.label_time.read(record)
    }

    fn event(
        &mut self,
        record: &Record<'_>,
        position: Position,
        slot: &mut Slot,
    ) -> Result<(), Error> {
        let events = &mut self.events;
        with_parts(record, events.has_headers(), |parts| events.add(slot, parts, position))
    }

    fn label(&mut self, record: &Record<'_>, position: Position, slot: &mut Slot) {
        let meaning = &self.events.schema().label;
        with_parts(record, self.labels.has_headers(), |parts| {
            decode::label(meaning, &self.labels, slot, parts, position);
        });
    }

    fn finish(&mut self, slot: &mut Slot) -> Result<(), Error> {
        self.events.finish(slot)
    }

    fn read_by(&mut self, reader: DeviceReader) -> bool {
        self.events.read_by(reader)
    }
}

/// Where a record's time is found.
enum TimeOf {
    /// It has none of its own: it is read when its partition's turn comes.
    Nothing,
    /// The message carries it.
    Message,
    /// A field of the record.
    Field(Box<TimeField>),
}

struct TimeField {
    names: Names,
    /// Its name, when it is one of the body itself.
    name: Option<String>,
    unit: TimeUnit,
}

impl TimeOf {
    fn field(place: Option<(Place, TimeUnit)>, bytes_max: usize) -> TimeOf {
        place.map_or(TimeOf::Nothing, |(place, unit)| {
            let names = Names::of_places([&place]).limit(bytes_max);
            let name = match place {
                Place::Body(name) if !name.contains('.') => Some(name),
                _ => None,
            };
            TimeOf::Field(Box::new(TimeField { names, name, unit }))
        })
    }

    /// The same in binary records.
    fn laid_out(self, layout: Option<&Layout>) -> TimeOf {
        match (self, layout) {
            (TimeOf::Field(mut field), Some(layout)) => {
                let name = field.name.take();
                let fields = name.as_deref().into_iter().map(|name| (0, name));
                field.names = field.names.laid_out(layout, fields);
                TimeOf::Field(field)
            }
            (time, _) => time,
        }
    }

    fn read(&self, record: &Record<'_>) -> Option<i64> {
        match self {
            TimeOf::Nothing => None,
            TimeOf::Message => record.time_ms(),
            TimeOf::Field(field) => field.read(record),
        }
    }
}

impl TimeField {
    fn read(&self, record: &Record<'_>) -> Option<i64> {
        let name = self.name.as_deref();
        if let Some(value) = name.and_then(|name| peek::first_scalar(record.body(), name)) {
            return schema::time_ms(value, self.unit);
        }
        let mut cell = TimeCell { unit: self.unit, time_ms: None };
        with_parts(record, self.names.has_headers(), |parts| {
            // The fault says that the time was found; another leaves none.
            let _ = decode::read_message(&self.names, parts, &mut cell);
        });
        cell.time_ms
    }
}

/// Takes the first value it is given and ends the decoding there.
struct TimeCell {
    unit: TimeUnit,
    time_ms: Option<i64>,
}

impl Cells for TimeCell {
    fn set(&mut self, _field: usize, value: Scalar<'_>) -> Result<(), Fault> {
        self.time_ms = schema::time_ms(value, self.unit);
        Err(Fault::record(Reason::BadTime))
    }
}

fn with_parts<T>(
    record: &Record<'_>,
    has_headers: bool,
    read: impl FnOnce(&MessageParts<'_>) -> T,
) -> T {
    let headers: Vec<_> = if has_headers { record.headers().collect() } else { Vec::new() };
    read(&MessageParts {
        payload: record.body(),
        key: record.key(),
        headers: &headers,
        timestamp_ms: record.time_ms(),
    })
}

fn time_place(schema: &Schema) -> Option<(Place, TimeUnit)> {
    schema.fields.iter().find_map(|field| {
        field.targets.iter().find_map(|target| match target {
            Target::Time(unit) => Some((field.place.clone(), *unit)),
            _ => None,
        })
    })
}

/// Where the parts of a label record are found.
pub(crate) fn label_fields(labels: &LabelsConfig) -> LabelFields {
    LabelFields {
        id: Place::Body(labels.id_field.clone()),
        label: Place::Body(labels.field.clone()),
        time: labels.time.clone().map(|(name, unit)| (Place::Body(name), unit)),
    }
}
