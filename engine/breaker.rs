//! A circuit breaker: whether something outside is asked at all.
//!
//! Closed, every attempt is allowed. After so many failures in a row it opens, and nothing is
//! attempted until the [backoff](crate::backoff) has passed; then it is half-open and allows one
//! probe. If that succeeds it closes, if it fails it opens again, for longer. It is a pure state
//! machine: now is an argument. Whoever is allowed an attempt says how it went; a probe that is
//! never judged keeps the breaker half-open.

use std::time::{Duration, Instant};

use crate::backoff::{Backoff, Jitter};

/// How a breaker stands. The number is what the gauge `pelton_breaker_state` shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// All is well.
    Closed = 0,
    /// One probe is out.
    HalfOpen = 1,
    /// Nothing is attempted.
    Open = 2,
}

impl State {
    fn name(self) -> &'static str {
        match self {
            State::Closed => "closed",
            State::HalfOpen => "half_open",
            State::Open => "open",
        }
    }
}

/// The breaker of one dependency.
#[derive(Debug)]
pub struct Breaker {
    dependency: &'static str,
    failures_max: u32,
    backoff: Backoff,
    jitter: Jitter,
    state: State,
    /// Failures in a row while closed.
    failures: u32,
    wait: Duration,
    /// When the next probe may start, while open; never, when that lies beyond all time.
    probe_at: Option<Instant>,
}

impl Breaker {
    /// A closed breaker that opens at the `failures_max`-th failure in a row (at the first when
    /// that is 0). A backoff that gives up waits for its last wait from then on.
    #[must_use]
    pub fn new(
        dependency: &'static str,
        failures_max: u32,
        backoff: Backoff,
        jitter: Jitter,
    ) -> Breaker {
        let breaker = Breaker {
            dependency,
            failures_max,
            backoff,
            jitter,
            state: State::Closed,
            failures: 0,
            wait: Duration::ZERO,
            probe_at: None,
        };
        breaker.show();
        breaker
    }

    /// Whether an attempt may be made now. When the backoff has passed, the one who is told so has
    /// the probe.
    pub fn allows(&mut self, now: Instant) -> bool {
        match self.state {
            State::Closed => true,
            State::HalfOpen => false,
            State::Open => {
                let is_due = self.probe_at.is_some_and(|at| now >= at);
                if is_due {
                    self.enter(State::HalfOpen);
                }
                is_due
            }
        }
    }

    /// An attempt has succeeded. News of one that was made before the breaker opened count for
    /// nothing while it is open.
    pub fn succeeded(&mut self) {
        match self.state {
            State::Closed => self.failures = 0,
            State::Open => {}
            State::HalfOpen => {
                self.failures = 0;
                self.backoff.reset();
                self.enter(State::Closed);
            }
        }
    }

    /// An attempt has failed.
    pub fn failed(&mut self, now: Instant) {
        match self.state {
            State::Closed => {
                self.failures += 1;
                if self.failures >= self.failures_max {
                    self.open(now);
                }
            }
            State::Open => {}
            State::HalfOpen => self.open(now),
        }
    }

    /// How it stands.
    #[must_use]
    pub fn state(&self) -> State {
        self.state
    }

    /// What it stands before.
    #[must_use]
    pub fn dependency(&self) -> &'static str {
        self.dependency
    }

    fn open(&mut self, now: Instant) {
        self.wait = self.backoff.next(self.jitter.unit()).unwrap_or(self.wait);
        self.probe_at = now.checked_add(self.wait);
        self.enter(State::Open);
    }

    fn enter(&mut self, state: State) {
        self.state = state;
        let labels = [("dependency", self.dependency), ("to", state.name())];
        metrics::counter!("pelton_breaker_transitions_total", &labels).increment(1);
        self.show();
    }

    fn show(&self) {
        let gauge = metrics::gauge!("pelton_breaker_state", "dependency" => self.dependency);
        gauge.set(f64::from(self.state as u8));
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MS: fn(u64) -> Duration = Duration::from_millis;
    const FIRST_MS: u64 = 100;
    const MOST_MS: u64 = 500;

    fn breaker(failures_max: u32) -> Breaker {
        let backoff = Backoff::new(MS(FIRST_MS), MS(MOST_MS));
        Breaker::new("test", failures_max, backoff, Jitter::new(3))
    }

    #[test]
    fn it_opens_probes_and_closes() {
        let start = Instant::now();
        let mut breaker = breaker(2);
        breaker.failed(start);
        breaker.succeeded();
        breaker.failed(start);
        assert!(breaker.allows(start), "a success between two failures starts the count again");
        breaker.failed(start);
        assert_eq!(breaker.state(), State::Open);
        assert!(!breaker.allows(start + MS(FIRST_MS / 2 - 1)));
        assert!(breaker.allows(start + MS(FIRST_MS)));
        assert!(!breaker.allows(start + MS(10 * MOST_MS)), "one probe at a time");
        breaker.failed(start + MS(FIRST_MS));
        assert!(!breaker.allows(start + MS(2 * FIRST_MS - 1)), "the second wait is longer");
        assert!(breaker.allows(start + MS(FIRST_MS + 2 * FIRST_MS)));
        breaker.succeeded();
        assert_eq!(breaker.state(), State::Closed);
    }

    #[derive(Clone, Debug)]
    enum Step {
        Ask,
        Succeed,
        Fail,
        Pass(u64),
    }

    /// Says from the whole history what a breaker must answer; keeps no state between questions.
    fn expected(history: &[(u64, Step, bool)], failures_max: u32, now_ms: u64) -> (State, bool) {
        let mut jitter = Jitter::new(3);
        let mut openings: Vec<u64> = Vec::new();
        let mut row = Vec::new();
        let mut state = State::Closed;
        let mut opened_in_a_row = 0;
        for (at_ms, step, was_allowed) in history {
            match (state, step) {
                (State::Closed, Step::Fail) => row.push(*at_ms),
                (State::Closed, Step::Succeed) => row.clear(),
                (State::Open, Step::Ask) if *was_allowed => state = State::HalfOpen,
                (State::HalfOpen, Step::Succeed) => {
                    (state, opened_in_a_row) = (State::Closed, 0);
                    row.clear();
                }
                (State::HalfOpen, Step::Fail) => {
                    (state, opened_in_a_row) = (State::Open, opened_in_a_row + 1);
                    openings.push(*at_ms);
                }
                _ => {}
            }
            if state == State::Closed && !row.is_empty() && row.len() >= failures_max as usize {
                (state, opened_in_a_row) = (State::Open, 1);
                openings.push(*at_ms);
            }
        }
        // The n-th opening of all takes the n-th number of the jitter.
        let random = openings.iter().map(|_| jitter.unit()).last().unwrap_or(0.0);
        let whole = (FIRST_MS << (opened_in_a_row.max(1) - 1).min(20)).min(MOST_MS) as f64;
        let due = openings.last().map_or(0.0, |at| *at as f64 + whole / 2.0 * (1.0 + random));
        let allows = match state {
            State::Closed => true,
            State::HalfOpen => false,
            State::Open => now_ms as f64 >= due,
        };
        (state, allows)
    }

    proptest! {
        #[test]
        fn it_is_what_its_history_says(
            failures_max in 0_u32..4,
            steps in prop::collection::vec(
                prop_oneof![
                    3 => Just(Step::Ask),
                    2 => Just(Step::Succeed),
                    4 => Just(Step::Fail),
                    3 => (0..400_u64).prop_map(Step::Pass),
                ],
                1..80,
            ),
        ) {
            let start = Instant::now();
            let mut breaker = breaker(failures_max);
            let mut history = Vec::new();
            let mut now_ms = 0;
            for step in steps {
                let now = start + MS(now_ms);
                let (state, allows) = expected(&history, failures_max, now_ms);
                prop_assert_eq!(breaker.state(), state);
                let mut was_allowed = false;
                match step {
                    Step::Ask => {
                        was_allowed = breaker.allows(now);
                        prop_assert_eq!(was_allowed, allows);
                    }
                    Step::Succeed => breaker.succeeded(),
                    Step::Fail => breaker.failed(now),
                    Step::Pass(ms) => now_ms += ms,
                }
                history.push((now_ms, step, was_allowed));
            }
        }
    }
}
