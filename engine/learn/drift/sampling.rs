//! Which rows are looked at, and where windows of them end.
//!
//! Rows are gathered in runs; eight are a window. A run lasts an eighth of the window's event time,
//! and longer where that has too few rows. Of many rows one in `stride`, a power of two, is taken:
//! by a hash of its number in the stream, so that nothing periodic is seen in one phase only. The
//! stride follows the rows of the run before, so that looking costs about the same however fast a
//! stream is; a row counts for as many as it stands for.

use std::io;

use pelton_kernels::hash::mix64;
use pelton_kernels::state::{StateReader, StateWriter, invalid};

use crate::config::drift::DriftConfig;

/// Runs of a window.
pub const PARTS: usize = 8;

const SALT: u64 = 0x6472_6966_7421_9e37;
/// One in more than this is never asked for.
const STRIDE_MAX: u64 = 1 << 40;
/// So many rows and times are never reached.
const FAR: u64 = 1 << 60;

/// Rows taken in a run, by what they stand for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Weight {
    rows: u64,
    squares: u64,
}

/// The run that goes on, and the weights of those before.
#[derive(Clone, Debug, PartialEq)]
pub struct Sampling {
    run_ms: i64,
    run_rows: u64,
    /// Event time when the first row was taken; none before.
    first_ms: Option<i64>,
    began_ms: i64,
    taken: u64,
    /// Rows taken at which the stride doubles, so that a sudden flood costs little.
    double_at: u64,
    stride: u64,
    /// Event time at which the stride is halved, if the run lacks rows by then.
    halve_at_ms: i64,
    runs: u64,
    weights: [Weight; PARTS],
}

impl Sampling {
    /// Before the first row.
    pub fn new(config: &DriftConfig) -> Sampling {
        let run_rows = config.window_rows.div_ceil(PARTS as u64);
        Sampling {
            run_ms: config.window_ms / PARTS as i64,
            run_rows,
            first_ms: None,
            began_ms: 0,
            taken: 0,
            double_at: 2 * run_rows,
            stride: 1,
            halve_at_ms: i64::MAX,
            runs: 0,
            weights: [Weight::default(); PARTS],
        }
    }

    /// Event time has come this far: where a flood is over, more of the few rows are taken.
    #[inline]
    pub fn pass(&mut self, now_ms: i64) {
        if now_ms >= self.halve_at_ms {
            self.halve_at_ms = now_ms.saturating_add(self.run_ms);
            if self.taken < self.run_rows && self.stride > 1 {
                self.stride /= 2;
            }
        }
    }

    /// Whether the row of this number in the stream is looked at.
    #[inline]
    pub fn is_taken(&self, number: u64) -> bool {
        mix64(number ^ SALT) & (self.stride - 1) == 0
    }

    /// Whether the run ends before a row that is taken now.
    pub fn has_ended(&self, now_ms: i64) -> bool {
        self.taken >= self.run_rows && now_ms.saturating_sub(self.began_ms) >= self.run_ms
    }

    /// A row is taken.
    pub fn take(&mut self, now_ms: i64) {
        if self.first_ms.is_none() {
            (self.first_ms, self.began_ms) = (Some(now_ms), now_ms);
            self.halve_at_ms = now_ms.saturating_add(self.run_ms);
        }
        if self.taken == self.double_at {
            (self.stride, self.double_at) = (self.stride * 2, self.taken + self.run_rows);
            self.stride = self.stride.min(STRIDE_MAX);
        }
        self.taken += 1;
        let part = self.part();
        self.weights[part].rows += self.stride;
        self.weights[part].squares += self.stride * self.stride;
    }

    /// The part of the window that is being filled.
    pub fn part(&self) -> usize {
        (self.runs % PARTS as u64) as usize
    }

    /// Rows for which one that is taken stands.
    pub fn stride(&self) -> u64 {
        self.stride
    }

    /// Event time since the first row.
    pub fn since_ms(&self, now_ms: i64) -> i64 {
        self.first_ms.map_or(0, |first_ms| now_ms.saturating_sub(first_ms))
    }

    /// By this the weights of a window are as many independent rows: `sum w / sum w^2`.
    pub fn per_row(&self) -> f64 {
        let rows: u64 = self.weights.iter().map(|weight| weight.rows).sum();
        let squares: u64 = self.weights.iter().map(|weight| weight.squares).sum();
        rows as f64 / squares.max(1) as f64
    }

    /// Ends the run; the part of the window that is filled next.
    pub fn end_run(&mut self, now_ms: i64) -> usize {
        let rows = self.weights[self.part()].rows;
        let lasted_ms = now_ms.saturating_sub(self.began_ms).max(1);
        // Rows of a run that lasts as long as it should.
        let expected = rows as f64 * (self.run_ms.max(1) as f64 / lasted_ms as f64);
        let wanted = expected / self.run_rows as f64;
        self.stride = 1;
        while self.stride < STRIDE_MAX && (2 * self.stride) as f64 <= wanted {
            self.stride *= 2;
        }
        (self.taken, self.double_at, self.began_ms) = (0, 2 * self.run_rows, now_ms);
        self.halve_at_ms = now_ms.saturating_add(self.run_ms);
        self.runs += 1;
        let part = self.part();
        self.weights[part] = Weight::default();
        part
    }

    /// Writes it.
    pub fn write(&self, state: &mut StateWriter<'_>) -> io::Result<()> {
        state.put(u8::from(self.first_ms.is_some()))?;
        state.slice(&[self.first_ms.unwrap_or(0), self.began_ms, self.halve_at_ms])?;
        state.slice(&[self.taken, self.double_at, self.stride, self.runs])?;
        state.each(self.weights.iter().map(|weight| [weight.rows, weight.squares]))
    }

    /// Reads what [`Sampling::write`] wrote under the same settings.
    pub fn read(&mut self, state: &mut StateReader<'_>) -> io::Result<()> {
        let has_first = state.get::<u8>()? == 1;
        let [first_ms, began_ms, halve_at_ms] = state.get()?;
        self.halve_at_ms = halve_at_ms;
        [self.taken, self.double_at, self.stride, self.runs] = state.get()?;
        (self.first_ms, self.began_ms) = (has_first.then_some(first_ms), began_ms);
        for weight in &mut self.weights {
            let [rows, squares] = state.get()?;
            *weight = Weight { rows, squares };
        }
        let counts = [self.taken, self.double_at, self.runs];
        let weights = self.weights.iter().flat_map(|weight| [weight.rows, weight.squares]);
        let is_far = counts.into_iter().chain(weights).any(|count| count > FAR / 8);
        if is_far || !self.stride.is_power_of_two() || self.stride > STRIDE_MAX {
            return Err(invalid("more rows were looked at than there can be"));
        }
        Ok(())
    }
}
