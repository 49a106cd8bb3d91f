//! Online calibration: scores of any binary model made to mean what they say.
//!
//! [`Calibrated`] wraps a model. Before a label is learned, the model scores its row once more;
//! that raw score and the label teach a calibration over a trailing window: Platt scaling
//! (`calibrate/platt.rs`), which follows drift at once, and, if asked for, isotonic steps behind it
//! (`calibrate/isotonic.rs`), which know any shape. What leaves is the raw score put through
//! them. [`prior`] is for streams whose negatives were thinned out on purpose: no label is needed
//! to undo that.
//!
//! Invariants: a calibration never learns from a score that knew the label; it keeps the order of
//! scores; at the start it changes nothing; a row that the model refuses changes nothing. What this
//! does not do: classes beyond two, and values.

mod draw;
mod isotonic;
mod platt;
pub mod prior;
#[cfg(test)]
mod tests;

use std::cell::Cell;
use std::collections::VecDeque;
use std::io::{self, Read, Write};

use pelton_kernels::KernelError;
use pelton_kernels::coordinate::device::{RowsThere, Scorer};
use pelton_kernels::math::logit_f32;
use pelton_kernels::state::{StateReader, StateWriter};

use crate::explain;
use crate::graph::{Graph, Inputs, Value};
use crate::{Features, LabeledBatch, LearnOutcome, MemberStatus, Model, ModelError};
use isotonic::Isotonic;
#[cfg(test)]
use isotonic::{Pool, pooled};
use platt::{Platt, SCORE_MIN};

/// More than anyone keeps: a damaged count must not ask for memory.
const KEPT_MAX: usize = 1 << 16;

/// How scores are calibrated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Calibration {
    /// A slope and an offset on the log odds.
    Platt,
    /// The same, and rising steps behind it.
    Isotonic,
}

/// A binary model whose scores are calibrated as labels come.
pub struct Calibrated<M: ?Sized> {
    own: Own,
    /// Calibrations as of the kept states, oldest first.
    kept: VecDeque<Own>,
    raw: Cell<Vec<f32>>,
    model: Box<M>,
}

/// The state of a calibration.
#[derive(Clone, Debug, PartialEq)]
enum Own {
    Platt(Platt),
    Isotonic(Platt, Isotonic),
}

impl Own {
    fn new(how: Calibration) -> Own {
        match how {
            Calibration::Platt => Own::Platt(Platt::new()),
            Calibration::Isotonic => Own::Isotonic(Platt::new(), Isotonic::new()),
        }
    }

    fn how(&self) -> Calibration {
        match self {
            Own::Platt(_) => Calibration::Platt,
            Own::Isotonic(..) => Calibration::Isotonic,
        }
    }

    /// A score that is no probability stays as it is.
    fn apply(&self, score: &mut f32) {
        if (0.0..=1.0).contains(score) {
            *score = match self {
                Own::Platt(own) => own.apply(*score),
                Own::Isotonic(first, then) => then.apply(first.apply(*score)),
            };
        }
    }

    fn observe(&mut self, score: f32, label: f32, weight: f32) {
        if !((0.0..=1.0).contains(&score) && (label == 0.0 || label == 1.0)) {
            return;
        }
        let (is_positive, weight) = (label == 1.0, f64::from(weight));
        match self {
            Own::Platt(own) => own.observe(score, is_positive, weight),
            Own::Isotonic(first, then) => {
                if weight > 0.0 {
                    then.observe(first.apply(score), is_positive);
                }
                first.observe(score, is_positive, weight);
            }
        }
    }

    fn write(&self, state: &mut StateWriter<'_>) -> io::Result<()> {
        match self {
            Own::Platt(own) => own.write(state),
            Own::Isotonic(first, then) => {
                first.write(state)?;
                then.write(state)
            }
        }
    }

    fn read(how: Calibration, state: &mut StateReader<'_>) -> io::Result<Own> {
        Ok(match how {
            Calibration::Platt => Own::Platt(Platt::read(state)?),
            Calibration::Isotonic => Own::Isotonic(Platt::read(state)?, Isotonic::read(state)?),
        })
    }
}

/// Which calibration a state is of.
fn header(how: Calibration) -> [u64; 2] {
    [u64::from_le_bytes(*b"calib--1"), how as u64]
}

impl<M: Model + ?Sized> Calibrated<M> {
    /// Wraps an untrained model.
    ///
    /// # Errors
    /// [`ModelError::Kernel`] when the model has more than one output.
    pub fn new(model: Box<M>, how: Calibration) -> Result<Calibrated<M>, ModelError> {
        if model.outputs() != 1 {
            let (argument, reason) = ("outputs", "must be one: only binary scores are calibrated");
            return Err(KernelError::Value { kernel: "calibrate", argument, reason }.into());
        }
        let (own, kept, raw) = (Own::new(how), VecDeque::new(), Cell::default());
        Ok(Calibrated { own, kept, raw, model })
    }

    /// The wrapped model.
    pub fn model(&self) -> &M {
        &self.model
    }
}

/// Whether a step can have taken the row in: one that it refuses must not teach the calibration.
fn is_legal(batch: &LabeledBatch<'_>, row: usize) -> bool {
    let width = batch.features.dense.len() / batch.features.rows.max(1);
    let weight = batch.weights[row];
    let dense = &batch.features.dense[row * width..(row + 1) * width];
    weight > 0.0 && weight.is_finite() && dense.iter().all(|value| value.is_finite())
}

impl<M: Model + ?Sized> Model for Calibrated<M> {
    fn outputs(&self) -> usize {
        1
    }

    fn notes_width(&self) -> usize {
        self.model.notes_width()
    }

    fn note(&self, features: &Features<'_>, notes: &mut [f32]) -> Result<(), ModelError> {
        self.model.note(features, notes)
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

    /// That of the wrapped model: the calibration moves only when it does.
    fn version(&self) -> u64 {
        self.model.version()
    }

    fn score(&self, features: &Features<'_>, out: &mut [f32]) -> Result<(), ModelError> {
        self.model.score(features, out)?;
        out.iter_mut().for_each(|score| self.own.apply(score));
        Ok(())
    }

    /// Contributions to the raw log odds times the slope of Platt scaling, whose offset goes to
    /// the base. So does what isotonic steps change: they see the score alone, and what they make
    /// of it counts as no nearer to 0 or 1 than 1e-6.
    fn explain(&self, features: &Features<'_>, out: &mut [f32]) -> Result<(), ModelError> {
        self.model.explain(features, out)?;
        let mut raw = self.raw.take();
        raw.clear();
        raw.resize(features.rows, 0.0);
        let scored = self.model.score(features, &mut raw);
        let width = out.len().checked_div(features.rows).unwrap_or(0);
        for (parts, score) in out.chunks_exact_mut(width.max(1)).zip(&mut raw) {
            if (0.0..=1.0).contains(score) {
                let (Own::Platt(own) | Own::Isotonic(own, _)) = &self.own;
                parts.iter_mut().for_each(|part| *part *= own.slope());
                let margin = own.margin(*score) as f32;
                self.own.apply(score);
                let whole = match self.own {
                    Own::Platt(_) => margin,
                    Own::Isotonic(..) => logit_f32(score.clamp(SCORE_MIN, 1.0 - SCORE_MIN)),
                };
                explain::complete(parts, whole);
            }
        }
        self.raw.set(raw);
        scored
    }

    fn noted_feature(&self, note: usize) -> Option<usize> {
        self.model.noted_feature(note)
    }

    fn score_there(
        &self,
        features: &Features<'_>,
        there: RowsThere<'_>,
        out: &mut [f32],
    ) -> Result<(), ModelError> {
        self.model.score_there(features, there, out)?;
        out.iter_mut().for_each(|score| self.own.apply(score));
        Ok(())
    }

    fn scorer(&self) -> Option<&dyn Scorer> {
        self.model.scorer()
    }

    fn finish_scores(&self, scores: &mut [f32]) {
        self.model.finish_scores(scores);
        scores.iter_mut().for_each(|score| self.own.apply(score));
    }

    fn learn(&mut self, batch: &LabeledBatch<'_>) -> Result<LearnOutcome, ModelError> {
        let rows = batch.features.rows;
        let mut raw = self.raw.take();
        raw.clear();
        raw.resize(rows, 0.0);
        if rows == 1 {
            let outcome = self.model.score_and_learn_each(batch, &mut raw)?;
            if outcome.learned == 1 {
                self.own.observe(raw[0], batch.labels[0], batch.weights[0]);
            }
            self.raw.set(raw);
            return Ok(outcome);
        }
        self.model.score(&batch.features, &mut raw)?;
        let outcome = self.model.learn(batch)?;
        for (row, score) in raw.iter().enumerate() {
            if outcome.learned > 0 && is_legal(batch, row) {
                self.own.observe(*score, batch.labels[row], batch.weights[row]);
            }
        }
        self.raw.set(raw);
        Ok(outcome)
    }

    fn score_and_learn_each(
        &mut self,
        batch: &LabeledBatch<'_>,
        out: &mut [f32],
    ) -> Result<LearnOutcome, ModelError> {
        if batch.features.rows <= 1 {
            let outcome = self.model.score_and_learn_each(batch, out)?;
            return Ok(self.answer(batch, out, outcome));
        }
        // Shapes are checked for the whole batch before anything is learned.
        self.model.score(&batch.features, out)?;
        let shape = [batch.labels.len(), batch.weights.len()];
        for (argument, given) in ["labels", "weights"].into_iter().zip(shape) {
            let expected = batch.features.rows;
            if given != expected {
                let kernel = "calibrate";
                return Err(KernelError::Shape { kernel, argument, expected, given }.into());
            }
        }
        let mut whole = LearnOutcome::default();
        for (row, out) in out.chunks_exact_mut(1).enumerate() {
            let single = batch.row(row);
            let outcome = self.model.score_and_learn_each(&single, out)?;
            let outcome = self.answer(&single, out, outcome);
            whole.learned += outcome.learned;
            whole.refused += outcome.refused;
        }
        Ok(whole)
    }

    fn draw(&self, graph: &mut Graph, inputs: &Inputs) -> Result<Value, ModelError> {
        let scores = self.model.draw(graph, inputs)?;
        Ok(self.own.draw(graph, scores))
    }

    fn draw_notes(&self, graph: &mut Graph, inputs: &Inputs) -> Result<Option<Value>, ModelError> {
        self.model.draw_notes(graph, inputs)
    }

    fn write_state(&self, out: &mut dyn Write) -> io::Result<()> {
        let state = &mut StateWriter::new(out);
        state.slice(&header(self.own.how()))?;
        self.own.write(state)?;
        self.model.write_state(out)
    }

    fn read_state(&mut self, from: &mut dyn Read) -> Result<(), ModelError> {
        let state = &mut StateReader::new(from);
        let how = self.own.how();
        state.expect(&header(how), "the scores were calibrated otherwise")?;
        let own = Own::read(how, state)?;
        self.model.read_state(from)?;
        self.own = own;
        self.kept.clear();
        Ok(())
    }

    fn keep(&mut self) -> Result<(), ModelError> {
        self.model.keep()?;
        self.kept.push_back(self.own.clone());
        Ok(())
    }

    fn forget_oldest(&mut self) {
        self.kept.pop_front();
        self.model.forget_oldest();
    }

    fn go_back(&mut self) -> Result<(), ModelError> {
        self.model.go_back()?;
        self.kept.truncate(1);
        if let Some(own) = self.kept.front() {
            self.own = own.clone();
        }
        Ok(())
    }

    fn write_kept(&self, out: &mut dyn Write) -> io::Result<()> {
        let state = &mut StateWriter::new(out);
        state.length(self.kept.len())?;
        self.kept.iter().try_for_each(|own| own.write(state))?;
        self.model.write_kept(out)
    }

    fn read_kept(&mut self, from: &mut dyn Read) -> Result<(), ModelError> {
        let state = &mut StateReader::new(from);
        let (how, count) = (self.own.how(), state.length(KEPT_MAX)?);
        let kept = (0..count).map(|_| Own::read(how, state)).collect::<io::Result<_>>()?;
        self.model.read_kept(from)?;
        self.kept = kept;
        Ok(())
    }
}

impl<M: Model + ?Sized> Calibrated<M> {
    /// Calibrates the raw score of at most one row that the model has just learned, and only then
    /// learns from it.
    fn answer(
        &mut self,
        batch: &LabeledBatch<'_>,
        out: &mut [f32],
        outcome: LearnOutcome,
    ) -> LearnOutcome {
        if let Some(score) = out.first_mut() {
            let raw = *score;
            self.own.apply(score);
            if outcome.learned == 1 {
                self.own.observe(raw, batch.labels[0], batch.weights[0]);
            }
        }
        outcome
    }
}
