//! How many rows a batch may have, and how long it may wait for them, so that a record is scored
//! within a budget: from what batches have cost on this device, not from a constant.
//!
//! A batch of n rows costs `a + b n` seconds; both are fitted to the batches so far, newer ones
//! counting for more (least squares with exponential weights). A record waits for its batch to
//! close, then at most for one batch that is under way, then for its own. So a batch may have the
//! rows of which two cost three quarters of the budget, and wait for what two of them leave of it.
//!
//! Compute notes, ingest asks; what passes between them is two numbers. Where batches are cut
//! changes no result. What this does not do: answer for what waits in Kafka before it is read, or
//! on its way out.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use crate::config::BatchConfig;

/// What the newest batch counts for.
const WEIGHT: f64 = 0.05;
/// The part of the budget that two batches may cost.
const SHARE: f64 = 0.75;

/// What ingest asks before each batch.
#[derive(Clone, Debug)]
pub struct Pace(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    rows: AtomicUsize,
    linger_ns: AtomicU64,
}

/// What compute notes behind each batch.
#[derive(Debug)]
pub struct Meter {
    pace: Pace,
    rows_max: usize,
    linger: Duration,
    /// None: batches are as large, and wait as long, as the settings say.
    budget: Option<Duration>,
    /// Averages of rows, seconds, rows squared, rows times seconds.
    means: Option<[f64; 4]>,
}

impl Meter {
    /// For these settings; nothing is known of what batches cost.
    #[must_use]
    pub fn new(config: &BatchConfig) -> Meter {
        let linger = Duration::from_millis(config.linger_ms.unsigned_abs());
        let budget = Duration::from_millis(config.budget_ms.unsigned_abs());
        let budget = (!budget.is_zero()).then_some(budget);
        let pace = Pace(Arc::new(Shared {
            rows: AtomicUsize::new(config.rows_max),
            linger_ns: AtomicU64::new(nanoseconds(linger)),
        }));
        let meter = Meter { pace, rows_max: config.rows_max, linger, budget, means: None };
        meter.publish([0.0; 2]);
        meter
    }

    /// What ingest is to ask.
    #[must_use]
    pub fn pace(&self) -> Pace {
        self.pace.clone()
    }

    /// A batch of `rows` rows took so long.
    pub fn note(&mut self, rows: usize, took: Duration) {
        if self.budget.is_none() {
            return;
        }
        let (rows, seconds) = (rows as f64, took.as_secs_f64());
        let now = [rows, seconds, rows * rows, rows * seconds];
        let means = self.means.get_or_insert(now);
        means.iter_mut().zip(now).for_each(|(mean, now)| *mean += WEIGHT * (now - *mean));
        let costs = fit(*means);
        self.publish(costs);
    }

    fn publish(&self, [fixed, each]: [f64; 2]) {
        let Some(budget) = self.budget else { return };
        let most = budget.as_secs_f64() * SHARE / 2.0;
        let fitting = if each > 0.0 { (most - fixed) / each } else { self.rows_max as f64 };
        // A float beyond the range, or below it, is cut to it.
        let rows = (fitting as usize).clamp(1, self.rows_max);
        let two = 2.0 * (fixed + each * rows as f64);
        let left = Duration::try_from_secs_f64(budget.as_secs_f64() - two).unwrap_or_default();
        // Before anything is known half of it is kept for the batches.
        let left = if fixed + each > 0.0 { left } else { budget / 2 };
        self.pace.0.rows.store(rows, Ordering::Relaxed);
        self.pace.0.linger_ns.store(nanoseconds(left.min(self.linger)), Ordering::Relaxed);
    }
}

impl Pace {
    /// A pace that nothing changes.
    #[must_use]
    pub fn steady(rows_max: usize, linger_ms: i64) -> Pace {
        let linger = Duration::from_millis(linger_ms.unsigned_abs());
        let linger_ns = AtomicU64::new(nanoseconds(linger));
        Pace(Arc::new(Shared { rows: AtomicUsize::new(rows_max), linger_ns }))
    }

    /// Most rows of the next batch.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.0.rows.load(Ordering::Relaxed)
    }

    /// Longest wait for a further record once it holds one.
    #[must_use]
    pub fn linger(&self) -> Duration {
        Duration::from_nanos(self.0.linger_ns.load(Ordering::Relaxed))
    }
}

fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// Costs of a batch and of each of its rows, neither negative.
fn fit([rows, seconds, squares, products]: [f64; 4]) -> [f64; 2] {
    let (spread, together) = (squares - rows * rows, products - rows * seconds);
    // Batches of one size say nothing of what a row costs by itself.
    let is_spread = spread > 1e-3 * rows * rows;
    let each = if is_spread { (together / spread).max(0.0) } else { seconds / rows.max(1.0) };
    let each = each.min(seconds / rows.max(1.0));
    [(seconds - each * rows).max(0.0), each]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn meter(budget_ms: i64) -> Meter {
        let (rows_max, bytes_max, linger_ms) = (4096, 1 << 20, 50);
        Meter::new(&BatchConfig { rows_max, bytes_max, linger_ms, budget_ms, csv_delimiter: b',' })
    }

    /// Batches of the size that is asked for, now and then a smaller one, on a device where they
    /// cost so many microseconds; the rows and the wait that come of it.
    fn settled(meter: &mut Meter, fixed: u64, each: u64) -> (usize, Duration) {
        let pace = meter.pace();
        for batch in 0..400 {
            let rows = if batch % 3 == 0 { pace.rows().div_ceil(4) } else { pace.rows() };
            meter.note(rows, Duration::from_micros(fixed + each * rows as u64));
        }
        (pace.rows(), pace.linger())
    }

    #[test]
    fn without_a_budget_the_settings_hold() {
        let mut meter = meter(0);
        assert_eq!(settled(&mut meter, 500, 10), (4096, Duration::from_millis(50)));
    }

    #[test]
    fn batches_shrink_and_wait_until_two_of_them_fit() {
        // Of 10 ms two batches may cost 7.5, and what they leave may be waited for.
        let (rows, linger) = settled(&mut meter(10), 250, 10);
        assert!((330..=350).contains(&rows), "{rows}");
        assert!((2.4..2.7).contains(&(linger.as_secs_f64() * 1e3)), "{linger:?}");
        // A device that is quick keeps the rows it may have, and waits longer.
        let (rows, linger) = settled(&mut meter(10), 20, 0);
        assert!(rows == 4096 && linger > Duration::from_millis(9), "{rows}, {linger:?}");
        // One on which a batch of one row costs too much still goes on, and waits for nobody.
        let (rows, linger) = settled(&mut meter(1), 5000, 10);
        assert_eq!((rows, linger), (1, Duration::ZERO));
    }

    #[test]
    fn it_follows_a_device_that_becomes_slower() {
        let mut meter = meter(10);
        let (before, _) = settled(&mut meter, 100, 2);
        let (after, _) = settled(&mut meter, 100, 20);
        assert!(before > 1700 && (160..200).contains(&after), "{before}, then {after}");
    }

    #[test]
    fn nothing_known_waits_half_the_budget_at_most() {
        assert_eq!(meter(10).pace().linger(), Duration::from_millis(5));
        assert_eq!(meter(1000).pace().linger(), Duration::from_millis(50));
    }
}
