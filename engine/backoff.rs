//! How long to wait before something that has failed is tried again.
//!
//! The wait doubles with each failure up to a limit, and half of it is left to chance, so that
//! many who failed together do not come back together. Nothing here sleeps or looks at a clock:
//! chance is an argument, and what is returned is only a length of time.

use std::time::Duration;

/// Waits between attempts: the n-th (from 0) is between half of `first * 2^n` and all of it, and
/// no `first * 2^n` counts as more than `most`.
#[derive(Clone, Debug)]
pub struct Backoff {
    first: Duration,
    most: Duration,
    attempts_max: Option<u32>,
    attempts: u32,
}

impl Backoff {
    /// Goes on for ever.
    #[must_use]
    pub fn new(first: Duration, most: Duration) -> Backoff {
        Backoff { first, most, attempts_max: None, attempts: 0 }
    }

    /// Gives up after so many waits.
    #[must_use]
    pub fn at_most(self, attempts: u32) -> Backoff {
        Backoff { attempts_max: Some(attempts), ..self }
    }

    /// The wait before the next attempt; `None` when there have been enough. `random` is uniform in
    /// `0..1`.
    pub fn next(&mut self, random: f64) -> Option<Duration> {
        if self.attempts_max.is_some_and(|most| self.attempts >= most) {
            return None;
        }
        let doubled = 2_u32.checked_pow(self.attempts).and_then(|n| self.first.checked_mul(n));
        let whole = doubled.map_or(self.most, |wait| wait.min(self.most));
        self.attempts = self.attempts.saturating_add(1);
        let half = whole / 2;
        Some(half + half.mul_f64(random.clamp(0.0, 1.0)))
    }

    /// Waits that were given out since the start or the last success.
    #[must_use]
    pub fn attempts(&self) -> u32 {
        self.attempts
    }

    /// It has worked: the next failure waits as the first one did.
    pub fn reset(&mut self) {
        self.attempts = 0;
    }
}

/// The chance in a wait: a sequence of numbers that a seed decides.
#[derive(Clone, Debug)]
pub struct Jitter(u64);

impl Jitter {
    /// The sequence of this seed.
    #[must_use]
    pub fn new(seed: u64) -> Jitter {
        Jitter(seed)
    }

    /// A sequence that other processes do not have. No score or weight depends on it.
    #[must_use]
    pub fn of_this_process() -> Jitter {
        let started = std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default();
        let nanoseconds = started.as_nanos() as u64;
        Jitter(nanoseconds ^ (u64::from(std::process::id()) << 32))
    }

    /// The next number, uniform in `0..1`.
    pub fn unit(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        (pelton_kernels::hash::mix64(self.0) >> 11) as f64 / (1_u64 << 53) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: fn(u64) -> Duration = Duration::from_millis;

    #[test]
    fn waits_double_up_to_the_limit_and_start_again_after_a_success() {
        let mut backoff = Backoff::new(MS(100), MS(1000));
        let mut wait = |random| backoff.next(random).unwrap().as_millis();
        assert_eq!(
            [wait(1.0), wait(1.0), wait(1.0), wait(1.0), wait(1.0)],
            [100, 200, 400, 800, 1000]
        );
        assert_eq!([wait(0.0), wait(0.5)], [500, 750], "half is certain, half is chance");
        backoff.reset();
        assert_eq!(backoff.next(0.0), Some(MS(50)));
    }

    #[test]
    fn there_is_an_end_where_one_is_set() {
        let mut backoff = Backoff::new(MS(1), MS(8)).at_most(3);
        assert_eq!((0..5).filter_map(|_| backoff.next(0.3)).count(), 3);
        assert_eq!(backoff.attempts(), 3);
        let mut patient = Backoff::new(MS(1), MS(8));
        assert_eq!((0..5000).filter_map(|_| patient.next(1.0)).max(), Some(MS(8)));
    }

    #[test]
    fn every_wait_is_within_the_formula() {
        let mut jitter = Jitter::new(7);
        for first in [1, 3, 250] {
            let mut backoff = Backoff::new(MS(first), MS(60_000));
            for n in 0..64 {
                let whole = (first as f64 * f64::from(n).exp2()).min(60_000.0);
                let wait = backoff.next(jitter.unit()).unwrap().as_secs_f64() * 1000.0;
                assert!((whole / 2.0 - 1e-6..=whole + 1e-6).contains(&wait), "{n}: {wait}");
            }
        }
    }

    #[test]
    fn chance_is_even_and_the_seeds_own() {
        let draw = |seed| {
            let mut jitter = Jitter::new(seed);
            Vec::from_iter((0..4000).map(|_| jitter.unit()))
        };
        let drawn = draw(1);
        assert_eq!(drawn, draw(1));
        assert_ne!(drawn, draw(2));
        for tenth in 0..10 {
            let low = f64::from(tenth) / 10.0;
            let count = drawn.iter().filter(|x| (low..low + 0.1).contains(x)).count();
            assert!((300..500).contains(&count), "{count} of 4000 in {low}..");
        }
    }
}
