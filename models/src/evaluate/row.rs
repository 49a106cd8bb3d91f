//! One judged row: what every measure except the grouped ones needs to know of it.

use crate::Task;

/// A score, given when the event was scored, beside the truth.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct JudgedRow {
    /// Binary: the probability of a positive; multi-class: of the true class; else the value.
    pub(super) score: f32,
    /// The predicted class; 0 for regression.
    pub(super) predicted: u32,
    /// 0 or 1, the index of the true class, or the target.
    pub(super) label: f32,
    /// What is judged by its calibration: the probability of the predicted class (multi-class);
    /// else the score.
    pub(super) confidence: f32,
}

impl JudgedRow {
    /// Whether a row of this task can be so; measures rely on it.
    pub(super) fn fits(&self, task: Task) -> bool {
        let is_class = |label: f32, classes: u32| label >= 0.0 && label < classes as f32;
        let is_share = (0.0..=1.0).contains(&self.score) && (0.0..=1.0).contains(&self.confidence);
        match task {
            Task::Binary => is_share && self.predicted <= 1 && is_class(self.label, 2),
            Task::MultiClass { classes } => {
                is_share && self.predicted < classes && is_class(self.label, classes)
            }
            Task::Regression => self.score.is_finite() && self.label.is_finite(),
        }
    }
}
