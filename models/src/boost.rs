//! Boosted trees, grown again and again over a bounded sample of the stream.
//!
//! Labelled rows go into a sample (`boost/sample.rs`) that keeps rare labels whole. A generation of
//! trees (`boost/generation.rs`) is grown over it from nothing, a round every so many labels, so
//! that the work is spread over the stream; when it is whole it serves, and the next one begins.
//! The score is the mean of the last generations. So the model in production is about as good as
//! one retrained on all the past, and never older than some periods; the first generations come at
//! doublings of the labels.
//!
//! Invariants: a function of the rows in their order (the sample's random numbers are part of the
//! state); memory is bounded by the settings; a row that is refused changes nothing. What this does
//! not do: learn from a label at once (the linear blend beside it does).

mod bins;
mod config;
mod draw;
mod explain;
mod generation;
mod pull;
mod sample;
mod state;
#[cfg(test)]
mod tests;
mod tree;

use std::cell::Cell;
use std::collections::VecDeque;
use std::io::{self, Read, Write};

pub use config::BoostConfig;

use crate::graph::{Graph, Inputs, Value};
use crate::kept::{Keeps, Kept};
use crate::memory::LabelMemory;
use crate::{FeatureShape, Features, LabeledBatch, LearnOutcome, Model, ModelError, Task};
use generation::{Generation, Growing};
use sample::Sample;

const NAME: &str = "boost";
/// Labels before the first generation begins.
const LABELS_MIN: u64 = 256;

/// Boosted trees that are grown again and again.
pub struct Boost {
    config: BoostConfig,
    shape: FeatureShape,
    learned: u64,
    memory: LabelMemory,
    /// Columns of a row: dense features, and notes on its categories.
    width: usize,
    sample: Sample,
    growing: Option<Growing>,
    /// Whole generations, oldest first.
    serving: VecDeque<Generation>,
    kept: Kept,
    /// Room for a row and its codes.
    room: Cell<(Vec<f32>, Vec<u8>)>,
    /// Room for what each column adds to each output.
    explaining: Cell<Vec<f32>>,
}

impl Boost {
    /// An untrained model.
    ///
    /// # Errors
    /// [`ModelError::Kernel`] for a setting or shape outside its range.
    pub fn new(config: BoostConfig, shape: FeatureShape) -> Result<Boost, ModelError> {
        config.check()?;
        let memory = LabelMemory::new(config.task, shape);
        let width = shape.dense_width + memory.categories_width();
        Ok(Boost {
            sample: Sample::new(width, config.kinds(), config.sample_rows),
            learned: 0,
            kept: Kept::new(shape, memory.categories_width()),
            memory,
            width,
            growing: None,
            serving: VecDeque::new(),
            room: Cell::default(),
            explaining: Cell::default(),
            config,
            shape,
        })
    }

    fn score_row(&self, features: &Features<'_>, row: usize, out: &mut [f32]) {
        let (mut values, mut codes) = self.room.take();
        features.columns(row, &mut values);
        codes.resize(values.len(), 0);
        if self.serving.is_empty() {
            // What the labels alone say.
            let (base, [mean, deviation]) = generation::start(self.config.task, &self.sample);
            out.iter_mut().zip(base).for_each(|(out, base)| *out = mean + deviation * base);
        } else {
            out.fill(0.0);
            self.serving.iter().for_each(|whole| whole.add(&values, &mut codes, out));
            out.iter_mut().for_each(|margin| *margin /= self.serving.len() as f32);
        }
        generation::predict(self.config.task, out);
        self.room.set((values, codes));
    }

    /// Learns a row, or refuses it.
    fn learn_row(&mut self, batch: &LabeledBatch<'_>, row: usize) {
        let (label, weight) = (batch.labels[row], batch.weights[row]);
        if !self.config.task.can_learn(label, weight) {
            return;
        }
        let kind = match self.config.task {
            Task::Regression => 0,
            _ => label as usize,
        };
        let (mut values, codes) = self.room.take();
        batch.features.columns(row, &mut values);
        let sparse_width = self.shape.sparse_width;
        self.memory.learn(&batch.features.sparse[row * sparse_width..][..sparse_width], label);
        let place = self.sample.offer(&values, (label, weight), kind);
        self.room.set((values, codes));
        self.learned += 1;
        let width = self.width;
        if let (Some(growing), Some(place)) = (&mut self.growing, place) {
            growing.place(&self.sample, place, width);
        }
        self.grow(width);
    }

    /// Grows the rounds that are due; a generation that is whole serves.
    fn grow(&mut self, width: usize) {
        if self.growing.is_none() && self.learned >= LABELS_MIN {
            self.growing = Some(Growing::new(&self.config, &self.sample, width, self.learned));
        }
        let Some(growing) = &mut self.growing else { return };
        while growing.rounds() < growing.rounds_due(&self.config, self.learned) {
            growing.round(&self.config, &self.sample, width);
        }
        if growing.rounds() == self.config.rounds
            && let Some(whole) = self.growing.take()
        {
            self.serving.push_back(whole.generation);
            if self.serving.len() > self.config.generations {
                self.serving.pop_front();
            }
        }
    }
}

impl Model for Boost {
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

    fn score(&self, features: &Features<'_>, out: &mut [f32]) -> Result<(), ModelError> {
        let outputs = self.outputs();
        self.shape.check(NAME, features, Some((outputs, out.len())))?;
        self.shape.check_notes(NAME, features, self.notes_width())?;
        for (row, out) in out.chunks_exact_mut(outputs).enumerate() {
            self.score_row(features, row, out);
        }
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
        self.shape.check_notes(NAME, &batch.features, self.notes_width())?;
        self.kept.note_each(batch);
        let before = self.learned;
        for (row, out) in out.chunks_exact_mut(outputs).enumerate() {
            self.score_row(&batch.features, row, out);
            self.learn_row(batch, row);
        }
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
        let mut other = Boost::new(self.config, self.shape)?;
        other.read(from)?;
        *self = other;
        Ok(())
    }

    crate::kept::keeps_by_copies!();
}

impl Keeps for Boost {
    fn kept(&mut self) -> &mut Kept {
        &mut self.kept
    }
}
