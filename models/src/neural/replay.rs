//! Rows that wait for their mini-batch, and recent positives that are learned again.
//!
//! A mini-batch is so many learned rows of the stream, wherever it is cut. Where positives are rare
//! most mini-batches would hold none: each positive of a mini-batch has [`REPLAYS`] rows drawn from
//! a ring of the latest ones learned beside it. So positives count `1 + REPLAYS` times, which the
//! odds of all learned rows are told (see [`Replay::offset`]), and the network learns the odds of
//! the stream.

use std::io;

use pelton_kernels::hash::mix64;
use pelton_kernels::math::ln_f32;
use pelton_kernels::state::{StateReader, StateWriter, invalid};

use super::RARE_MAX;
use super::config::NeuralConfig;
use crate::{ABSENT, FeatureShape, Task};

/// Rows drawn for a positive.
pub(super) const REPLAYS: usize = 4;
/// Positives are rare below one in so many.
const RARE: u64 = 16;

/// Rows in their order.
#[derive(Clone, Debug, Default)]
pub(super) struct Rows {
    /// Dense, then sparse features of a row.
    widths: [usize; 2],
    dense: Vec<f32>,
    sparse: Vec<u32>,
    labels: Vec<f32>,
    weights: Vec<f32>,
}

/// A row.
#[derive(Clone, Copy, Debug)]
pub(super) struct Row<'a> {
    pub dense: &'a [f32],
    pub sparse: &'a [u32],
    pub label: f32,
    pub weight: f32,
}

impl Rows {
    pub fn new(shape: FeatureShape) -> Rows {
        Rows { widths: [shape.dense_width, shape.sparse_width], ..Rows::default() }
    }

    pub fn len(&self) -> usize {
        self.labels.len()
    }

    pub fn labels(&self) -> &[f32] {
        &self.labels
    }

    pub fn clear(&mut self) {
        self.dense.clear();
        self.sparse.clear();
        self.labels.clear();
        self.weights.clear();
    }

    pub fn push(&mut self, row: Row<'_>) {
        self.dense.extend_from_slice(row.dense);
        self.sparse.extend_from_slice(row.sparse);
        self.labels.push(row.label);
        self.weights.push(row.weight);
    }

    pub fn row(&self, at: usize) -> Row<'_> {
        let [dense, sparse] = self.widths;
        Row {
            dense: &self.dense[at * dense..][..dense],
            sparse: &self.sparse[at * sparse..][..sparse],
            label: self.labels[at],
            weight: self.weights[at],
        }
    }

    /// Puts a row in the place of another.
    fn put(&mut self, at: usize, row: Row<'_>) {
        let [dense, sparse] = self.widths;
        self.dense[at * dense..][..dense].copy_from_slice(row.dense);
        self.sparse[at * sparse..][..sparse].copy_from_slice(row.sparse);
        (self.labels[at], self.weights[at]) = (row.label, row.weight);
    }

    fn write(&self, state: &mut StateWriter<'_>) -> io::Result<()> {
        state.list(&self.labels)?;
        state.slice(&self.weights)?;
        state.slice(&self.dense)?;
        state.slice(&self.sparse)
    }

    fn read(
        &mut self,
        state: &mut StateReader<'_>,
        (most, task, bits): (usize, Task, u32),
    ) -> io::Result<()> {
        self.labels = state.list(most)?;
        let rows = self.labels.len();
        self.weights = state.numbers(rows)?;
        self.dense = state.numbers(rows * self.widths[0])?;
        self.sparse = state.numbers(rows * self.widths[1])?;
        let mut labels = self.labels.iter().zip(&self.weights);
        let is_index = |index: &u32| *index == ABSENT || u64::from(*index) < 1 << bits;
        if labels.all(|(label, weight)| task.can_learn(*label, *weight))
            && self.dense.iter().all(|value| value.is_finite())
            && self.sparse.iter().all(is_index)
        {
            return Ok(());
        }
        Err(invalid("a row that waits cannot be learned"))
    }
}

/// What waits, what is replayed, and how often.
#[derive(Clone, Debug)]
pub(super) struct Replay {
    task: Task,
    sparse_bits: u32,
    /// No more rows ever wait.
    waiting_max: usize,
    replay_rows: usize,
    pub pending: Rows,
    /// The latest positives, a ring.
    recent: Rows,
    /// Positives learned so far (binary).
    positives: u64,
    /// Random numbers drawn so far.
    draws: u64,
}

impl Replay {
    pub fn new(config: &NeuralConfig, shape: FeatureShape) -> Replay {
        let is_binary = config.task == Task::Binary;
        Replay {
            task: config.task,
            sparse_bits: shape.sparse_bits,
            waiting_max: config.batch_rows * RARE_MAX as usize,
            replay_rows: if is_binary { config.replay_rows } else { 0 },
            pending: Rows::new(shape),
            recent: Rows::new(shape),
            positives: 0,
            draws: 0,
        }
    }

    /// Positives learned so far (binary).
    pub fn positives(&self) -> u64 {
        self.positives
    }

    /// Rows that wait, and the most that ever do.
    pub fn waiting(&self) -> [usize; 2] {
        [self.pending.len(), self.waiting_max]
    }

    /// Lets a row wait.
    pub fn push(&mut self, row: Row<'_>) {
        self.pending.push(row);
        if self.task != Task::Binary || row.label != 1.0 {
            return;
        }
        if self.replay_rows > 0 {
            let at = (self.positives % self.replay_rows as u64) as usize;
            match at < self.recent.len() {
                true => self.recent.put(at, row),
                false => self.recent.push(row),
            }
        }
        self.positives += 1;
    }

    /// Adds the rows that are to be learned again to those that wait, where positives are rare
    /// among so many learned rows; what the log odds of all of them are above those of the stream.
    pub fn fill(&mut self, learned: u64) -> f32 {
        if self.replay_rows == 0 || self.positives * RARE >= learned {
            return 0.0;
        }
        let fresh = self.pending.labels().iter().filter(|label| **label == 1.0).count();
        for _ in 0..fresh * REPLAYS {
            self.draws += 1;
            let at = (mix64(self.draws) % self.recent.len() as u64) as usize;
            self.pending.push(self.recent.row(at));
        }
        ln_f32((1 + REPLAYS) as f32)
    }

    pub fn write(&self, state: &mut StateWriter<'_>) -> io::Result<()> {
        state.slice(&[self.positives, self.draws])?;
        self.pending.write(state)?;
        self.recent.write(state)
    }

    pub fn read(&mut self, state: &mut StateReader<'_>) -> io::Result<()> {
        [self.positives, self.draws] = state.get()?;
        let (task, bits) = (self.task, self.sparse_bits);
        self.pending.read(state, (self.waiting_max, task, bits))?;
        self.recent.read(state, (self.replay_rows, task, bits))?;
        let expected = self.positives.min(self.replay_rows as u64);
        let is_whole = self.recent.len() as u64 == expected;
        if is_whole && self.recent.labels().iter().all(|label| *label == 1.0) {
            return Ok(());
        }
        Err(invalid("the rows to be learned again are not positives"))
    }
}
