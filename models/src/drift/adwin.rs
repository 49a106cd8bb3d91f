//! ADWIN: a window that grows while the mean of its values stands, and drops its old part when the
//! mean of a newer part is another.
//!
//! # Formula
//! Bifet and Gavalda, "Learning from Time-Changing Data with Adaptive Windowing" (2007). For each
//! cut of the window of `n` values into an older part of `n0` and a newer part of `n1`:
//! `1/m = 1/n0 + 1/n1`, `L = ln(2 ln n / delta)`, and the oldest bucket is dropped while at some
//! cut `|mean0 - mean1| > sqrt(2/m * variance * L) + 2/(3 m) * L`, where `variance` is that of the
//! whole window. `ln n` in place of the `n` of the proof is the paper's own practice, and what
//! MOA and River do. The second term is that of values in `0..=1`; others are divided by their
//! range first.
//!
//! # Memory
//! The window is an exponential histogram (Datar and others, 2002): at most [`BUCKETS`] buckets of
//! each power of two, so that only the cuts between buckets are tried, about `5 log2(n / 5)` of
//! them. At most [`ROWS_MAX`] powers: 104 bytes each, 3.3 KB in all, for a window of up to
//! 2 * 10^10 values; of a longer one the oldest bucket is dropped without an alarm.
//!
//! # Cost
//! Cuts are tried at every 32nd value, as in MOA, so that an alarm comes up to 31 values later.

use std::io;

use pelton_kernels::math::ln;
use pelton_kernels::state::{StateReader, StateWriter, invalid};

/// Buckets of one size: with one more, the two oldest become one of twice the size.
pub const BUCKETS: usize = 5;
/// Sizes of buckets.
pub const ROWS_MAX: usize = 32;
/// Larger values are refused: the squares of their sums would not be finite.
pub const VALUE_MAX: f64 = 1e100;

/// Values between two looks at the cuts.
const PERIOD: u64 = 32;
/// Each side of a cut has at least so many values.
const SIDE_MIN: u64 = 5;

/// The window, its sums, and how sure an alarm has to be.
#[derive(Clone, Debug, PartialEq)]
pub struct Adwin {
    delta: f64,
    /// Buckets of `2^index` values; the last row is not empty.
    rows: Vec<Row>,
    rows_max: usize,
    width: u64,
    sum: f64,
    seen: u64,
}

/// Buckets of one size, the oldest first.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Row {
    buckets: [Bucket; BUCKETS + 1],
    length: usize,
}

/// Values side by side.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Bucket {
    sum: f64,
    /// Sum of the squared distances from their mean.
    squares: f64,
}

impl Adwin {
    /// An empty window; `delta`, in `(0, 1)`, bounds the chance that an alarm is false (.002 is the
    /// paper's and everyone's). One outside is taken as the nearest inside.
    #[must_use]
    pub fn new(delta: f64) -> Adwin {
        let delta = delta.clamp(1e-30, 1.0 - f64::EPSILON);
        Adwin { delta, rows: Vec::new(), rows_max: ROWS_MAX, width: 0, sum: 0.0, seen: 0 }
    }

    /// Takes in a value; whether the old part of the window has been dropped because its mean is
    /// another. The mean has risen if [`Adwin::mean`] is more than before the call. A value that
    /// is not finite, or beyond [`VALUE_MAX`], changes nothing.
    pub fn update(&mut self, value: f64) -> bool {
        // NaN is not within either.
        if !(-VALUE_MAX..=VALUE_MAX).contains(&value) {
            return false;
        }
        self.insert(Bucket { sum: value, squares: 0.0 });
        self.width += 1;
        self.sum += value;
        self.seen += 1;
        self.seen.is_multiple_of(PERIOD) && self.shrink()
    }

    /// Mean of the values in the window; 0 of none.
    #[must_use]
    pub fn mean(&self) -> f64 {
        if self.width == 0 { 0.0 } else { self.sum / self.width as f64 }
    }

    /// Their variance; 0 of none.
    #[must_use]
    pub fn variance(&self) -> f64 {
        let (mean, mut squares) = (self.mean(), 0.0);
        for (power, row) in self.rows.iter().enumerate().rev() {
            let (size, inverse) = ((1_u64 << power) as f64, inverse_of_power(power));
            for bucket in row.held() {
                let miss = bucket.sum * inverse - mean;
                squares += bucket.squares + miss * miss * size;
            }
        }
        if self.width == 0 { 0.0 } else { squares / self.width as f64 }
    }

    /// How many values it holds.
    #[must_use]
    pub fn width(&self) -> u64 {
        self.width
    }

    /// Bytes of memory.
    #[must_use]
    pub fn byte_count(&self) -> usize {
        size_of::<Adwin>() + self.rows.capacity() * size_of::<Row>()
    }

    fn oldest_first(&self) -> impl Iterator<Item = (u64, Bucket)> {
        let rows = self.rows.iter().enumerate().rev();
        rows.flat_map(|(power, row)| row.held().iter().map(move |bucket| (1 << power, *bucket)))
    }

    /// Takes in one value as a bucket; two of a full row go together to the next.
    fn insert(&mut self, mut bucket: Bucket) {
        for power in 0.. {
            if power == self.rows.len() {
                self.rows.push(Row::default());
            }
            let row = &mut self.rows[power];
            row.buckets[row.length] = bucket;
            row.length += 1;
            if row.length <= BUCKETS {
                return;
            }
            let [first, second] = [row.buckets[0], row.buckets[1]];
            if power + 1 == self.rows_max {
                row.drop_oldest(1);
                self.width -= 1 << power;
                self.sum -= first.sum;
                return;
            }
            row.drop_oldest(2);
            let apart = first.sum - second.sum;
            let between = apart * apart * inverse_of_power(power + 1);
            let squares = first.squares + second.squares + between;
            bucket = Bucket { sum: first.sum + second.sum, squares };
        }
    }

    /// Drops the oldest buckets while a newer part is unlike them; whether it did.
    fn shrink(&mut self) -> bool {
        let mut is_shrunk = false;
        while self.has_cut() {
            let Some(row) = self.rows.last_mut() else { break };
            row.drop_oldest(1);
            self.width -= 1 << (self.rows.len() - 1);
            while self.rows.last().is_some_and(|row| row.length == 0) {
                self.rows.pop();
            }
            self.sum = self.oldest_first().fold(0.0, |sum, (_, bucket)| sum + bucket.sum);
            is_shrunk = true;
        }
        is_shrunk
    }

    /// Whether the means of both sides of a cut are further apart than chance allows.
    fn has_cut(&self) -> bool {
        if self.width < 2 * SIDE_MIN {
            return false;
        }
        let confidence = ln(2.0 * ln(self.width as f64) / self.delta);
        // Both sides of the formula times `n0 n1`, and the root on the other side: no division.
        let all = self.width as f64;
        let (spread, least) =
            (2.0 * self.variance() * confidence * all, 2.0 / 3.0 * all * confidence);
        let (mut older, mut older_sum) = (0, 0.0);
        for (power, row) in self.rows.iter().enumerate().rev() {
            for bucket in row.held() {
                older += 1 << power;
                older_sum += bucket.sum;
                let newer = self.width - older;
                let beyond = (older_sum * all - self.sum * older as f64).abs() - least;
                let has_sides = older >= SIDE_MIN && newer >= SIDE_MIN;
                let bound = spread * (older as f64 * newer as f64);
                if beyond > 0.0 && beyond * beyond > bound && has_sides {
                    return true;
                }
            }
        }
        false
    }

    /// Writes the window.
    ///
    /// # Errors
    /// Those of the writer.
    pub fn write(&self, state: &mut StateWriter<'_>) -> io::Result<()> {
        state.slice(&[self.delta, self.sum])?;
        state.put(self.seen)?;
        state.length(self.rows.len())?;
        self.rows.iter().try_for_each(|row| {
            state.length(row.length)?;
            state.each(row.held().iter().map(|bucket| [bucket.sum, bucket.squares]))
        })
    }

    /// Reads what [`Adwin::write`] wrote of one with the same `delta`; unchanged on an error.
    ///
    /// # Errors
    /// Those of the reader; `InvalidData` for what cannot have been written.
    pub fn read(&mut self, state: &mut StateReader<'_>) -> io::Result<()> {
        state.expect(&[self.delta], "the window had another delta")?;
        let mut read = Adwin { rows_max: self.rows_max, ..Adwin::new(self.delta) };
        read.sum = state.get()?;
        read.seen = state.get()?;
        for power in 0..state.length(self.rows_max)? {
            let length = state.length(BUCKETS)?;
            let mut row = Row { length, ..Row::default() };
            for bucket in &mut row.buckets[..length] {
                let [sum, squares] = state.get()?;
                *bucket = Bucket { sum, squares };
            }
            read.width += (length as u64) << power;
            read.rows.push(row);
        }
        let is_legal = |(size, bucket): (u64, Bucket)| {
            bucket.sum.abs() <= VALUE_MAX * size as f64
                && (0.0..=VALUE_MAX * VALUE_MAX * size as f64).contains(&bucket.squares)
        };
        let is_whole = read.rows.iter().all(|row| row.length > 0)
            && read.oldest_first().all(is_legal)
            && read.sum.abs() <= 2.0 * VALUE_MAX * read.width as f64
            && read.width <= read.seen;
        if !is_whole {
            return Err(invalid("a window of drift is not one"));
        }
        *self = read;
        Ok(())
    }
}

impl Row {
    fn held(&self) -> &[Bucket] {
        &self.buckets[..self.length]
    }

    fn drop_oldest(&mut self, count: usize) {
        self.buckets.copy_within(count..self.length, 0);
        self.length -= count;
        self.buckets[self.length..].fill(Bucket::default());
    }
}

/// `2^-power`, which is exact.
fn inverse_of_power(power: usize) -> f64 {
    f64::from_bits((1023 - power as u64) << 52)
}

#[cfg(test)]
mod tests;
