//! The page of a replay, from its report and from what its evaluator noted along the way.
//!
//! Nothing of the clock, of this machine's folders or of its speed is on it: one stream gives one
//! page.

use std::path::Path;

use pelton::config::Config;
use pelton::error::Error;
use pelton::learn::Learner;
use pelton::learn::drift::alerts::Alert;
use pelton::report::{self, Panel, Section, Series, Shown, ShownModel};
use pelton::run::Outcome;
use pelton_models::contest::Contest;
use pelton_models::{MemberStatus, Task};

use super::report::Report;

/// What was replayed.
pub struct About<'a> {
    /// The configuration's file.
    pub config_path: &'a Path,
    /// The configuration.
    pub config: &'a Config,
    /// The recording.
    pub input: &'a Path,
}

/// The page as HTML.
///
/// # Errors
/// When the configuration cannot be read again for its digest.
pub fn page(about: &About<'_>, report: &Report, outcome: &Outcome) -> Result<String, Error> {
    let learner = outcome.pipeline.learner();
    let standings = learner.contest().map(Contest::standings).unwrap_or_default();
    let served = if standings.is_empty() { learner.model_name() } else { "served" };
    let names = std::iter::once(served).chain(standings.iter().map(|own| own.name.as_str()));
    let judges = std::iter::once(learner.evaluator()).chain(learner.judges().entrants());
    let models = names.zip(judges).filter_map(|(name, judge)| {
        let history = judge.history()?;
        Some(ShownModel { name: name.to_owned(), measures: judge.report(), history })
    });
    let classes = match about.config.model.task {
        Task::MultiClass { .. } => about.config.model.classes.clone(),
        Task::Binary => vec!["0".to_owned(), "1".to_owned()],
        Task::Regression => Vec::new(),
    };
    let shown = Shown {
        title: format!("Replay of {}", file_name(about.input)),
        facts: facts(about, report, outcome)?,
        models: models.collect(),
        classes,
        weights: weights(learner),
        alerts: alerts(learner),
        more: importances(outcome).into_iter().collect(),
    };
    Ok(report::page(&shown))
}

/// How much each input counts on average in the scores that left.
fn importances(outcome: &Outcome) -> Option<Section> {
    let values = outcome.pipeline.learner().importance()?;
    let names = outcome.pipeline.features().plan().reason_names();
    let says = "Mean size of what each adds to or takes from the log odds of a score (from the \
                value, in a regression), over one row in 64. What is known of the labels of a \
                category's value counts with the category; recent_labels is what is known of all.";
    let panel = Panel::importances(names.into_iter().zip(values.iter().copied()).collect(), says);
    Some(Section { id: "importances", title: "Features".to_owned(), panels: vec![panel] })
}

/// How much each member of a mixture counted over event time.
fn weights(learner: &Learner) -> Vec<Series> {
    let (members, _) = learner.members();
    let points = learner.judges().weights();
    let series = |(at, member): (usize, &MemberStatus)| {
        let own = points.iter().filter_map(|(time_ms, all)| Some((*time_ms as f64, *all.get(at)?)));
        Series::line(member.name, at, own.collect())
    };
    members.iter().enumerate().map(series).collect()
}

/// Promotions, and the drift of loss and score: features drift one by one, too many to be marked.
fn alerts(learner: &Learner) -> Vec<(i64, String)> {
    let drift = learner.drift();
    let kept = drift.alerts().kept().filter(|alert| matches!(drift.what(alert), "loss" | "score"));
    let of = |alert: &Alert| {
        (alert.time_ms, format!("{}: {}", alert.detector.name(), drift.what(alert)))
    };
    let marks = learner.judges().marks().iter().cloned();
    let mut alerts: Vec<(i64, String)> = kept.map(of).chain(marks).collect();
    alerts.sort();
    alerts
}

fn file_name(path: &Path) -> String {
    path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned()
}

fn facts(
    about: &About<'_>,
    report: &Report,
    outcome: &Outcome,
) -> Result<Vec<(String, String)>, Error> {
    let config = std::fs::read(about.config_path);
    let config = config.map_err(Error::file("read", about.config_path))?;
    let share = |part: u64, of: u64| format!("{:.3} %", 100.0 * part as f64 / of.max(1) as f64);
    let learner = outcome.pipeline.learner();
    let counts = learner.evaluator().counts();
    let mut facts = vec![
        ("Configuration", file_name(about.config_path)),
        ("Configuration digest (BLAKE3)", blake3::hash(&config).to_hex().to_string()),
        ("Recording", file_name(about.input)),
        ("Pelton", env!("CARGO_PKG_VERSION").to_owned()),
        ("Device", report.device.clone()),
        ("Events", report.events.to_string()),
        ("Scored", report.scored.to_string()),
        ("Left out by the filter", report.filtered.to_string()),
        ("Dead letters", report.dead_letters.to_string()),
        ("Labels", report.labels.to_string()),
        ("Labels per scored event", share(report.labels, report.scored)),
        ("Labels judged", counts.judged.to_string()),
        ("Labels learned", learner.counts().learned.to_string()),
        ("Labels corrected", counts.corrected.to_string()),
    ];
    let day = |ms: i64| report::time(ms).unwrap_or_default();
    let bounds = [
        ("Judged from", about.config.evaluate.from_ms),
        ("Judged until", about.config.evaluate.to_ms),
    ];
    facts.extend(bounds.into_iter().filter_map(|(name, ms)| Some((name, day(ms?)))));
    if let (Task::Binary, Some(history)) = (about.config.model.task, learner.evaluator().history())
    {
        let [negatives, positives] = history.totals();
        facts.push(("Positives among them", share(positives, negatives + positives)));
    }
    facts.push(("Digest of all scores", report.score_digest.clone()));
    facts.push(("Digest of the model", report.model_digest.clone()));
    Ok(facts.into_iter().map(|(name, value)| (name.to_owned(), value)).collect())
}
