//! A label judges what each entrant had said, and may end the champion's time.

use pelton_kernels::math::ln;

use super::{Contest, TEST_ROWS};
use crate::{LabeledBatch, Task};

/// Probabilities count as no surer.
const SURE: f64 = 1e-7;
/// How fast the usual residual follows (regression).
const RESIDUAL_RATE: f64 = 0.01;
/// A residual counts as so many usual ones at the most.
const RESIDUALS_MAX: f64 = 8.0;

impl Contest {
    /// Judges the rows that can be learned, by the scores that were noted of them.
    pub(super) fn judge(&mut self, batch: &LabeledBatch<'_>) {
        for row in 0..batch.features.rows {
            let own = batch.row(row);
            let (label, notes) = (own.labels[0], own.features.notes);
            let is_scored = (0..self.entrants.len())
                .all(|at| self.noted_scores(at, notes).iter().all(|score| score.is_finite()));
            let is_finite = own.features.dense.iter().all(|value| value.is_finite());
            if self.task.can_learn(label, own.weights[0]) && is_scored && is_finite {
                self.judge_row(notes, label);
            }
        }
    }

    fn judge_row(&mut self, notes: &[f32], label: f32) {
        let served = self.loss(self.noted_scores(self.champion, notes), label);
        for at in 0..self.entrants.len() {
            let loss = self.loss(self.noted_scores(at, notes), label);
            let entrant = &mut self.entrants[at];
            entrant.loss += loss;
            if at != self.champion {
                entrant.evidence.observe(served - loss);
            }
        }
        self.judged += 1;
        self.tested += 1;
        if self.task == Task::Regression {
            let seen = f64::from(self.noted_scores(self.champion, notes)[0] - label).abs();
            let usual = if self.residual > 0.0 { self.residual } else { 1.0 };
            let rate = RESIDUAL_RATE.max(1.0 / self.judged as f64);
            // A residual moves the estimate by a few times it at the most: an outlier stays one.
            let limit = if self.judged < 30 { f64::MAX } else { 5.0 * usual };
            self.residual += rate * (seen.min(limit) - self.residual);
        }
        self.decide();
    }

    /// Loss of scores: log loss, or the residual in usual ones.
    fn loss(&self, scores: &[f32], label: f32) -> f64 {
        let usual = if self.residual > 0.0 { self.residual } else { 1.0 };
        let of = |probability: f32| -ln(f64::from(probability).clamp(SURE, 1.0));
        match self.task {
            Task::Binary if label == 1.0 => of(scores[0]),
            Task::Binary => of(1.0 - scores[0]),
            Task::MultiClass { .. } => of(scores[label as usize]),
            Task::Regression => (f64::from((scores[0] - label).abs()) / usual).min(RESIDUALS_MAX),
        }
    }

    /// Natural logarithm of the evidence that suffices in this test.
    #[must_use]
    pub fn evidence_needed(&self) -> f64 {
        let challengers = (self.entrants.len() - 1).max(1) as f64;
        let tests = self.tests as f64;
        ln(challengers * tests * (tests + 1.0) / self.rule.alpha)
    }

    fn decide(&mut self) {
        if self.rule.is_automatic && self.tested >= self.rule.labels_min {
            let needed = self.evidence_needed();
            let values = self.entrants.iter().map(|own| own.evidence.log_value()).enumerate();
            let rivals = values.filter(|(at, value)| *at != self.champion && *value >= needed);
            let best = rivals.max_by(|a, b| a.1.total_cmp(&b.1).then(b.0.cmp(&a.0)));
            if let Some((at, _)) = best {
                return self.crown(at);
            }
        }
        if self.tested >= TEST_ROWS {
            self.begin_test();
        }
    }
}
