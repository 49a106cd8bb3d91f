//! What the guard's word does to model and labels.
//!
//! A label is held against the score that the model gives its event *now*: the score it was given
//! may be days old, and speak of a model that is no more.
//!
//! Every window that is well the model is kept. When the guard trips, the model goes back to the
//! newest kept state from before the window that tripped; labels learned since are put aside, and
//! so is every label until the guard closes again. The measures go on judging all of them, and so
//! do windows over labels take them in: both say what was said.
//!
//! Invariant: between two kept states the join holds exactly the labels learned between them.

use std::collections::VecDeque;
use std::io::{self, Read, Write};

use pelton_kernels::state::{StateReader, StateWriter, invalid};
use pelton_models::{ABSENT, Features, Model, ModelError};

use super::Learner;
use super::ahead::is_first;
use super::guard::figures::{Judged, Measure};
use super::guard::{Guard, Trip, Verdict};
use crate::error::Error;
use crate::join::{Join, Resolved};

/// Which states of the model are kept.
#[derive(Debug, Default)]
pub(super) struct KeptModels {
    /// Labels judged when each was kept, oldest first; none before the first batch.
    at: VecDeque<u64>,
    /// Whether the model is to be kept once no label waits for the end of a step.
    is_due: bool,
    /// Scores of the event whose label is looked at, by the model before it learns that.
    scores: Vec<f32>,
}

impl KeptModels {
    /// Room for the scores of one event.
    pub(super) fn scores_mut(&mut self, model: &dyn Model) -> &mut [f32] {
        self.scores.resize(model.outputs(), 0.0);
        &mut self.scores
    }
}

/// The settings a guard's state belongs to, as a text; more than that is damage.
const SETTINGS_BYTES_MAX: usize = 1 << 16;
/// No list of kept states is longer.
const KEPT_MAX: usize = 1 << 20;

impl Learner {
    /// The state before the first label is one to go back to.
    pub(super) fn begin_keeping(&mut self, join: &mut Join) -> Result<(), Error> {
        if !self.guard.can_pause() {
            join.settle_all();
        } else if self.kept.at.is_empty() && !self.guard.is_paused() {
            join.settle_all();
            self.kept.is_due = true;
            self.keep_when_due(join)?;
        }
        Ok(())
    }

    /// Shows the guard a label that judges for the first time, and does as it says. Where it is the
    /// first of those `unlearned` (with the row up to which the model stands) the model scores its
    /// event; else the scores from before it was learned are at hand.
    pub(super) fn watch(
        &mut self,
        resolved: &Resolved,
        join: &mut Join,
        unlearned: Option<(&[Resolved], usize)>,
    ) -> Result<(), Error> {
        if !is_first(resolved) || !self.guard.is_on() {
            return Ok(());
        }
        if let Some(upcoming) = unlearned {
            let scores = self.ahead.scores((&*self.model, join.pending()), upcoming)?;
            self.kept.scores.clear();
            self.kept.scores.extend_from_slice(scores);
        }
        let features = join.pending().features(resolved.entry);
        let (label, length, scored) = (resolved.label, length(&features), self.counts.scored);
        let scores = &self.kept.scores;
        match self.guard.observe(&Judged { scores, label, length, scored }) {
            Verdict::Same => Ok(()),
            Verdict::Good => {
                self.kept.is_due = self.guard.can_pause();
                let [loss, calibration, step, labels, label_rate] =
                    self.guard.bands().map(|(_, figure, _)| figure);
                tracing::debug!(loss, calibration, step, labels, label_rate, "a window is well");
                Ok(())
            }
            Verdict::Trip(trip) if self.guard.can_pause() => self.pause(trip, join),
            Verdict::Trip(trip) => {
                say(&self.guard, trip.measure, "labels or features are unlike those before");
                Ok(())
            }
            Verdict::Recovered => {
                self.kept.is_due = self.guard.can_pause();
                tracing::warn!("labels and features are as they were before: all is learned");
                self.keep_when_due(join)
            }
        }
    }

    /// Keeps the model, if it is time and no label waits for the end of a step.
    pub(super) fn keep_when_due(&mut self, join: &mut Join) -> Result<(), Error> {
        if !self.kept.is_due || !self.step.labels.is_empty() {
            return Ok(());
        }
        self.kept.is_due = false;
        self.model.keep()?;
        join.hold();
        self.kept.at.push_back(self.guard.counts().judged);
        // A trip to come goes back to before a window that ends now, or later.
        self.forget_before(self.guard.window_began_at(), join);
        Ok(())
    }

    /// Forgets the kept states that a later one, no younger than this, makes needless.
    fn forget_before(&mut self, judged: u64, join: &mut Join) {
        while self.kept.at.get(1).is_some_and(|&second| second <= judged) {
            self.kept.at.pop_front();
            self.model.forget_oldest();
            join.settle_oldest();
        }
    }

    fn pause(&mut self, trip: Trip, join: &mut Join) -> Result<(), Error> {
        self.forget_before(self.guard.window_began_at(), join);
        let version = self.model.version();
        self.model.go_back()?;
        // Versions are counted again from there: one of them would name two models.
        self.ahead.begin();
        self.kept.at.truncate(1);
        self.kept.is_due = false;
        self.step.clear();
        let labels = join.take_back(trip.span);
        self.counts.unlearned += version.saturating_sub(self.model.version());
        say(&self.guard, trip.measure, "learning pauses; scores are given by an earlier model");
        tracing::error!(
            span = trip.span,
            labels,
            model_version = self.model.version(),
            "labels learned since are put aside, as are those to come until all is well; \
             once they are right: pelton dlq replay CONFIG --reason quarantined"
        );
        Ok(())
    }

    /// Learning goes on whatever the guard has seen, and what it takes for usual begins anew. The
    /// labels put aside stay so.
    pub fn resume(&mut self) {
        self.guard.resume();
        self.kept.at.drain(..).for_each(|_| self.model.forget_oldest());
        self.kept.is_due = false;
    }

    /// Takes another's model, and what its guard takes for usual; nothing can be taken back to
    /// before this.
    ///
    /// # Errors
    /// [`Error::State`] for a bug only.
    pub fn adopt(&mut self, other: Learner) -> Result<(), Error> {
        let mut bytes = Vec::new();
        let failed = |source| Error::State { section: "model".to_owned(), source };
        other.write_model(&mut bytes).map_err(failed)?;
        self.read_model(&mut &bytes[..]).map_err(failed)?;
        self.guard.adopt(other.guard);
        self.drift.begin_model();
        self.kept = KeptModels::default();
        Ok(())
    }

    /// Makes a model of the contest the champion; nothing can be taken back to before this. Returns
    /// whether there is one of that name.
    pub fn promote(&mut self, name: &str) -> bool {
        let is_there = self.model.contest_mut().is_some_and(|contest| contest.promote(name));
        if is_there {
            self.drift.begin_model();
            self.kept = KeptModels::default();
            self.judges.begin_with(&*self.model);
        }
        is_there
    }

    /// Writes the guard, and the states of the model that are kept.
    ///
    /// # Errors
    /// Those of the writer.
    pub fn write_guard(&self, out: &mut dyn Write) -> io::Result<()> {
        let state = &mut StateWriter::new(out);
        state.list(self.guard.settings().as_bytes())?;
        if !self.guard.is_on() {
            return Ok(());
        }
        self.guard.write(state)?;
        let at: Vec<u64> = self.kept.at.iter().copied().collect();
        state.list(&at)?;
        state.put(u8::from(self.kept.is_due))?;
        self.model.write_kept(out)
    }

    /// Reads them into a learner that has read its model. Under other settings of the guard the
    /// state is passed over: it begins anew, and closed.
    ///
    /// # Errors
    /// Those of the reader; `InvalidData` for what cannot have been written.
    pub fn read_guard(&mut self, from: &mut dyn Read) -> io::Result<()> {
        let state = &mut StateReader::new(from);
        let settings = state.list::<u8>(SETTINGS_BYTES_MAX)?;
        if settings != self.guard.settings().as_bytes() {
            return io::copy(from, &mut io::sink()).map(drop);
        }
        if !self.guard.is_on() {
            return Ok(());
        }
        self.guard.read(state)?;
        let at = state.list::<u64>(KEPT_MAX)?;
        let is_due = state.get::<u8>()? == 1;
        if !at.is_sorted() {
            return Err(invalid("states of the model were kept out of order"));
        }
        self.kept = KeptModels { at: at.into(), is_due, ..KeptModels::default() };
        self.model.read_kept(from).map_err(|error| match error {
            ModelError::State(error) => error,
            other => io::Error::new(io::ErrorKind::InvalidData, other),
        })
    }
}

/// Length of an event's features, the bias included.
fn length(features: &Features<'_>) -> f64 {
    let squares = features.dense.iter().fold(1.0, |sum, value| {
        let value = f64::from(*value);
        sum + value * value
    });
    let present = features.sparse.iter().filter(|index| **index != ABSENT).count();
    (squares + present as f64).sqrt()
}

/// The figures behind a trip.
fn say(guard: &Guard, tripped: Measure, what: &str) {
    for (measure, figure, [least, most]) in guard.bands() {
        let is_tripped = measure == tripped;
        let measure = measure.name();
        if is_tripped {
            tracing::error!(measure, figure, least, most, "{what}");
        } else {
            tracing::info!(measure, figure, least, most, "beside it");
        }
    }
}
