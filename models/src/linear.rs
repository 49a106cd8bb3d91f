//! The linear model: sparse hashed and dense inputs, a bias, one output per class.
//!
//! A score is `link(sum_j w_j x_j + w_bias)`; what differs is how weights learn, see [`Optimizer`].
//! It is the default model of pelton, so its default needs no tuning and does not stop learning
//! when the world drifts: four linear experts with different memories, weighted by how well they
//! have predicted lately.
//!
//! Invariants: learning rows one by one and [`Model::score_and_learn_each`] give the same bits; a
//! weight is always finite; a row whose input, label or score is not finite changes nothing and is
//! counted. What this does not do: standardise or hash its inputs, or remember scored rows.

pub(crate) mod blend;
pub(crate) mod cases;
mod config;
mod coordinates;
pub(crate) mod device;
pub(crate) mod draw;
mod explain;
pub(crate) mod kept;
pub(crate) mod link;
pub(crate) mod rows;
mod state;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::io::{self, Read, Write};

use pelton_kernels::blend::device::BlendTable;
use pelton_kernels::coordinate::device::{CoordinateTable, RowsThere, Scorer};
use pelton_kernels::coordinate::{AdaGrad, CoordinateRule, FtrlProximal, NormalizedSgd};
use pelton_kernels::device::Device;
use pelton_kernels::state::{StateReader, StateWriter};

pub use config::{LinearConfig, Optimizer};
pub use device::table_spec;

use crate::graph::{Graph, Inputs, Value};
use crate::{FeatureShape, Features, LabeledBatch, LearnOutcome, Model, ModelError};
use blend::Blend;
use coordinates::Coordinates;
use device::{DeviceRows, Twin};
use link::Link;
use rows::{Batches, RowLearner, Rows};

/// The linear model with one of its optimisers.
pub struct Linear {
    config: LinearConfig,
    shape: FeatureShape,
    /// Where the weights lie.
    device: Device,
    outputs: usize,
    version: u64,
    /// Versions of the states that are kept, oldest first.
    kept: VecDeque<u64>,
    batches: Box<dyn Batches>,
}

impl Linear {
    /// An untrained model on the CPU.
    ///
    /// # Errors
    /// As [`Linear::on`].
    pub fn new(config: LinearConfig, shape: FeatureShape) -> Result<Linear, ModelError> {
        Linear::on(&Device::Cpu, config, shape)
    }

    /// An untrained model on a device.
    ///
    /// # Errors
    /// [`pelton_kernels::KernelError::Value`] when a setting or the shape is outside its range;
    /// [`ModelError::Device`] when the weights do not fit the device.
    pub fn on(
        device: &Device,
        config: LinearConfig,
        shape: FeatureShape,
    ) -> Result<Linear, ModelError> {
        config.check(shape)?;
        let outputs = config.task.outputs();
        let batches = batches(device, &config, shape)?;
        let device = device.clone();
        Ok(Linear { config, shape, device, outputs, version: 0, kept: VecDeque::new(), batches })
    }

    /// How much each expert of [`Optimizer::Blend`] counts now; none for the others.
    pub fn expert_weights(&self) -> Option<[f32; 4]> {
        self.batches.expert_weights()
    }
}

impl Model for Linear {
    fn outputs(&self) -> usize {
        self.outputs
    }

    fn version(&self) -> u64 {
        self.version
    }

    /// A row whose score would not be finite gets the score of a row without features.
    fn score(&self, features: &Features<'_>, out: &mut [f32]) -> Result<(), ModelError> {
        self.shape.check(NAME, features, Some((self.outputs, out.len())))?;
        self.batches.score(features, None, out)
    }

    /// Where the weights lie on a device all of them are copied for each call.
    fn explain(&self, features: &Features<'_>, out: &mut [f32]) -> Result<(), ModelError> {
        let numbers = self.outputs * self.shape.explained_width(0);
        self.shape.check(NAME, features, Some((numbers, out.len())))?;
        self.batches.explain(features, out)
    }

    fn draw(&self, graph: &mut Graph, inputs: &Inputs) -> Result<Value, ModelError> {
        graph.within(NAME, |graph| self.batches.draw(graph, inputs))
    }

    fn score_there(
        &self,
        features: &Features<'_>,
        there: RowsThere<'_>,
        out: &mut [f32],
    ) -> Result<(), ModelError> {
        self.shape.check(NAME, features, Some((self.outputs, out.len())))?;
        self.batches.score(features, Some(there), out)
    }

    fn scorer(&self) -> Option<&dyn Scorer> {
        self.batches.scorer()
    }

    fn learn(&mut self, batch: &LabeledBatch<'_>) -> Result<LearnOutcome, ModelError> {
        self.shape.check_batch(NAME, batch)?;
        let outcome = self.batches.learn(batch)?;
        self.version += outcome.learned;
        Ok(outcome)
    }

    fn score_and_learn_each(
        &mut self,
        batch: &LabeledBatch<'_>,
        out: &mut [f32],
    ) -> Result<LearnOutcome, ModelError> {
        self.shape.check_batch(NAME, batch)?;
        self.shape.check(NAME, &batch.features, Some((self.outputs, out.len())))?;
        let outcome = self.batches.score_and_learn_each(batch, out)?;
        self.version += outcome.learned;
        Ok(outcome)
    }

    fn write_state(&self, out: &mut dyn Write) -> io::Result<()> {
        let state = &mut StateWriter::new(out);
        state::write_header(state, &self.config, self.shape)?;
        state.put(self.version)?;
        self.batches.write_state(state)
    }

    fn read_state(&mut self, from: &mut dyn Read) -> Result<(), ModelError> {
        let state = &mut StateReader::new(from);
        state::read_header(state, &self.config, self.shape)?;
        let version = state.get()?;
        let mut batches = batches(&self.device, &self.config, self.shape)?;
        batches.read_state(state)?;
        (self.version, self.batches) = (version, batches);
        self.kept.clear();
        Ok(())
    }

    fn keep(&mut self) -> Result<(), ModelError> {
        self.batches.keep()?;
        self.kept.push_back(self.version);
        Ok(())
    }

    fn forget_oldest(&mut self) {
        self.kept.pop_front();
        self.batches.forget_oldest();
    }

    fn go_back(&mut self) -> Result<(), ModelError> {
        self.batches.go_back()?;
        self.kept.truncate(1);
        self.version = self.kept.front().copied().unwrap_or(self.version);
        Ok(())
    }

    fn write_kept(&self, out: &mut dyn Write) -> io::Result<()> {
        let state = &mut StateWriter::new(out);
        self.batches.write_kept(state)?;
        state.each(self.kept.iter().copied())
    }

    fn read_kept(&mut self, from: &mut dyn Read) -> Result<(), ModelError> {
        let state = &mut StateReader::new(from);
        let count = self.batches.read_kept(state)?;
        self.kept = state.numbers(count)?.into();
        Ok(())
    }
}

const NAME: &str = "linear";

fn batches(
    device: &Device,
    config: &LinearConfig,
    shape: FeatureShape,
) -> Result<Box<dyn Batches>, ModelError> {
    let link = Link::new(config.task, config.positive_weight);
    let (l1, l2) = (config.l1, config.l2);
    match config.optimizer {
        Optimizer::Blend { rate } => {
            let blend = Blend::new(link, shape, config.width(shape), rate, [l1, l2]);
            on_device::<_, BlendTable>(device, config, shape, blend)
        }
        Optimizer::Ftrl { rate, beta } => {
            let rule = FtrlProximal { alpha: rate, beta, l1, l2 };
            by_coordinate(device, config, shape, (rule, None))
        }
        Optimizer::AdaGrad { rate } => {
            by_coordinate(device, config, shape, (AdaGrad { rate, l1, l2 }, None))
        }
        Optimizer::Sgd { rate } => {
            by_coordinate(device, config, shape, (NormalizedSgd { rate, l1, l2 }, Some(rate)))
        }
    }
}

fn by_coordinate<R: CoordinateRule + Send + 'static>(
    device: &Device,
    config: &LinearConfig,
    shape: FeatureShape,
    (rule, rate): (R, Option<f32>),
) -> Result<Box<dyn Batches>, ModelError> {
    let link = Link::new(config.task, config.positive_weight);
    let learner = Coordinates::new(rule, link, shape, config.width(shape), rate);
    on_device::<_, CoordinateTable>(device, config, shape, learner)
}

fn on_device<H: RowLearner + 'static, T: Twin<H> + 'static>(
    device: &Device,
    config: &LinearConfig,
    shape: FeatureShape,
    learner: H,
) -> Result<Box<dyn Batches>, ModelError> {
    match device {
        Device::Cpu => Ok(Box::new(Rows::new(learner, shape, config.fold))),
        Device::Gpu(gpu) => {
            let spec = table_spec(config, shape);
            Ok(Box::new(DeviceRows::<H, T>::new(gpu, spec, learner)?))
        }
    }
}
