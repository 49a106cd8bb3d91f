//! Running statistics of one number column, for imputation and outliers.

use std::collections::HashMap;

use pelton_kernels::fixed::{self, U256};

/// Count, sum and sum of squares as exact integers, so that they do not depend on batch cuts.
#[derive(Clone, Copy, Debug, Default)]
pub struct RunningMoments {
    pub(super) count: u64,
    pub(super) sum: i128,
    pub(super) squares: U256,
}

/// Deviations are not believed before so many values.
const COUNT_MIN: u64 = 30;

impl RunningMoments {
    /// Counts a finite value in.
    pub fn add(&mut self, value: f32) {
        self.count += 1;
        let (value, _) = fixed::admit(value);
        let quantized = fixed::quantize(value);
        self.sum += quantized;
        self.squares = self.squares.plus(U256::square(quantized));
    }

    /// The mean of the values so far; 0 before the first.
    pub fn mean(&self) -> f32 {
        if self.count == 0 { 0.0 } else { fixed::mean(self.count, self.sum) as f32 }
    }

    /// `mean -+ sigma` deviations; none before a few values are known.
    pub fn bounds(&self, sigma: f32) -> Option<(f32, f32)> {
        if self.count < COUNT_MIN {
            return None;
        }
        let mean = fixed::mean(self.count, self.sum);
        let reach = f64::from(sigma) * fixed::deviation(self.count, self.sum, self.squares);
        Some(((mean - reach) as f32, (mean + reach) as f32))
    }
}

/// The last value seen with each key, for about the `keys_max` newest keys.
///
/// Two generations: a full young one becomes the old one, whose keys come back when they are used.
#[derive(Debug)]
pub struct LastSeen {
    keys_max: usize,
    pub(super) young: HashMap<u64, f32>,
    pub(super) old: HashMap<u64, f32>,
}

impl LastSeen {
    /// No key seen.
    pub fn new(keys_max: usize) -> LastSeen {
        LastSeen { keys_max, young: HashMap::new(), old: HashMap::new() }
    }

    /// The last value of the key.
    pub fn get(&self, key: u64) -> Option<f32> {
        self.young.get(&key).or_else(|| self.old.get(&key)).copied()
    }

    /// Remembers a value; the missing key (0) has none.
    pub fn put(&mut self, key: u64, value: f32) {
        if key == 0 {
            return;
        }
        if self.young.len() >= self.keys_max.div_ceil(2) && !self.young.contains_key(&key) {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(key, value);
    }
}

/// Two running quantiles from a histogram over the order-preserving bits of a float.
///
/// A bin holds the values that share sign, exponent and 7 bits of mantissa, so a quantile is off
/// by less than 1/128 of its own size, however long the stream.
pub struct RunningQuantiles {
    bins: Vec<u64>,
    total: u64,
    low: Cursor,
    high: Cursor,
}

/// A bin, and how many values lie below it.
struct Cursor {
    fraction: f64,
    bin: usize,
    below: u64,
}

/// Bins of a histogram.
pub const BINS: usize = 1 << 16;
/// Ranks are exact in double precision up to here.
const TOTAL_MAX: u64 = 1 << 53;
const QUANTILE_COUNT_MIN: u64 = 100;

impl RunningQuantiles {
    /// No values yet.
    pub fn new(low: f32, high: f32) -> RunningQuantiles {
        let cursor = |fraction: f32| Cursor { fraction: f64::from(fraction), bin: 0, below: 0 };
        RunningQuantiles { bins: vec![0; BINS], total: 0, low: cursor(low), high: cursor(high) }
    }

    /// How many values each bin holds: all there is to know of them.
    pub fn bins(&self) -> &[u64] {
        &self.bins
    }

    /// The same values again, told by their bins; `None` if they are more than can be counted.
    pub fn set_bins(&mut self, bins: Vec<u64>) -> Option<()> {
        let total = bins.iter().try_fold(0_u64, |total, count| total.checked_add(*count));
        let total = total.filter(|&total| total <= TOTAL_MAX && bins.len() == BINS)?;
        (self.bins, self.total) = (bins, total);
        for cursor in [&mut self.low, &mut self.high] {
            (cursor.bin, cursor.below) = (0, 0);
            if total > 0 {
                cursor.settle(&self.bins, total);
            }
        }
        Some(())
    }

    /// Counts a finite value in.
    pub fn add(&mut self, value: f32) {
        let bin = bin_of(value);
        self.bins[bin] += 1;
        self.total += 1;
        for cursor in [&mut self.low, &mut self.high] {
            cursor.below += u64::from(bin < cursor.bin);
            cursor.settle(&self.bins, self.total);
        }
    }

    /// The two quantiles; none before a hundred values are known.
    pub fn bounds(&self) -> Option<(f32, f32)> {
        (self.total >= QUANTILE_COUNT_MIN)
            .then(|| (edges_of(self.low.bin).0, edges_of(self.high.bin).1))
    }
}

impl Cursor {
    /// Moves to the bin that holds the value of this rank. Each step crosses one bin; as values
    /// come one at a time, steps are few.
    fn settle(&mut self, bins: &[u64], total: u64) {
        let rank = (self.fraction * (total - 1) as f64) as u64;
        while rank < self.below {
            self.bin -= 1;
            self.below -= bins[self.bin];
        }
        while rank >= self.below + bins[self.bin] {
            self.below += bins[self.bin];
            self.bin += 1;
        }
    }
}

/// The upper 16 bits of the float, in the order of the values.
fn bin_of(value: f32) -> usize {
    let bits = value.to_bits();
    let ordered = if bits >> 31 == 1 { !bits } else { bits | 1 << 31 };
    (ordered >> 16) as usize
}

/// The least and the largest value of a bin.
fn edges_of(bin: usize) -> (f32, f32) {
    let value = |ordered: u32| {
        f32::from_bits(if ordered >> 31 == 1 { ordered & !(1 << 31) } else { !ordered })
    };
    let first = (bin as u32) << 16;
    (value(first), value(first | 0xffff))
}
