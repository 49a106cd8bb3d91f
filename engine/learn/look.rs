//! What a learner shows of itself: measures, counts, its model and digests.

use pelton_models::contest::Contest;
use pelton_models::evaluate::Evaluator;
use pelton_models::{MemberStatus, Model};

use super::guard::Guard;
use super::judges::Judges;
use super::{LearnCounts, Learner};
use crate::error::Error;

impl Learner {
    /// The judge of the scores that left.
    #[must_use]
    pub fn evaluator(&self) -> &Evaluator {
        self.judges.served()
    }

    /// All judges.
    #[must_use]
    pub fn judges(&self) -> &Judges {
        &self.judges
    }

    /// Champion and challengers, if there are any.
    #[must_use]
    pub fn contest(&self) -> Option<&Contest> {
        self.model.contest()
    }

    /// What watches the labels.
    #[must_use]
    pub fn guard(&self) -> &Guard {
        &self.guard
    }

    /// What has been learned so far.
    #[must_use]
    pub fn counts(&self) -> LearnCounts {
        self.counts
    }

    /// The model.
    #[must_use]
    pub fn model(&self) -> &dyn Model {
        &*self.model
    }

    /// The name of the model's kind.
    #[must_use]
    pub fn model_name(&self) -> &'static str {
        self.model_name
    }

    /// The members of the model, where it is a mixture, and what it regrets.
    #[must_use]
    pub fn members(&self) -> (Vec<MemberStatus>, f64) {
        (self.model.members(), self.model.regret())
    }

    /// How much each input counts on average (`Plan::reason_names`), where the course is kept.
    #[must_use]
    pub fn importance(&self) -> Option<&[f64]> {
        self.reasons.importance()
    }

    /// How often trees were begun afresh after a drift, and how often those took over.
    #[must_use]
    pub fn renewals(&self) -> [u64; 2] {
        self.model.renewals()
    }

    /// Numbers that the model notes of a row when it is scored.
    #[must_use]
    pub fn notes_width(&self) -> usize {
        self.model.notes_width()
    }

    /// Version of the model: names its weights.
    #[must_use]
    pub fn model_version(&self) -> u64 {
        self.model.version()
    }

    /// Digest of the model's state, as hexadecimal text.
    ///
    /// # Errors
    /// [`Error::State`] when the device that has the model is lost.
    pub fn model_digest(&self) -> Result<String, Error> {
        let mut hasher = blake3::Hasher::new();
        let failed = |source| Error::State { section: "model".to_owned(), source };
        self.model.write_state(&mut hasher).map_err(failed)?;
        Ok(hasher.finalize().to_hex().to_string())
    }

    /// Digest of every id with its scores so far, in stream order, as hexadecimal text.
    #[must_use]
    pub fn score_digest(&self) -> String {
        self.digest.value().to_hex().to_string()
    }
}
