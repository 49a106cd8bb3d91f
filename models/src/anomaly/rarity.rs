//! How rare the categories of a row are: `-ln` of their share of the rows.
//!
//! Trees cannot cut a hashed index, but they can its rarity, which is a number like any other. A
//! column of ids, each seen once, has the same rarity in every row and so says nothing; an id that
//! comes again stands out. Counts are halved now and then, so that a share is one of the last rows.

use std::io;

use pelton_kernels::math::ln_f32;
use pelton_kernels::state::{StateReader, StateWriter};

use crate::{ABSENT, FeatureShape};

/// Counters, at most `2^this`: indices beyond it share them.
const COUNTER_BITS: u32 = 16;
/// Rows at which all counts are halved.
const ROWS_MAX: u32 = 1 << 16;
/// Shares are taken as if there were none smaller, so that what is new is as rare however many rows
/// were counted.
const SHARE_MIN: f32 = 1.0 / 4096.0;

/// Counts of categories.
#[derive(Clone, Debug)]
pub(super) struct Rarity {
    rows: u32,
    counts: Vec<u32>,
    /// Rows that lack each column.
    absent: Vec<u32>,
}

impl Rarity {
    /// Of no rows.
    pub fn new(shape: FeatureShape) -> Rarity {
        let bits = shape.sparse_bits.min(COUNTER_BITS);
        let counters = if shape.sparse_width == 0 { 0 } else { 1 << bits };
        Rarity { rows: 0, counts: vec![0; counters], absent: vec![0; shape.sparse_width] }
    }

    /// Appends the rarity of each category of a row.
    pub fn append(&self, sparse: &[u32], columns: &mut Vec<f32>) {
        let rows = self.rows.max(1) as f32;
        columns.extend(sparse.iter().enumerate().map(|(column, index)| {
            let count = match *index {
                ABSENT => self.absent[column],
                index => self.counts[self.counter(index)],
            };
            -ln_f32(count as f32 / rows + SHARE_MIN)
        }));
    }

    /// Counts a row.
    pub fn learn(&mut self, sparse: &[u32]) {
        if sparse.is_empty() {
            return;
        }
        if self.rows >= ROWS_MAX {
            self.rows /= 2;
            self.counts.iter_mut().chain(&mut self.absent).for_each(|count| *count /= 2);
        }
        self.rows += 1;
        for (column, index) in sparse.iter().enumerate() {
            let counter = self.counter(*index);
            let count = match *index {
                ABSENT => &mut self.absent[column],
                _ => &mut self.counts[counter],
            };
            *count = count.saturating_add(1);
        }
    }

    pub fn write(&self, state: &mut StateWriter<'_>) -> io::Result<()> {
        state.put(self.rows)?;
        state.slice(&self.absent)?;
        state.blocks(&self.counts, |count| *count)
    }

    /// Reads into counts of no rows.
    pub fn read(&mut self, state: &mut StateReader<'_>) -> io::Result<()> {
        self.rows = state.get()?;
        state.fill(&mut self.absent)?;
        state.blocks(&mut self.counts, |count| count)
    }

    /// There are 2^k counters, or none to be asked for.
    fn counter(&self, index: u32) -> usize {
        index as usize & (self.counts.len() - 1)
    }
}
