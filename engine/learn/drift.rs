//! What watches for drift: the loss at each label, features and scores at each row.
//!
//! Test, then train, holds here too: the loss is that of the score the event was given, as the
//! judge takes it. Features are watched as they are before they are scaled: by running moments the
//! same value becomes another from day to day. Rows are looked at as they are scored, a part of
//! them where they are many. All is counted in rows, labels and event time as they come in the
//! stream, so that neither batch cuts nor a restart changes an alert. An alert is logged, counted
//! and listed; nothing is learned otherwise because of it: the mixture watches its trees by itself
//! (`pelton_models::auto`).

pub mod alerts;
mod column;
mod loss;
mod sampling;
mod state;

use std::ops::Range;

use pelton_models::Task;

use super::Learner;
use super::ahead::is_first;
use crate::config::drift::{DriftConfig, Renew};
use crate::features::plan::Plan;
use crate::join::{Join, Resolved};
use crate::ring::Slot;

use alerts::{Alert, Alerts, Detector, LOSS};
use column::{Column, Source};
use loss::LossWatch;
use sampling::Sampling;

/// Dense features that are watched; of more only the first, so that state and metrics are bounded.
pub const FEATURES_MAX: usize = 128;

/// The detectors, and what they have found.
pub struct Drift {
    config: DriftConfig,
    task: Task,
    /// Newest event time among the rows scored so far.
    clock_ms: i64,
    sampling: Sampling,
    columns: Vec<Column>,
    loss: LossWatch,
    alerts: Alerts,
}

/// How a feature, or the score, stands against its reference.
#[derive(Clone, Copy, Debug)]
pub struct Standing<'a> {
    /// The feature's name, or `score`.
    pub name: &'a str,
    /// Population stability index of the window looked at last; NaN before.
    pub psi: f64,
    /// Distance of Kolmogorov and Smirnov, likewise.
    pub distance: f64,
}

/// Rows that are given out, with their scores.
pub(super) struct Given<'a> {
    /// The batch and which of its rows these are.
    pub slot: &'a Slot,
    pub rows: Range<usize>,
    /// Their aggregates of windows, `[rows, given_width]`.
    pub given: &'a [f32],
    /// `[rows, outputs]`.
    pub scores: &'a [f32],
    /// Rows scored before these.
    pub scored: u64,
    /// Labels learned so far.
    pub learned: u64,
}

impl Drift {
    /// Detectors that have seen nothing, for the features of this plan.
    #[must_use]
    pub fn new(config: &DriftConfig, task: Task, plan: &Plan) -> Drift {
        let columns = if config.is_on { column::of(config, plan) } else { Vec::new() };
        Drift {
            config: *config,
            task,
            clock_ms: i64::MIN,
            sampling: Sampling::new(config),
            alerts: Alerts::new(columns.len()),
            columns,
            loss: LossWatch::new(config, task),
        }
    }

    /// Whether anything is watched.
    #[must_use]
    pub fn is_on(&self) -> bool {
        self.config.is_on
    }

    /// What has been found, newest last.
    #[must_use]
    pub fn alerts(&self) -> &Alerts {
        &self.alerts
    }

    /// What an alert is about.
    #[must_use]
    pub fn what(&self, alert: &Alert) -> &str {
        self.name(alert.what)
    }

    /// Every kind of alert with how many there were: detector, what it is about, count.
    pub fn counts(&self) -> impl Iterator<Item = (Detector, &str, u64)> {
        let counts = self.alerts.counts().map(|(detector, what, count)| {
            let name = self.name(what);
            (detector, name, count)
        });
        counts.filter(|_| self.is_on())
    }

    /// How the features stand.
    pub fn standings(&self) -> impl Iterator<Item = Standing<'_>> {
        self.columns.iter().map(|column| {
            let [psi, distance] = column.figures();
            Standing { name: column.name(), psi, distance }
        })
    }

    /// Mean loss in the window of ADWIN, and the labels that is of.
    #[must_use]
    pub fn loss(&self) -> (f64, u64) {
        self.loss.mean()
    }

    /// Shows it rows that have been scored.
    pub(super) fn rows(&mut self, given: &Given<'_>) {
        if !self.is_on() || given.rows.is_empty() {
            return;
        }
        let outputs = given.scores.len() / given.rows.len();
        let width = given.given.len() / given.rows.len();
        for (at, row) in given.rows.clone().enumerate() {
            self.clock_ms = self.clock_ms.max(given.slot.times_ms[row]);
            let scored = given.scored + at as u64;
            self.sampling.pass(self.clock_ms);
            if !self.sampling.is_taken(scored) {
                continue;
            }
            if self.sampling.has_ended(self.clock_ms) {
                self.end_run(scored, given.learned);
                // The stride may be another now.
                if !self.sampling.is_taken(scored) {
                    continue;
                }
            }
            self.sampling.take(self.clock_ms);
            let aggregates = &given.given[at * width..][..width];
            let scores = &given.scores[at * outputs..][..outputs];
            // Of several classes it is how sure the model is.
            let score = scores.iter().copied().fold(scores[0], f32::max);
            let (part, stride) = (self.sampling.part(), self.sampling.stride());
            for column in &mut self.columns {
                let value = match column.source() {
                    Source::Number(index) => given.slot.numbers[[index, row]],
                    Source::Given(index) => aggregates[index],
                    Source::Score => score,
                };
                column.take(value, part, stride);
            }
        }
    }

    /// Shows it the score an event was given and its label.
    pub(super) fn label(&mut self, scores: &[f32], label: f32, scored: u64) {
        let found = self.loss.observe(scores, label);
        for drift in found.iter().flatten() {
            // What is certain may still be small.
            if let Some(usual) = self.loss.usual_before(drift, self.config.loss_rise) {
                let figures = [usual, drift.after];
                let is_given = self.alert((drift.detector, LOSS), figures, scored);
                self.loss.set_usual(drift, is_given);
            }
        }
    }

    /// The model is another: its loss and scores are watched as if for the first time.
    pub(super) fn begin_model(&mut self) {
        self.loss = LossWatch::new(&self.config, self.task);
        self.columns.iter_mut().filter(|c| c.source() == Source::Score).for_each(Column::begin);
    }

    fn name(&self, what: u32) -> &str {
        match what.checked_sub(1) {
            None => "loss",
            Some(column) => self.columns.get(column as usize).map_or("?", Column::name),
        }
    }

    /// A run of rows has ended: windows that are whole are compared with their references.
    fn end_run(&mut self, scored: u64, learned: u64) {
        let since_ms = self.sampling.since_ms(self.clock_ms);
        let per_row = self.sampling.per_row();
        let next = self.sampling.end_run(self.clock_ms);
        for at in 0..self.columns.len() {
            let is_warm = learned >= self.config.warm_up_labels;
            let column = &mut self.columns[at];
            let is_settled =
                since_ms >= column.settles_ms() && (is_warm || column.source() != Source::Score);
            let Some(compared) = column.end_run(is_settled, (per_row, next)) else { continue };
            let [psi, ks] = compared.are_over(&self.config);
            let psi_figures = [compared.psi, self.config.psi];
            let ks_figures = [compared.distance, self.config.ks_distance];
            let what = at as u32 + 1;
            let mut is_new = false;
            let both = [(Detector::Psi, psi, psi_figures), (Detector::Ks, ks, ks_figures)];
            for (detector, is_over, figures) in both {
                let was_over = self.columns[at].was_over(detector);
                let is_given =
                    is_over && !was_over && self.alert((detector, what), figures, scored);
                self.columns[at].set_over(detector, is_over && (was_over || is_given));
                is_new |= is_given;
            }
            if is_new && self.config.renew == Renew::Alert {
                self.columns[at].begin_reference();
            }
        }
    }

    /// Gives an alert, if none of the kind was given a short while ago; whether it did.
    fn alert(&mut self, kind: (Detector, u32), figures: [f64; 2], scored: u64) -> bool {
        let (detector, what) = kind;
        let alert = Alert { detector, what, time_ms: self.clock_ms, scored, figures };
        let is_given = self.alerts.add(alert, self.config.cool_down_ms);
        if is_given {
            alert.say(self.name(what));
        }
        is_given
    }
}

impl Learner {
    /// What watches for drift.
    #[must_use]
    pub fn drift(&self) -> &Drift {
        &self.drift
    }

    /// Shows the detectors the loss of a label that judges for the first time.
    pub(super) fn watch_loss(&mut self, resolved: &Resolved, join: &Join) {
        if is_first(resolved) && self.drift.is_on() {
            let scores = join.pending().scores(resolved.entry);
            self.drift.label(scores, resolved.label, self.counts.scored);
        }
    }
}

#[cfg(test)]
mod tests;
