//! Whether a sink is there, told from what it acknowledges.
//!
//! A sink that holds records and has acknowledged none of them for a while is away, and so is one
//! that has had no room for a record for as long. That is one failure of its [`Breaker`]: it opens
//! at the first. Then one look, or one record, is the probe. Time and counts are arguments.

use std::time::{Duration, Instant};

use crate::backoff::{Backoff, Jitter};
use crate::breaker::{Breaker, State};

const FIRST_PROBE: Duration = Duration::from_millis(500);
const LAST_PROBE: Duration = Duration::from_secs(5);

/// What is known of a sink's health.
#[derive(Debug)]
pub struct Pulse {
    breaker: Breaker,
    away_after: Duration,
    handed: u64,
    delivered: u64,
    is_refused: bool,
    /// When it last did what was expected of it, or began to have something to do.
    moved_at: Instant,
    /// When it last acknowledged anything.
    alive_at: Instant,
}

impl Pulse {
    /// The sink of this name is taken for away after so long without a sign of life.
    #[must_use]
    pub fn new(name: &'static str, away_after: Duration, now: Instant) -> Pulse {
        let backoff = Backoff::new(FIRST_PROBE, LAST_PROBE);
        let breaker = Breaker::new(name, 1, backoff, Jitter::of_this_process());
        let (moved_at, alive_at) = (now, now);
        Pulse {
            breaker,
            away_after,
            handed: 0,
            delivered: 0,
            is_refused: false,
            moved_at,
            alive_at,
        }
    }

    /// A record was handed over.
    pub fn handed(&mut self, now: Instant) {
        if self.handed == self.delivered {
            self.moved_at = now;
        }
        self.handed += 1;
        self.is_refused = false;
    }

    /// There was no room for a record.
    pub fn refused(&mut self, now: Instant) {
        if !self.is_refused && self.handed == self.delivered {
            self.moved_at = now;
        }
        self.is_refused = true;
    }

    /// The sink has given back what it had not delivered, a probe included.
    pub fn emptied(&mut self, now: Instant) {
        self.delivered = self.handed;
        if self.breaker.state() == State::HalfOpen {
            self.failed(now);
        }
    }

    /// So many of the records handed over are not delivered yet.
    pub fn observe(&mut self, waiting: usize, now: Instant) {
        let delivered = self.handed.saturating_sub(waiting as u64);
        if delivered > self.delivered {
            self.delivered = delivered;
            self.succeeded(now);
        }
        let is_owing = self.handed > self.delivered || self.is_refused;
        if is_owing && now.duration_since(self.moved_at) >= self.away_after {
            self.failed(now);
        }
    }

    /// The sink was found to be there.
    pub fn succeeded(&mut self, now: Instant) {
        (self.moved_at, self.alive_at) = (now, now);
        let before = self.breaker.state();
        self.breaker.succeeded();
        if before != self.breaker.state() {
            tracing::info!(sink = self.breaker.dependency(), "the sink is back");
        }
    }

    /// The sink was found to be away.
    pub fn failed(&mut self, now: Instant) {
        let before = self.breaker.state();
        self.breaker.failed(now);
        self.moved_at = now;
        if before == State::Closed && self.breaker.state() == State::Open {
            tracing::warn!(sink = self.breaker.dependency(), "the sink is away");
        }
    }

    /// Whether a probe may begin now.
    pub fn allows_probe(&mut self, now: Instant) -> bool {
        let is_due = self.breaker.state() == State::Open && self.breaker.allows(now);
        if is_due {
            self.moved_at = now;
        }
        is_due
    }

    /// How its breaker stands.
    #[must_use]
    pub fn state(&self) -> State {
        self.breaker.state()
    }

    /// When it last showed a sign of life.
    #[must_use]
    pub fn alive_at(&self) -> Instant {
        self.alive_at
    }

    /// The name of the sink.
    #[must_use]
    pub fn name(&self) -> &'static str {
        self.breaker.dependency()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: fn(u64) -> Duration = Duration::from_millis;

    #[test]
    fn a_sink_that_acknowledges_nothing_is_away_until_it_does() {
        let start = Instant::now();
        let mut pulse = Pulse::new("test", MS(1000), start);
        pulse.observe(0, start + MS(9000));
        assert_eq!(pulse.state(), State::Closed, "it owed nothing");
        for _ in 0..10 {
            pulse.handed(start + MS(9000));
        }
        pulse.observe(10, start + MS(9999));
        pulse.observe(9, start + MS(9999));
        pulse.observe(9, start + MS(10_998));
        assert_eq!(pulse.state(), State::Closed, "one of ten came through");
        pulse.observe(9, start + MS(10_999));
        assert_eq!(pulse.state(), State::Open);
        pulse.observe(0, start + MS(11_000));
        assert!(pulse.allows_probe(start + MS(11_600)));
        pulse.observe(0, start + MS(11_700));
        assert_eq!(pulse.state(), State::HalfOpen, "all is delivered: a record must be the probe");
        pulse.handed(start + MS(11_700));
        pulse.observe(0, start + MS(11_701));
        assert_eq!(pulse.state(), State::Closed);
    }

    #[test]
    fn a_sink_without_room_is_away_and_a_probe_that_stays_out_has_failed() {
        let start = Instant::now();
        let mut pulse = Pulse::new("test", MS(1000), start);
        pulse.refused(start + MS(5000));
        pulse.observe(0, start + MS(5999));
        assert_eq!(pulse.state(), State::Closed);
        pulse.observe(0, start + MS(6000));
        assert_eq!(pulse.state(), State::Open);
        assert!(pulse.allows_probe(start + MS(7000)));
        pulse.handed(start + MS(7000));
        pulse.observe(1, start + MS(7999));
        assert_eq!(pulse.state(), State::HalfOpen);
        pulse.observe(1, start + MS(8000));
        assert_eq!(pulse.state(), State::Open);
    }
}
