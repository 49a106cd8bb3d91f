//! Calibrations as operations.

use super::Own;
use super::isotonic::Isotonic;
use super::platt::{Platt, SCORE_MIN};
use crate::graph::{Graph, Grown, Leaf, Operation, Rule, Trees, Value};
use crate::thinned::choose_legal;

impl Own {
    /// Draws what [`Own::apply`] does.
    ///
    /// # Shapes
    /// `scores: [rows, 1]` of 32-bit floats, as is what is returned.
    pub(super) fn draw(&self, graph: &mut Graph, scores: Value) -> Value {
        let calibrated = graph.within("calibration", |graph| match self {
            Own::Platt(own) => own.draw(graph, scores),
            Own::Isotonic(first, then) => {
                let scores = first.draw(graph, scores);
                then.draw(graph, scores)
            }
        });
        choose_legal(graph, scores, calibrated)
    }
}

impl Platt {
    /// In doubles, as [`Platt::apply`].
    fn draw(&self, graph: &mut Graph, scores: Value) -> Value {
        let inside = graph.clamp(scores, [SCORE_MIN, 1.0 - SCORE_MIN]);
        let (p, one) = (graph.doubled(inside), graph.double(1.0));
        let rest = graph.sub(one, p);
        let odds = graph.div(p, rest);
        let log_odds = graph.ln(odds);
        let (slope, offset) = (graph.double(self.slope), graph.double(self.offset));
        let scaled = graph.mul(log_odds, slope);
        let margins = graph.add(scaled, offset);
        let probabilities = graph.sigmoid(margins);
        graph.single(probabilities)
    }
}

impl Isotonic {
    /// The piece of the line is what a tree finds; along it by the arithmetic of
    /// [`Isotonic::apply`].
    fn draw(&self, graph: &mut Graph, scores: Value) -> Value {
        if self.line.is_empty() {
            return scores;
        }
        let mut trees = Trees { base: vec![0.0; 5], ..Trees::default() };
        // Pieces by the knots that are not above a score: a range of them.
        trees.grow(0..self.line.len() + 1, |pieces| {
            if pieces.len() == 1 {
                let numbers = (0..).zip(self.piece(pieces.start));
                let leaf = |(output, value)| Leaf { output, value: f64::from(value) };
                return Grown::Leaf(numbers.map(leaf).collect());
            }
            let middle = pieces.start + pieces.len() / 2;
            let rule = Rule::Less(self.line[middle - 1][0]);
            let (left, right) = (pieces.start..middle, middle..pieces.end);
            Grown::Split { column: 0, rule, left, right }
        });
        let piece = graph.node(Operation::Trees(trees), &[scores]);
        let [low, gap, from, rise, to] = [0, 1, 2, 3, 4].map(|at| graph.columns(piece, at, at + 1));
        let off = graph.sub(scores, low);
        let way = graph.div(off, gap);
        let risen = graph.mul(way, rise);
        let value = graph.add(from, risen);
        let raised = graph.max(value, from);
        graph.min(raised, to)
    }

    /// A piece: where it begins and how long it is, the value there, how far that rises, to what.
    fn piece(&self, above: usize) -> [f32; 5] {
        let end = |at: usize, end: f32| self.line.get(at).copied().unwrap_or([end, end]);
        let ([low, from], [high, to]) = (end(above.wrapping_sub(1), 0.0), end(above, 1.0));
        match high <= low {
            true => [low, 1.0, from, 0.0, from],
            false => [low, high - low, from, to - from, to],
        }
    }
}
