//! A learner that goes on from one with other challengers.
//!
//! Champion and measures stay, challengers of the same name go on, new ones begin untrained. What
//! waits for its label gets notes as if a new challenger, untrained, had seen it.

use pelton_models::contest::Contest;
use pelton_models::contest::succeed::{Former, Layout, renote};
use pelton_models::{Features, Model, ModelError};

use super::{Learner, Step};
use crate::config::contest::CHAMPION;
use crate::error::Error;
use crate::join::Join;

impl Learner {
    /// Takes the place of a learner of the same settings but for the challengers, of whom `stay` go
    /// on, and renews the notes of what waits for its label.
    ///
    /// # Errors
    /// [`Error::Usage`] when the champion of the former has no place here, or its guard has
    /// tripped; [`Error::State`] and [`Error::Model`] for a bug only.
    pub fn succeed(
        &mut self,
        former: Learner,
        stay: &[String],
        join: &mut Join,
    ) -> Result<(), Error> {
        if former.guard.is_paused() {
            let remedy = "let it learn again (pelton model resume) with the challengers it had";
            return Err(refused("the guard has tripped".to_owned(), remedy));
        }
        let mut bytes = Vec::new();
        let failed = |source| Error::State { section: "drift".to_owned(), source };
        former.write_drift(&mut bytes).map_err(failed)?;
        self.read_drift(&mut &bytes[..]).map_err(failed)?;
        let Learner { model, judges, guard, step, counts, digest, .. } = former;
        let before = Layout::of(CHAMPION, &*model).only(stay);
        let names = names_of(&*model);
        self.take_model(model, stay)?;
        let after = Layout::of(CHAMPION, &*self.model);
        let mut notes = Vec::new();
        let mut renewed = |features: &Features<'_>, scores: &[f32], out: &mut Vec<f32>| {
            renote((&before, &after), &*self.model, (features, scores), &mut notes)?;
            out.extend_from_slice(&notes);
            Ok::<(), ModelError>(())
        };
        join.pending_mut().renote(self.model.notes_width(), &mut renewed)?;
        // A model alone has not noted what it said of a label that waits: that judges nobody.
        let unknown = vec![f32::NAN; self.model.outputs()];
        let batch = step.batch();
        let mut notes = Vec::new();
        for row in 0..batch.labels.len() {
            renewed(&batch.row(row).features, &unknown, &mut notes)?;
        }
        self.step = Step { notes, ..step };
        self.judges.succeed(judges, (&names, &names_of(&*self.model)), stay);
        self.judges.begin_with(&*self.model);
        self.guard.adopt(guard);
        (self.counts, self.digest) = (counts, digest);
        Ok(())
    }

    /// Goes on with the model of the former.
    fn take_model(&mut self, former: Box<dyn Model>, stay: &[String]) -> Result<(), Error> {
        let remedy = "keep the champion among the models, or promote one that stays before it goes";
        let gone = |model: &dyn Model| {
            let standings = model.contest().map(Contest::standings).unwrap_or_default();
            let champion = standings.into_iter().find(|own| own.is_champion);
            let name = champion.map_or_else(|| CHAMPION.to_owned(), |own| own.name);
            refused(format!("the champion, {name:?}, is among the models no more"), remedy)
        };
        let mut former = Former { name: CHAMPION.to_owned(), model: former };
        if let Some(contest) = self.model.contest_mut() {
            return contest.succeed(former, stay).map_err(|former| gone(&*former.model));
        }
        let alone = former.model.contest_mut().and_then(|contest| contest.leave(CHAMPION));
        self.model = alone.ok_or_else(|| gone(&*former.model))?;
        Ok(())
    }
}

/// Why challengers cannot be exchanged.
fn refused(what: String, remedy: &str) -> Error {
    Error::Usage { what, remedy: remedy.to_owned() }
}

/// Those who take part, in their order; none where a model is alone.
fn names_of(model: &dyn Model) -> Vec<String> {
    let standings = model.contest().map(Contest::standings).unwrap_or_default();
    standings.into_iter().map(|own| own.name).collect()
}
