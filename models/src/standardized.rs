//! A model that sees numbers standardised where the rows come as they are.
//!
//! Where all models of a stream want standardised numbers, they are so before anything sees them.
//! Beside trees, which take numbers as they are, a model that needs it is wrapped in this: numbers
//! are scaled by the moments of the rows that it has learned so far.
//!
//! Invariants: a function of the rows in their order; a row that cannot be learned moves no
//! moments.

mod draw;

use std::cell::Cell;
use std::io::{self, Read, Write};

use pelton_kernels::moments::{Moments, MomentsSpec};

pub(crate) use draw::draw_moments;

use crate::graph::{Graph, Inputs, Value};
use crate::kept::{Keeps, Kept};
use crate::{
    FeatureShape, Features, LabeledBatch, LearnOutcome, MemberStatus, Model, ModelError, Task,
};

const NAME: &str = "standardized";

/// A model behind running moments.
pub struct Standardized {
    task: Task,
    shape: FeatureShape,
    moments: Moments,
    model: Box<dyn Model>,
    kept: Kept,
    scaled: Cell<Vec<f32>>,
}

impl Standardized {
    /// Wraps an untrained model; numbers are clipped to so many deviations.
    ///
    /// # Errors
    /// [`ModelError::Kernel`] for a width or clip outside its range.
    pub fn new(
        model: Box<dyn Model>,
        task: Task,
        shape: FeatureShape,
        clip: f32,
    ) -> Result<Standardized, ModelError> {
        let spec =
            MomentsSpec { clip, include_current: false, ..MomentsSpec::new(shape.dense_width) };
        let kept = Kept::new(shape, model.notes_width());
        let moments = Moments::new(spec)?;
        Ok(Standardized { task, shape, moments, model, kept, scaled: Cell::default() })
    }

    /// The numbers of rows, scaled.
    fn scale(&self, features: &Features<'_>, scaled: &mut Vec<f32>) {
        scaled.clear();
        scaled.extend_from_slice(features.dense);
        let rows = scaled.chunks_exact_mut(self.shape.dense_width.max(1));
        rows.for_each(|row| self.moments.apply(row));
    }

    /// Shows rows, scaled, to the model.
    fn shown<T>(
        &self,
        features: &Features<'_>,
        show: impl FnOnce(&dyn Model, &Features<'_>) -> Result<T, ModelError>,
    ) -> Result<T, ModelError> {
        self.shape.check(NAME, features, None)?;
        let mut scaled = self.scaled.take();
        self.scale(features, &mut scaled);
        let result = show(&*self.model, &Features { dense: &scaled, ..*features });
        self.scaled.set(scaled);
        result
    }

    /// Learns rows as one step, all of which can be learned, or one row.
    fn learn_scaled(
        &mut self,
        batch: &LabeledBatch<'_>,
        learn: impl FnOnce(&mut dyn Model, &LabeledBatch<'_>) -> Result<LearnOutcome, ModelError>,
    ) -> Result<LearnOutcome, ModelError> {
        self.kept.note(batch);
        let mut scaled = self.scaled.take();
        self.scale(&batch.features, &mut scaled);
        let features = Features { dense: &scaled, ..batch.features };
        let outcome = learn(&mut *self.model, &LabeledBatch { features, ..*batch });
        self.scaled.set(scaled);
        if self.can_learn(batch) {
            let rows = batch.features.dense.chunks_exact(self.shape.dense_width.max(1));
            rows.for_each(|row| self.moments.observe(row));
        }
        outcome
    }

    fn can_learn(&self, batch: &LabeledBatch<'_>) -> bool {
        let mut rows = batch.labels.iter().zip(batch.weights);
        rows.all(|(label, weight)| self.task.can_learn(*label, *weight))
    }
}

impl Model for Standardized {
    fn outputs(&self) -> usize {
        self.model.outputs()
    }

    fn version(&self) -> u64 {
        self.model.version()
    }

    fn notes_width(&self) -> usize {
        self.model.notes_width()
    }

    fn note(&self, features: &Features<'_>, notes: &mut [f32]) -> Result<(), ModelError> {
        self.shown(features, |model, features| model.note(features, notes))
    }

    fn score(&self, features: &Features<'_>, out: &mut [f32]) -> Result<(), ModelError> {
        self.shown(features, |model, features| model.score(features, out))
    }

    /// Those of the model inside: a number and what it is scaled to are one input.
    fn explain(&self, features: &Features<'_>, out: &mut [f32]) -> Result<(), ModelError> {
        self.shown(features, |model, features| model.explain(features, out))
    }

    fn noted_feature(&self, note: usize) -> Option<usize> {
        self.model.noted_feature(note)
    }

    fn learn(&mut self, batch: &LabeledBatch<'_>) -> Result<LearnOutcome, ModelError> {
        self.shape.check_batch(NAME, batch)?;
        if batch.features.rows == 1 || self.can_learn(batch) {
            return self.learn_scaled(batch, |model, batch| model.learn(batch));
        }
        // A row that is refused takes the others of its step with it into steps of one.
        let mut outcome = LearnOutcome::default();
        for row in 0..batch.features.rows {
            outcome.add(self.learn(&batch.row(row))?);
        }
        Ok(outcome)
    }

    fn score_and_learn_each(
        &mut self,
        batch: &LabeledBatch<'_>,
        out: &mut [f32],
    ) -> Result<LearnOutcome, ModelError> {
        self.shape.check_batch(NAME, batch)?;
        self.shape.check(NAME, &batch.features, Some((self.outputs(), out.len())))?;
        let mut outcome = LearnOutcome::default();
        let outputs = self.outputs();
        for (row, out) in out.chunks_exact_mut(outputs).enumerate() {
            let learn = |model: &mut dyn Model, batch: &LabeledBatch<'_>| {
                model.score_and_learn_each(batch, out)
            };
            outcome.add(self.learn_scaled(&batch.row(row), learn)?);
        }
        Ok(outcome)
    }

    fn draw(&self, graph: &mut Graph, inputs: &Inputs) -> Result<Value, ModelError> {
        let inputs = self.draw_inputs(graph, inputs);
        self.model.draw(graph, &inputs)
    }

    fn draw_notes(&self, graph: &mut Graph, inputs: &Inputs) -> Result<Option<Value>, ModelError> {
        if self.notes_width() == 0 {
            return Ok(None);
        }
        let inputs = self.draw_inputs(graph, inputs);
        self.model.draw_notes(graph, &inputs)
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

    fn write_state(&self, out: &mut dyn Write) -> io::Result<()> {
        self.moments.write_state(out)?;
        self.model.write_state(out)
    }

    fn read_state(&mut self, from: &mut dyn Read) -> Result<(), ModelError> {
        let moments = Moments::read_state(*self.moments.spec(), from)?;
        self.model.read_state(from)?;
        self.moments = moments;
        self.kept = Kept::new(self.shape, self.notes_width());
        Ok(())
    }

    crate::kept::keeps_by_copies!();
}

impl Keeps for Standardized {
    fn kept(&mut self) -> &mut Kept {
        &mut self.kept
    }
}
