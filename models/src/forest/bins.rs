//! Which of 255 bins of a column a value lies in, by a small sample of the stream.
//!
//! The sample keeps the kinds of labels apart, as many rows of each, so that the bins are fine
//! where the rare label lies; once a kind is full a new row takes a random place with at least the
//! chance `1 / MEMORY`, so that bins follow a stream that moves. Edges are taken again and again
//! (`forest.rs` says when); histograms over the old ones are carried over ([`Remap`]).

use std::io;

use pelton_kernels::hash::mix64;
use pelton_kernels::state::{StateReader, StateWriter, invalid};

use super::state::COUNT_MAX;

/// Bins of a column; a code fits a byte.
pub(super) const BINS: usize = 255;
/// Rows kept, all kinds together, and numbers of all of them: of wide rows fewer are kept.
const ROWS: usize = 4096;
const NUMBERS_MAX: usize = 1 << 22;
/// Rows kept however wide they are.
const ROWS_MIN: usize = 256;
/// Kinds of labels kept apart.
pub(super) const KINDS_MAX: usize = 16;
/// A kept row is at most so many times as old as there are rows of its kind, about.
const MEMORY: u64 = 16;

/// Edges of each column's bins, increasing, and the sample they come from.
#[derive(Clone, Debug)]
pub(super) struct Bins {
    width: usize,
    /// A value lies in the first bin whose edge it does not exceed, in the last beyond all.
    edges: Vec<Vec<f32>>,
    /// Rows kept of each kind, `[rows, width]`, and how many came.
    kinds: Vec<(Vec<f32>, u64)>,
    draws: u64,
    /// Whether edges were taken ever.
    is_ready: bool,
}

/// The way from old codes to new ones.
pub(super) struct Remap {
    /// The new codes of the lowest and the highest value of each old one, by column.
    codes: Vec<Vec<[u8; 2]>>,
    is_first: bool,
}

impl Bins {
    /// One bin a column.
    pub fn new(width: usize, kinds: usize) -> Bins {
        let kinds = vec![(Vec::new(), 0); kinds.clamp(1, KINDS_MAX)];
        Bins { width, edges: vec![Vec::new(); width], kinds, draws: 0, is_ready: false }
    }

    /// Rows kept of a kind.
    fn rows_max(&self) -> usize {
        ROWS.min((NUMBERS_MAX / self.width).max(ROWS_MIN)) / self.kinds.len()
    }

    /// Offers a labelled row to the sample.
    pub fn offer(&mut self, row: &[f32], kind: usize) {
        let rows_max = self.rows_max() as u64;
        let count = self.kinds.len();
        let (rows, seen) = &mut self.kinds[kind % count];
        *seen += 1;
        if *seen <= rows_max {
            rows.extend_from_slice(row);
            return;
        }
        self.draws += 1;
        let range = (*seen).min(MEMORY * rows_max);
        let place = ((u128::from(mix64(self.draws)) * u128::from(range)) >> 64) as u64;
        if place < rows_max {
            rows[place as usize * self.width..][..self.width].copy_from_slice(row);
        }
    }

    /// Columns.
    pub fn width(&self) -> usize {
        self.width
    }

    /// Whether there are bins.
    pub fn is_ready(&self) -> bool {
        self.is_ready
    }

    /// The share of the rows of a kind that histograms count, `least` or more: the root of what the
    /// rarest kind is of it.
    pub fn share(&self, kind: usize, least: f32) -> f32 {
        let seen = |(_, seen): &(Vec<f32>, u64)| *seen as f32;
        let rarest = self.kinds.iter().map(seen).filter(|seen| *seen > 0.0);
        let own = seen(&self.kinds[kind % self.kinds.len()]);
        (rarest.fold(own, f32::min) / own.max(1.0)).sqrt().clamp(least, 1.0)
    }

    /// Takes new edges, about as many rows of the sample in each bin.
    pub fn renew(&mut self) -> Remap {
        let mut column = Vec::new();
        let edges = |offset: usize| {
            column.clear();
            for (rows, _) in &self.kinds {
                column.extend(rows.chunks_exact(self.width).map(|row| row[offset]));
            }
            column.sort_unstable_by(f32::total_cmp);
            let mut edges: Vec<f32> = match column.len() {
                0 => Vec::new(),
                count => (1..BINS).map(|bin| column[bin * (count - 1) / BINS]).collect(),
            };
            // A column of few values has few bins; -0 and 0 are one.
            edges.dedup();
            edges
        };
        let edges = (0..self.width).map(edges).collect();
        let old = std::mem::replace(&mut self.edges, edges);
        let is_first = !std::mem::replace(&mut self.is_ready, true);
        let codes = old.iter().enumerate().map(|(column, old)| {
            let low = |edge: &f32| self.code_above(column, *edge);
            let high = |edge: &f32| self.code(column, *edge);
            let lows = [0].into_iter().chain(old.iter().map(low));
            let highs = old.iter().map(high).chain([self.last(column)]);
            lows.zip(highs).map(|(low, high)| [low.min(high), high]).collect()
        });
        Remap { codes: codes.collect(), is_first }
    }

    /// The codes of a row.
    #[inline]
    pub fn encode(&self, row: &[f32], codes: &mut [u8]) {
        for ((code, value), edges) in codes.iter_mut().zip(row).zip(&self.edges) {
            *code = edges.partition_point(|edge| edge < value) as u8;
        }
    }

    /// The code of a value in a column.
    pub fn code(&self, column: usize, value: f32) -> u8 {
        self.edges[column].partition_point(|edge| *edge < value) as u8
    }

    /// The first code of values above this one.
    pub fn code_above(&self, column: usize, value: f32) -> u8 {
        self.edges[column].partition_point(|edge| *edge <= value) as u8
    }

    /// The upper edge of a bin; none of the last.
    pub fn edge(&self, column: usize, code: usize) -> Option<f32> {
        self.edges[column].get(code).copied()
    }

    /// The last code of a column.
    pub fn last(&self, column: usize) -> u8 {
        self.edges[column].len() as u8
    }

    pub fn write(&self, state: &mut StateWriter<'_>) -> io::Result<()> {
        self.edges.iter().try_for_each(|edges| state.list(edges))?;
        for (rows, seen) in &self.kinds {
            state.put(*seen)?;
            state.list(rows)?;
        }
        state.put(self.draws)?;
        state.put(u8::from(self.is_ready))
    }

    /// Reads into bins of the same shape.
    pub fn read(&mut self, state: &mut StateReader<'_>) -> io::Result<()> {
        for edges in &mut self.edges {
            *edges = state.list(BINS - 1)?;
            if !edges.is_sorted_by(|one, next| one < next) {
                return Err(invalid("edges of bins do not increase"));
            }
        }
        let rows_max = self.rows_max();
        for (rows, seen) in &mut self.kinds {
            *seen = state.get()?;
            let kept = (*seen).min(rows_max as u64) as usize;
            *rows = state.list(kept * self.width)?;
            if rows.len() != kept * self.width {
                return Err(invalid("a sample lacks rows"));
            }
            if *seen > COUNT_MAX || !rows.iter().all(|number| number.is_finite()) {
                return Err(invalid("a sample holds what cannot have come"));
            }
        }
        self.draws = state.get()?;
        if self.draws > COUNT_MAX {
            return Err(invalid("more was drawn than can have been"));
        }
        self.is_ready = state.get::<u8>()? == 1;
        Ok(())
    }
}

impl Remap {
    /// Whether there were no bins before.
    pub fn is_first(&self) -> bool {
        self.is_first
    }

    /// The new codes of what old codes `first..=last` of a column hold.
    pub fn range(&self, column: usize, [first, last]: [usize; 2]) -> [u8; 2] {
        let codes = &self.codes[column];
        let at = |code: usize| codes[code.min(codes.len() - 1)];
        let [high, low] = [at(last)[1], at(first)[0]];
        [low.min(high), high]
    }
}
