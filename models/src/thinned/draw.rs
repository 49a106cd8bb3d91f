//! The correction of the odds as operations.

use super::Thinned;
use crate::graph::{Binary, Graph, Operation, Value};

impl Thinned {
    /// Draws what [`Thinned::correct`] does, in doubles as there.
    pub(super) fn draw_correction(&self, graph: &mut Graph, scores: Value) -> Value {
        let (score, one) = (graph.doubled(scores), graph.double(1.0));
        let share = graph.double(self.share);
        let odds_up = graph.mul(score, share);
        let rest = graph.sub(one, score);
        let total = graph.add(odds_up, rest);
        let corrected = graph.div(odds_up, total);
        let corrected = graph.single(corrected);
        choose_legal(graph, scores, corrected)
    }
}

/// What a score has become, where it is in `0..=1`; else the score.
pub(crate) fn choose_legal(graph: &mut Graph, scores: Value, changed: Value) -> Value {
    let (zero, one) = (graph.number(0.0), graph.number(1.0));
    let is_above = graph.node(Operation::Binary(Binary::GreaterOrEqual), &[scores, zero]);
    let is_below = graph.node(Operation::Binary(Binary::LessOrEqual), &[scores, one]);
    let is_legal = graph.node(Operation::Binary(Binary::And), &[is_above, is_below]);
    graph.choose(is_legal, changed, scores)
}
