//! Prequential evaluation: every label judges the score given when its event was scored.
//!
//! Third from the end of the walk: after a label has met its event and before the model learns from
//! it. [`Evaluator`] takes (event time, group, scores, label) in the order in which labels arrive
//! and answers with the measures that were asked for, overall and of the last rows. Definitions are
//! scikit-learn's; each measure's file states it.
//!
//! Invariant: a report of class metrics depends on the multiset of judged rows, not on their order
//! or the cuts of the stream (the no-change baseline, which is about order, and regression sums
//! apart). Memory is bounded: see [`EvaluateSpec`]. Scores and labels that are no numbers, or out
//! of range, are counted and never enter a sum.
//!
//! **Corrected labels.** When an assumed or contradicted label turns out otherwise, its judgement
//! is withdrawn and made again with the score of back then ([`Evaluator::correct`]). To leave it
//! would report a measure known to be wrong, and exactly for the events that were hardest to
//! label; to judge the new label besides would count the event twice. After a correction the
//! overall report is the same, to the bit, as if the right label had arrived first.
//!
//! It does not decide which label is right, nor when no label can come any more: the join does.

mod binary;
mod curves;
mod groups;
mod history;
mod metric;
mod multiclass;
mod no_change;
mod panel;
mod radix;
mod ranking;
mod regression;
mod reliability;
mod row;
mod spec;
#[cfg(test)]
mod tests;
mod window;

use std::io::{self, Read, Write};

use pelton_kernels::state::{StateReader, StateWriter};

use crate::Task;

pub use curves::{Costs, Curves, HISTOGRAM_BINS, HISTOGRAM_FROM, Threshold};
pub use groups::GROUPS_MAX;
pub use history::{History, Note};
pub use metric::Metric;
pub use pelton_kernels::tally::CALIBRATION_BINS;
pub use reliability::{BINS as RELIABILITY_BINS, ReliabilityBin, expected_error};
pub use spec::{EvaluateError, EvaluateSpec};

use groups::GroupedPrecision;
use panel::Panel;
use row::JudgedRow;
use window::Window;

/// Judges scores by labels.
///
/// ```
/// use pelton_models::Task;
/// use pelton_models::evaluate::{EvaluateSpec, Evaluator, Metric};
///
/// let spec = EvaluateSpec::new(Task::Binary, vec![Metric::Auc, Metric::Brier]);
/// let mut evaluator = Evaluator::new(spec)?;
/// evaluator.observe(0, 7, &[0.9], 1.0);
/// evaluator.observe(1, 7, &[0.2], 0.0);
/// let report = evaluator.report();
/// assert_eq!(report[0], ("auc", 1.0));
/// assert!((report[1].1 - 0.025).abs() < 1e-7);
/// # Ok::<(), pelton_models::evaluate::EvaluateError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Evaluator {
    spec: EvaluateSpec,
    panel: Panel,
    groups: Option<GroupedPrecision>,
    window: Window,
    counts: EvaluateCounts,
    history: Option<Box<History>>,
}

/// What became of the rows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct EvaluateCounts {
    /// Rows whose label judged a score.
    pub judged: u64,
    /// Rows whose event time is outside `from_ms..to_ms`.
    pub out_of_bounds: u64,
    /// Rows refused: a score is NaN, infinite or, for classes, not in `0..=1`.
    pub refused_scores: u64,
    /// Rows refused: the label is no class of the task, or not finite.
    pub refused_labels: u64,
    /// Judgements withdrawn and made again.
    pub corrected: u64,
    /// Rows and corrections of days already folded: grouped precision does not know them.
    pub late_for_groups: u64,
    /// Days folded before their time because too many groups were open.
    pub days_folded_early: u64,
}

enum Refusal {
    Score,
    Label,
}

impl Evaluator {
    /// An evaluator that has seen nothing.
    ///
    /// # Errors
    /// [`EvaluateError::MetricUnfit`], [`EvaluateError::BoundsEmpty`],
    /// [`EvaluateError::ClassesTooFew`] and [`EvaluateError::GroupsNone`] for a spec that makes no
    /// sense.
    pub fn new(spec: EvaluateSpec) -> Result<Evaluator, EvaluateError> {
        spec.check()?;
        let groups = spec.metrics.iter().find_map(|metric| match metric {
            Metric::GroupedPrecisionAtK { k } => Some(GroupedPrecision::new(*k)),
            _ => None,
        });
        Ok(Evaluator {
            panel: Panel::new(&spec, spec.exact_rows_max),
            groups,
            window: Window::new(spec.trailing_rows),
            counts: EvaluateCounts::default(),
            history: None,
            spec,
        })
    }

    /// Notes the course of the measures from here on, for [`Evaluator::history`]. Not part of the
    /// state.
    pub fn keep_history(&mut self) {
        self.history = Some(Box::new(History::new(&self.spec)));
    }

    /// The course of the measures, where it is kept.
    pub fn history(&self) -> Option<&History> {
        self.history.as_deref()
    }

    /// Lets a label judge the scores of its event.
    ///
    /// # Shapes
    /// `scores: [outputs]`: one probability (binary), one per class, or one value.
    ///
    /// # Panics
    /// If `scores` has another length.
    #[inline]
    pub fn observe(&mut self, event_time_ms: i64, group: u64, scores: &[f32], label: f32) {
        let row = match self.judge(scores, label) {
            Ok(row) => row,
            Err(Refusal::Score) => return self.counts.refused_scores += 1,
            Err(Refusal::Label) => return self.counts.refused_labels += 1,
        };
        if !self.spec.covers(event_time_ms) {
            self.counts.out_of_bounds += 1;
            return self.panel.remember(&row);
        }
        self.counts.judged += 1;
        self.panel.judge(&row);
        if let Some(history) = &mut self.history {
            history.judge(event_time_ms, &row);
        }
        self.window.push(row);
        if let Some(groups) = &mut self.groups {
            groups.observe(event_time_ms, group, row.score, row.label == 1.0);
        }
    }

    /// Withdraws the judgement of a row that was observed with the label `was` and makes it again
    /// with `now`; `scores` are those of back then.
    ///
    /// # Panics
    /// If `scores` has another length than the task's outputs.
    pub fn correct(&mut self, event_time_ms: i64, group: u64, scores: &[f32], was: f32, now: f32) {
        let (was, now) = match (self.judge(scores, was), self.judge(scores, now)) {
            (Ok(was), Ok(now)) => (was, now),
            (Err(Refusal::Score), _) | (_, Err(Refusal::Score)) => {
                return self.counts.refused_scores += 1;
            }
            _ => return self.counts.refused_labels += 1,
        };
        if was == now || !self.spec.covers(event_time_ms) {
            return;
        }
        self.counts.corrected += 1;
        self.panel.withdraw(&was);
        self.panel.judge_again(&now);
        if let Some(history) = &mut self.history {
            history.correct(&was, &now);
        }
        self.window.replace(was, now);
        if let Some(groups) = &mut self.groups {
            groups.correct(event_time_ms, group, now.label == 1.0);
        }
    }

    /// Says that no label of an event before this time arrives any more: whole UTC days before it
    /// leave memory. Call it at points that depend on event time only.
    pub fn close_days_before(&mut self, time_ms: i64) {
        if let Some(groups) = &mut self.groups {
            groups.close_days_before(time_ms);
        }
    }

    /// The measures over all judged rows, in the order of the spec; NaN where undefined (a JSON
    /// null). Once scores are no longer kept one by one, `auc_error_max` and
    /// `average_precision_error_max` follow and bound what the histogram can have cost.
    pub fn report(&self) -> Vec<(&'static str, f64)> {
        let mut report = self.panel.report(&self.spec.metrics);
        if let Some(groups) = &self.groups {
            let name = Metric::GroupedPrecisionAtK { k: 1 }.name();
            report.iter_mut().filter(|entry| entry.0 == name).for_each(|entry| {
                entry.1 = groups.value();
            });
        }
        report
    }

    /// The same over the last judged rows; without grouped precision, which is about whole days.
    pub fn trailing(&self) -> Vec<(&'static str, f64)> {
        let is_grouped = |metric: &Metric| matches!(metric, Metric::GroupedPrecisionAtK { .. });
        let metrics: Vec<Metric> =
            self.spec.metrics.iter().copied().filter(|metric| !is_grouped(metric)).collect();
        let mut panel = Panel::new(&self.spec, usize::MAX);
        self.window.iter().for_each(|row| panel.judge(row));
        panel.report(&metrics)
    }

    /// How predictions compare with what came true, in bins of equally many rows, lowest first;
    /// nothing where no measure that keeps the scores was asked for (`auc`, `average_precision` or
    /// `ece`; multi-class: `ece`).
    pub fn reliability(&self) -> Vec<ReliabilityBin> {
        self.panel.reliability()
    }

    /// What became of the rows so far.
    pub fn counts(&self) -> EvaluateCounts {
        let mut counts = self.counts;
        if let Some(groups) = &self.groups {
            counts.late_for_groups = groups.late_rows;
            counts.days_folded_early = groups.days_folded_early;
        }
        counts
    }

    /// The spec it was made with.
    pub fn spec(&self) -> &EvaluateSpec {
        &self.spec
    }

    /// Writes everything it knows; equal evaluators write equal bytes.
    ///
    /// # Errors
    /// Those of the writer.
    pub fn write_state(&self, out: &mut dyn Write) -> io::Result<()> {
        let state = &mut StateWriter::new(out);
        self.spec.write(state)?;
        let counts = &self.counts;
        let counts =
            [counts.judged, counts.out_of_bounds, counts.refused_scores, counts.refused_labels];
        state.slice(&counts)?;
        state.put(self.counts.corrected)?;
        self.panel.write(state)?;
        self.window.write(state)?;
        self.groups.as_ref().map_or(Ok(()), |groups| groups.write(state))
    }

    /// Becomes what [`Evaluator::write_state`] wrote; on an error it is left half read and must
    /// not be used.
    ///
    /// # Errors
    /// [`EvaluateError::State`] when the bytes end early or are damaged,
    /// [`EvaluateError::StateOfAnotherSpec`] when they were written under another spec.
    pub fn read_state(&mut self, from: &mut dyn Read) -> Result<(), EvaluateError> {
        let state = &mut StateReader::new(from);
        if !self.spec.reads_itself(state)? {
            return Err(EvaluateError::StateOfAnotherSpec);
        }
        self.counts = EvaluateCounts {
            judged: state.get()?,
            out_of_bounds: state.get()?,
            refused_scores: state.get()?,
            refused_labels: state.get()?,
            corrected: state.get()?,
            ..EvaluateCounts::default()
        };
        self.panel.read(self.spec.exact_rows_max, state)?;
        self.window = Window::read(self.spec.trailing_rows, self.spec.task, state)?;
        if let Some(groups) = &mut self.groups {
            groups.read(state)?;
        }
        Ok(())
    }

    #[inline]
    fn judge(&self, scores: &[f32], label: f32) -> Result<JudgedRow, Refusal> {
        let is_share = |score: &f32| (0.0..=1.0).contains(score);
        match self.spec.task {
            Task::Binary => {
                assert_eq!(scores.len(), 1, "a binary score is one number");
                // The sum turns -0.0, whose sign bit would be taken for a label, into 0.0.
                let score = scores[0] + 0.0;
                match (is_share(&score), label == 0.0 || label == 1.0) {
                    (false, _) => Err(Refusal::Score),
                    (_, false) => Err(Refusal::Label),
                    _ => {
                        let predicted = u32::from(score >= 0.5);
                        Ok(JudgedRow { score, predicted, label, confidence: score })
                    }
                }
            }
            Task::MultiClass { classes } => {
                assert_eq!(scores.len(), classes as usize, "one score per class");
                if !scores.iter().all(is_share) {
                    return Err(Refusal::Score);
                }
                if !(label >= 0.0 && label < classes as f32 && label.fract() == 0.0) {
                    return Err(Refusal::Label);
                }
                let best = (1..scores.len())
                    .fold(0, |best, class| if scores[class] > scores[best] { class } else { best });
                // The sums turn -0.0, whose sign bit would be taken for a label, into 0.0.
                let (score, confidence) = (scores[label as usize] + 0.0, scores[best] + 0.0);
                Ok(JudgedRow { score, predicted: best as u32, label, confidence })
            }
            Task::Regression => {
                assert_eq!(scores.len(), 1, "a regression score is one number");
                match (scores[0].is_finite(), label.is_finite()) {
                    (false, _) => Err(Refusal::Score),
                    (_, false) => Err(Refusal::Label),
                    _ => {
                        let score = scores[0];
                        Ok(JudgedRow { score, predicted: 0, label, confidence: score })
                    }
                }
            }
        }
    }
}
