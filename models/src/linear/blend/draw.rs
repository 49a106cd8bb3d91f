//! The experts' scores and their pool as a graph.

use pelton_kernels::blend::EXPERTS;
use pelton_kernels::mixture::LOG_ODDS_MAX;

use super::Blend;
use crate::graph::{Graph, Tensor, Value};
use crate::linear::draw::{DrawnRow, Weights};

impl Blend {
    /// The scores of all experts: `[rows, classes * EXPERTS]`.
    pub(crate) fn draw_scores(&self, graph: &mut Graph, row: &DrawnRow<'_>) -> Option<Value> {
        let (classes, width) = (self.classes, self.width);
        let outputs = classes * EXPERTS;
        let mut weights = Weights { outputs, ..Weights::default() };
        for at in 0..width {
            let cells = (0..classes).map(|class| self.dense[class * width + at]);
            weights.dense.extend(cells.flat_map(|cell| cell.weights));
        }
        for (key, cells) in self.sparse.chunks_exact(classes).enumerate() {
            weights.add(key, cells.iter().flat_map(|cell| cell.weights));
        }
        weights.draw(graph, row)
    }

    /// The same of a row without features.
    pub(crate) fn empty_scores(&self) -> Vec<f32> {
        let bias = (1..=self.classes).map(|class| self.dense[class * self.width - 1]);
        bias.flat_map(|cell| cell.weights).collect()
    }

    /// Scores, limited, by class: `[rows, classes, EXPERTS]`, and their pool: `[rows, classes]`.
    pub(crate) fn draw_pool(&self, graph: &mut Graph, scores: Value) -> [Value; 2] {
        let limited = graph.clamp(scores, [-LOG_ODDS_MAX, LOG_ODDS_MAX]);
        let shape = [-1, self.classes as i64, EXPERTS as i64];
        let by_class = graph.reshape(limited, &shape);
        let mixture = graph.constant("mixture", Tensor::floats(self.mixture.to_vec()));
        let parts = graph.mul(by_class, mixture);
        [by_class, graph.sum(parts, &[2])]
    }
}
