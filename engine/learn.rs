//! Fifth and eighth stage: rows are scored, and labels learned, in the order of the stream.
//!
//! Test, then train: a label first judges the score its event was given, then is learned with the
//! features of that moment. With `step_rows = 1` every label counts for the very next event. With
//! a larger step, labels are gathered and learned together at the next multiple of `step_rows` in
//! the stream, never at the end of a batch: cutting a stream into other batches changes no score.
//!
//! A [`Guard`] watches what the labels say; when it trips, learning pauses (`pause`) while
//! scoring goes on. Detectors of drift ([`drift::Drift`]) watch what is scored and judged.

mod ahead;
mod digest;
pub mod drift;
pub mod guard;
pub mod judges;
mod look;
mod pause;
mod reasons;
mod state;
mod step;
mod succession;

use std::ops::Range;

use pelton_kernels::coordinate::device::Scorer;
use pelton_models::evaluate::EvaluateSpec;
use pelton_models::{Features, LabeledBatch, Model};

use crate::config::Config;
use crate::device::Device;
use crate::error::Error;
use crate::features::FeatureStage;
use crate::features::plan::Plan;
use crate::join::{Join, Kind, Resolved};
use crate::ring::Slot;

use ahead::Ahead;
use digest::RunningDigest;
use drift::{Drift, Given};
use guard::Guard;
use judges::Judges;
use pause::KeptModels;
use reasons::Reasons;
use step::Step;

/// What has been learned so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LearnCounts {
    /// Rows scored.
    pub scored: u64,
    /// Scores that were not finite.
    pub scores_nonfinite: u64,
    /// Labels learned.
    pub learned: u64,
    /// Labels refused because something about them was not finite.
    pub refused: u64,
    /// Labels that were learned and taken back.
    pub unlearned: u64,
}

/// The model, the judge, and the labels that wait for the end of a step.
pub struct Learner {
    model_name: &'static str,
    model: Box<dyn Model>,
    judges: Judges,
    lateness_ms: i64,
    step_rows: u64,
    step: Step,
    ahead: Ahead,
    /// What the model noted of the rows of the batch, `[rows, notes_width]`.
    notes: Vec<f32>,
    guard: Guard,
    kept: KeptModels,
    drift: Drift,
    reasons: Reasons,
    /// Whether rows leave with their features.
    gives_features: bool,
    counts: LearnCounts,
    digest: RunningDigest,
    digest_buffer: Vec<u8>,
}

/// Labels between a prefetch of an event and its use.
const SOON: usize = 4;

impl Learner {
    /// A learner with an untrained model.
    ///
    /// # Errors
    /// [`Error::Model`] when the evaluation is not possible.
    pub fn new(config: &Config, plan: &Plan, device: &Device) -> Result<Learner, Error> {
        let shape = plan.shape();
        let spec = EvaluateSpec {
            from_ms: config.evaluate.from_ms,
            to_ms: config.evaluate.to_ms,
            trailing_rows: config.evaluate.trailing_rows,
            ..EvaluateSpec::new(config.model.task, config.evaluate.metrics.clone())
        };
        let model = crate::model::build(config, shape, device)?;
        Ok(Learner {
            model_name: config.model.family.kind.name(),
            judges: Judges::new(spec, &*model)?,
            reasons: Reasons::new(config, shape, &*model),
            gives_features: config.emit.features,
            model,
            lateness_ms: config.event.lateness_ms,
            step_rows: config.learn.step_rows,
            step: Step::new(shape),
            ahead: Ahead::default(),
            notes: Vec::new(),
            guard: Guard::new(&config.guard, config.model.task),
            kept: KeptModels::default(),
            drift: Drift::new(&config.drift, config.model.task, plan),
            counts: LearnCounts::default(),
            digest: RunningDigest::new(),
            digest_buffer: Vec::new(),
        })
    }

    /// Scores the rows of the batch and learns its labels, each in its place.
    ///
    /// # Errors
    /// [`Error::Model`] for a bug only.
    pub fn run(
        &mut self,
        slot: &mut Slot,
        features: &FeatureStage,
        join: &mut Join,
        resolved: &[Resolved],
    ) -> Result<(), Error> {
        slot.scores.resize(slot.rows * self.model.outputs(), f32::NAN);
        slot.versions.resize(slot.rows, 0);
        self.notes.resize(slot.rows * self.model.notes_width(), 0.0);
        self.begin_keeping(join)?;
        self.ahead.begin();
        self.take_scores(slot, features);
        let (mut row, mut next) = (0, 0);
        loop {
            let stands_until = self.step_at(row, row);
            while resolved.get(next).is_some_and(|label| label.before_row as usize <= row) {
                if let Some(soon) = resolved.get(next + SOON) {
                    join.pending().prefetch(soon.entry);
                }
                self.take((&resolved[next..], stands_until), join, Some(slot))?;
                next += 1;
            }
            if row == slot.rows {
                break;
            }
            if !self.step.labels.is_empty() && self.counts.scored.is_multiple_of(self.step_rows) {
                self.learn_step(join)?;
                self.keep_when_due(join)?;
            }
            let label_row = resolved.get(next).map_or(slot.rows, |r| r.before_row as usize);
            // Without labels that wait there is no step before the next one has come.
            let waits = if self.step.labels.is_empty() { label_row } else { row + 1 };
            let stands_until = self.step_at(row, waits).min(slot.rows);
            let until = label_row.min(stands_until);
            if !self.ahead.has_rows(until, self.model.version()) {
                self.score(slot, features, row..stands_until)?;
            }
            self.give_out(slot, features, row..until, join)?;
            row = until;
        }
        self.digest_scores(slot);
        slot.quarantined.extend(join.drain_quarantined());
        // An event that is still to come is no older than the lateness.
        let oldest_ms = join.watermark_ms().saturating_sub(self.lateness_ms);
        self.judges.close_days_before(join.settled_before_ms().min(oldest_ms));
        Ok(())
    }

    /// The stream has ended: the last labels, and what waits for the end of a step, are learned.
    ///
    /// # Errors
    /// [`Error::Model`] for a bug only.
    pub fn finish(&mut self, join: &mut Join, resolved: &[Resolved]) -> Result<(), Error> {
        self.ahead.begin();
        for next in 0..resolved.len() {
            self.take((&resolved[next..], usize::MAX), join, None)?;
        }
        self.learn_step(join)
    }

    /// Notes the course of the measures from here on; not part of the state.
    pub fn keep_history(&mut self) {
        self.judges.keep_history();
        self.reasons.keep_importance();
    }

    /// The row, `from` or later, before which the next step may be learned, where the next row to
    /// be scored is `row`. A step of one label is learned where that has come.
    fn step_at(&self, row: usize, from: usize) -> usize {
        let scored = self.counts.scored + (from - row) as u64;
        from + usize::try_from(scored.next_multiple_of(self.step_rows) - scored).unwrap_or(0)
    }

    /// What can score rows of the next batch where their features are made, with its version: the
    /// scores hold up to the next step, which should be for half of the rows at least.
    #[must_use]
    pub fn scorer(&self, rows: usize, resolved: &[Resolved]) -> Option<(&dyn Scorer, u64)> {
        let label_row = resolved.first().map_or(rows, |label| label.before_row as usize);
        let waits = if self.step.labels.is_empty() { label_row } else { 0 };
        let is_worth_it = 2 * self.step_at(0, waits) >= rows && self.model.notes_width() == 0;
        let scorer = self.model.scorer().filter(|_| is_worth_it);
        Some((scorer?, self.model.version()))
    }

    /// The scores that were given with the features, if they are those of the model as it is.
    fn take_scores(&mut self, slot: &mut Slot, features: &FeatureStage) {
        let version = self.model.version();
        let Some(scores) = features.scores(version) else { return };
        let length = slot.scores.len();
        slot.scores.copy_from_slice(&scores[..length]);
        self.model.finish_scores(&mut slot.scores);
        self.ahead.rows_are_scored(slot.rows, version);
    }

    fn score(
        &mut self,
        slot: &mut Slot,
        features: &FeatureStage,
        rows: Range<usize>,
    ) -> Result<(), Error> {
        let outputs = self.model.outputs();
        let scores = &mut slot.scores[rows.start * outputs..rows.end * outputs];
        let width = self.model.notes_width();
        let notes = &mut self.notes[rows.start * width..rows.end * width];
        self.model.note(&features.rows(rows.start, rows.end), notes)?;
        let here = Features { notes, ..features.rows(rows.start, rows.end) };
        match features.rows_there(rows.start, rows.end) {
            Some(there) => self.model.score_there(&here, there, scores)?,
            None => self.model.score(&here, scores)?,
        }
        self.ahead.rows_are_scored(rows.end, self.model.version());
        Ok(())
    }

    /// Rows leave with their scores, by the model as it is.
    fn give_out(
        &mut self,
        slot: &mut Slot,
        features: &FeatureStage,
        rows: Range<usize>,
        join: &mut Join,
    ) -> Result<(), Error> {
        let outputs = self.model.outputs();
        let scores = &slot.scores[rows.start * outputs..rows.end * outputs];
        slot.versions[rows.clone()].fill(self.model.version());
        let width = self.model.notes_width();
        for (row, scores) in rows.clone().zip(scores.chunks_exact(outputs)) {
            let entry = join.admitted()[row];
            let notes = &self.notes[row * width..][..width];
            join.pending_mut().store_scores(entry, scores, notes);
            let is_finite = scores.iter().all(|score| score.is_finite());
            self.counts.scores_nonfinite += u64::from(!is_finite);
        }
        let notes = &self.notes[rows.start * width..rows.end * width];
        let explained = Features { notes, ..features.rows(rows.start, rows.end) };
        let (scored, given) = (self.counts.scored, &mut slot.reasons);
        self.reasons.explain(&*self.model, (&explained, scores), scored, given)?;
        if self.gives_features {
            slot.features.push(&explained);
        }
        self.drift.rows(&Given {
            slot,
            rows: rows.clone(),
            given: features.given_rows(rows.start, rows.end),
            scores,
            scored: self.counts.scored,
            learned: self.counts.learned,
        });
        self.counts.scored += rows.len() as u64;
        Ok(())
    }

    /// Takes the first of the labels that come; the model may change by a step behind those of this
    /// row.
    fn take(
        &mut self,
        (upcoming, stands_until): (&[Resolved], usize),
        join: &mut Join,
        slot: Option<&Slot>,
    ) -> Result<(), Error> {
        let Some(first) = upcoming.first() else { return Ok(()) };
        let returned = match first.kind {
            Kind::Returned => join.returns(first),
            _ => Some(*first),
        };
        let Some(resolved) = &returned else { return Ok(()) };
        self.judges.judge(resolved, join, &*self.model);
        self.watch_loss(resolved, join);
        // Learning scores as well; a trip takes it back with all that was learned before.
        let is_learned = self.step_rows == 1 && !self.guard.is_paused();
        if is_learned {
            self.learn_now(resolved, join)?;
        }
        self.watch(resolved, join, (!is_learned).then_some((upcoming, stands_until)))?;
        if self.guard.is_paused() {
            join.put_aside(resolved, slot, self.guard.counts().trips_total());
            return Ok(());
        }
        if self.step_rows > 1 {
            self.step.push(&join.pending().features(resolved.entry), resolved.label);
        } else if !is_learned {
            self.learn_now(resolved, join)?;
        }
        join.learned(resolved, slot);
        self.keep_when_due(join)
    }

    /// Learns one label; the scores of its event, as they were before, are at hand then.
    fn learn_now(&mut self, resolved: &Resolved, join: &Join) -> Result<(), Error> {
        let features = join.pending().features(resolved.entry);
        let batch = LabeledBatch { features, labels: &[resolved.label], weights: &[1.0] };
        let outcome =
            self.model.score_and_learn_each(&batch, self.kept.scores_mut(&*self.model))?;
        self.counts.learned += outcome.learned;
        self.counts.refused += outcome.refused;
        self.judges.tell(&*self.model, join.pending().time_ms(resolved.entry));
        Ok(())
    }

    fn learn_step(&mut self, join: &Join) -> Result<(), Error> {
        if self.step.labels.is_empty() {
            return Ok(());
        }
        let outcome = self.model.learn(&self.step.batch())?;
        self.counts.learned += outcome.learned;
        self.counts.refused += outcome.refused;
        self.step.clear();
        self.judges.tell(&*self.model, join.watermark_ms());
        Ok(())
    }

    fn digest_scores(&mut self, slot: &Slot) {
        let outputs = self.model.outputs();
        self.digest_buffer.clear();
        for (id, scores) in slot.ids[..slot.rows].iter().zip(slot.scores.chunks_exact(outputs)) {
            self.digest_buffer.extend_from_slice(&id.to_le_bytes());
            for score in scores {
                self.digest_buffer.extend_from_slice(&score.to_bits().to_le_bytes());
            }
        }
        self.digest.add(&self.digest_buffer);
    }
}
