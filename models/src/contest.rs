//! A champion, whose scores count, and challengers that score and learn in its shadow.
//!
//! All see the same rows. What each makes of a row at the moment it is scored is noted with it
//! ([`Model::note`]), so that, when the label comes, champion and challengers are judged by the
//! scores they would have sent, however late it is. Each challenger's losses are held against the
//! champion's, pair by pair, in a test that may be looked at after every label
//! (`contest/evidence.rs`). Where the rule says so, a challenger whose evidence suffices takes the
//! champion's place; else that waits for a word ([`Contest::promote`]).
//!
//! Invariants: the scores are the champion's, to the bit; a function of the rows in their order; a
//! label that teaches nothing judges nobody, and a row that some model had to score as an empty one
//! (a missing number, for a linear model) judges all by what they said. Over its whole life a
//! contest promotes a challenger that is no better with a probability of at most `alpha`: it is
//! shared out evenly among the challengers, and among tests, of which the k-th has
//! `alpha / (k (k + 1))`. A test ends with a promotion, or after [`TEST_ROWS`] labels, so that what
//! was long ago does not weigh for ever.
//! What this does not do: mix (that is [`crate::auto`]), or say who would have been cheaper.

mod draw;
mod evidence;
mod judge;
mod state;
pub mod succeed;
#[cfg(test)]
mod succession_tests;
#[cfg(test)]
pub(crate) mod tests;

use std::cell::Cell;
use std::io::{self, Read, Write};

use pelton_kernels::KernelError;

use crate::graph::{Graph, Inputs, Value};
use crate::kept::{Keeps, Kept};
use crate::residual::UsualResidual;
use crate::{
    FeatureShape, Features, LabeledBatch, LearnOutcome, MemberStatus, Model, ModelError, Task,
};
use evidence::Evidence;

const NAME: &str = "contest";
/// Labels after which a test begins anew.
pub const TEST_ROWS: u64 = 100_000;

/// When a challenger takes the champion's place.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rule {
    /// Whether it does by itself.
    pub is_automatic: bool,
    /// Probability, over the whole life, of promoting what is no better.
    pub alpha: f64,
    /// Labels that a test has at least.
    pub labels_min: u64,
}

/// A model that takes part.
struct Entrant {
    name: String,
    model: Box<dyn Model>,
    /// Sum of its losses, by the scores it gave when each row was scored, and of how many rows.
    loss: f64,
    judged: u64,
    /// That its losses are lower than the champion's.
    evidence: Evidence,
}

/// How an entrant stands.
#[derive(Clone, Debug, PartialEq)]
pub struct Standing {
    /// Its name.
    pub name: String,
    /// Whether its scores count.
    pub is_champion: bool,
    /// Its mean loss over all rows judged: log loss, or the residual in usual ones.
    pub loss: f64,
    /// Natural logarithm of what a bet of 1 on it against the champion has become in this test; 0
    /// of the champion.
    pub evidence: f64,
}

/// A champion and its challengers.
pub struct Contest {
    task: Task,
    shape: FeatureShape,
    rule: Rule,
    version: u64,
    entrants: Vec<Entrant>,
    champion: usize,
    /// Rows judged, and rows judged in this test.
    judged: u64,
    tested: u64,
    /// Tests so far, this one included, and promotions.
    tests: u64,
    promotions: u64,
    /// The usual size of the champion's residual (regression).
    residual: UsualResidual,
    kept: Kept,
    room: Cell<Room>,
}

/// An entrant's part of notes or scores; used again.
#[derive(Debug, Default)]
struct Room {
    notes: Vec<f32>,
    scores: Vec<f32>,
}

impl Contest {
    /// Untrained models by name, the first of them the champion.
    ///
    /// # Errors
    /// [`ModelError::Kernel`] when there is none, or one has other outputs than the task.
    pub fn new(
        task: Task,
        shape: FeatureShape,
        rule: Rule,
        models: Vec<(String, Box<dyn Model>)>,
    ) -> Result<Contest, ModelError> {
        let fits = |(_, model): &(String, Box<dyn Model>)| model.outputs() == task.outputs();
        if models.is_empty() || !models.iter().all(fits) {
            let (argument, reason) = ("models", "must be one or more, all for the same task");
            return Err(KernelError::Value { kernel: NAME, argument, reason }.into());
        }
        let entrant = |(name, model)| Entrant {
            name,
            model,
            loss: 0.0,
            judged: 0,
            evidence: Evidence::default(),
        };
        let entrants: Vec<Entrant> = models.into_iter().map(entrant).collect();
        let notes = entrants.iter().map(|own| own.model.notes_width() + task.outputs()).sum();
        Ok(Contest {
            task,
            shape,
            rule,
            entrants,
            version: 0,
            champion: 0,
            judged: 0,
            tested: 0,
            tests: 1,
            promotions: 0,
            residual: UsualResidual::default(),
            kept: Kept::new(shape, notes),
            room: Cell::default(),
        })
    }

    /// How all stand, in the order of [`Contest::new`].
    #[must_use]
    pub fn standings(&self) -> Vec<Standing> {
        let entrants = self.entrants.iter().enumerate();
        let standing = |(at, own): (usize, &Entrant)| Standing {
            name: own.name.clone(),
            is_champion: at == self.champion,
            loss: own.loss / own.judged.max(1) as f64,
            evidence: if at == self.champion { 0.0 } else { own.evidence.log_value() },
        };
        entrants.map(standing).collect()
    }

    /// Promotions so far.
    #[must_use]
    pub fn promotions(&self) -> u64 {
        self.promotions
    }

    /// The scores that an entrant gave a row, by what was noted of it then.
    #[must_use]
    pub fn noted_scores<'a>(&self, entrant: usize, notes: &'a [f32]) -> &'a [f32] {
        let scores = self.part(entrant).end;
        notes.get(scores..scores + self.outputs()).unwrap_or(&[])
    }

    /// Makes an entrant the champion; nothing is kept afterwards. Returns whether there is one of
    /// that name.
    pub fn promote(&mut self, name: &str) -> bool {
        let found = self.entrants.iter().position(|own| own.name == name);
        if let Some(at) = found.filter(|at| *at != self.champion) {
            self.crown(at);
            // The next score is by other weights: it has another version.
            self.version += 1;
            self.kept = Kept::new(self.shape, self.notes_width());
        }
        found.is_some()
    }

    fn crown(&mut self, entrant: usize) {
        self.champion = entrant;
        self.promotions += 1;
        self.begin_test();
    }

    fn begin_test(&mut self) {
        self.tests += 1;
        self.tested = 0;
        self.entrants.iter_mut().for_each(|own| own.evidence = Evidence::default());
    }

    /// Where an entrant's own notes lie among all of a row; its scores lie behind them.
    fn part(&self, entrant: usize) -> std::ops::Range<usize> {
        let outputs = self.outputs();
        let before = self.entrants[..entrant].iter();
        let from = before.map(|own| own.model.notes_width() + outputs).sum();
        from..from + self.entrants[entrant].model.notes_width()
    }

    /// The rows as an entrant sees them: with its own notes.
    fn seen<'a>(
        &self,
        entrant: usize,
        features: &Features<'a>,
        own: &'a mut Vec<f32>,
    ) -> Features<'a> {
        let (part, width) = (self.part(entrant), self.notes_width());
        own.clear();
        for row in features.notes.chunks_exact(width) {
            own.extend_from_slice(&row[part.clone()]);
        }
        Features { notes: own, ..*features }
    }

    fn check(&self, features: &Features<'_>, out: Option<usize>) -> Result<(), ModelError> {
        self.shape.check(NAME, features, out.map(|out| (self.outputs(), out)))?;
        Ok(self.shape.check_notes(NAME, features, self.notes_width())?)
    }

    /// Judges rows and teaches them to all. Scores of the champion, from before, go to `out` if
    /// there is one row and a place for them.
    fn learn_checked(
        &mut self,
        batch: &LabeledBatch<'_>,
        mut out: Option<&mut [f32]>,
    ) -> Result<LearnOutcome, ModelError> {
        self.kept.note(batch);
        let champion = self.champion;
        self.judge(batch);
        let mut room = self.room.take();
        let mut outcome = LearnOutcome::default();
        for at in 0..self.entrants.len() {
            let features = self.seen(at, &batch.features, &mut room.notes);
            let own = LabeledBatch { features, ..*batch };
            let model = &mut self.entrants[at].model;
            let learned = match &mut out {
                Some(out) if at == champion => model.score_and_learn_each(&own, out)?,
                _ => model.learn(&own)?,
            };
            if at == champion {
                outcome = learned;
            }
        }
        self.room.set(room);
        self.version += outcome.learned;
        Ok(outcome)
    }
}

impl Model for Contest {
    fn outputs(&self) -> usize {
        self.task.outputs()
    }

    fn version(&self) -> u64 {
        self.version
    }

    fn notes_width(&self) -> usize {
        let outputs = self.outputs();
        self.entrants.iter().map(|own| own.model.notes_width() + outputs).sum()
    }

    fn note(&self, features: &Features<'_>, notes: &mut [f32]) -> Result<(), ModelError> {
        let (width, rows) = (self.notes_width(), features.rows);
        self.check(&Features { notes, ..*features }, None)?;
        let Room { notes: mut own, mut scores } = self.room.take();
        for (at, entrant) in self.entrants.iter().enumerate() {
            let part = self.part(at);
            own.clear();
            own.resize(rows * part.len(), 0.0);
            entrant.model.note(&Features { notes: &[], ..*features }, &mut own)?;
            scores.clear();
            scores.resize(rows * self.outputs(), 0.0);
            entrant.model.score(&Features { notes: &own, ..*features }, &mut scores)?;
            for (row, all) in notes.chunks_exact_mut(width).enumerate() {
                all[part.clone()].copy_from_slice(&own[row * part.len()..][..part.len()]);
                let scores = &scores[row * self.outputs()..][..self.outputs()];
                all[part.end..part.end + scores.len()].copy_from_slice(scores);
            }
        }
        self.room.set(Room { notes: own, scores });
        Ok(())
    }

    fn score(&self, features: &Features<'_>, out: &mut [f32]) -> Result<(), ModelError> {
        self.check(features, Some(out.len()))?;
        let mut room = self.room.take();
        let seen = self.seen(self.champion, features, &mut room.notes);
        let scored = self.entrants[self.champion].model.score(&seen, out);
        self.room.set(room);
        scored
    }

    fn explain(&self, features: &Features<'_>, out: &mut [f32]) -> Result<(), ModelError> {
        let width = self.shape.explained_width(self.notes_width());
        let numbers = self.outputs() * width;
        self.shape.check(NAME, features, Some((numbers, out.len())))?;
        self.shape.check_notes(NAME, features, self.notes_width())?;
        let (model, part) = (&self.entrants[self.champion].model, self.part(self.champion));
        let own_width = self.shape.explained_width(part.len());
        let mut room = self.room.take();
        let mut parts = vec![0.0; features.rows * self.outputs() * own_width];
        let seen = self.seen(self.champion, features, &mut room.notes);
        let explained = model.explain(&seen, &mut parts);
        self.room.set(room);
        let before = width - 1 - self.notes_width();
        for (out, own) in out.chunks_exact_mut(width).zip(parts.chunks_exact(own_width)) {
            let (inputs, notes) = own.split_at(before);
            out.fill(0.0);
            out[..before].copy_from_slice(inputs);
            out[before + part.start..][..part.len()].copy_from_slice(&notes[..part.len()]);
            out[width - 1] = notes[part.len()];
        }
        explained
    }

    fn noted_feature(&self, note: usize) -> Option<usize> {
        let part = self.part(self.champion);
        let own = part.contains(&note).then(|| note - part.start)?;
        self.entrants[self.champion].model.noted_feature(own)
    }

    fn learn(&mut self, batch: &LabeledBatch<'_>) -> Result<LearnOutcome, ModelError> {
        self.shape.check_batch(NAME, batch)?;
        self.check(&batch.features, None)?;
        self.learn_checked(batch, None)
    }

    fn score_and_learn_each(
        &mut self,
        batch: &LabeledBatch<'_>,
        out: &mut [f32],
    ) -> Result<LearnOutcome, ModelError> {
        self.shape.check_batch(NAME, batch)?;
        self.check(&batch.features, Some(out.len()))?;
        let mut outcome = LearnOutcome::default();
        let outputs = self.outputs();
        for (row, out) in out.chunks_exact_mut(outputs).enumerate() {
            outcome.add(self.learn_checked(&batch.row(row), Some(out))?);
        }
        Ok(outcome)
    }

    fn members(&self) -> Vec<MemberStatus> {
        self.entrants[self.champion].model.members()
    }

    fn regret(&self) -> f64 {
        self.entrants[self.champion].model.regret()
    }

    fn renewals(&self) -> [u64; 2] {
        self.entrants[self.champion].model.renewals()
    }

    fn contest(&self) -> Option<&Contest> {
        Some(self)
    }

    fn contest_mut(&mut self) -> Option<&mut Contest> {
        Some(self)
    }

    fn draw(&self, graph: &mut Graph, inputs: &Inputs) -> Result<Value, ModelError> {
        self.draw_champion(graph, inputs)
    }

    fn draw_notes(&self, graph: &mut Graph, inputs: &Inputs) -> Result<Option<Value>, ModelError> {
        self.draw_champions_notes(graph, inputs)
    }

    fn write_state(&self, out: &mut dyn Write) -> io::Result<()> {
        self.write(out)
    }

    fn read_state(&mut self, from: &mut dyn Read) -> Result<(), ModelError> {
        self.read(from)
    }

    crate::kept::keeps_by_copies!();
}

impl Keeps for Contest {
    fn kept(&mut self) -> &mut Kept {
        &mut self.kept
    }
}
