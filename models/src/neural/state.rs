//! A network as bytes.

use std::io::{self, Read, Write};

use pelton_kernels::descent::{LIMIT, Rule};
use pelton_kernels::state::{StateReader, StateWriter, invalid};

use super::{Form, Neural};
use crate::Task;

impl Neural {
    /// Which model a state is of.
    fn header(&self) -> [u64; 10] {
        let (config, shape) = (&self.config, self.shape);
        let task = match config.task {
            Task::Binary => 0_u64,
            Task::MultiClass { classes } => u64::from(classes) << 2 | 1,
            Task::Regression => 2,
        };
        let form = u64::from(config.form == Form::Deep) << 1;
        let [one, two] = config.hidden;
        [
            u64::from_le_bytes(*b"neural-1"),
            task,
            form | u64::from(config.optimizer == Rule::Adam),
            (one as u64) << 32 | two as u64,
            config.embedding as u64,
            config.rows_max(shape) as u64,
            u64::from(config.rate().to_bits()),
            (config.batch_rows as u64) << 32 | config.replay_rows as u64,
            shape.dense_width as u64,
            (shape.sparse_width as u64) << 8 | u64::from(shape.sparse_bits),
        ]
    }

    pub(super) fn write(&self, out: &mut dyn Write) -> io::Result<()> {
        let state = &mut StateWriter::new(out);
        state.slice(&self.header())?;
        state.slice(&[self.learned, self.steps])?;
        state.put(self.weights)?;
        self.link.write(state)?;
        self.replay.write(state)?;
        state.slice(&self.parameters)?;
        self.descent.write(state)?;
        self.embeddings.write(state)
    }

    /// Reads into an untrained model.
    pub(super) fn read(&mut self, from: &mut dyn Read) -> io::Result<()> {
        let state = &mut StateReader::new(from);
        state.expect(&self.header(), "the model had another shape, task or settings")?;
        [self.learned, self.steps] = state.get()?;
        self.weights = state.get()?;
        if !self.weights.is_finite() || (self.learned > 0) != (self.weights > 0.0) {
            return Err(invalid("weights of rows have no sum"));
        }
        self.link.read(state)?;
        self.replay.read(state)?;
        state.fill(&mut self.parameters)?;
        if !self.parameters.iter().all(|weight| weight.abs() <= LIMIT) {
            return Err(invalid("a weight is outside its range"));
        }
        self.descent.read(state)?;
        self.embeddings.read(state)
    }
}
