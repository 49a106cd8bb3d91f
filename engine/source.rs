//! First stage: records come in.
//!
//! A [`Source`] appends records to the slot it is given, decoded straight into the columns, and
//! says how it stands. It knows its own partitions and order; it does not know when a batch is
//! closed (that is [`batch`](crate::batch)), and it keeps no state that a run could not rebuild
//! from the next offsets of its partitions.

pub mod decode;
pub mod file;
pub mod kafka;
pub mod rows;

use std::time::Instant;

use crate::error::Error;
use crate::ring::{Slot, Span};
use crate::watchdog::Heart;

use decode::device::DeviceReader;

/// Where a source stands after a call of [`Source::read`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// The slot is full: rows or bytes.
    Full,
    /// Nothing more is at hand now.
    Waiting,
    /// The stream has ended; nothing will ever follow.
    Ended,
}

/// Where events and labels come from.
pub trait Source: Send {
    /// Appends records to `slot` until it is full, the source has nothing at hand, or `until` has
    /// passed. May wait for records until `until`, but returns soon after having read some.
    ///
    /// # Errors
    /// Only what ends the run: a broker that refuses the credentials, a file that cannot be read.
    /// Bad records are rejects in the slot; a broker that is away is waited for.
    fn read(&mut self, slot: &mut Slot, until: Instant) -> Result<Progress, Error>;

    /// Lets a GPU read event records from now on; false where this source has none that it reads.
    fn read_by(&mut self, reader: DeviceReader) -> bool {
        let _ = reader;
        false
    }

    /// A batch with these spans has been fully processed and its scores are out.
    ///
    /// # Errors
    /// As for [`Source::read`].
    fn acknowledge(&mut self, spans: &[Span]) -> Result<(), Error> {
        let _ = spans;
        Ok(())
    }

    /// Shows by this heart when a read waits for someone else.
    fn watched_by(&mut self, heart: &Heart) {
        let _ = heart;
    }

    /// Event records in the stream, when that is known beforehand (for the progress bar).
    fn rows_total(&self) -> Option<u64> {
        None
    }
}
