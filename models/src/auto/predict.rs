//! What each member predicts of rows, what the stack makes of it, and the pool of all.

use pelton_kernels::math::{self, ln_f32, logit_f32, sigmoid_f32, softmax_f32};

use super::{Auto, Sees, TREES};
use crate::boost::Boost;
use crate::{Features, Model, ModelError, Task};

/// Probabilities are predicted as if there were no surer ones.
pub(super) const SURE: f32 = 1e-7;

/// Rows as the members see them, and what they predict; used again.
#[derive(Debug, Default)]
pub(super) struct Room {
    /// `[rows, dense_width]`.
    scaled: Vec<f32>,
    /// `[rows, dense_width + notes on categories]`.
    noted: Vec<f32>,
    /// Inputs of the stack, `[rows, inputs]`: standardised, and as they come.
    inputs: Vec<f32>,
    unscaled: Vec<f32>,
    inputs_width: usize,
    /// Log odds (binary), logarithms of shares (classes) or values, of the members and then of the
    /// stack: `[members + 1, rows, outputs]`.
    predicted: Vec<f32>,
    rows: usize,
    /// What fresh trees predict, if there are any: `[rows, outputs]`.
    fresh: Vec<f32>,
    /// Of a row: the pool of all, and each one's loss.
    pooled: Vec<f32>,
    losses: Vec<f64>,
}

impl Room {
    /// The rows as a member sees them.
    pub fn seen<'a>(&'a self, sees: Sees, features: &Features<'a>) -> Features<'a> {
        let (rows, notes) = (features.rows, &[][..]);
        match sees {
            Sees::Scaled => Features { rows, dense: &self.scaled, sparse: features.sparse, notes },
            Sees::Noted => Features { rows, dense: &self.noted, sparse: &[], notes },
            Sees::Given => Features { notes, ..*features },
        }
    }

    /// The rows as the stack sees them.
    pub fn inputs(&self, rows: usize) -> Features<'_> {
        Features { rows, dense: &self.inputs, sparse: &[], notes: &[] }
    }

    /// The inputs of the stack of a row, as they come.
    pub fn unscaled(&self, row: usize) -> &[f32] {
        &self.unscaled[row * self.inputs_width..][..self.inputs_width]
    }

    /// Rows in the room.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// What a member, or the stack behind them, predicts of a row.
    pub fn of(&self, member: usize, row: usize, outputs: usize) -> &[f32] {
        &self.predicted[(member * self.rows + row) * outputs..][..outputs]
    }
}

impl Auto {
    /// Fills the room with what all members and the stack predict of rows.
    pub(super) fn predict(
        &self,
        features: &Features<'_>,
        room: &mut Room,
    ) -> Result<(), ModelError> {
        let (rows, outputs) = (features.rows, self.outputs());
        let (width, notes_width) = (self.shape.dense_width, self.notes_width());
        let overall = self.memory.overall_width();
        room.rows = rows;
        room.scaled.clear();
        room.noted.clear();
        for row in 0..rows {
            let dense = &features.dense[row * width..][..width];
            room.scaled.extend_from_slice(dense);
            let scaled = &mut room.scaled[row * width..];
            match self.config.standardize {
                true => self.moments.apply(scaled),
                false => scaled.iter_mut().for_each(|value| *value = finite(*value)),
            }
            room.noted.extend_from_slice(dense);
            let notes = &features.notes[row * notes_width + overall..(row + 1) * notes_width];
            room.noted.extend_from_slice(notes);
        }
        let part = rows * outputs;
        let mut predicted = std::mem::take(&mut room.predicted);
        predicted.resize((self.members.len() + 1) * part, 0.0);
        let (by_members, by_stack) = predicted.split_at_mut(self.members.len() * part);
        for (member, out) in self.members.iter().zip(by_members.chunks_exact_mut(part.max(1))) {
            member.model.score(&room.seen(member.sees, features), out)?;
            self.open_up(out);
        }
        room.inputs_width = self.members.len() * outputs + self.stack_notes;
        room.unscaled.clear();
        for row in 0..rows {
            for by_member in by_members.chunks_exact(part) {
                room.unscaled.extend_from_slice(&by_member[row * outputs..][..outputs]);
            }
            let notes = &features.notes[row * notes_width..][..self.stack_notes];
            room.unscaled.extend_from_slice(notes);
        }
        room.inputs.clone_from(&room.unscaled);
        let inputs = room.inputs.chunks_exact_mut(room.inputs_width.max(1));
        inputs.for_each(|row| self.inputs.apply(row));
        self.stack.score(&room.inputs(rows), by_stack)?;
        self.open_up(by_stack);
        room.predicted = predicted;
        Ok(())
    }

    /// The mixture's predictions of the rows in the room.
    ///
    /// # Shapes
    /// `out: [rows, outputs]`.
    pub(super) fn pool(&self, room: &Room, out: &mut [f32]) {
        let outputs = self.outputs();
        for (row, out) in out.chunks_exact_mut(outputs).enumerate() {
            self.pool_row(room, row, out);
            match self.config.task {
                Task::Binary => out[0] = sigmoid_f32(out[0]),
                Task::MultiClass { .. } => softmax_f32(out),
                Task::Regression => {}
            }
        }
    }

    /// The members' predictions of a row, pooled by their weights.
    fn pool_row(&self, room: &Room, row: usize, out: &mut [f32]) {
        out.fill(0.0);
        let outputs = out.len();
        for (member, weight) in self.shares.weights.iter().enumerate() {
            for (out, own) in out.iter_mut().zip(room.of(member, row, outputs)) {
                *out += *weight as f32 * own;
            }
        }
    }

    /// Moves the weights by what was predicted of a row.
    pub(super) fn judge(&mut self, room: &mut Room, row: usize, label: f32, weight: f32) {
        let outputs = self.outputs();
        let mut pooled = std::mem::take(&mut room.pooled);
        pooled.resize(outputs, 0.0);
        self.pool_row(room, row, &mut pooled);
        if outputs > 1 {
            softmax_f32(&mut pooled);
            pooled.iter_mut().for_each(|share| *share = ln_f32(share.max(SURE)));
        }
        let (mixed, weight) = (self.loss(&pooled, label), f64::from(weight));
        let mut losses = std::mem::take(&mut room.losses);
        losses.clear();
        let members = 0..=self.members.len();
        let loss = |member| self.loss(room.of(member, row, outputs), label) * weight;
        losses.extend(members.map(loss));
        self.shares.observe(&losses, mixed * weight);
        if self.config.task == Task::Regression {
            self.residual.observe(pooled[0], label, self.shares.rows);
        }
        room.pooled = pooled;
        room.losses = losses;
    }

    /// Adds what fresh trees predict of the rows in the room.
    pub(super) fn predict_fresh(
        &self,
        features: &Features<'_>,
        room: &mut Room,
    ) -> Result<(), ModelError> {
        let mut out = std::mem::take(&mut room.fresh);
        out.clear();
        if let Some(fresh) = &self.renewal.fresh {
            out.resize(features.rows * self.outputs(), 0.0);
            fresh.model.score(&room.seen(Sees::Noted, features), &mut out)?;
            self.open_up(&mut out);
        }
        room.fresh = out;
        Ok(())
    }

    /// Shows the losses of the trees, as [`Auto::judge`] left them, and of fresh ones. Returns
    /// those that are to take the place of the old ones.
    pub(super) fn judge_fresh(
        &mut self,
        room: &Room,
        row: usize,
        label: f32,
    ) -> Result<Option<Boost>, ModelError> {
        let old = self.loss(room.of(TREES, row, self.outputs()), label);
        let bounded = match self.config.task {
            Task::Regression => old / (1.0 + old),
            _ => 1.0 - math::exp(-old),
        };
        let fresh = room.fresh.get(row * self.outputs()..(row + 1) * self.outputs());
        let fresh = fresh.map(|own| self.loss(own, label));
        self.renewal.observe(bounded, old, fresh)
    }

    /// What is lost by a prediction: log loss, or the residual in usual ones.
    fn loss(&self, own: &[f32], label: f32) -> f64 {
        match self.config.task {
            Task::Binary => math::log_loss(f64::from(own[0]), label == 1.0),
            Task::MultiClass { .. } => -f64::from(own[label as usize]),
            Task::Regression => self.residual.loss(own[0], label),
        }
    }

    /// Probabilities as log odds, shares as their logarithms.
    fn open_up(&self, out: &mut [f32]) {
        match self.config.task {
            Task::Binary => {
                out.iter_mut().for_each(|own| *own = logit_f32(own.clamp(SURE, 1.0 - SURE)));
            }
            Task::MultiClass { .. } => {
                out.iter_mut().for_each(|own| *own = ln_f32(own.max(SURE)));
            }
            Task::Regression => {}
        }
    }
}

fn finite(value: f32) -> f32 {
    if value.is_nan() { 0.0 } else { value.clamp(-1e12, 1e12) }
}
