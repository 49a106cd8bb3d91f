//! Whether a stage stands still: the decision, without a clock and without a thread.
//!
//! Time is counted by the watcher's own looks, and no step counts for more than two of them: when
//! the whole process was stopped for a while (a paused container, a machine that slept), nobody
//! stood still, and nobody is told so. A stage works from the look that first saw its beat, so that
//! what is measured is short by one look at most.

use std::time::{Duration, Instant};

use super::heart::{Doing, Sight};

/// How long a stage may work on one batch; zero = for ever.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Then it is said.
    pub say: Duration,
    /// Then the process ends.
    pub end: Duration,
}

impl Limits {
    /// How often to look: four times within the shorter limit, once a second at least.
    #[must_use]
    pub fn look_every(&self) -> Duration {
        let limits = [self.say, self.end].into_iter().filter(|limit| !limit.is_zero());
        let shortest = limits.min().unwrap_or(Duration::MAX);
        (shortest / 4).clamp(Duration::from_millis(5), Duration::from_secs(1))
    }
}

/// The watcher's time: what has passed while it was there to look.
#[derive(Clone, Copy, Debug)]
pub struct Watched {
    last: Instant,
    step_max: Duration,
    /// Since the first look.
    pub passed: Duration,
}

impl Watched {
    /// Begins.
    #[must_use]
    pub fn new(now: Instant, limits: &Limits) -> Watched {
        Watched { last: now, step_max: 2 * limits.look_every(), passed: Duration::ZERO }
    }

    /// It is now this late.
    pub fn advance(&mut self, now: Instant) {
        let step = now.saturating_duration_since(self.last).min(self.step_max);
        (self.last, self.passed) = (now, self.passed + step);
    }
}

/// What a look has found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found {
    /// Nothing new.
    Nothing,
    /// The stage has worked on one batch for this long: it is said once.
    Stands(Duration),
    /// It had stood for this long, and goes on.
    GoesOn(Duration),
    /// It has stood for so long that the process should end.
    Ends(Duration),
}

/// What is remembered of a stage from look to look.
#[derive(Clone, Copy, Debug, Default)]
pub struct Standing {
    beat: u64,
    since: Duration,
    is_said: bool,
}

impl Standing {
    /// Looks at the stage, with `passed` on the watcher's clock.
    pub fn look(&mut self, sight: &Sight, passed: Duration, limits: &Limits) -> Found {
        let stood = passed.saturating_sub(self.since);
        if sight.beat != self.beat || sight.doing != Doing::Works {
            let was_said = self.is_said;
            *self = Standing { beat: sight.beat, since: passed, is_said: false };
            return if was_said { Found::GoesOn(stood) } else { Found::Nothing };
        }
        let is_over = |limit: Duration| !limit.is_zero() && stood >= limit;
        if is_over(limits.end) {
            Found::Ends(stood)
        } else if is_over(limits.say) && !self.is_said {
            self.is_said = true;
            Found::Stands(stood)
        } else {
            Found::Nothing
        }
    }

    /// Whether it was said that the stage stands still.
    #[must_use]
    pub fn is_said(&self) -> bool {
        self.is_said
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: fn(u64) -> Duration = Duration::from_millis;
    use Doing::{Rests, WaitsForNext, WaitsForSink, Works};
    use Found::{Ends, GoesOn, Nothing, Stands};

    /// At each of these times, in milliseconds, the stage is at this beat, does this, and this is
    /// found.
    fn holds(limits: [u64; 2], looks: &[(u64, u64, Doing, Found)]) {
        let limits = Limits { say: MS(limits[0]), end: MS(limits[1]) };
        let mut standing = Standing::default();
        for &(at_ms, beat, doing, expected) in looks {
            let sight = Sight { beat, doing, ..Sight::default() };
            let found = standing.look(&sight, MS(at_ms), &limits);
            assert_eq!(found, expected, "at {at_ms} of {looks:?}");
        }
    }

    #[test]
    fn a_stage_that_stands_is_said_once_and_once_more_when_it_goes_on() {
        let work = |at_ms, beat, found| (at_ms, beat, Works, found);
        holds(
            [100, 0],
            &[
                work(0, 1, Nothing),
                work(99, 1, Nothing),
                work(100, 1, Stands(MS(100))),
                work(900, 1, Nothing),
                (950, 2, Rests, GoesOn(MS(950))),
                work(960, 3, Nothing),
                work(1059, 3, Nothing),
                work(1060, 3, Stands(MS(100))),
                // The next batch stands as well: both are said.
                work(1100, 4, GoesOn(MS(140))),
                work(1200, 4, Stands(MS(100))),
            ],
        );
    }

    #[test]
    fn one_that_moves_on_or_waits_for_others_does_not_stand() {
        holds(
            [100, 200],
            &[(0, 1, Works, Nothing), (99, 2, Works, Nothing), (198, 3, Works, Nothing)],
        );
        for waits in [Rests, WaitsForNext, WaitsForSink, Doing::WaitsForRecords] {
            holds([100, 200], &[(0, 1, waits, Nothing), (5000, 1, waits, Nothing)]);
            // What it does then counts from then on.
            holds(
                [100, 0],
                &[(0, 1, waits, Nothing), (500, 2, Works, Nothing), (599, 2, Works, Nothing)],
            );
        }
    }

    #[test]
    fn the_end_comes_where_it_is_asked_for_and_nothing_where_not() {
        let stands = |at_ms, found| (at_ms, 1, Works, found);
        holds([0, 0], &[stands(0, Nothing), stands(1 << 40, Nothing)]);
        holds(
            [100, 300],
            &[
                stands(0, Nothing),
                stands(150, Stands(MS(150))),
                stands(299, Nothing),
                stands(300, Ends(MS(300))),
            ],
        );
        holds([100, 100], &[stands(0, Nothing), stands(100, Ends(MS(100)))]);
    }

    #[test]
    fn time_in_which_nobody_looked_does_not_count() {
        let limits = Limits { say: Duration::from_secs(30), end: Duration::ZERO };
        assert_eq!(limits.look_every(), Duration::from_secs(1));
        let start = Instant::now();
        let mut watched = Watched::new(start, &limits);
        for second in 1..=10 {
            watched.advance(start + Duration::from_secs(second));
        }
        assert_eq!(watched.passed, Duration::from_secs(10));
        watched.advance(start + Duration::from_secs(3610));
        assert_eq!(watched.passed, Duration::from_secs(12));
        let both = |say, end| Limits { say: MS(say), end: MS(end) }.look_every();
        assert_eq!([both(400, 0), both(0, 200), both(1, 0)], [MS(100), MS(50), MS(5)]);
    }
}
