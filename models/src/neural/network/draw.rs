//! The network as operations: embeddings by look-up, layers as matrices.

use pelton_kernels::layer::Layer;

use super::{Embeddings, INPUT_MAX, Plan};
use crate::ModelError;
use crate::graph::{Graph, Inputs, Operation, Tensor, Value};

/// Part of the last of three axes.
fn part(graph: &mut Graph, rows: Value, from: usize, to: usize) -> Value {
    graph.node(Operation::Slice { axis: 2, start: from as i64, end: to as i64 }, &[rows])
}

/// Draws a layer without the outputs that only fill it up.
fn draw_layer(
    graph: &mut Graph,
    (name, inputs): (&str, Value),
    (layer, parameters): (Layer, &[f32]),
    outputs: usize,
) -> Value {
    let (weights, bias) = parameters.split_at(layer.inputs * layer.outputs);
    let rows = weights.chunks_exact(layer.outputs);
    let own: Vec<f32> = rows.flat_map(|row| &row[..outputs]).copied().collect();
    graph.within(name, |graph| {
        let weights = graph.constant("weights", Tensor::matrix(own, outputs));
        let bias = graph.constant("bias", Tensor::floats(bias[..outputs].to_vec()));
        let sums = graph.multiply(inputs, weights);
        graph.add(sums, bias)
    })
}

impl Plan {
    /// Draws what [`Plan::take`] and [`Plan::forward`] do: `[rows, outputs]` of linear scores.
    ///
    /// # Errors
    /// [`ModelError::NotDrawn`] where a row has no features at all.
    pub fn draw(
        &self,
        graph: &mut Graph,
        inputs: &Inputs,
        (parameters, own): (&[f32], &Embeddings),
    ) -> Result<Value, ModelError> {
        let dense = inputs.dense.map(|dense| {
            let finite = graph.finite(dense);
            graph.clamp(finite, [-INPUT_MAX, INPUT_MAX])
        });
        let rows = self.look_up(graph, inputs, own);
        let vectors = rows.map(|rows| part(graph, rows, 0, self.factors));
        let products = match self.is_deep {
            true => self.draw_products(graph, (dense, vectors), &parameters[self.part(4)]),
            false => None,
        };
        let straight: Vec<Value> = [dense, products].into_iter().flatten().collect();
        let flat = vectors.map(|own| graph.reshape(own, &[0, (self.sparse * self.factors) as i64]));
        let all: Vec<Value> = straight.iter().copied().chain(flat).collect();
        if all.is_empty() {
            return Err(ModelError::NotDrawn("a model of rows without features"));
        }
        let layer = |own: Layer, part: usize| (own, &parameters[self.part(part)]);
        let all = graph.beside(&all);
        let first = draw_layer(graph, ("first", all), layer(self.first, 0), self.first.outputs);
        let first = graph.relu(first);
        let sums = layer(self.second, 1);
        let second = draw_layer(graph, ("second", first), sums, self.second.outputs);
        let second = graph.relu(second);
        let mut out = draw_layer(graph, ("last", second), layer(self.last, 2), self.outputs);
        if self.is_deep {
            let straight = graph.beside(&straight);
            let sums = layer(self.linear, 3);
            let linear = draw_layer(graph, ("linear", straight), sums, self.outputs);
            out = graph.add(out, linear);
            if let Some(rows) = rows {
                let weights = part(graph, rows, self.factors, self.factors + self.outputs);
                let weights = graph.sum(weights, &[1]);
                out = graph.add(out, weights);
            }
        }
        Ok(out)
    }

    /// Vectors, then linear weights, of each sparse feature; zeros for what has none.
    fn look_up(&self, graph: &mut Graph, inputs: &Inputs, own: &Embeddings) -> Option<Value> {
        let width = self.factors + if self.is_deep { self.outputs } else { 0 };
        let mut table = Vec::new();
        for (row, _) in (0..).zip(own.indices()) {
            let (vector, weights) = own.row(row);
            table.extend(vector.iter().chain(weights));
        }
        table.resize(table.len() + width, 0.0);
        inputs.look_up(graph, "embeddings", own.indices(), (table, width))
    }

    /// The products of a row's pairs; none where a row has no features at all.
    fn draw_products(
        &self,
        graph: &mut Graph,
        (dense, vectors): (Option<Value>, Option<Value>),
        of_dense: &[f32],
    ) -> Option<Value> {
        let add = |graph: &mut Graph, one: Option<Value>, other: Option<Value>| match (one, other) {
            (Some(one), Some(other)) => Some(graph.add(one, other)),
            (one, other) => one.or(other),
        };
        let by_dense = |graph: &mut Graph, values: Option<Value>, numbers: Vec<f32>| {
            let columns = graph.constant("vectors", Tensor::matrix(numbers, self.factors));
            values.map(|values| graph.multiply(values, columns))
        };
        graph.within("products", |graph| {
            let sums = by_dense(graph, dense, of_dense.to_vec());
            let others = vectors.map(|own| graph.sum(own, &[1]));
            let sums = add(graph, sums, others)?;
            let squared = dense.map(|own| graph.mul(own, own));
            let squares = of_dense.iter().map(|own| own * own).collect();
            let squares = by_dense(graph, squared, squares);
            let others = vectors.map(|own| {
                let squared = graph.mul(own, own);
                graph.sum(squared, &[1])
            });
            let squares = add(graph, squares, others)?;
            let (whole, half) = (graph.mul(sums, sums), graph.number(0.5 * self.scale));
            let pairs = graph.sub(whole, squares);
            Some(graph.mul(pairs, half))
        })
    }
}
