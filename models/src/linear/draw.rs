//! Linear scores as a graph: values times weights, and the weights of sparse indices by look-up.
//!
//! A row whose scores would not be finite has those of a row without features, as everywhere here.

use super::rows::{Layout, RowLearner, USUAL_SIZE};
use crate::ModelError;
use crate::graph::{Binary, Graph, Inputs, Operation, Tensor, Unary, Value};

/// What a learner of rows sees of a row that is drawn.
#[derive(Clone, Copy)]
pub(crate) struct DrawnRow<'a> {
    pub inputs: &'a Inputs,
    /// `[rows, values]`, without the bias.
    pub values: Option<Value>,
}

/// Weights of a linear model of several outputs.
#[derive(Clone, Debug, Default)]
pub(crate) struct Weights {
    pub outputs: usize,
    /// `[values + 1, outputs]`: the bias last.
    pub dense: Vec<f32>,
    /// Indices that have weights, and these: `[keys, outputs]`.
    pub keys: Vec<u32>,
    pub sparse: Vec<f32>,
}

/// Draws what a learner predicts.
pub(super) fn draw<L: RowLearner>(
    learner: &L,
    layout: &Layout,
    (graph, inputs): (&mut Graph, &Inputs),
) -> Result<Value, ModelError> {
    let values = inputs.dense.filter(|_| layout.dense > 0).map(|dense| match layout.fold {
        true => {
            let size = graph.abs(dense);
            let (most, usual) = (graph.number(5.0), graph.number(USUAL_SIZE));
            let limited = graph.min(size, most);
            let sizes = graph.sub(limited, usual);
            graph.beside(&[dense, sizes])
        }
        false => dense,
    });
    let drawn = learner.draw(graph, &DrawnRow { inputs, values });
    drawn.ok_or(ModelError::NotDrawn("a model without features"))
}

impl Weights {
    /// Adds the weights of an index, unless all are 0.
    pub fn add(&mut self, key: usize, weights: impl Iterator<Item = f32> + Clone) {
        if weights.clone().any(|weight| weight != 0.0) {
            self.keys.push(key as u32);
            self.sparse.extend(weights);
        }
    }

    /// What rows score by these weights: `[rows, outputs]`.
    pub fn draw(mut self, graph: &mut Graph, row: &DrawnRow<'_>) -> Option<Value> {
        let bias = self.dense.split_off(self.dense.len() - self.outputs);
        let by_values = row.values.map(|values| {
            let weights = graph.constant("weights", Tensor::matrix(self.dense, self.outputs));
            let bias = graph.constant("bias", Tensor::floats(bias.clone()));
            let sum = graph.multiply(values, weights);
            graph.add(sum, bias)
        });
        let start = by_values.or_else(|| row.inputs.in_every_row(graph, "bias", bias))?;
        self.sparse.resize(self.sparse.len() + self.outputs, 0.0);
        let table = (self.sparse, self.outputs);
        match row.inputs.look_up(graph, "categories", self.keys, table) {
            Some(found) => {
                let sum = graph.sum(found, &[1]);
                Some(graph.add(start, sum))
            }
            None => Some(start),
        }
    }
}

/// Scores of rows, or, where one of a row is not finite, those of a row without features.
pub(crate) fn settled(graph: &mut Graph, scores: Value, empty: Vec<f32>) -> Value {
    let (size, most) = (graph.abs(scores), graph.number(1e30));
    let is_good = graph.less(size, most);
    let is_bad = graph.node(Operation::Unary(Unary::Not), &[is_good]);
    let bad = graph.single(is_bad);
    let reduction = crate::graph::Reduction::Max;
    let worst = graph.node(Operation::Reduce { reduction, axes: vec![1], keep: true }, &[bad]);
    let half = graph.number(0.5);
    let is_empty = graph.node(Operation::Binary(Binary::Greater), &[worst, half]);
    let empty = graph.constant("empty", Tensor::floats(empty));
    graph.choose(is_empty, empty, scores)
}
