//! A model that learns all positives and a share of the negatives.
//!
//! Where one label in a hundred is positive, most negatives say nothing new: leaving out four of
//! five makes learning several times as cheap. Which ones are left out is drawn without a look at
//! their features, so that the odds come out too high by the same factor for every row, and
//! [`undo_sampling`] takes it back exactly.
//!
//! Invariants: a function of the rows in their order (the draws are part of the state); a row left
//! out changes no weight, so that the version stays; it counts as learned. What this does not do:
//! thin out classes, or rows by what they are.

mod draw;

use std::collections::VecDeque;
use std::io::{self, Read, Write};

use pelton_kernels::KernelError;
use pelton_kernels::coordinate::device::Scorer;
use pelton_kernels::hash::mix64;
use pelton_kernels::math::ln_f32;
use pelton_kernels::state::{StateReader, StateWriter};

pub(crate) use draw::choose_legal;

use crate::calibrate::prior::undo_sampling;
use crate::graph::{Graph, Inputs, Value};
use crate::{Features, LabeledBatch, LearnOutcome, MemberStatus, Model, ModelError};

/// More than anyone keeps: a damaged count must not ask for memory.
const KEPT_MAX: usize = 1 << 16;

/// A binary model that learns a share of the negatives.
pub struct Thinned {
    share: f64,
    model: Box<dyn Model>,
    /// Negatives seen so far.
    negatives: u64,
    /// The same as of the kept states, oldest first.
    kept: VecDeque<u64>,
    /// Rows of a step that are learned.
    rows: Rows,
}

/// Rows of a step; used again.
#[derive(Debug, Default)]
struct Rows {
    dense: Vec<f32>,
    sparse: Vec<u32>,
    notes: Vec<f32>,
    labels: Vec<f32>,
    weights: Vec<f32>,
}

impl Rows {
    fn clear(&mut self) {
        self.dense.clear();
        self.sparse.clear();
        self.notes.clear();
        self.labels.clear();
        self.weights.clear();
    }

    fn push(&mut self, row: &LabeledBatch<'_>) {
        self.dense.extend_from_slice(row.features.dense);
        self.sparse.extend_from_slice(row.features.sparse);
        self.notes.extend_from_slice(row.features.notes);
        self.labels.extend_from_slice(row.labels);
        self.weights.extend_from_slice(row.weights);
    }

    fn batch(&self) -> LabeledBatch<'_> {
        let (dense, sparse, notes) = (&self.dense[..], &self.sparse[..], &self.notes[..]);
        let features = Features { rows: self.labels.len(), dense, sparse, notes };
        LabeledBatch { features, labels: &self.labels, weights: &self.weights }
    }
}

impl Thinned {
    /// Wraps an untrained model that is to learn this share of the negatives, in `(0, 1]`.
    ///
    /// # Errors
    /// [`ModelError::Kernel`] for another share, or a model with more than one output.
    pub fn new(model: Box<dyn Model>, share: f64) -> Result<Thinned, ModelError> {
        let checks = [
            ("share", share > 0.0 && share <= 1.0, "must be above 0 and at most 1"),
            (
                "outputs",
                model.outputs() == 1,
                "must be one: there are negatives of two classes only",
            ),
        ];
        if let Some((argument, _, reason)) = checks.into_iter().find(|(_, is_legal, _)| !is_legal) {
            return Err(KernelError::Value { kernel: "thinned", argument, reason }.into());
        }
        let (kept, rows) = (VecDeque::new(), Rows::default());
        Ok(Thinned { share, model, negatives: 0, kept, rows })
    }

    /// Whether a label is learned.
    fn takes(&mut self, label: f32) -> bool {
        if label != 0.0 {
            return true;
        }
        self.negatives += 1;
        // The upper 53 bits are a number of 0 to 1.
        ((mix64(self.negatives) >> 11) as f64) < self.share * (1_u64 << 53) as f64
    }

    fn correct(&self, scores: &mut [f32]) {
        let legal = scores.iter_mut().filter(|score| (0.0..=1.0).contains(*score));
        legal.for_each(|score| *score = undo_sampling(*score, self.share));
    }
}

impl Model for Thinned {
    fn outputs(&self) -> usize {
        1
    }

    /// That of the wrapped model: rows left out are not in it.
    fn version(&self) -> u64 {
        self.model.version()
    }

    fn notes_width(&self) -> usize {
        self.model.notes_width()
    }

    fn note(&self, features: &Features<'_>, notes: &mut [f32]) -> Result<(), ModelError> {
        self.model.note(features, notes)
    }

    fn score(&self, features: &Features<'_>, out: &mut [f32]) -> Result<(), ModelError> {
        self.model.score(features, out)?;
        self.correct(out);
        Ok(())
    }

    /// Those of the model inside; what the odds are corrected by goes to the base.
    fn explain(&self, features: &Features<'_>, out: &mut [f32]) -> Result<(), ModelError> {
        self.model.explain(features, out)?;
        let correction = ln_f32(self.share as f32);
        let width = out.len().checked_div(features.rows).unwrap_or(0).max(1);
        out.chunks_exact_mut(width).filter_map(<[f32]>::last_mut).for_each(|base| {
            *base += correction;
        });
        Ok(())
    }

    fn noted_feature(&self, note: usize) -> Option<usize> {
        self.model.noted_feature(note)
    }

    fn scorer(&self) -> Option<&dyn Scorer> {
        self.model.scorer()
    }

    fn finish_scores(&self, scores: &mut [f32]) {
        self.model.finish_scores(scores);
        self.correct(scores);
    }

    fn learn(&mut self, batch: &LabeledBatch<'_>) -> Result<LearnOutcome, ModelError> {
        let mut rows = std::mem::take(&mut self.rows);
        rows.clear();
        for row in 0..batch.features.rows.min(batch.labels.len()) {
            if self.takes(batch.labels[row]) {
                rows.push(&batch.row(row));
            }
        }
        let left_out = (batch.features.rows - rows.labels.len()) as u64;
        let learned = match rows.labels.is_empty() {
            true => Ok(LearnOutcome::default()),
            false => self.model.learn(&rows.batch()),
        };
        self.rows = rows;
        let mut outcome = learned?;
        outcome.learned += left_out;
        Ok(outcome)
    }

    fn score_and_learn_each(
        &mut self,
        batch: &LabeledBatch<'_>,
        out: &mut [f32],
    ) -> Result<LearnOutcome, ModelError> {
        // Shapes are checked for the whole batch before anything is learned.
        self.model.score(&batch.features, out)?;
        let mut outcome = LearnOutcome::default();
        for (row, out) in out.chunks_exact_mut(1).enumerate() {
            let own = batch.row(row);
            if self.takes(own.labels[0]) {
                outcome.add(self.model.score_and_learn_each(&own, out)?);
            } else {
                self.model.score(&own.features, out)?;
                outcome.learned += 1;
            }
            self.correct(out);
        }
        Ok(outcome)
    }

    fn members(&self) -> Vec<MemberStatus> {
        self.model.members()
    }

    fn regret(&self) -> f64 {
        self.model.regret()
    }

    fn renewals(&self) -> [u64; 2] {
        self.model.renewals()
    }

    fn draw(&self, graph: &mut Graph, inputs: &Inputs) -> Result<Value, ModelError> {
        let scores = self.model.draw(graph, inputs)?;
        Ok(self.draw_correction(graph, scores))
    }

    fn draw_notes(&self, graph: &mut Graph, inputs: &Inputs) -> Result<Option<Value>, ModelError> {
        self.model.draw_notes(graph, inputs)
    }

    fn write_state(&self, out: &mut dyn Write) -> io::Result<()> {
        StateWriter::new(out).slice(&[self.share.to_bits(), self.negatives])?;
        self.model.write_state(out)
    }

    fn read_state(&mut self, from: &mut dyn Read) -> Result<(), ModelError> {
        let state = &mut StateReader::new(from);
        state.expect(&[self.share.to_bits()], "another share of the negatives was learned")?;
        let negatives = state.get()?;
        self.model.read_state(from)?;
        self.negatives = negatives;
        self.kept.clear();
        Ok(())
    }

    fn keep(&mut self) -> Result<(), ModelError> {
        self.model.keep()?;
        self.kept.push_back(self.negatives);
        Ok(())
    }

    fn forget_oldest(&mut self) {
        self.kept.pop_front();
        self.model.forget_oldest();
    }

    fn go_back(&mut self) -> Result<(), ModelError> {
        self.model.go_back()?;
        self.kept.truncate(1);
        self.negatives = self.kept.front().copied().unwrap_or(self.negatives);
        Ok(())
    }

    fn write_kept(&self, out: &mut dyn Write) -> io::Result<()> {
        let state = &mut StateWriter::new(out);
        state.length(self.kept.len())?;
        state.each(self.kept.iter().copied())?;
        self.model.write_kept(out)
    }

    fn read_kept(&mut self, from: &mut dyn Read) -> Result<(), ModelError> {
        let state = &mut StateReader::new(from);
        let kept: Vec<u64> = state.list(KEPT_MAX)?;
        self.model.read_kept(from)?;
        self.kept = kept.into();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Task;
    use crate::boost::Boost;
    use crate::tests::{SHAPE, Stream, small, walk};

    /// With a fifth of the negatives the mean score is still the share of positives, in every part
    /// of the stream, and the ranking is about as good.
    #[test]
    fn a_fifth_of_the_negatives_says_the_same() {
        let noise = |x: f32, y: f32| (x * 911.0 + y * 523.0).fract().abs();
        let rare =
            |x: f32, y: f32, _| f32::from(u8::from(x > 0.7 && y > 0.0 || noise(x, y) < 0.03));
        let stream = Stream::new(61, 20_000, rare);
        let trees = || Box::new(Boost::new(small(Task::Binary), SHAPE).expect("possible"));
        let mut model = Thinned::new(trees(), 0.2).expect("possible");
        let mut whole = trees();
        let thinned = walk(&mut model, &stream, 0, 20_000);
        let all = walk(&mut *whole, &stream, 0, 20_000);
        let positives = stream.labels.iter().filter(|label| **label == 1.0).count() as f64;
        assert!(model.version() < 20_000 / 3 && model.version() as f64 > positives);
        let part = 10_000..20_000;
        let mean = |scores: &[f32]| scores.iter().map(|s| f64::from(*s)).sum::<f64>() / 10_000.0;
        let truth = mean(&stream.labels[part.clone()]);
        assert!((mean(&thinned[part.clone()]) - truth).abs() < 0.01 * 1.5, "{truth}");
        let loss = |scores: &[f32]| {
            let of = |(score, label): (&f32, &f32)| {
                -f64::from(if *label == 1.0 { *score } else { 1.0 - score }).ln()
            };
            scores.iter().zip(&stream.labels[part.clone()]).map(of).sum::<f64>() / 10_000.0
        };
        let (given, best) = (loss(&thinned[part.clone()]), loss(&all[part.clone()]));
        assert!(given < best + 0.03, "{given} {best}");
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        let trees = |task| Box::new(Boost::new(small(task), SHAPE).expect("possible"));
        assert!(
            [0.0, -1.0, 1.1, f64::NAN]
                .map(|share| Thinned::new(trees(Task::Binary), share).is_err())
                == [true; 4]
        );
        assert!(Thinned::new(trees(Task::MultiClass { classes: 3 }), 0.5).is_err());
    }
}
