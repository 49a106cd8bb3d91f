//! Networks: a multilayer perceptron, and a deep model of embeddings, their products and a
//! perceptron over both.
//!
//! What trees cut into steps and pairs cannot bend, a network learns as a curve, and it learns it
//! from every label. Forward and backward passes are this project's own and go row by row
//! (`neural/network.rs`, [`pelton_kernels::layer`]), because the same row must get the same bits
//! beside whatever other rows and on every machine; why that rules out a tensor library is told
//! with figures in docs/neural.md. Labelled rows wait for their mini-batch, which is counted in
//! learned rows of the stream (`neural/replay.rs`); a mini-batch moves the dense parameters by one
//! step ([`pelton_kernels::descent`]) and each embedding by the steps of its own rows
//! (`neural/embeddings.rs`).
//!
//! Invariants: a function of the rows in their order, whatever their steps; weights are finite and
//! bounded; a row that is refused changes nothing; memory is bounded by the settings. What this
//! does not do: scale its inputs (they come standardised), or learn more than two hidden layers.

pub(crate) mod cases;
mod config;
mod device;
mod embeddings;
mod explain;
mod network;
mod plans;
mod replay;
mod state;
#[cfg(test)]
mod tests;

use std::cell::Cell;
use std::io::{self, Read, Write};

use pelton_kernels::coordinate::device::{RowsThere, Scorer};
use pelton_kernels::descent::Descent;
use pelton_kernels::math::{ln_f32, logit_f32, sigmoid_f32, softmax_f32};

pub use config::{Form, NeuralConfig};
pub use pelton_kernels::descent::Rule;

use crate::graph::{Graph, Inputs, Value};
use crate::kept::{Keeps, Kept};
use crate::linear::link::Link;
use crate::{FeatureShape, Features, LabeledBatch, LearnOutcome, Model, ModelError, Task};
use device::Place;
use embeddings::Embeddings;
use network::{Plan, Room};
use replay::{Replay, Row, Rows};

const NAME: &str = "neural";
/// Rows of the first mini-batches, which grow to the full size: the first labels tell most.
const BATCH_MIN: u64 = 4;
/// A mini-batch has one of so many learned rows, while that is less than the full size.
const BATCH_SHARE: u64 = 64;
/// Where one kind of label is rare a mini-batch has so many times as many rows, at most.
const RARE_MAX: u64 = 8;

/// A network.
pub struct Neural {
    config: NeuralConfig,
    shape: FeatureShape,
    learned: u64,
    /// Mini-batches so far.
    steps: u64,
    /// Sum of the weights of all learned rows.
    weights: f64,
    link: Link,
    plan: Plan,
    parameters: Vec<f32>,
    descent: Descent,
    embeddings: Embeddings,
    replay: Replay,
    kept: Kept,
    gradient: Vec<f32>,
    room: Cell<Room>,
    /// Where it lies on a device: numbers, of which those here are old then.
    there: Option<Box<Place>>,
}

/// A mini-batch that is whole.
struct Pending {
    rows: Rows,
    /// What a row of the usual weight counts for, times the rows of the stream among them.
    whole: f64,
    /// What the log odds of all rows are above those of the stream.
    offset: f32,
    /// Biases of the outputs, before the first one.
    biases: Vec<f32>,
}

impl Pending {
    /// What a row counts for.
    fn share(&self, row: Row<'_>) -> f32 {
        (f64::from(row.weight) / self.whole) as f32
    }
}

impl Neural {
    /// An untrained model on the CPU.
    ///
    /// # Errors
    /// [`ModelError::Kernel`] for a setting or shape outside its range.
    pub fn new(config: NeuralConfig, shape: FeatureShape) -> Result<Neural, ModelError> {
        config.check(shape)?;
        let plan = Plan::new(&config, shape);
        let mut room = Room::default();
        plan.make_room(&mut room);
        Ok(Neural {
            learned: 0,
            steps: 0,
            weights: 0.0,
            link: Link::new(config.task, 1.0),
            parameters: plan.begin(),
            descent: Descent::new(config.optimizer, plan.parameters()),
            embeddings: Embeddings::new(&config, shape),
            replay: Replay::new(&config, shape),
            kept: Kept::new(shape, 0),
            gradient: vec![0.0; plan.parameters()],
            room: Cell::new(room),
            there: None,
            plan,
            config,
            shape,
        })
    }

    /// Sparse indices that have an embedding now, and those that have lost theirs so far.
    #[must_use]
    pub fn embedded(&self) -> (usize, u64) {
        self.embeddings.counts()
    }

    fn score_row(&self, features: &Features<'_>, row: usize, out: &mut [f32]) {
        let (dense, sparse) = (self.shape.dense_width, self.shape.sparse_width);
        let dense = &features.dense[row * dense..][..dense];
        let sparse = &features.sparse[row * sparse..][..sparse];
        let mut room = self.room.take();
        self.plan.make_room(&mut room);
        self.plan.take((dense, sparse), &self.embeddings, &mut room);
        self.plan.forward(&self.parameters, &self.embeddings, &mut room);
        out.copy_from_slice(&room.outputs[..out.len()]);
        self.link.predict(out);
        self.room.set(room);
    }

    /// Lets a row wait for its mini-batch, or refuses it; learns the mini-batch where it is whole.
    fn learn_row(&mut self, batch: &LabeledBatch<'_>, row: usize) {
        if self.let_wait(batch, row) {
            self.learn_pending();
        }
    }

    /// Lets a row wait for its mini-batch, or refuses it; whether the mini-batch is whole.
    fn let_wait(&mut self, batch: &LabeledBatch<'_>, row: usize) -> bool {
        let (dense, sparse) = (self.shape.dense_width, self.shape.sparse_width);
        let own = Row {
            dense: &batch.features.dense[row * dense..][..dense],
            sparse: &batch.features.sparse[row * sparse..][..sparse],
            label: batch.labels[row],
            weight: batch.weights[row],
        };
        let is_finite = own.dense.iter().all(|value| value.is_finite());
        if !is_finite || !self.config.task.can_learn(own.label, own.weight) {
            return false;
        }
        self.link.observe(own.label);
        self.replay.push(own);
        self.learned += 1;
        self.weights += f64::from(own.weight);
        self.replay.pending.len() as u64 >= self.batch_rows()
    }

    /// Learned rows of the mini-batch that is due.
    ///
    /// A label of which one kind has the share `p` tells `4 p (1 - p)` of what an even one does:
    /// where one kind is rare more rows make a mini-batch, so that it tells about as much.
    fn batch_rows(&self) -> u64 {
        let (whole, growing) = (self.config.batch_rows as u64, self.learned / BATCH_SHARE);
        let rows = match self.config.task {
            Task::Binary => {
                let (rows, positives) = (self.learned as f64, self.replay.positives() as f64);
                let told = (4.0 * (positives + 0.5) * (rows - positives + 0.5)) / (rows * rows);
                (whole as f64 / told).min((whole * RARE_MAX) as f64) as u64
            }
            _ => whole,
        };
        growing.clamp(BATCH_MIN, rows.max(whole).max(BATCH_MIN)).min(rows.max(whole))
    }

    /// The rows that wait, and those that are learned again beside them.
    fn take_pending(&mut self) -> Pending {
        let biases = if self.steps == 0 { self.first_biases() } else { Vec::new() };
        // Those of the stream alone: rows learned again are beside them.
        let rows = self.replay.pending.len() as f64;
        let usual = self.weights / self.learned.max(1) as f64;
        let offset = self.replay.fill(self.learned);
        let pending = std::mem::replace(&mut self.replay.pending, Rows::new(self.shape));
        Pending { rows: pending, whole: rows * usual, offset, biases }
    }

    /// The mini-batch was learned; its room is used again.
    fn give_back(&mut self, pending: Pending) {
        self.steps += 1;
        self.replay.pending = pending.rows;
        self.replay.pending.clear();
    }

    /// Learns the mini-batch that is whole.
    fn learn_pending(&mut self) {
        let pending = self.take_pending();
        if !pending.biases.is_empty() {
            self.parameters[self.plan.output_bias()].copy_from_slice(&pending.biases);
        }
        let mut room = self.room.take();
        self.gradient.fill(0.0);
        for row in (0..pending.rows.len()).map(|at| pending.rows.row(at)) {
            self.learn_waiting(row, (pending.share(row), pending.offset), &mut room);
        }
        let rate = self.config.rate();
        self.descent.step(&mut self.parameters, &mut self.gradient, rate);
        self.room.set(room);
        self.give_back(pending);
    }

    /// Adds the derivatives of a row, which has this share of its mini-batch, and moves its
    /// embeddings.
    fn learn_waiting(&mut self, row: Row<'_>, (share, offset): (f32, f32), room: &mut Room) {
        row.sparse.iter().for_each(|index| self.embeddings.admit(*index, self.learned));
        self.plan.take((row.dense, row.sparse), &self.embeddings, room);
        self.plan.forward(&self.parameters, &self.embeddings, room);
        if self.config.task == Task::Regression {
            self.link.follow(room.outputs[0], row.label);
        }
        let outputs = self.config.task.outputs();
        let (outputs, pulls) = (&room.outputs[..outputs], &mut room.pulls);
        pulls.fill(0.0);
        pull(&self.link, outputs, (row.label, offset), &mut pulls[..outputs.len()]);
        pulls.iter_mut().for_each(|pull| *pull *= share);
        self.plan.back(&self.parameters, &mut self.gradient, room);
        self.plan.step(&mut self.embeddings, room);
    }

    /// Where the biases of the outputs begin: at what the labels of the first mini-batch say;
    /// nothing for targets.
    fn first_biases(&self) -> Vec<f32> {
        let labels = self.replay.pending.labels();
        let total = labels.len() as f32;
        let count = |class: usize| labels.iter().filter(|label| **label == class as f32).count();
        let classes = self.config.task.outputs();
        match self.config.task {
            Task::Binary => vec![logit_f32((count(1) as f32 + 0.5) / (total + 1.0))],
            Task::MultiClass { .. } => {
                let all = ln_f32(total + 0.5 * classes as f32);
                let own = |class| ln_f32((count(class) as f32 + 0.5) * classes as f32);
                (0..classes).map(|class| own(class) - all).collect()
            }
            Task::Regression => Vec::new(),
        }
    }
}

/// Writes the derivatives of the loss by the outputs: of the log loss where all log odds are
/// `offset` above those of the outputs, or of Huber's (1964) in deviations of the target.
fn pull(link: &Link, outputs: &[f32], (label, offset): (f32, f32), pulls: &mut [f32]) {
    match link.task {
        Task::Binary => pulls[0] = sigmoid_f32(outputs[0] + offset) - label,
        Task::MultiClass { .. } => {
            pulls.copy_from_slice(outputs);
            softmax_f32(pulls);
            pulls[label as usize] -= 1.0;
        }
        Task::Regression => pulls[0] = link.limited(outputs[0] - link.target(label)),
    }
}

impl Model for Neural {
    fn outputs(&self) -> usize {
        self.config.task.outputs()
    }

    fn version(&self) -> u64 {
        self.learned
    }

    fn score(&self, features: &Features<'_>, out: &mut [f32]) -> Result<(), ModelError> {
        let outputs = self.outputs();
        self.shape.check(NAME, features, Some((outputs, out.len())))?;
        if let Some(there) = &self.there {
            return self.score_by(there, (features, None), out);
        }
        for (row, out) in out.chunks_exact_mut(outputs).enumerate() {
            self.score_row(features, row, out);
        }
        Ok(())
    }

    fn score_there(
        &self,
        features: &Features<'_>,
        rows: RowsThere<'_>,
        out: &mut [f32],
    ) -> Result<(), ModelError> {
        let Some(there) = &self.there else { return self.score(features, out) };
        self.shape.check(NAME, features, Some((self.outputs(), out.len())))?;
        self.score_by(there, (features, Some(rows)), out)
    }

    fn scorer(&self) -> Option<&dyn Scorer> {
        self.there.as_deref().map(|there| there as &dyn Scorer)
    }

    /// Of a regression the network gives deviations from the usual target.
    fn finish_scores(&self, scores: &mut [f32]) {
        if self.config.task == Task::Regression {
            scores.chunks_exact_mut(1).for_each(|score| self.link.predict(score));
        }
    }

    /// Where the model lies on a device all of it is copied for each call.
    fn explain(&self, features: &Features<'_>, out: &mut [f32]) -> Result<(), ModelError> {
        match self.fetched()? {
            Some(own) => own.contributions(features, out),
            None => self.contributions(features, out),
        }
    }

    /// One after another: a step of rows is those rows.
    fn learn(&mut self, batch: &LabeledBatch<'_>) -> Result<LearnOutcome, ModelError> {
        self.shape.check_batch(NAME, batch)?;
        self.reserve(batch.features.rows)?;
        self.kept.note(batch);
        if let Some(there) = self.there.take() {
            return self.learn_by(there, batch, None);
        }
        let (before, rows) = (self.learned, batch.features.rows);
        (0..rows).for_each(|row| self.learn_row(batch, row));
        let learned = self.learned - before;
        Ok(LearnOutcome { learned, refused: rows as u64 - learned })
    }

    fn score_and_learn_each(
        &mut self,
        batch: &LabeledBatch<'_>,
        out: &mut [f32],
    ) -> Result<LearnOutcome, ModelError> {
        let outputs = self.outputs();
        self.shape.check_batch(NAME, batch)?;
        self.shape.check(NAME, &batch.features, Some((outputs, out.len())))?;
        self.reserve(batch.features.rows)?;
        self.kept.note_each(batch);
        if let Some(there) = self.there.take() {
            return self.learn_by(there, batch, Some(out));
        }
        let before = self.learned;
        for (row, out) in out.chunks_exact_mut(outputs).enumerate() {
            self.score_row(&batch.features, row, out);
            self.learn_row(batch, row);
        }
        let learned = self.learned - before;
        Ok(LearnOutcome { learned, refused: batch.features.rows as u64 - learned })
    }

    fn draw(&self, graph: &mut Graph, inputs: &Inputs) -> Result<Value, ModelError> {
        if let Some(own) = self.fetched()? {
            return own.draw(graph, inputs);
        }
        let scores = self.plan.draw(graph, inputs, (&self.parameters, &self.embeddings))?;
        Ok(self.link.draw(graph, scores))
    }

    fn write_state(&self, out: &mut dyn Write) -> io::Result<()> {
        match self.fetched().map_err(io::Error::other)? {
            Some(own) => own.write(out),
            None => self.write(out),
        }
    }

    fn read_state(&mut self, from: &mut dyn Read) -> Result<(), ModelError> {
        let mut other = Neural::new(self.config, self.shape)?;
        other.read(from)?;
        if let Some(mut there) = self.there.take() {
            let sent = there.there().send(&mut other);
            self.there = Some(there);
            sent?;
            other.there = self.there.take();
        }
        *self = other;
        Ok(())
    }

    crate::kept::keeps_by_copies!();
}

impl Keeps for Neural {
    fn kept(&mut self) -> &mut Kept {
        &mut self.kept
    }
}
