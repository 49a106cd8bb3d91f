//! What the source asks of whoever makes rows and labels of its records.

use super::queue::Record;
use crate::error::Error;
use crate::ring::{Position, Slot};
use crate::source::decode::device::DeviceReader;

/// What makes rows and labels of records.
pub trait Decode: Send {
    /// The time of an event record, as far as it can be told without decoding all of it.
    fn event_time_ms(&mut self, record: &Record<'_>) -> Option<i64>;

    /// The time of a label record.
    fn label_time_ms(&mut self, record: &Record<'_>) -> Option<i64>;

    /// Appends a row or a reject to the slot, which is not full, at once or by
    /// [`Decode::finish`].
    ///
    /// # Errors
    /// [`Error::Device`] when a GPU that reads records goes away.
    fn event(
        &mut self,
        record: &Record<'_>,
        position: Position,
        slot: &mut Slot,
    ) -> Result<(), Error>;

    /// Appends a label or a reject to the slot.
    fn label(&mut self, record: &Record<'_>, position: Position, slot: &mut Slot);

    /// Makes rows or rejects of all event records so far; the slot may have room again.
    ///
    /// # Errors
    /// As [`Decode::event`].
    fn finish(&mut self, slot: &mut Slot) -> Result<(), Error> {
        let _ = slot;
        Ok(())
    }

    /// Lets a GPU read event records from now on; whether it does.
    fn read_by(&mut self, reader: DeviceReader) -> bool {
        let _ = reader;
        false
    }
}
