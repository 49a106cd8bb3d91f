//! The bins of a reference: where its quantiles lie, and how many of its values are in each.
//!
//! # Formula
//! Of a sorted sample of `n` values, edge `k` is the value of rank `ceil(k n / 40)`, `k = 1..=40`;
//! equal ones are one. A bin takes what is above the edge before it, up to its own edge and with
//! it, so that a value which many rows have is an edge of its own. Two more bins hold nothing of
//! the reference: what is below its least value, and what is above its largest.
//!
//! Fortieths are for [`ks`](super::ks), which looks at each edge. For [`psi`](super::psi) bins are
//! taken together to tenths, as is usual: it would be larger by chance the more bins there are.

use std::io;

use pelton_kernels::state::{StateReader, StateWriter, invalid};

/// Quantiles of a reference.
pub const QUANTILES: usize = 40;
/// Quantiles that are one group.
const GROUPED: usize = 4;
/// There are no more bins: those between quantiles, and one beyond each end.
pub const BINS_MAX: usize = QUANTILES + 2;
/// There are no more groups.
pub const GROUPS_MAX: usize = QUANTILES / GROUPED + 2;

/// Edges of the bins, and what the reference has in each.
#[derive(Clone, Debug, PartialEq)]
pub struct Bins {
    /// Ascending: the upper edge of every bin but the last.
    edges: Vec<f32>,
    /// The group of each bin, ascending.
    groups: Vec<u8>,
    counts: Vec<u64>,
}

impl Bins {
    /// The bins of a sample, which is sorted by this; none of a sample without a finite value.
    #[must_use]
    pub fn of(sample: &mut Vec<f32>) -> Option<Bins> {
        sample.retain(|value| value.is_finite());
        sample.sort_unstable_by(f32::total_cmp);
        let least = *sample.first()?;
        let mut bins = Bins { edges: vec![least.next_down()], groups: vec![0], counts: vec![] };
        let mut group = 1;
        for quantile in 1..=QUANTILES {
            let rank = (quantile * sample.len()).div_ceil(QUANTILES);
            let edge = sample[rank.max(1) - 1];
            if bins.edges.last().is_some_and(|last| *last < edge) {
                bins.edges.push(edge);
                bins.groups.push(group);
            }
            // A group ends with the bin that has reached its tenth.
            let has_bin = bins.groups.last() == Some(&group);
            group += u8::from(quantile % GROUPED == 0 && has_bin);
        }
        bins.groups.push(group);
        bins.counts = vec![0; bins.groups.len()];
        for value in sample {
            let bin = bins.bin(*value);
            bins.counts[bin] += 1;
        }
        Some(bins)
    }

    /// The bin of a value; one that is no number is in the last.
    #[inline]
    #[must_use]
    pub fn bin(&self, value: f32) -> usize {
        if value.is_nan() { self.edges.len() } else { self.edges.partition_point(|e| *e < value) }
    }

    /// How many bins there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.groups.len()
    }

    /// Never: there are at least three.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.groups.is_empty()
    }

    /// The values of the reference in each bin.
    #[must_use]
    pub fn counts(&self) -> &[u64] {
        &self.counts
    }

    /// Adds up what is in the bins of each group.
    ///
    /// # Shapes
    /// `counts: [bins]`; the result has an entry per group, at most [`GROUPS_MAX`].
    #[must_use]
    pub fn grouped(&self, counts: &[f64]) -> Vec<f64> {
        let mut sums = vec![0.0; self.groups.last().map_or(0, |last| usize::from(*last) + 1)];
        for (group, count) in self.groups.iter().zip(counts) {
            sums[usize::from(*group)] += count;
        }
        sums
    }

    /// Writes edges and counts.
    ///
    /// # Errors
    /// Those of the writer.
    pub fn write(&self, state: &mut StateWriter<'_>) -> io::Result<()> {
        state.list(&self.edges)?;
        state.slice(&self.groups)?;
        state.slice(&self.counts)
    }

    /// Reads what [`Bins::write`] wrote.
    ///
    /// # Errors
    /// Those of the reader; `InvalidData` for what cannot have been written.
    pub fn read(state: &mut StateReader<'_>) -> io::Result<Bins> {
        let edges = state.list::<f32>(BINS_MAX - 1)?;
        let groups = state.numbers::<u8>(edges.len() + 1)?;
        let counts = state.numbers::<u64>(edges.len() + 1)?;
        let is_ascending = edges.is_sorted_by(|low, high| low < high);
        let has_groups = groups.is_sorted() && groups[groups.len() - 1] < GROUPS_MAX as u8;
        if edges.is_empty() || edges[0].is_nan() || !is_ascending || !has_groups {
            return Err(invalid("bins are out of order"));
        }
        if counts.iter().any(|count| *count > 1 << 50) {
            return Err(invalid("a bin has more than there can be"));
        }
        Ok(Bins { edges, groups, counts })
    }
}

#[cfg(test)]
mod tests;
