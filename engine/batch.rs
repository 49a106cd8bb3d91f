//! Still the first stage: when a micro-batch is closed.
//!
//! A batch is closed by rows or bytes (the slot is full), by linger (the oldest record in it has
//! waited long enough), or by the end of the stream. With a budget rows and linger follow what
//! batches cost (`pace.rs`). Linger is the only place where the wall clock
//! decides anything, and what it decides, where a batch is cut, changes no result.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::error::Error;
use crate::pace::Pace;
use crate::ring::Slot;
use crate::source::{Progress, Source};
use crate::watchdog::Heart;

/// Cuts a source into micro-batches.
pub struct Batcher {
    source: Box<dyn Source>,
    pace: Pace,
    has_ended: bool,
    heart: Heart,
}

/// How long a batch waits for a record before it looks whether the run should stop.
const IDLE: Duration = Duration::from_millis(50);

impl Batcher {
    /// Cuts `source` into batches that wait no longer than `linger_ms` for a further record.
    #[must_use]
    pub fn new(source: Box<dyn Source>, linger_ms: i64) -> Batcher {
        Batcher::paced(source, Pace::steady(usize::MAX, linger_ms))
    }

    /// Cuts `source` into batches of the rows and with the wait that `pace` gives.
    #[must_use]
    pub fn paced(source: Box<dyn Source>, pace: Pace) -> Batcher {
        Batcher { source, pace, has_ended: false, heart: Heart::default() }
    }

    /// Shows by this heart that it moves on.
    #[must_use]
    pub fn watched_by(mut self, heart: &Heart) -> Batcher {
        self.source.watched_by(heart);
        self.heart = heart.clone();
        self
    }

    /// Fills `slot` with the next batch; false when the stream has ended or `stop` was raised and
    /// the slot stayed empty. The slot still carries its last batch, which is acknowledged first.
    ///
    /// # Errors
    /// As [`Source::read`].
    pub fn next(&mut self, slot: &mut Slot, stop: &AtomicBool) -> Result<bool, Error> {
        if !slot.spans.is_empty() {
            self.source.acknowledge(&slot.spans)?;
        }
        slot.clear();
        slot.rows_most = self.pace.rows();
        let (mut close_at, linger) = (None, self.pace.linger());
        while !self.has_ended && !stop.load(Ordering::Relaxed) {
            let idle_until = Instant::now() + IDLE;
            let until = close_at.map_or(idle_until, |at: Instant| at.min(idle_until));
            self.heart.works(slot.rows);
            match self.source.read(slot, until)? {
                Progress::Full => break,
                Progress::Ended => self.has_ended = true,
                Progress::Waiting if slot.is_empty() => {}
                Progress::Waiting => {
                    let close_at = *close_at.get_or_insert_with(|| Instant::now() + linger);
                    if Instant::now() >= close_at {
                        break;
                    }
                }
            }
        }
        Ok(!slot.is_empty())
    }

    /// Whether the stream has ended by itself.
    #[must_use]
    pub fn has_ended(&self) -> bool {
        self.has_ended
    }

    /// Acknowledges a batch that came home after the last one was cut.
    ///
    /// # Errors
    /// As [`Source::acknowledge`].
    pub fn acknowledge(&mut self, slot: &Slot) -> Result<(), Error> {
        self.source.acknowledge(&slot.spans)
    }
}
