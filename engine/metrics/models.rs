//! Figures of models: members of a mixture, champion and challengers, drift.

use metrics::{Label, counter, gauge};
use pelton_models::contest::Contest;

use super::{Shown, with};
use crate::learn::Learner;
use crate::pipeline::Pipeline;

/// How the models stand.
pub(super) fn gauges(of: &[Label], learner: &Learner) -> Vec<Shown> {
    let measure = |gauge, value: f64| Shown { gauge, value, when_gone: f64::NAN };
    let (mut shown, drift) = (Vec::new(), learner.drift());
    for standing in drift.standings() {
        let feature = || with(of, "feature", standing.name.to_owned());
        shown.push(measure(gauge!("pelton_drift_psi", feature()), standing.psi));
        shown.push(measure(gauge!("pelton_drift_ks", feature()), standing.distance));
    }
    if drift.is_on() {
        shown.push(measure(gauge!("pelton_drift_loss", of.to_vec()), drift.loss().0));
    }
    let (members, regret) = learner.members();
    for member in &members {
        let labels = || with(of, "member", member.name);
        shown.push(measure(gauge!("pelton_model_weight", labels()), member.weight));
        shown.push(measure(gauge!("pelton_model_loss", labels()), member.loss));
    }
    if !members.is_empty() {
        shown.push(measure(gauge!("pelton_model_regret", of.to_vec()), regret));
    }
    for own in learner.contest().map(Contest::standings).unwrap_or_default() {
        let labels = || with(of, "challenger", own.name.clone());
        let (gauge, value) = (gauge!("pelton_champion", labels()), own.is_champion);
        shown.push(Shown { gauge, value: f64::from(u8::from(value)), when_gone: 0.0 });
        shown.push(measure(gauge!("pelton_challenger_loss", labels()), own.loss));
        shown.push(measure(gauge!("pelton_challenger_evidence", labels()), own.evidence));
    }
    shown
}

/// Alerts of drift and promotions so far.
pub(super) fn show_counts(of: &[Label], pipeline: &Pipeline) {
    for (detector, what, count) in pipeline.learner().drift().counts() {
        let labels = with(&with(of, "detector", detector.name()), "what", what.to_owned());
        counter!("pelton_drift_alerts_total", labels).absolute(count);
    }
    let [started, replaced] = pipeline.learner().renewals();
    for (what, count) in [("started", started), ("replaced", replaced)] {
        counter!("pelton_model_renewals_total", with(of, "what", what)).absolute(count);
    }
    if let Some(contest) = pipeline.learner().contest() {
        counter!("pelton_promotions_total", of.to_vec()).absolute(contest.promotions());
    }
}
