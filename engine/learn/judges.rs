//! Who judges: the scores that left, and, in a contest, those of each model that takes part.
//!
//! A label judges the scores its event was given, then is learned. What a challenger would have
//! said was noted with the event when it was scored (`pelton_models::contest`), so that all are
//! judged by the same rows. Beside them, for the page of a replay, the weights of a mixture over
//! event time; a bounded number of them.

use std::io::{self, Read, Write};

use pelton_models::contest::Contest;
use pelton_models::evaluate::{EvaluateError, EvaluateSpec, Evaluator};
use pelton_models::{MemberStatus, Model};

use crate::error::Error;
use crate::join::{Join, Kind, Resolved};

/// Judges of the scores that left and of each entrant of a contest.
pub struct Judges {
    served: Evaluator,
    /// In the order of the contest; none without one.
    entrants: Vec<Evaluator>,
    weights: Option<Weights>,
    /// Promotions that have been told.
    promotions: u64,
    /// Renewals that have been told.
    renewals: [u64; 2],
    /// Event time of what happened to the models, and what it was, where the course is kept.
    marks: Vec<(i64, String)>,
}

impl Judges {
    /// Judges that have seen nothing.
    pub(super) fn new(spec: EvaluateSpec, model: &dyn Model) -> Result<Judges, Error> {
        let entrants = model.contest().map_or(0, |contest| contest.standings().len());
        let entrants = (0..entrants).map(|_| Evaluator::new(spec.clone()));
        let entrants = entrants.collect::<Result<_, _>>()?;
        let served = Evaluator::new(spec)?;
        Ok(Judges {
            served,
            entrants,
            weights: None,
            promotions: 0,
            renewals: [0; 2],
            marks: Vec::new(),
        })
    }

    /// The judge of the scores that left.
    #[must_use]
    pub fn served(&self) -> &Evaluator {
        &self.served
    }

    /// The judge of each model of a contest, in its order.
    #[must_use]
    pub fn entrants(&self) -> &[Evaluator] {
        &self.entrants
    }

    /// Weights of the mixture's members over event time (milliseconds since the epoch), where the
    /// course is kept.
    #[must_use]
    pub fn weights(&self) -> &[(i64, Vec<f64>)] {
        self.weights.as_ref().map_or(&[], |weights| &weights.points)
    }

    /// Event time (milliseconds since the epoch) of promotions and of trees that were renewed, and
    /// what it was, where the course is kept.
    #[must_use]
    pub fn marks(&self) -> &[(i64, String)] {
        &self.marks
    }

    /// The model's state is another: what it had been promoted before is no news.
    pub(super) fn begin_with(&mut self, model: &dyn Model) {
        self.promotions = model.contest().map_or(0, Contest::promotions);
        self.renewals = model.renewals();
    }

    /// Tells of a promotion or a renewal, if the label just learned has brought one.
    pub(super) fn tell(&mut self, model: &dyn Model, time_ms: i64) {
        let renewals = model.renewals();
        if renewals != self.renewals {
            let [started, replaced] = [0, 1].map(|at| renewals[at] > self.renewals[at]);
            if started {
                tracing::warn!("the trees have become worse: fresh ones grow beside them");
            }
            if replaced {
                tracing::warn!("the fresh trees are better: they take the place of the old ones");
                self.mark(time_ms, "trees renewed".to_owned());
            }
            self.renewals = renewals;
        }
        let Some(contest) = model.contest() else { return };
        if contest.promotions() == self.promotions {
            return;
        }
        let standings = contest.standings();
        let Some(champion) = standings.into_iter().find(|own| own.is_champion) else { return };
        if contest.promotions() > self.promotions {
            let (name, loss) = (&champion.name, champion.loss);
            tracing::warn!(champion = name, loss, "a challenger is better: it is the champion now");
            self.mark(time_ms, format!("{name} promoted"));
        }
        self.promotions = contest.promotions();
    }

    /// Takes the measures of judges of other entrants, by name; those of new ones begin.
    pub(super) fn succeed(
        &mut self,
        former: Judges,
        (old, new): (&[String], &[String]),
        stay: &[String],
    ) {
        self.served = former.served;
        for (name, evaluator) in old.iter().zip(former.entrants) {
            let place = new.iter().position(|own| own == name && stay.contains(name));
            if let Some(at) = place {
                self.entrants[at] = evaluator;
            }
        }
    }

    fn mark(&mut self, time_ms: i64, what: String) {
        if self.weights.is_some() && self.marks.len() < POINTS_MAX {
            self.marks.push((time_ms, what));
        }
    }

    pub(super) fn keep_history(&mut self) {
        self.served.keep_history();
        self.entrants.iter_mut().for_each(Evaluator::keep_history);
        self.weights = Some(Weights { stride: 1, labels: 0, points: Vec::new() });
    }

    pub(super) fn judge(&mut self, resolved: &Resolved, join: &Join, model: &dyn Model) {
        let pending = join.pending();
        let (time_ms, group) = (pending.time_ms(resolved.entry), pending.group(resolved.entry));
        let judge = |evaluator: &mut Evaluator, scores: &[f32]| match resolved.kind {
            Kind::Arrived | Kind::Assumed => {
                evaluator.observe(time_ms, group, scores, resolved.label);
            }
            // A label that returns as it was has judged already, and changes nothing.
            Kind::Corrected | Kind::Returned => {
                evaluator.correct(time_ms, group, scores, resolved.was, resolved.label);
            }
        };
        judge(&mut self.served, pending.scores(resolved.entry));
        if let Some(contest) = model.contest() {
            let notes = pending.features(resolved.entry).notes;
            for (at, evaluator) in self.entrants.iter_mut().enumerate() {
                judge(evaluator, contest.noted_scores(at, notes));
            }
        }
        if let Some(weights) = &mut self.weights {
            weights.note(time_ms, || model.members());
        }
    }

    pub(super) fn close_days_before(&mut self, time_ms: i64) {
        self.served.close_days_before(time_ms);
        self.entrants.iter_mut().for_each(|own| own.close_days_before(time_ms));
    }

    pub(super) fn write(&self, out: &mut dyn Write) -> io::Result<()> {
        self.served.write_state(out)?;
        self.entrants.iter().try_for_each(|own| own.write_state(out))
    }

    pub(super) fn read(&mut self, from: &mut dyn Read) -> io::Result<()> {
        let mut all = std::iter::once(&mut self.served).chain(&mut self.entrants);
        all.try_for_each(|own| own.read_state(from)).map_err(|error| match error {
            EvaluateError::State(error) => error,
            other => io::Error::new(io::ErrorKind::InvalidData, other),
        })
    }
}

/// Points that are kept; twice as many are thinned out by half.
const POINTS_MAX: usize = 512;

/// Weights at every so many labels.
struct Weights {
    stride: u64,
    labels: u64,
    points: Vec<(i64, Vec<f64>)>,
}

impl Weights {
    fn note(&mut self, time_ms: i64, members: impl FnOnce() -> Vec<MemberStatus>) {
        if self.labels.is_multiple_of(self.stride) {
            let weights: Vec<f64> = members().iter().map(|own| own.weight).collect();
            if !weights.is_empty() {
                self.points.push((time_ms, weights));
            }
            if self.points.len() >= 2 * POINTS_MAX {
                let mut at = 0;
                self.points.retain(|_| {
                    at += 1;
                    at % 2 == 1
                });
                self.stride *= 2;
            }
        }
        self.labels += 1;
    }
}
