//! An adaptive random forest: Hoeffding trees that grow with the stream and follow its drift.
//!
//! After Gomes et al. 2017, "Adaptive random forests for evolving data stream classification":
//! each tree counts each row as often as a Poisson number says, its leaves look at columns drawn
//! for them, and a challenger takes the place of a tree that has become worse. What is other here:
//! every node keeps predicting with several memories (`forest/tree.rs`), trees split by nats won
//! (`forest/grow.rs`), a challenger has to win (`forest/member.rs`), common labels are thinned in
//! the histograms, exactly weighted, and a last layer learns how far to trust which memory
//! (`forest/vote.rs`). `docs/forest.md` has the figures.
//!
//! Invariants: a function of the rows in their order, random numbers included: they follow from
//! the rows learned and the trees grown; memory is bounded by the settings; a row that is refused
//! changes nothing. What this does not do: look at two columns at once.

mod bins;
mod config;
mod draw;
mod explain;
mod grow;
mod leaves;
mod member;
mod poisson;
mod split;
mod state;
#[cfg(test)]
pub(crate) mod tests;
mod tree;
mod vote;

use std::cell::Cell;
use std::io::{self, Read, Write};

use pelton_kernels::hash::mix64;
use pelton_kernels::math;

pub use config::ForestConfig;

use crate::graph::{Graph, Inputs, Value};
use crate::kept::{Keeps, Kept};
use crate::memory::LabelMemory;
use crate::{FeatureShape, Features, LabeledBatch, LearnOutcome, Model, ModelError, Task};
use bins::Bins;
use config::MEMORIES;
use member::{Fate, Member};
use poisson::{PER_WORD, Poisson};
use tree::{Row, Tree};
use vote::Vote;

const NAME: &str = "forest";
/// Labels at which the first bins are taken, and in how many the next ones at most.
const BINS_FIRST: u64 = 64;
const BINS_EVERY: u64 = 16_384;
/// Labels between two weighings of the trees.
const SHARES_EVERY: u64 = 16;

/// An adaptive random forest.
pub struct Forest {
    config: ForestConfig,
    shape: FeatureShape,
    learned: u64,
    /// Trees grown ever.
    grown: u64,
    /// Challengers that have won.
    replaced: u64,
    /// Labels at which new bins are taken.
    bins_at: u64,
    memory: LabelMemory,
    bins: Bins,
    members: Vec<Member>,
    /// Weight of each tree in the vote.
    shares: Vec<f32>,
    vote: Vote,
    poisson: Poisson,
    /// Number of labels that are values, their mean, and the sum of squares around it.
    moments: [f64; 3],
    kept: Kept,
    room: Cell<Room>,
    explaining: Cell<explain::Room>,
}

/// Room for a row, used again.
#[derive(Default)]
struct Room {
    /// `[width]`.
    values: Vec<f32>,
    codes: Vec<u8>,
    /// What each tree predicts, `[trees, MEMORIES, outputs]`.
    each: Vec<f32>,
    /// The same of a challenger.
    other: Vec<f32>,
    /// Inputs of the last layer, `[MEMORIES, outputs]`, and what it makes of them.
    inputs: Vec<f32>,
    out: Vec<f32>,
}

impl Forest {
    /// An untrained model.
    ///
    /// # Errors
    /// [`ModelError::Kernel`] for a setting or shape outside its range.
    pub fn new(config: ForestConfig, shape: FeatureShape) -> Result<Forest, ModelError> {
        let memory = LabelMemory::new(config.task, shape);
        let width = shape.dense_width + memory.categories_width();
        config.check(width)?;
        // A row without columns is one of a constant.
        let bins = Bins::new(width.max(1), config.kinds());
        let member = |at| Member::new(&config, Tree::new(&config, &bins, mix64(at)));
        let members: Vec<Member> = (1..=config.trees as u64).map(member).collect();
        Ok(Forest {
            learned: 0,
            grown: config.trees as u64,
            replaced: 0,
            bins_at: BINS_FIRST,
            kept: Kept::new(shape, memory.categories_width()),
            memory,
            shares: vec![1.0 / config.trees as f32; config.trees],
            vote: Vote::new(),
            poisson: Poisson::new(config.lambda),
            moments: [0.0; 3],
            room: Cell::default(),
            explaining: Cell::default(),
            config,
            shape,
            bins,
            members,
        })
    }

    /// Nodes of each tree that votes.
    #[must_use]
    pub fn nodes(&self) -> Vec<usize> {
        let used = |tree: &Tree| tree.nodes.len() - 2 * tree.free.len();
        self.members.iter().map(|member| used(&member.tree)).collect()
    }

    /// Trees that a challenger has replaced.
    #[must_use]
    pub fn replaced(&self) -> u64 {
        self.replaced
    }

    /// The columns of a row: dense features, and notes on its categories.
    fn lay_row(&self, features: &Features<'_>, row: usize, values: &mut Vec<f32>) {
        features.columns(row, values);
        values.resize(self.bins.width(), 0.0);
    }

    /// Makes the room fit.
    fn lay_out(&self, room: &mut Room) {
        let outputs = self.config.task.outputs();
        room.each.resize(self.members.len() * MEMORIES * outputs, 0.0);
        room.other.resize(MEMORIES * outputs, 0.0);
        room.inputs.resize(MEMORIES * outputs, 0.0);
        room.out.resize(outputs, 0.0);
        room.codes.resize(self.bins.width(), 0);
    }

    /// Predicts from the values in the room, into it.
    fn predict(&self, room: &mut Room) {
        let parts = self.members.iter().zip(room.each.chunks_exact_mut(room.inputs.len()));
        parts.for_each(|(member, each)| member.tree.predict(&self.config, &room.values, each));
        self.conclude(room);
    }

    /// From what each tree predicts to one prediction.
    fn conclude(&self, room: &mut Room) {
        room.inputs.fill(0.0);
        let parts = room.each.chunks_exact(room.inputs.len()).zip(&self.shares);
        for (each, share) in parts {
            room.inputs.iter_mut().zip(each).for_each(|(sum, own)| *sum += share * *own);
        }
        self.vote.predict(self.config.task, &mut room.inputs, &mut room.out);
    }

    /// Predicts as [`Forest::predict`], and learns the row.
    fn predict_and_learn(&mut self, batch: &LabeledBatch<'_>, row: usize, room: &mut Room) {
        let (label, weight) = (batch.labels[row], batch.weights[row]);
        let sparse_width = self.shape.sparse_width;
        self.memory.learn(&batch.features.sparse[row * sparse_width..][..sparse_width], label);
        self.learned += 1;
        let kind = if self.config.task == Task::Regression { 0 } else { label as usize };
        self.bins.offer(&room.values, kind);
        self.count(f64::from(label));
        let spread = self.spread();
        let share = self.bins.share(kind, self.config.share_min);
        let draw = (mix64(!self.learned) >> 40) as f32 / (1 << 24) as f32;
        let is_counted = self.bins.is_ready() && draw < share;
        if is_counted {
            self.bins.encode(&room.values, &mut room.codes);
        }
        let (config, bins) = (&self.config, &self.bins);
        let learned = Row { config, bins, values: &room.values, codes: &room.codes, label, weight };
        let each = room.each.chunks_exact_mut(room.inputs.len());
        for (at, (member, predicted)) in self.members.iter_mut().zip(each).enumerate() {
            let word = mix64(self.learned << 16 | (at / PER_WORD) as u64);
            let number = self.poisson.draw(word, at % PER_WORD);
            let bag = if is_counted { number / share } else { 0.0 };
            match member.predict_and_learn((&learned, bag, spread), predicted, &mut room.other) {
                Fate::Stays => {}
                Fate::Replaced => self.replaced += 1,
                Fate::Warned => {
                    self.grown += 1;
                    member.challenge(&self.config, &self.bins, mix64(self.grown));
                }
            }
        }
        self.conclude(room);
        self.vote.learn(&self.config, (&room.inputs, &room.out), (label, spread));
        if self.learned.is_multiple_of(SHARES_EVERY) {
            self.weigh();
        }
        if self.learned >= self.bins_at {
            self.bins_at += (self.bins_at / 4).clamp(BINS_FIRST, BINS_EVERY);
            let remap = self.bins.renew();
            let (config, bins) = (&self.config, &self.bins);
            self.members.iter_mut().for_each(|member| member.remap(config, bins, &remap));
        }
    }

    /// Weighs the trees by their trailing losses.
    fn weigh(&mut self) {
        let losses = self.members.iter().map(|member| member.loss);
        let least = losses.clone().fold(f32::MAX, f32::min);
        for (share, loss) in self.shares.iter_mut().zip(losses) {
            *share = math::exp_f32(-self.config.sharpness * (loss - least));
        }
        let total: f32 = self.shares.iter().sum();
        self.shares.iter_mut().for_each(|share| *share /= total);
    }

    /// Counts a label as a value.
    fn count(&mut self, label: f64) {
        let [count, mean, squares] = &mut self.moments;
        *count += 1.0;
        let off = label - *mean;
        *mean += off / *count;
        *squares += off * (label - *mean);
    }

    /// The variance of labels.
    fn spread(&self) -> f32 {
        let [count, _, squares] = self.moments;
        if squares > 0.0 { ((squares / count) as f32).max(1e-30) } else { 1.0 }
    }

    /// Whether a row can be learned.
    fn is_good(&self, batch: &LabeledBatch<'_>, row: usize) -> bool {
        let (label, weight) = (batch.labels[row], batch.weights[row]);
        let is_label = self.config.task.can_learn(label, weight) && label.abs() <= 1e12;
        let width = self.shape.dense_width;
        let dense = &batch.features.dense[row * width..][..width];
        is_label && weight <= 1e4 && dense.iter().all(|value| value.is_finite())
    }
}

impl Model for Forest {
    fn outputs(&self) -> usize {
        self.config.task.outputs()
    }

    fn version(&self) -> u64 {
        self.learned
    }

    fn notes_width(&self) -> usize {
        self.memory.categories_width()
    }

    fn note(&self, features: &Features<'_>, notes: &mut [f32]) -> Result<(), ModelError> {
        self.shape.check(NAME, features, None)?;
        self.shape.check_notes(NAME, &Features { notes, ..*features }, self.notes_width())?;
        self.memory.note_all_categories(features, notes);
        Ok(())
    }

    /// What is not finite counts as 0.
    fn score(&self, features: &Features<'_>, out: &mut [f32]) -> Result<(), ModelError> {
        let outputs = self.outputs();
        self.shape.check(NAME, features, Some((outputs, out.len())))?;
        self.shape.check_notes(NAME, features, self.notes_width())?;
        let mut room = self.room.take();
        self.lay_out(&mut room);
        for (row, out) in out.chunks_exact_mut(outputs).enumerate() {
            self.lay_row(features, row, &mut room.values);
            self.predict(&mut room);
            out.copy_from_slice(&room.out);
        }
        self.room.set(room);
        Ok(())
    }

    fn explain(&self, features: &Features<'_>, out: &mut [f32]) -> Result<(), ModelError> {
        self.explain_rows(features, out)
    }

    fn noted_feature(&self, note: usize) -> Option<usize> {
        self.memory.noted_feature(note)
    }

    /// One after another: a step of rows is those rows.
    fn learn(&mut self, batch: &LabeledBatch<'_>) -> Result<LearnOutcome, ModelError> {
        self.shape.check_batch(NAME, batch)?;
        self.shape.check_notes(NAME, &batch.features, self.notes_width())?;
        self.kept.note(batch);
        let (before, rows) = (self.learned, batch.features.rows);
        let mut room = self.room.take();
        self.lay_out(&mut room);
        for row in 0..rows {
            if !self.is_good(batch, row) {
                continue;
            }
            self.lay_row(&batch.features, row, &mut room.values);
            self.predict_and_learn(batch, row, &mut room);
        }
        self.room.set(room);
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
        self.shape.check_notes(NAME, &batch.features, self.notes_width())?;
        self.kept.note_each(batch);
        let before = self.learned;
        let mut room = self.room.take();
        self.lay_out(&mut room);
        for (row, out) in out.chunks_exact_mut(outputs).enumerate() {
            self.lay_row(&batch.features, row, &mut room.values);
            if self.is_good(batch, row) {
                self.predict_and_learn(batch, row, &mut room);
            } else {
                self.predict(&mut room);
            }
            out.copy_from_slice(&room.out);
        }
        self.room.set(room);
        let learned = self.learned - before;
        Ok(LearnOutcome { learned, refused: batch.features.rows as u64 - learned })
    }

    fn draw(&self, graph: &mut Graph, inputs: &Inputs) -> Result<Value, ModelError> {
        self.draw_scores(graph, inputs)
    }

    fn draw_notes(&self, graph: &mut Graph, inputs: &Inputs) -> Result<Option<Value>, ModelError> {
        Ok(self.memory.draw_categories(graph, inputs))
    }

    fn write_state(&self, out: &mut dyn Write) -> io::Result<()> {
        self.write(out)
    }

    fn read_state(&mut self, from: &mut dyn Read) -> Result<(), ModelError> {
        let mut other = Forest::new(self.config, self.shape)?;
        other.read(from)?;
        *self = other;
        Ok(())
    }

    crate::kept::keeps_by_copies!();
}

impl Keeps for Forest {
    fn kept(&mut self) -> &mut Kept {
        &mut self.kept
    }
}
