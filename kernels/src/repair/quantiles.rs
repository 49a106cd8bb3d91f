//! Two running quantiles of a column, in bounded memory.

/// Two running quantiles from a histogram over the order-preserving bits of a float.
///
/// A bin holds the values that share sign, exponent and 7 bits of mantissa, so a quantile is off
/// by less than 1/128 of its own size, however long the stream.
#[derive(Clone, Debug)]
pub(super) struct RunningQuantiles {
    bins: Vec<u64>,
    pub total: u64,
    pub low: Cursor,
    pub high: Cursor,
}

/// A bin, and how many values lie below it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Cursor {
    pub fraction: f64,
    pub bin: usize,
    pub below: u64,
}

/// Bins of a histogram.
pub const BINS: usize = 1 << 16;
/// Ranks are exact in double precision up to here.
const TOTAL_MAX: u64 = 1 << 53;
/// Quantiles are not believed before so many values.
pub const QUANTILE_COUNT_MIN: u64 = 100;

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
