//! Labels as a stream of their own: the truth about each event, a fixed delay after it.
//!
//! [`Labels`] runs a generator of its own over the same spec instead of remembering the events
//! between: merged by time with the events, labels of any delay cost no memory. Invariant: one
//! label per event, in the order of the events.

use std::marker::PhantomData;

use super::Generator;
use super::record::{Field, FieldVisitor, Record, write_integer};

/// A record whose label can travel on its own.
pub trait HasLabel: Record {
    /// The label's fields: id of the event, time of arrival, label.
    const LABEL_FIELDS: &'static [Field; 3];

    /// The event's id.
    fn id(&self) -> u64;

    /// The truth.
    fn is_positive(&self) -> bool;

    /// The label that arrives `delay_ms` after the event.
    fn label(&self, delay_ms: i64) -> LabelRecord<Self> {
        LabelRecord {
            id: self.id(),
            arrival_ms: self.time_ms() + delay_ms,
            is_positive: self.is_positive(),
            of: PhantomData,
        }
    }
}

/// The truth about one event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LabelRecord<R> {
    /// The event's id.
    pub id: u64,
    /// When it becomes known, milliseconds since the epoch.
    pub arrival_ms: i64,
    /// The truth.
    pub is_positive: bool,
    of: PhantomData<R>,
}

impl<R> Default for LabelRecord<R> {
    fn default() -> LabelRecord<R> {
        LabelRecord { id: 0, arrival_ms: 0, is_positive: false, of: PhantomData }
    }
}

impl<R: HasLabel> Record for LabelRecord<R> {
    const FIELDS: &'static [Field] = R::LABEL_FIELDS;

    #[inline]
    fn visit<V: FieldVisitor>(&self, visitor: &mut V) {
        let [id, arrival, label] = R::LABEL_FIELDS;
        visitor.integer(id, self.id as i64);
        visitor.integer(arrival, self.arrival_ms);
        visitor.integer(label, i64::from(self.is_positive));
    }

    fn time_ms(&self) -> i64 {
        self.arrival_ms
    }

    /// The event's id in decimal.
    fn write_key(&self, out: &mut Vec<u8>) {
        write_integer(self.id as i64, out);
    }
}

/// The labels of a generator's events.
#[derive(Clone, Debug)]
pub struct Labels<G: Generator> {
    events: G,
    event: G::Record,
    delay_ms: i64,
}

impl<G: Generator> Labels<G>
where
    G::Record: HasLabel,
{
    /// The labels of `events`, each `delay_ms` after its event.
    pub fn new(events: G, delay_ms: i64) -> Labels<G> {
        Labels { events, event: G::Record::default(), delay_ms }
    }
}

impl<G: Generator> Generator for Labels<G>
where
    G::Record: HasLabel,
{
    type Record = LabelRecord<G::Record>;

    fn next_into(&mut self, record: &mut LabelRecord<G::Record>) -> bool {
        let is_next = self.events.next_into(&mut self.event);
        if is_next {
            *record = self.event.label(self.delay_ms);
        }
        is_next
    }
}
