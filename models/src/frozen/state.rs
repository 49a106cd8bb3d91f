//! What labels change of a model that does not learn: how many there were, and the means of the
//! rows they came for.

use std::collections::VecDeque;
use std::io::{self, Read, Write};

use pelton_kernels::state::{StateReader, StateWriter, invalid};

use super::Frozen;
use crate::{FeatureShape, ModelError, Task};

/// More than anyone keeps: a damaged count must not ask for memory.
const KEPT_MAX: usize = 1 << 16;

/// Rows counted, and their means.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct State {
    pub learned: u64,
    /// By dense feature, of the rows that had it.
    pub means: Vec<f64>,
    /// How many these were.
    counts: Vec<u64>,
}

impl State {
    /// Of no rows.
    pub fn new(shape: FeatureShape) -> State {
        let (means, counts) = (vec![0.0; shape.dense_width], vec![0; shape.dense_width]);
        State { learned: 0, means, counts }
    }

    /// Counts a row; what is missing or huge moves no mean.
    pub fn learn(&mut self, dense: &[f32]) {
        self.learned += 1;
        for ((mean, count), value) in self.means.iter_mut().zip(&mut self.counts).zip(dense) {
            if value.abs() <= 1e30 {
                *count += 1;
                *mean += (f64::from(*value) - *mean) / *count as f64;
            }
        }
    }

    fn write(&self, state: &mut StateWriter<'_>) -> io::Result<()> {
        state.put(self.learned)?;
        state.slice(&self.counts)?;
        state.slice(&self.means)
    }

    fn read(shape: FeatureShape, state: &mut StateReader<'_>) -> io::Result<State> {
        let mut own = State::new(shape);
        own.learned = state.get()?;
        state.fill(&mut own.counts)?;
        state.fill(&mut own.means)?;
        match own.means.iter().all(|mean| mean.abs() <= 1e30) {
            true => Ok(own),
            false => Err(invalid("a mean is outside its range")),
        }
    }
}

impl Frozen {
    fn header(&self) -> [u64; 6] {
        let task = match self.task {
            Task::Binary => 0,
            Task::MultiClass { classes } => u64::from(classes) << 2 | 1,
            Task::Regression => 2,
        };
        let (shape, digest) = (self.shape, self.drawing.digest);
        let sparse = (shape.sparse_width as u64) << 8 | u64::from(shape.sparse_bits);
        let name = u64::from_le_bytes(*b"frozen-1");
        [name, task, shape.dense_width as u64, sparse, digest as u64, (digest >> 64) as u64]
    }

    pub(super) fn write(&self, out: &mut dyn Write) -> io::Result<()> {
        let state = &mut StateWriter::new(out);
        state.slice(&self.header())?;
        self.state.write(state)
    }

    pub(super) fn read(&self, from: &mut dyn Read) -> Result<State, ModelError> {
        let state = &mut StateReader::new(from);
        state.expect(&self.header(), "the imported model was another one, or had another shape")?;
        Ok(State::read(self.shape, state)?)
    }

    pub(super) fn write_all_kept(&self, out: &mut dyn Write) -> io::Result<()> {
        let state = &mut StateWriter::new(out);
        state.length(self.kept.len())?;
        self.kept.iter().try_for_each(|own| own.write(state))
    }

    pub(super) fn read_all_kept(&self, from: &mut dyn Read) -> Result<VecDeque<State>, ModelError> {
        let state = &mut StateReader::new(from);
        let count = state.length(KEPT_MAX)?;
        Ok((0..count).map(|_| State::read(self.shape, state)).collect::<io::Result<_>>()?)
    }
}
