//! What each input adds to a linear score: its value times its weight, exactly.
//!
//! Experts and stacks are pooled by sums, so the weight of a value is the sum of its experts'
//! weights, each as its expert counts. Where a pool limits an expert's score all parts of that
//! expert, its bias included, shrink in proportion. A dense value counts by itself and by its size
//! (`min(|z|, 5) - 0.8`): the input has both, the base what the size of 0 adds, so that a value of
//! 0 adds nothing. Absent sparse features add nothing. A row whose score would not be finite has
//! the score of a row without features, and so does its explanation.

use super::rows::{Layout, Row, RowLearner, USUAL_SIZE, is_finite};
use crate::Features;

/// Numbers of a row, used again.
#[derive(Default)]
pub(super) struct Room {
    values: Vec<f32>,
    scores: Vec<f32>,
    weights: Vec<f32>,
}

/// Explains rows whose shape has been checked.
pub(super) fn explain<L: RowLearner>(
    learner: &L,
    layout: &Layout,
    features: &Features<'_>,
    room: &mut Room,
    out: &mut [f32],
) {
    let (dense, width) = (layout.dense, layout.dense + layout.sparse + 1);
    let outputs = learner.link().outputs;
    if room.values.is_empty() {
        room.values = layout.empty_values();
    }
    room.scores.resize(learner.scores_width(), 0.0);
    room.weights.resize(layout.width() + 1, 0.0);
    out.fill(0.0);
    for (at, out) in out.chunks_exact_mut(outputs * width).enumerate() {
        let mut row = layout.row(features, at, &mut room.values);
        learner.score(row, &mut room.scores);
        let is_empty = !is_finite(&room.scores);
        let empty = if is_empty { layout.empty_values() } else { Vec::new() };
        if is_empty {
            row = Row { values: &empty, sparse: &[] };
            learner.score(row, &mut room.scores);
        }
        for (class, out) in out.chunks_exact_mut(width).enumerate() {
            learner.explain(row, (&room.scores, class), &mut room.weights, out);
            out[width - 1] += room.weights[layout.width()];
            if is_empty {
                continue;
            }
            let (own, sizes) = room.weights[..layout.width()].split_at(dense);
            let values = row.values.iter();
            out.iter_mut().zip(own.iter().zip(values)).for_each(|(out, (w, x))| *out += w * x);
            for (at, (weight, size)) in sizes.iter().zip(&row.values[dense..]).enumerate() {
                out[at] += weight * (size + USUAL_SIZE);
                out[width - 1] -= weight * USUAL_SIZE;
            }
        }
        learner.link().explain(out, width);
    }
}
