//! A contest of other entrants that goes on from where one was.

use std::ops::Range;

use super::{Contest, Entrant};
use crate::kept::Kept;
use crate::{Features, Model, ModelError};

/// What was before a contest: a model alone, or a contest of others.
pub struct Former {
    /// The name of a model alone.
    pub name: String,
    /// It, or the contest.
    pub model: Box<dyn Model>,
}

/// Who took part, and where the notes of each lie, with its scores behind them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Layout {
    entrants: Vec<(String, Range<usize>)>,
    /// Numbers of scores in each part; none where a model alone notes no scores.
    outputs: usize,
}

impl Layout {
    /// Of a model as it is now.
    #[must_use]
    pub fn of(name: &str, model: &dyn Model) -> Layout {
        let Some(contest) = model.contest() else {
            let entrants = vec![(name.to_owned(), 0..model.notes_width())];
            return Layout { entrants, outputs: 0 };
        };
        let outputs = contest.outputs();
        let part = |(at, own): (usize, &Entrant)| {
            let part = contest.part(at);
            (own.name.clone(), part.start..part.end + outputs)
        };
        Layout { entrants: contest.entrants.iter().enumerate().map(part).collect(), outputs }
    }

    /// Those of these names alone.
    #[must_use]
    pub fn only(mut self, names: &[String]) -> Layout {
        self.entrants.retain(|(name, _)| names.contains(name));
        self
    }

    fn part(&self, name: &str) -> Option<Range<usize>> {
        self.entrants.iter().find(|(own, _)| own == name).map(|(_, part)| part.clone())
    }
}

/// Notes of an event by the layout that they had, as those of the model that is.
///
/// What was noted by entrants that are still there stays, `scores` are those the event was given;
/// an entrant that is new notes, and scores, what it would have as it is, that is untrained.
///
/// # Errors
/// Those of [`Model::note`] and [`Model::score`].
pub fn renote(
    (before, after): (&Layout, &Layout),
    model: &dyn Model,
    (features, scores): (&Features<'_>, &[f32]),
    notes: &mut Vec<f32>,
) -> Result<(), ModelError> {
    notes.clear();
    notes.resize(model.notes_width(), 0.0);
    let is_new = |(name, _): &(String, Range<usize>)| before.part(name).is_none();
    if after.entrants.iter().any(is_new) {
        model.note(&Features { notes: &[], ..*features }, notes)?;
    }
    for (name, part) in &after.entrants {
        let Some(old) = before.part(name) else { continue };
        let own = old.len() - before.outputs;
        notes[part.start..part.start + own].copy_from_slice(&features.notes[old.start..][..own]);
        let place = &mut notes[part.start + own..part.end];
        match before.outputs {
            0 => place.copy_from_slice(&scores[..place.len()]),
            _ => place.copy_from_slice(&features.notes[old.start + own..old.end][..place.len()]),
        }
    }
    Ok(())
}

impl Contest {
    /// Goes on as the successor of what was before: entrants of these names take their models over,
    /// with how they stand; the others begin untrained, in a new test. Nothing is kept afterwards.
    ///
    /// # Errors
    /// The former, unchanged, where its champion does not stay.
    pub fn succeed(&mut self, mut former: Former, stay: &[String]) -> Result<(), Former> {
        let place = |name: &str| {
            let stays = stay.iter().any(|own| own == name);
            self.entrants.iter().position(|own| stays && own.name == name)
        };
        let version = former.model.version();
        let Some(contest) = former.model.contest_mut() else {
            let Some(at) = place(&former.name) else { return Err(former) };
            (self.champion, self.version) = (at, version);
            self.entrants[at].model = former.model;
            self.kept = Kept::new(self.shape, self.notes_width());
            return Ok(());
        };
        let Some(champion) = place(&contest.entrants[contest.champion].name) else {
            return Err(former);
        };
        let is_other = contest.entrants.len() != self.entrants.len()
            || contest.entrants.iter().any(|own| place(&own.name).is_none());
        let places: Vec<Option<usize>> =
            contest.entrants.iter().map(|own| place(&own.name)).collect();
        for (own, at) in contest.entrants.drain(..).zip(places) {
            if let Some(at) = at {
                self.entrants[at] = own;
            }
        }
        (self.champion, self.version) = (champion, version);
        (self.judged, self.residual) = (contest.judged, contest.residual);
        (self.tests, self.promotions) = (contest.tests, contest.promotions);
        self.tested = contest.tested;
        if is_other {
            self.begin_test();
        }
        self.kept = Kept::new(self.shape, self.notes_width());
        Ok(())
    }

    /// The champion leaves the contest, if it is the model of this name.
    pub fn leave(&mut self, name: &str) -> Option<Box<dyn Model>> {
        let is_champion = self.entrants[self.champion].name == name;
        is_champion.then(|| self.entrants.swap_remove(self.champion).model)
    }
}
