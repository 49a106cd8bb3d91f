//! A label judges what each entrant had said, and may end the champion's time.

use pelton_kernels::math::ln;

use super::{Contest, TEST_ROWS};
use crate::{LabeledBatch, Task};

/// Probabilities count as no surer.
const SURE: f64 = 1e-7;

impl Contest {
    /// Judges the rows whose label can be learned, by the scores that were noted of them: those
    /// that leave, missing numbers or not.
    pub(super) fn judge(&mut self, batch: &LabeledBatch<'_>) {
        for row in 0..batch.features.rows {
            let own = batch.row(row);
            let (label, notes) = (own.labels[0], own.features.notes);
            let is_scored = (0..self.entrants.len())
                .all(|at| self.noted_scores(at, notes).iter().all(|score| score.is_finite()));
            if self.task.can_learn(label, own.weights[0]) && is_scored {
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
            entrant.judged += 1;
            if at != self.champion {
                entrant.evidence.observe(served - loss);
            }
        }
        self.judged += 1;
        self.tested += 1;
        if self.task == Task::Regression {
            let value = self.noted_scores(self.champion, notes)[0];
            self.residual.observe(value, label, self.judged);
        }
        self.decide();
    }

    /// Loss of scores: log loss, or the residual in usual ones.
    fn loss(&self, scores: &[f32], label: f32) -> f64 {
        let of = |probability: f32| -ln(f64::from(probability).clamp(SURE, 1.0));
        match self.task {
            Task::Binary if label == 1.0 => of(scores[0]),
            Task::Binary => of(1.0 - scores[0]),
            Task::MultiClass { .. } => of(scores[label as usize]),
            Task::Regression => self.residual.loss(scores[0], label),
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
