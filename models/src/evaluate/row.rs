//! One judged row: what every measure except the grouped ones needs to know of it.

/// A score, given when the event was scored, beside the truth.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct JudgedRow {
    /// Binary: the probability of a positive; multi-class: of the true class; else the value.
    pub(super) score: f32,
    /// The predicted class; 0 for regression.
    pub(super) predicted: u32,
    /// 0 or 1, the index of the true class, or the target.
    pub(super) label: f32,
}
