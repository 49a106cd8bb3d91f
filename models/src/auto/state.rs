//! The mixture as bytes: what is its own, then each member's state.

use std::io::{self, Read, Write};

use pelton_kernels::moments::Moments;
use pelton_kernels::state::{StateReader, StateWriter, invalid};

use super::Auto;
use crate::{Model, ModelError, Task};

impl Auto {
    fn header(&self) -> [u64; 6] {
        let task = match self.config.task {
            Task::Binary => 0,
            Task::MultiClass { classes } => u64::from(classes) << 2 | 1,
            Task::Regression => 2,
        };
        let (is_scaled, is_strange) = (self.config.standardize, self.config.strangeness);
        let scale = u64::from(self.config.clip.to_bits()) << 2;
        let scale = scale | u64::from(is_strange) << 1 | u64::from(is_scaled);
        let sparse = (self.shape.sparse_width as u64) << 8 | u64::from(self.shape.sparse_bits);
        let name = u64::from_le_bytes(*b"auto---4");
        [name, task, scale, self.shape.dense_width as u64, sparse, self.members.len() as u64]
    }

    pub(super) fn write(&self, out: &mut dyn Write) -> io::Result<()> {
        let state = &mut StateWriter::new(out);
        state.slice(&self.header())?;
        state.put(self.version)?;
        state.put(self.residual.0)?;
        self.shares.write(state)?;
        self.memory.write(state)?;
        if let Some(strangeness) = &self.strangeness {
            strangeness.write(state)?;
        }
        self.moments.write_state(out)?;
        self.inputs.write_state(out)?;
        self.stack.write_state(out)?;
        self.renewal.write(out)?;
        self.members.iter().try_for_each(|member| member.model.write_state(out))
    }

    /// Reads into an untrained model.
    pub(super) fn read(&mut self, from: &mut dyn Read) -> Result<(), ModelError> {
        let header = self.header();
        let reason = "the model had another shape, task or members";
        let state = &mut StateReader::new(from);
        state.expect(&header, reason)?;
        (self.version, self.residual.0) = (state.get()?, state.get()?);
        self.shares.read(state)?;
        self.memory.read(state)?;
        if let Some(strangeness) = &mut self.strangeness {
            strangeness.read(state)?;
        }
        let is_good = |weights: &[f64]| weights.iter().all(|weight| (0.0..=1.0).contains(weight));
        if !is_good(&self.shares.weights) || !self.residual.is_sound() {
            return Err(invalid("a weight is none").into());
        }
        self.moments = Moments::read_state(*self.moments.spec(), from)?;
        self.inputs = Moments::read_state(*self.inputs.spec(), from)?;
        self.stack.read_state(from)?;
        self.renewal.read(from)?;
        self.members.iter_mut().try_for_each(|member| member.model.read_state(from))
    }
}
