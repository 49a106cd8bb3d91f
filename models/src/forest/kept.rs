//! Kept states: a copy of everything now and then, and the rows learned since.
//!
//! A state is a function of a copy and of the rows learned after it, so that keeping one costs the
//! rows and not the megabytes of all histograms; going back to one, which is rare, learns up to
//! [`ROWS_MAX`] rows again. Invariant: what is gone back to is the kept state, to the bit.

use std::collections::VecDeque;
use std::io;

use pelton_kernels::state::{StateReader, StateWriter, invalid};

use crate::{FeatureShape, LabeledBatch};

/// Rows behind a copy before the next state that is kept is a copy itself; few in tests, so that
/// there are several copies.
const ROWS_MAX: usize = if cfg!(test) { 500 } else { 16_384 };
/// More than anyone keeps: a damaged count must not ask for memory.
const KEPT_MAX: usize = 1 << 16;
/// No list here can be longer.
const LENGTH_MAX: usize = 1 << 32;

/// What is kept.
#[derive(Clone, Debug, Default)]
pub(super) struct Kept {
    /// Oldest first; the last one takes the rows that are learned.
    copies: VecDeque<Copied>,
    /// Copies that were there before the first of them.
    forgotten: u64,
    /// Oldest first: the number of a copy, and rows behind it.
    states: VecDeque<[u64; 2]>,
}

/// A state as bytes, and the rows learned after it.
#[derive(Clone, Debug, Default)]
pub(super) struct Copied {
    pub bytes: Vec<u8>,
    pub rows: Rows,
}

/// Labelled rows.
#[derive(Clone, Debug, Default)]
pub(super) struct Rows {
    pub dense: Vec<f32>,
    pub sparse: Vec<u32>,
    pub labels: Vec<f32>,
    pub weights: Vec<f32>,
}

impl Kept {
    /// Whether the next state to be kept has to be a copy.
    pub fn needs_copy(&self) -> bool {
        self.copies.back().is_none_or(|copy| copy.rows.labels.len() >= ROWS_MAX)
    }

    /// Takes a copy of the state as it is.
    pub fn copy(&mut self, bytes: Vec<u8>) {
        self.copies.push_back(Copied { bytes, rows: Rows::default() });
    }

    /// Keeps the state as it is, by the last copy.
    pub fn keep(&mut self) {
        if let Some(copy) = self.copies.back() {
            let number = self.forgotten + self.copies.len() as u64 - 1;
            self.states.push_back([number, copy.rows.labels.len() as u64]);
        }
    }

    /// Notes a row that is about to be learned.
    #[inline]
    pub fn note(&mut self, batch: &LabeledBatch<'_>, row: usize, shape: FeatureShape) {
        let Some(Copied { rows, .. }) = self.copies.back_mut() else { return };
        let of = |width: usize| row * width..(row + 1) * width;
        rows.dense.extend_from_slice(&batch.features.dense[of(shape.dense_width)]);
        rows.sparse.extend_from_slice(&batch.features.sparse[of(shape.sparse_width)]);
        rows.labels.push(batch.labels[row]);
        rows.weights.push(batch.weights[row]);
    }

    /// Forgets the oldest state, and copies that no other one needs.
    pub fn forget_oldest(&mut self) {
        self.states.pop_front();
        let needed = self.states.front().map_or(u64::MAX, |[number, _]| *number);
        while self.forgotten < needed && self.copies.pop_front().is_some() {
            self.forgotten += 1;
        }
    }

    /// Forgets all but the oldest state, and gives what it is made of.
    pub fn oldest(&mut self, shape: FeatureShape) -> Option<&Copied> {
        self.states.truncate(1);
        let rows = usize::try_from(self.states.front()?[1]).ok()?;
        self.copies.truncate(1);
        let copy = self.copies.front_mut()?;
        copy.rows.dense.truncate(rows * shape.dense_width);
        copy.rows.sparse.truncate(rows * shape.sparse_width);
        copy.rows.labels.truncate(rows);
        copy.rows.weights.truncate(rows);
        Some(copy)
    }

    /// Writes everything.
    pub fn write(&self, state: &mut StateWriter<'_>) -> io::Result<()> {
        state.put(self.forgotten)?;
        state.length(self.copies.len())?;
        for Copied { bytes, rows } in &self.copies {
            state.list(bytes)?;
            state.list(&rows.labels)?;
            state.slice(&rows.weights)?;
            state.slice(&rows.dense)?;
            state.slice(&rows.sparse)?;
        }
        state.length(self.states.len())?;
        state.each(self.states.iter().copied())
    }

    /// Reads what was written.
    pub fn read(state: &mut StateReader<'_>, shape: FeatureShape) -> io::Result<Kept> {
        let mut kept = Kept { forgotten: state.get()?, ..Kept::default() };
        for _ in 0..state.length(KEPT_MAX)? {
            let bytes = state.list(LENGTH_MAX)?;
            let labels: Vec<f32> = state.list(LENGTH_MAX)?;
            let weights = state.numbers(labels.len())?;
            let dense = state.numbers(labels.len() * shape.dense_width)?;
            let sparse = state.numbers(labels.len() * shape.sparse_width)?;
            kept.copies.push_back(Copied { bytes, rows: Rows { dense, sparse, labels, weights } });
        }
        kept.states = state.list::<[u64; 2]>(KEPT_MAX)?.into();
        let is_there = |[number, rows]: &[u64; 2]| {
            let copy = number.checked_sub(kept.forgotten).and_then(|at| usize::try_from(at).ok());
            let copy = copy.and_then(|at| kept.copies.get(at));
            copy.is_some_and(|copy| *rows <= copy.rows.labels.len() as u64)
        };
        let is_first = kept
            .states
            .front()
            .map_or(kept.copies.is_empty(), |[number, _]| *number == kept.forgotten);
        let are_in_order = kept.states.iter().is_sorted();
        if !is_first || !are_in_order || !kept.states.iter().all(is_there) {
            return Err(invalid("a kept state is not there"));
        }
        Ok(kept)
    }
}
