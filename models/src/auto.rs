//! Members of the family that learn side by side and choose among themselves: the model without a
//! knob.
//!
//! A factorization machine that learns every label at once, and boosted trees that are grown over a
//! sample of the past, see the same rows; what the last labels were is noted of each
//! (`memory.rs`). A linear model, the *stack*, learns from what the members predict and from the
//! notes: it corrects them within a few labels of a change (Wolpert 1992, "Stacked
//! generalization"). Among several classes a network stands beside them. The mixture pools members
//! and stack in log odds, each by how well it has predicted lately (`auto/share.rs`). Where the
//! trees become worse, fresh ones are grown beside them, and take their place once they are better
//! (`auto/fresh.rs`).
//!
//! Numbers come unscaled: trees take them as they are, for the machine they are standardised here,
//! by the moments of the rows learned so far.
//!
//! Invariants: a function of the rows in their order; a row is judged by all members before any of
//! them learns it; learning rows one by one and [`Model::score_and_learn_each`] give the same bits;
//! a row that is refused changes nothing.

mod draw;
mod explain;
mod fresh;
mod member;
mod predict;
mod share;
mod state;
#[cfg(test)]
mod tests;

use std::cell::Cell;
use std::io::{self, Read, Write};
use std::sync::Arc;

use pelton_kernels::moments::{Moments, MomentsSpec};

use crate::anomaly::{AnomalyConfig, Strangeness};
use crate::boost::{Boost, BoostConfig};
use crate::frozen::Drawing;
use crate::graph::{Graph, Inputs, Value};
use crate::kept::{Keeps, Kept};
use crate::linear::{Linear, LinearConfig};
use crate::memory::LabelMemory;
use crate::residual::UsualResidual;
use crate::{
    FeatureShape, Features, LabeledBatch, LearnOutcome, MemberStatus, Model, ModelError, Task,
};
use explain::Explaining;
use fresh::Renewal;
use member::{Member, Sees};
use predict::Room;
use share::Shares;

const NAME: &str = "auto";
/// Inputs of the stack beyond the members' predictions.
const STACK_MAX: usize = 60;
/// Inputs of the stack up to which each also counts by its size.
const FOLD_MAX: usize = 16;
/// Which member the trees are.
const TREES: usize = 1;

/// Settings of [`Auto`]; the defaults need no tuning.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AutoConfig {
    /// What is learned.
    pub task: Task,
    /// Whether numbers are standardised for the factorization machine.
    pub standardize: bool,
    /// To how many deviations they are clipped then.
    pub clip: f32,
    /// Whether it is noted of each row how strange it is among the last ones (`anomaly.rs`).
    pub strangeness: bool,
}

impl AutoConfig {
    /// The defaults.
    #[must_use]
    pub fn new(task: Task) -> AutoConfig {
        AutoConfig { task, standardize: true, clip: 100.0, strangeness: false }
    }
}

/// Models that choose among themselves.
pub struct Auto {
    config: AutoConfig,
    shape: FeatureShape,
    /// What one of the members is, where there is such a one.
    imported: Option<Arc<Drawing>>,
    version: u64,
    memory: LabelMemory,
    /// What is noted last, where it is.
    strangeness: Option<Strangeness>,
    moments: Moments,
    members: Vec<Member>,
    renewal: Renewal,
    stack: Linear,
    /// Inputs of the stack are of any unit.
    inputs: Moments,
    /// Notes among the inputs of the stack.
    stack_notes: usize,
    /// Of the members, then of the stack.
    shares: Shares,
    /// The usual size of a residual (regression).
    residual: UsualResidual,
    kept: Kept,
    room: Cell<Room>,
    explaining: Cell<Explaining>,
}

impl Auto {
    /// An untrained model, on the CPU.
    ///
    /// # Errors
    /// [`ModelError::Kernel`] for a setting or shape outside its range.
    pub fn new(config: AutoConfig, shape: FeatureShape) -> Result<Auto, ModelError> {
        Auto::beside(config, shape, None)
    }

    /// The same with a model that was trained elsewhere as one more member, if there is one.
    ///
    /// # Errors
    /// As [`Auto::new`]; those of [`Frozen::new`](crate::frozen::Frozen::new).
    pub fn beside(
        config: AutoConfig,
        shape: FeatureShape,
        imported: Option<Arc<Drawing>>,
    ) -> Result<Auto, ModelError> {
        let task = config.task;
        let memory = LabelMemory::new(task, shape);
        let strangeness = match config.strangeness {
            true => Some(Strangeness::new(AnomalyConfig::new(task), shape)?),
            false => None,
        };
        let strange_width = usize::from(config.strangeness);
        let noted_width = shape.dense_width + memory.categories_width() + strange_width;
        let noted = FeatureShape { dense_width: noted_width, sparse_width: 0, ..shape };
        let trees = BoostConfig::new(task);
        let boost = Box::new(Boost::new(trees, noted)?);
        let mut members = vec![
            Member::at_once(task, shape)?,
            Member { name: "boost", sees: Sees::Noted, model: boost },
        ];
        if let Task::MultiClass { .. } = task {
            members.push(Member::network(task, shape)?);
        }
        if let Some(drawing) = &imported {
            members.push(Member::imported(task, shape, drawing.clone())?);
        }
        let overall = memory.overall_width();
        let all = overall + memory.categories_width() + strange_width;
        let fits = |width: &usize| *width <= STACK_MAX;
        let stack_notes = [all, overall].into_iter().find(fits).unwrap_or(0);
        let dense_width = members.len() * task.outputs() + stack_notes;
        let stack_shape = FeatureShape { dense_width, sparse_width: 0, ..shape };
        let fold = dense_width <= FOLD_MAX;
        let stack = Linear::new(LinearConfig { fold, ..LinearConfig::new(task) }, stack_shape)?;
        let spec = |width| MomentsSpec {
            clip: config.clip,
            include_current: false,
            ..MomentsSpec::new(width)
        };
        Ok(Auto {
            renewal: Renewal::new(trees, noted),
            shares: Shares::new(members.len() + 1),
            moments: Moments::new(spec(shape.dense_width))?,
            inputs: Moments::new(spec(dense_width))?,
            version: 0,
            residual: UsualResidual::default(),
            kept: Kept::new(shape, all),
            room: Cell::default(),
            explaining: Cell::default(),
            config,
            shape,
            imported,
            memory,
            strangeness,
            members,
            stack,
            stack_notes,
        })
    }

    /// Learns rows that can be learned, as one step; what is predicted of them lies in the room.
    fn learn_predicted(
        &mut self,
        batch: &LabeledBatch<'_>,
        room: &mut Room,
    ) -> Result<LearnOutcome, ModelError> {
        self.kept.note(batch);
        self.predict_fresh(&batch.features, room)?;
        let mut renewed = None;
        for (row, (label, weight)) in batch.labels.iter().zip(batch.weights).enumerate() {
            self.judge(room, row, *label, *weight);
            if let Some(trees) = self.judge_fresh(room, row, *label)? {
                renewed = Some(trees);
            }
        }
        if let Some(trees) = renewed {
            self.members[TREES].model = Box::new(trees);
        }
        let inputs = room.inputs(batch.features.rows);
        self.stack.learn(&LabeledBatch { features: inputs, ..*batch })?;
        // A member may refuse a row, such as one with a missing number; the mixture has learned it.
        let outcome = LearnOutcome { learned: batch.features.rows as u64, refused: 0 };
        for member in &mut self.members {
            let features = room.seen(member.sees, &batch.features);
            member.model.learn(&LabeledBatch { features, ..*batch })?;
        }
        if let Some(fresh) = &mut self.renewal.fresh {
            let features = room.seen(Sees::Noted, &batch.features);
            fresh.model.learn(&LabeledBatch { features, ..*batch })?;
        }
        let (width, sparse_width) = (self.shape.dense_width, self.shape.sparse_width);
        for row in 0..batch.features.rows {
            self.moments.observe(&batch.features.dense[row * width..][..width]);
            self.inputs.observe(room.unscaled(row));
            let sparse = &batch.features.sparse[row * sparse_width..][..sparse_width];
            self.memory.learn(sparse, batch.labels[row]);
            if let Some(strangeness) = &mut self.strangeness {
                strangeness.learn(&batch.features.dense[row * width..][..width], sparse);
            }
        }
        self.version += batch.features.rows as u64;
        Ok(outcome)
    }

    fn can_learn(&self, batch: &LabeledBatch<'_>) -> bool {
        let mut rows = batch.labels.iter().zip(batch.weights);
        rows.all(|(label, weight)| self.config.task.can_learn(*label, *weight))
    }

    fn check(&self, features: &Features<'_>, out: Option<usize>) -> Result<(), ModelError> {
        self.shape.check(NAME, features, out.map(|out| (self.outputs(), out)))?;
        Ok(self.shape.check_notes(NAME, features, self.notes_width())?)
    }
}

impl Model for Auto {
    fn outputs(&self) -> usize {
        self.config.task.outputs()
    }

    fn version(&self) -> u64 {
        self.version
    }

    fn notes_width(&self) -> usize {
        let memory = self.memory.overall_width() + self.memory.categories_width();
        memory + usize::from(self.strangeness.is_some())
    }

    fn note(&self, features: &Features<'_>, notes: &mut [f32]) -> Result<(), ModelError> {
        let (width, sparse_width) = (self.notes_width(), self.shape.sparse_width);
        let dense_width = self.shape.dense_width;
        self.check(&Features { notes, ..*features }, None)?;
        for (row, notes) in notes.chunks_exact_mut(width.max(1)).enumerate() {
            let (overall, categories) = notes.split_at_mut(self.memory.overall_width());
            self.memory.note_overall(overall);
            let sparse = &features.sparse[row * sparse_width..][..sparse_width];
            let categories = match (&self.strangeness, categories.split_last_mut()) {
                (Some(strangeness), Some((last, categories))) => {
                    let dense = &features.dense[row * dense_width..][..dense_width];
                    *last = strangeness.strangeness(dense, sparse);
                    categories
                }
                (_, _) => categories,
            };
            self.memory.note_categories(sparse, categories);
        }
        Ok(())
    }

    fn score(&self, features: &Features<'_>, out: &mut [f32]) -> Result<(), ModelError> {
        self.check(features, Some(out.len()))?;
        let mut room = self.room.take();
        let predicted = self.predict(features, &mut room);
        self.pool(&room, out);
        self.room.set(room);
        predicted
    }

    fn explain(&self, features: &Features<'_>, out: &mut [f32]) -> Result<(), ModelError> {
        let numbers = self.outputs() * self.shape.explained_width(self.notes_width());
        self.shape.check(NAME, features, Some((numbers, out.len())))?;
        self.shape.check_notes(NAME, features, self.notes_width())?;
        if features.rows == 0 {
            return Ok(());
        }
        let (mut room, mut explaining) = (self.room.take(), self.explaining.take());
        let predicted = self.predict(features, &mut room);
        let explained =
            predicted.and_then(|()| self.explain_rows(features, (&room, &mut explaining), out));
        self.room.set(room);
        self.explaining.set(explaining);
        explained
    }

    fn draw(&self, graph: &mut Graph, inputs: &Inputs) -> Result<Value, ModelError> {
        self.draw_mixture(graph, inputs)
    }

    fn draw_notes(&self, graph: &mut Graph, inputs: &Inputs) -> Result<Option<Value>, ModelError> {
        self.draw_memory(graph, inputs)
    }

    fn noted_feature(&self, note: usize) -> Option<usize> {
        self.memory.noted_feature(note.checked_sub(self.memory.overall_width())?)
    }

    fn learn(&mut self, batch: &LabeledBatch<'_>) -> Result<LearnOutcome, ModelError> {
        self.shape.check_batch(NAME, batch)?;
        self.check(&batch.features, None)?;
        if batch.features.rows > 1 && !self.can_learn(batch) {
            // A row that is refused takes the others of its step with it into steps of one.
            let mut outcome = LearnOutcome::default();
            for row in 0..batch.features.rows {
                outcome.add(self.learn(&batch.row(row))?);
            }
            return Ok(outcome);
        }
        if !self.can_learn(batch) {
            return Ok(LearnOutcome { learned: 0, refused: batch.features.rows as u64 });
        }
        let mut room = self.room.take();
        self.predict(&batch.features, &mut room)?;
        let outcome = self.learn_predicted(batch, &mut room);
        self.room.set(room);
        outcome
    }

    fn score_and_learn_each(
        &mut self,
        batch: &LabeledBatch<'_>,
        out: &mut [f32],
    ) -> Result<LearnOutcome, ModelError> {
        self.shape.check_batch(NAME, batch)?;
        self.check(&batch.features, Some(out.len()))?;
        let outputs = self.outputs();
        let mut room = self.room.take();
        let mut outcome = LearnOutcome::default();
        for (row, out) in out.chunks_exact_mut(outputs).enumerate() {
            let own = batch.row(row);
            self.predict(&own.features, &mut room)?;
            self.pool(&room, out);
            outcome.add(match self.can_learn(&own) {
                true => self.learn_predicted(&own, &mut room)?,
                false => LearnOutcome { learned: 0, refused: 1 },
            });
        }
        self.room.set(room);
        Ok(outcome)
    }

    fn members(&self) -> Vec<MemberStatus> {
        let names = self.members.iter().map(|member| member.name).chain(["stack"]);
        let rows = self.shares.rows.max(1) as f64;
        let own = names.zip(self.shares.weights.iter().zip(&self.shares.losses));
        own.map(|(name, (weight, loss))| MemberStatus { name, weight: *weight, loss: loss / rows })
            .collect()
    }

    fn regret(&self) -> f64 {
        self.shares.regret()
    }

    fn renewals(&self) -> [u64; 2] {
        [self.renewal.started, self.renewal.replaced]
    }

    fn write_state(&self, out: &mut dyn Write) -> io::Result<()> {
        self.write(out)
    }

    fn read_state(&mut self, from: &mut dyn Read) -> Result<(), ModelError> {
        let mut other = Auto::beside(self.config, self.shape, self.imported.clone())?;
        other.read(from)?;
        *self = other;
        Ok(())
    }

    crate::kept::keeps_by_copies!();
}

impl Keeps for Auto {
    fn kept(&mut self) -> &mut Kept {
        &mut self.kept
    }
}
