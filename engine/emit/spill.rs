//! A sink that may go away for a while: what it cannot take waits on the disk, in order.
//!
//! While the sink inside is there, records pass straight through. When it is away (see [`Pulse`])
//! they go to a [`Spill`] of bounded size, and behind what lies there everything that follows;
//! when it is back the oldest go out first, a window at a time, each confirmed before the next.
//! When the limit is reached, or the disk takes nothing, sending waits: reading stops and nothing
//! is dropped. Without a folder it only waits.
//!
//! Invariant: every record is delivered, held by the sink inside, or in the spill, in this order of
//! age. [`Sink::flush`] returns when all are delivered *or on the disk*, which is what a checkpoint
//! needs; [`Sink::finish`] wants them delivered, and otherwise ends with an error that says what is
//! left for the next start. What a sink inside may have delivered without saying so is looked up at
//! its end before it is sent again, where a checkpoint knows that end.

pub mod disk;
mod emptying;
mod folder;
pub mod frame;
pub mod pulse;
mod segment;
mod shown;
#[cfg(test)]
mod tests;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::breaker::State;
use crate::error::Error;
use crate::watchdog::{Doing, Heart};

use super::delivered::Delivered;
use super::{Record, Sink, SinkPosition};
use disk::Spill;
use frame::Frames;
use pulse::Pulse;
use shown::Shown;

/// How long is slept, or waited for acknowledgements, at a time.
const STEP: Duration = Duration::from_millis(1);

/// How a sink is waited for.
#[derive(Clone, Debug)]
pub struct SpillOptions {
    /// Its name in metrics and messages, and in the folder.
    pub name: &'static str,
    /// The folder; none: records wait in memory, and reading stops.
    pub dir: Option<PathBuf>,
    /// Most bytes in it.
    pub bytes_max: u64,
    /// The sink is away when it has acknowledged nothing for so long.
    pub away_after: Duration,
    /// At the end of the run it is given up when it has acknowledged nothing for so long.
    pub drain_patience: Duration,
}

/// The sink.
pub struct SpillSink {
    inner: Box<dyn Sink>,
    spill: Option<Spill>,
    pulse: Pulse,
    drain_patience: Duration,
    stop: Arc<AtomicBool>,
    stopped_at: Option<Instant>,
    /// Taken back from the sink inside, and not yet in the spill.
    returned: Option<Frames>,
    /// Whether some of what was taken back may have been delivered all the same.
    is_uncertain: bool,
    /// What lies in the spill and was delivered.
    sent_before: Delivered,
    /// Where the sink inside stood when it was last asked.
    position: Option<SinkPosition>,
    shown: Shown,
    heart: Heart,
}

impl SpillSink {
    /// Wraps a sink; what an earlier run has left in the folder goes out first. When `stop` is
    /// raised, waiting has an end.
    ///
    /// # Errors
    /// As [`Spill::open`].
    pub fn open(
        inner: Box<dyn Sink>,
        options: &SpillOptions,
        stop: &Arc<AtomicBool>,
    ) -> Result<SpillSink, Error> {
        let dir = options.dir.as_ref().map(|dir| dir.join(options.name));
        let spill = dir.map(|dir| Spill::open(&dir, options.bytes_max)).transpose()?;
        if let Some(spill) = spill.as_ref().filter(|spill| !spill.is_empty()) {
            let (records, dir) = (spill.records(), spill.dir().display());
            let sink = options.name;
            tracing::info!(records, %dir, sink, "left by an earlier run; goes out first");
        }
        let sink = SpillSink {
            inner,
            spill,
            pulse: Pulse::new(options.name, options.away_after, Instant::now()),
            drain_patience: options.drain_patience,
            stop: Arc::clone(stop),
            stopped_at: None,
            returned: None,
            is_uncertain: false,
            sent_before: Delivered::default(),
            position: None,
            shown: Shown::new(options.name),
            heart: Heart::default(),
        };
        sink.show();
        Ok(sink)
    }

    /// Whether a record may go to the sink inside without overtaking another.
    fn is_passing(&self) -> bool {
        let is_behind = self.returned.is_some() || self.pulse.state() != State::Closed;
        self.spill.as_ref().is_none_or(|spill| spill.is_empty() && !is_behind)
    }

    fn pass(&mut self, record: &Record<'_>) -> Result<bool, Error> {
        if !self.inner.try_send(record)? {
            self.pulse.refused(Instant::now());
            return Ok(false);
        }
        self.pulse.handed(Instant::now());
        self.spill.iter_mut().for_each(Spill::count_passed);
        Ok(true)
    }

    /// False when there is no room on the disk.
    fn put_aside(&mut self, record: &Record<'_>) -> bool {
        let Some(spill) = &mut self.spill else { return false };
        match spill.append(record) {
            Ok(true) => {
                self.shown.spilled.increment(1);
                true
            }
            Ok(false) => false,
            Err(error) => {
                self.shown.disk_fails(&error);
                false
            }
        }
    }

    /// Takes what the sink inside has not delivered onto the disk.
    fn take_back(&mut self) -> Result<(), Error> {
        if self.spill.is_none() || self.inner.waiting_count() == 0 {
            return Ok(());
        }
        let mut frames = self.returned.take().unwrap_or_default();
        self.inner.take_back(&mut |record| frames.push(record))?;
        self.pulse.emptied(Instant::now());
        let (sink, count) = (self.pulse.name(), frames.count());
        tracing::warn!(sink, count, "taken back from the sink, which is away");
        (self.returned, self.is_uncertain) = (Some(frames), true);
        self.put_back();
        Ok(())
    }

    /// False while the disk does not take what was taken back.
    fn put_back(&mut self) -> bool {
        let (Some(spill), Some(frames)) = (&mut self.spill, &self.returned) else { return true };
        match spill.put_first(frames) {
            Ok(()) => self.returned = None,
            Err(error) => self.shown.disk_fails(&error),
        }
        self.returned.is_none()
    }

    /// Everything that is not delivered is on the disk; false when it could not be.
    fn is_kept(&mut self) -> bool {
        if !self.put_back() {
            return false;
        }
        match self.spill.as_mut().map_or(Ok(()), Spill::sync) {
            Ok(()) => true,
            Err(error) => {
                self.shown.disk_fails(&error);
                false
            }
        }
    }

    /// Sleeps a little; an error when the run is ending and the sink has been silent for too long.
    fn pause(&mut self) -> Result<(), Error> {
        if self.is_given_up() {
            return Err(self.undelivered());
        }
        std::thread::sleep(STEP);
        Ok(())
    }

    fn is_given_up(&mut self) -> bool {
        if !self.stop.load(Ordering::Relaxed) {
            return false;
        }
        let stopped_at = *self.stopped_at.get_or_insert_with(Instant::now);
        stopped_at.max(self.pulse.alive_at()).elapsed() >= self.drain_patience
    }

    fn undelivered(&self) -> Error {
        let held = self.returned.as_ref().map_or(0, Frames::count);
        let spilled = self.spill.as_ref().map_or(0, Spill::records);
        let records = held + spilled + self.inner.waiting_count() as u64;
        let sink = self.pulse.name();
        Error::Undelivered {
            records,
            sink,
            kept: self.spill.as_ref().map(|spill| spill.dir().to_owned()),
        }
    }

    fn show(&self) {
        if let Some(spill) = &self.spill {
            self.shown.records.set(spill.records() as f64);
            self.shown.bytes.set(spill.bytes() as f64);
        }
    }
}

impl Sink for SpillSink {
    fn send(&mut self, record: &Record<'_>) -> Result<(), Error> {
        let mut waits = None;
        loop {
            let is_sent =
                if self.is_passing() { self.pass(record)? } else { self.put_aside(record) };
            if is_sent {
                return Ok(());
            }
            if waits.is_none() {
                self.shown.waits.increment(1);
                waits = Some(self.heart.meanwhile(Doing::WaitsForSink));
            }
            self.tend()?;
            self.pause()?;
        }
    }

    fn flush(&mut self) -> Result<(), Error> {
        let _waits = self.heart.meanwhile(Doing::WaitsForSink);
        loop {
            let is_empty = self.inner.flush_for(STEP)?;
            self.observe();
            if self.pulse.state() != State::Closed {
                self.take_back()?;
            }
            if is_empty {
                self.confirm();
            }
            if self.inner.waiting_count() == 0 && self.is_kept() {
                self.show();
                return Ok(());
            }
            if self.is_given_up() {
                return Err(self.undelivered());
            }
        }
    }

    fn finish(&mut self) -> Result<(), Error> {
        let _waits = self.heart.meanwhile(Doing::WaitsForSink);
        loop {
            self.tend()?;
            if self.is_passing() && self.inner.flush_for(STEP)? {
                return Ok(());
            }
            self.pause()?;
        }
    }

    fn position(&mut self) -> Result<SinkPosition, Error> {
        let _waits = self.heart.meanwhile(Doing::WaitsForSink);
        if self.position.is_none() || self.is_passing() {
            match (self.inner.position(), &self.position) {
                (Ok(position), _) => self.position = Some(position),
                // An earlier one is as good: only more must be read after a crash.
                (Err(error), Some(_)) => {
                    tracing::warn!(%error, "the sink does not say where it stands");
                }
                (Err(error), None) => return Err(error),
            }
        }
        let position = self.position.clone().expect("it was just set");
        Ok(match &self.spill {
            None => position,
            Some(spill) => SinkPosition::Spilled { sink: Box::new(position), next: spill.next() },
        })
    }

    fn tail(
        &mut self,
        position: &SinkPosition,
        settle: Duration,
        delivered: &mut Delivered,
    ) -> Result<(), Error> {
        let SinkPosition::Spilled { sink, next } = position else {
            return self.inner.tail(position, settle, delivered);
        };
        self.inner.tail(sink, settle, delivered)?;
        self.position = Some((**sink).clone());
        if let Some(spill) = &mut self.spill {
            // What was spilled behind the position is made again.
            spill.cut_from(*next).map_err(Error::file("cut", spill.dir()))?;
            if !spill.is_empty() {
                self.sent_before = delivered.clone();
            }
        }
        Ok(())
    }

    fn watched_by(&mut self, heart: &Heart) {
        self.heart = heart.clone();
    }

    fn batch_done(&mut self) -> Result<(), Error> {
        self.tend()
    }
}

/// However the run ends, what is not delivered is on the disk.
impl Drop for SpillSink {
    fn drop(&mut self) {
        let taken = self.take_back();
        if taken.is_err() || !self.is_kept() {
            let sink = self.pulse.name();
            tracing::error!(
                sink,
                "what was not delivered could not be kept; only a checkpoint \
                can bring it back"
            );
        }
    }
}
