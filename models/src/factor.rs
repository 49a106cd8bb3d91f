//! Factorization machines: the linear blend with interactions of pairs of features on top.
//!
//! A linear model cannot say that a carrier is late from one airport alone. Here each feature has a
//! short vector (its embedding), and each pair of features of a row counts by the product of theirs
//! ([`pelton_kernels::pairs`]): one vector a feature (Rendle 2010), or one a feature and field of
//! the other (Juan et al. 2016). As in the blend ([`crate::linear`]) four experts with different
//! memories share each row, so that no rate has to be tuned, and a stack improves on their pool.
//!
//! Invariants: those of the linear model; memory is bounded, since an embedding appears when its
//! index is first learned and idle ones are given away when there is no more room (counted, see
//! [`Factor::embedded`]). What this does not do: interactions of three, or of a feature with
//! itself; deep layers.

pub(crate) mod cases;
mod config;
mod draw;
mod embeddings;
mod kept;
mod machine;
#[cfg(test)]
mod tests;
mod twin;

use std::collections::VecDeque;
use std::io::{self, Read, Write};
use std::ops::{Deref, DerefMut};

use pelton_kernels::coordinate::device::{RowsThere, Scorer};
use pelton_kernels::device::Device;
use pelton_kernels::factor::device::FactorTable;
use pelton_kernels::state::{StateReader, StateWriter};

pub use config::{FactorConfig, Interaction};

use crate::graph::{Graph, Inputs, Value};
use crate::linear::device::DeviceRows;
use crate::linear::rows::{Batches, Rows};
use crate::{FeatureShape, Features, LabeledBatch, LearnOutcome, Model, ModelError, Task};
use machine::Machine;

const NAME: &str = "factor";

/// A factorization machine, field-aware or not.
pub struct Factor {
    config: FactorConfig,
    shape: FeatureShape,
    version: u64,
    /// Versions of the states that are kept, oldest first.
    kept: VecDeque<u64>,
    /// Where it lies.
    device: Device,
    rows: Machines,
}

/// Rows by a machine here, or on a device.
enum Machines {
    Here(Box<Rows<Machine>>),
    There(Box<DeviceRows<Machine, FactorTable>>),
}

impl Machines {
    fn new(device: &Device, machine: Machine) -> Result<Machines, ModelError> {
        let Device::Gpu(gpu) = device else {
            let shape = machine.embeddings.shape;
            return Ok(Machines::Here(Box::new(Rows::new(machine, shape, true))));
        };
        let table = machine.table_spec();
        machine.spec(table).check()?;
        Ok(Machines::There(Box::new(DeviceRows::new(gpu, table, machine)?)))
    }

    #[cfg(test)]
    fn learner_mut(&mut self) -> &mut Machine {
        match self {
            Machines::Here(rows) => rows.learner_mut(),
            Machines::There(_) => unreachable!("these tests are of the CPU"),
        }
    }
}

impl Deref for Machines {
    type Target = dyn Batches;

    fn deref(&self) -> &(dyn Batches + 'static) {
        match self {
            Machines::Here(rows) => &**rows,
            Machines::There(rows) => &**rows,
        }
    }
}

impl DerefMut for Machines {
    fn deref_mut(&mut self) -> &mut (dyn Batches + 'static) {
        match self {
            Machines::Here(rows) => &mut **rows,
            Machines::There(rows) => &mut **rows,
        }
    }
}

impl Factor {
    /// An untrained model on the CPU.
    ///
    /// # Errors
    /// As [`Factor::on`].
    pub fn new(config: FactorConfig, shape: FeatureShape) -> Result<Factor, ModelError> {
        Factor::on(&Device::Cpu, config, shape)
    }

    /// An untrained model on a device.
    ///
    /// # Errors
    /// [`pelton_kernels::KernelError::Value`] when a setting or the shape is outside its range;
    /// [`ModelError::Device`] when it does not fit the device.
    pub fn on(
        device: &Device,
        config: FactorConfig,
        shape: FeatureShape,
    ) -> Result<Factor, ModelError> {
        config.check(shape)?;
        let rows = Machines::new(device, Machine::new(&config, shape))?;
        let (device, kept) = (device.clone(), VecDeque::new());
        Ok(Factor { config, shape, version: 0, kept, device, rows })
    }

    /// Sparse indices that have an embedding now, and those that have lost theirs so far.
    #[must_use]
    pub fn embedded(&self) -> (usize, u64) {
        match &self.rows {
            Machines::Here(rows) => rows.learner().embeddings_ref().counts(),
            Machines::There(rows) => rows.there(|table| {
                let [rows, _, expired, _] = table.figures();
                (rows as usize, expired)
            }),
        }
    }

    /// How much each expert counts in the pool now.
    #[must_use]
    pub fn expert_weights(&self) -> Option<[f32; 4]> {
        self.rows.expert_weights()
    }

    /// How much the pool, each expert and a bias count in the score of a class; nothing for what is
    /// no class, or of a device that is lost.
    #[must_use]
    pub fn stack_weights(&self, class: usize) -> Option<Vec<f64>> {
        if class >= self.config.task.outputs() {
            return None;
        }
        match &self.rows {
            Machines::Here(rows) => Some(rows.learner().stack_weights(class).to_vec()),
            Machines::There(rows) => Some(rows.fetched().ok()?.stack_weights(class).to_vec()),
        }
    }

    /// Which model a state is of.
    fn header(&self) -> [u64; 6] {
        let task = match self.config.task {
            Task::Binary => 0_u64,
            Task::MultiClass { classes } => u64::from(classes) << 2 | 1,
            Task::Regression => 2,
        };
        let interaction = u64::from(self.config.interaction == Interaction::ByField);
        let shape = self.shape;
        [
            u64::from_le_bytes(*b"factor-1"),
            interaction << 32 | self.config.factors as u64,
            self.config.rows_max(shape) as u64,
            task,
            shape.dense_width as u64,
            (shape.sparse_width as u64) << 8 | u64::from(shape.sparse_bits),
        ]
    }
}

impl Model for Factor {
    fn outputs(&self) -> usize {
        self.config.task.outputs()
    }

    fn version(&self) -> u64 {
        self.version
    }

    /// A row whose score would not be finite gets the score of a row without features.
    fn score(&self, features: &Features<'_>, out: &mut [f32]) -> Result<(), ModelError> {
        self.shape.check(NAME, features, Some((self.outputs(), out.len())))?;
        self.rows.score(features, None, out)
    }

    fn score_there(
        &self,
        features: &Features<'_>,
        there: RowsThere<'_>,
        out: &mut [f32],
    ) -> Result<(), ModelError> {
        self.shape.check(NAME, features, Some((self.outputs(), out.len())))?;
        self.rows.score(features, Some(there), out)
    }

    fn scorer(&self) -> Option<&dyn Scorer> {
        self.rows.scorer()
    }

    /// Where the cells lie on a device all of them are copied for each call.
    fn explain(&self, features: &Features<'_>, out: &mut [f32]) -> Result<(), ModelError> {
        let numbers = self.outputs() * self.shape.explained_width(0);
        self.shape.check(NAME, features, Some((numbers, out.len())))?;
        self.rows.explain(features, out)
    }

    fn draw(&self, graph: &mut Graph, inputs: &Inputs) -> Result<Value, ModelError> {
        graph.within(NAME, |graph| self.rows.draw(graph, inputs))
    }

    /// One after another: a step of rows is those rows.
    fn learn(&mut self, batch: &LabeledBatch<'_>) -> Result<LearnOutcome, ModelError> {
        self.shape.check_batch(NAME, batch)?;
        let outcome = self.rows.learn(batch)?;
        self.version += outcome.learned;
        Ok(outcome)
    }

    fn score_and_learn_each(
        &mut self,
        batch: &LabeledBatch<'_>,
        out: &mut [f32],
    ) -> Result<LearnOutcome, ModelError> {
        self.shape.check_batch(NAME, batch)?;
        self.shape.check(NAME, &batch.features, Some((self.outputs(), out.len())))?;
        let outcome = self.rows.score_and_learn_each(batch, out)?;
        self.version += outcome.learned;
        Ok(outcome)
    }

    fn write_state(&self, out: &mut dyn Write) -> io::Result<()> {
        let state = &mut StateWriter::new(out);
        state.slice(&self.header())?;
        state.put(self.version)?;
        self.rows.write_state(state)
    }

    fn read_state(&mut self, from: &mut dyn Read) -> Result<(), ModelError> {
        let state = &mut StateReader::new(from);
        state.expect(&self.header(), "the model had another shape, task or settings")?;
        let version = state.get()?;
        let mut other = Factor::on(&self.device, self.config, self.shape)?;
        other.rows.read_state(state)?;
        other.version = version;
        *self = other;
        Ok(())
    }

    /// A kept state is notes of what changes after it.
    fn keep(&mut self) -> Result<(), ModelError> {
        self.rows.keep()?;
        self.kept.push_back(self.version);
        Ok(())
    }

    fn forget_oldest(&mut self) {
        self.kept.pop_front();
        self.rows.forget_oldest();
    }

    fn go_back(&mut self) -> Result<(), ModelError> {
        self.rows.go_back()?;
        self.kept.truncate(1);
        self.version = self.kept.front().copied().unwrap_or(self.version);
        Ok(())
    }

    fn write_kept(&self, out: &mut dyn Write) -> io::Result<()> {
        let state = &mut StateWriter::new(out);
        self.rows.write_kept(state)?;
        state.each(self.kept.iter().copied())
    }

    fn read_kept(&mut self, from: &mut dyn Read) -> Result<(), ModelError> {
        let state = &mut StateReader::new(from);
        let count = self.rows.read_kept(state)?;
        self.kept = state.numbers(count)?.into();
        Ok(())
    }
}
