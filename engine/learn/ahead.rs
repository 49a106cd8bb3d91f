//! Scores given together before each is asked for.
//!
//! Between two steps the model stands, so all rows up to the next step can be scored in one call,
//! and all labels up to there be looked at by the guard in another: on a GPU each call is a launch
//! and a wait. Invariant: a score is that of the model as it is when it is asked for; one given by
//! another model, because a trip took it back meanwhile, is given again.

use pelton_models::{Features, Model};

use crate::error::Error;
use crate::join::{Entry, Kind, Pending, Resolved};

/// What has been scored and not been asked for.
#[derive(Debug, Default)]
pub(super) struct Ahead {
    /// Version of the model that gave the scores.
    version: u64,
    /// Rows of the batch before this have scores.
    rows_until: usize,
    /// Events whose labels come next, in their order.
    entries: Vec<Entry>,
    /// How many of them were asked for.
    asked: usize,
    dense: Vec<f32>,
    sparse: Vec<u32>,
    notes: Vec<f32>,
    /// `[entries, outputs]`.
    scores: Vec<f32>,
}

/// Whether the guard looks at a label.
pub(super) fn is_first(label: &Resolved) -> bool {
    matches!(label.kind, Kind::Arrived | Kind::Assumed)
}

impl Ahead {
    /// Forgets all scores: another batch begins.
    pub fn begin(&mut self) {
        self.rows_until = 0;
        self.entries.clear();
        self.asked = 0;
    }

    /// Whether rows up to this one have scores of the model of this version.
    pub fn has_rows(&self, until: usize, version: u64) -> bool {
        self.version == version && until <= self.rows_until
    }

    /// Says that rows up to this one have.
    pub fn rows_are_scored(&mut self, until: usize, version: u64) {
        self.of(version);
        self.rows_until = until;
    }

    /// Scores of the event whose label comes first among those that come, by their features as they
    /// were scored first; those of all before the model may change are made together.
    pub fn scores(
        &mut self,
        (model, pending): (&dyn Model, &Pending),
        (upcoming, stands_until): (&[Resolved], usize),
    ) -> Result<&[f32], Error> {
        let wanted = upcoming.first().map(|label| label.entry);
        if self.version != model.version() || self.entries.get(self.asked).copied() != wanted {
            self.of(model.version());
            let end = upcoming.partition_point(|label| label.before_row as usize <= stands_until);
            self.score(model, pending, &upcoming[..end])?;
        }
        let outputs = model.outputs();
        self.asked += 1;
        Ok(&self.scores[(self.asked - 1) * outputs..self.asked * outputs])
    }

    fn score(
        &mut self,
        model: &dyn Model,
        pending: &Pending,
        upcoming: &[Resolved],
    ) -> Result<(), Error> {
        self.asked = 0;
        self.entries.clear();
        let entries = upcoming.iter().filter(|label| is_first(label)).map(|label| label.entry);
        // What is noted of an event is known once it is scored, which the first one has been.
        let is_known = |(at, entry): &(usize, Entry)| {
            *at == 0 || model.notes_width() == 0 || pending.is_scored(*entry)
        };
        let known = entries.enumerate().take_while(is_known).map(|(_, entry)| entry);
        self.entries.extend(known);
        self.dense.clear();
        self.sparse.clear();
        self.notes.clear();
        for entry in &self.entries {
            let features = pending.features(*entry);
            self.dense.extend_from_slice(features.dense);
            self.sparse.extend_from_slice(features.sparse);
            self.notes.extend_from_slice(features.notes);
        }
        let rows = self.entries.len();
        self.scores.resize(rows * model.outputs(), 0.0);
        let (dense, sparse, notes) = (&self.dense, &self.sparse, &self.notes);
        let features = Features { rows, dense, sparse, notes };
        Ok(model.score(&features, &mut self.scores)?)
    }

    /// What another model gave is of no use.
    fn of(&mut self, version: u64) {
        if self.version != version {
            self.begin();
            self.version = version;
        }
    }
}
