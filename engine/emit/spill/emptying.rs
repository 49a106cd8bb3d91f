//! How a spill is emptied: a probe while the sink is away, then window after window.

use std::time::{Duration, Instant};

use crate::breaker::State;
use crate::emit::Record;
use crate::emit::delivered::Delivered;
use crate::error::Error;
use crate::watchdog::Doing;

use super::disk::Offered;
use super::{STEP, SpillSink};

/// Records that are out at once while the spill is emptied.
const WINDOW: usize = 4096;
/// How long emptying may keep new records waiting, at a time.
const TURN: Duration = Duration::from_millis(20);
/// How long nothing more of what was on its way may arrive before the sink's end is believed.
const SETTLE: Duration = Duration::from_secs(1);

impl SpillSink {
    /// Looks after deliveries, and empties the spill for a while if the sink is there.
    pub(super) fn tend(&mut self) -> Result<(), Error> {
        let is_away = !self.is_passing() || self.pulse.state() != State::Closed;
        let _waits = is_away.then(|| self.heart.meanwhile(Doing::WaitsForSink));
        self.inner.batch_done()?;
        self.observe();
        if !self.put_back() {
            return Ok(());
        }
        if self.pulse.state() == State::Closed {
            self.empty(Instant::now() + TURN)?;
        } else if self.pulse.allows_probe(Instant::now()) {
            self.probe()?;
        }
        if let Some(spill) = self.spill.as_mut().filter(|spill| !spill.is_empty()) {
            match spill.write() {
                Ok(()) => self.shown.disk_works(),
                Err(error) => self.shown.disk_fails(&error),
            }
        }
        self.show();
        Ok(())
    }

    /// What the sink inside holds is the probe, else the oldest record of the spill.
    fn probe(&mut self) -> Result<(), Error> {
        let now = Instant::now();
        if !self.settle() {
            self.pulse.failed(now);
        } else if self.inner.waiting_count() == 0 && self.hand_over(1)? == 0 {
            self.pulse.succeeded(now);
        }
        Ok(())
    }

    pub(super) fn observe(&mut self) {
        self.pulse.observe(self.inner.waiting_count(), Instant::now());
    }

    /// Oldest first, until `until` or the end; every window is delivered before the next.
    fn empty(&mut self, until: Instant) -> Result<(), Error> {
        while !self.is_passing() && self.pulse.state() == State::Closed {
            if self.inner.waiting_count() == 0 {
                self.confirm();
                if !self.settle() || self.hand_over(WINDOW)? == 0 {
                    break;
                }
            }
            self.inner.flush_for(STEP)?;
            self.observe();
            if Instant::now() >= until {
                break;
            }
        }
        Ok(())
    }

    /// Everything the sink inside was given is delivered.
    pub(super) fn confirm(&mut self) {
        if let Some(spill) = self.spill.as_mut().filter(|spill| !spill.is_empty()) {
            spill.confirm();
            if spill.is_empty() {
                tracing::info!(sink = self.pulse.name(), "what had been spilled is delivered");
                self.sent_before = Delivered::default();
            }
        }
    }

    /// Hands over the oldest of the spill, so many at most; returns how many it was. Those that the
    /// sink has already are passed over.
    fn hand_over(&mut self, most: usize) -> Result<usize, Error> {
        let Some(spill) = &mut self.spill else { return Ok(0) };
        let (inner, pulse, sent_before) = (&mut self.inner, &mut self.pulse, &mut self.sent_before);
        let (mut given, mut passed_over) = (0, 0);
        let mut give = |record: &Record<'_>| {
            if sent_before.passes_over_record(record) {
                passed_over += 1;
                return Ok(true);
            }
            let is_taken = inner.try_send(record)?;
            match is_taken {
                true => pulse.handed(Instant::now()),
                false => pulse.refused(Instant::now()),
            }
            given += usize::from(is_taken);
            Ok(is_taken)
        };
        let mut left = most;
        while left > 0 {
            match spill.offer(&mut give)? {
                Offered::Taken => left -= 1,
                Offered::Refused | Offered::None => break,
            }
        }
        self.shown.emptied.increment(given as u64 + passed_over);
        Ok(given)
    }

    /// Finds out which of the records taken back were delivered all the same; false when the sink
    /// cannot be asked now.
    fn settle(&mut self) -> bool {
        if !self.is_uncertain {
            return true;
        }
        let Some(position) = &self.position else {
            self.is_uncertain = false;
            return true;
        };
        if !self.inner.is_reachable() {
            return false;
        }
        match self.inner.tail(position, SETTLE, &mut self.sent_before) {
            Ok(()) => self.is_uncertain = false,
            Err(error) => tracing::warn!(%error, "cannot read what the sink already has"),
        }
        !self.is_uncertain
    }
}
