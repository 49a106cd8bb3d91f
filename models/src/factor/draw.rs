//! A factorization machine as a graph: the linear scores, the pairs, and the stack over both.

use pelton_kernels::blend::EXPERTS;
use pelton_kernels::pairs::Form;

use super::embeddings::{Embeddings, INPUT_MAX};
use super::machine::Machine;
use crate::graph::{Graph, Operation, Tensor, Value};
use crate::linear::draw::{DrawnRow, settled};

impl Machine {
    /// The prediction, `[rows, classes]`; none without features.
    pub(super) fn draw_machine(&self, graph: &mut Graph, row: &DrawnRow<'_>) -> Option<Value> {
        let linear = graph.within("linear", |graph| self.linear.draw_scores(graph, row))?;
        let pairs = graph.within("pairs", |graph| self.embeddings.draw(graph, row));
        let scores = pairs.map_or(linear, |pairs| graph.add(linear, pairs));
        let scores = settled(graph, scores, self.linear.empty_scores());
        // What a stack limits is limited already.
        let [experts, pool] = self.linear.draw_pool(graph, scores);
        let classes = self.stacks.len();
        let weights = |part: std::ops::Range<usize>| -> Vec<f32> {
            let own = |class: usize| &self.stacks[class].weights()[part.clone()];
            (0..classes).flat_map(own).map(|weight| *weight as f32).collect()
        };
        let by_expert = Tensor::matrix(weights(1..EXPERTS + 1), EXPERTS);
        let stacked = graph.within("stack", |graph| {
            let first = graph.constant("pool", Tensor::floats(weights(0..1)));
            let each = graph.constant("experts", by_expert);
            let bias = graph.constant("bias", Tensor::floats(weights(EXPERTS + 1..EXPERTS + 2)));
            let (pooled, parts) = (graph.mul(pool, first), graph.mul(experts, each));
            let sum = graph.sum(parts, &[2]);
            let sum = graph.add(pooled, sum);
            graph.add(sum, bias)
        });
        Some(self.linear.link.draw(graph, stacked))
    }
}

impl Embeddings {
    /// What pairs add to each expert's scores: `[rows, classes * EXPERTS]`; none without features.
    fn draw(&self, graph: &mut Graph, row: &DrawnRow<'_>) -> Option<Value> {
        let (dense, sparse) = (self.shape.dense_width, self.shape.sparse_width);
        let factors = self.pairs.factors;
        let fields = match self.pairs.form {
            Form::Shared => 1,
            Form::ByField { fields } => fields,
        };
        let outputs = self.row_cells / (fields * factors) * EXPERTS;
        // A row of cells is `[classes, fields, factors]` of experts each; here it becomes
        // `[fields, factors, classes, experts]`.
        let laid_out = |row: usize| {
            let cells = &self.cells[row * self.row_cells..][..self.row_cells];
            let inner = fields * factors;
            let numbers = (0..inner).flat_map(move |at| cells[at..].iter().step_by(inner));
            numbers.flat_map(|cell| cell.weights)
        };
        let width = fields * factors * outputs;
        let mut found: Vec<Value> = Vec::new();
        let values = row.inputs.dense.map(|own| graph.clamp(own, [-INPUT_MAX, INPUT_MAX]));
        let of_dense: Vec<f32> = (0..dense).flat_map(laid_out).collect();
        let rows = self.cells.len() / self.row_cells;
        let mut table: Vec<f32> = (dense..rows).flat_map(laid_out).collect();
        table.resize(table.len() + width, 0.0);
        let keys: Vec<u32> = (0..rows - dense).map(|row| self.table.key(row)).collect();
        if let Some(values) = values {
            let shape = vec![dense, width];
            let vectors = Tensor::floats(of_dense).reshaped(shape)?;
            let vectors = graph.constant("columns", vectors);
            let values = graph.reshape(values, &[-1, dense as i64, 1]);
            found.push(graph.mul(values, vectors));
        }
        found.extend(row.inputs.look_up(graph, "categories", keys, (table, width)));
        if found.is_empty() {
            return None;
        }
        let parts = graph.beside(&found);
        Some(match self.pairs.form {
            Form::Shared => {
                let sums = graph.sum(parts, &[1]);
                let (squared, squares) = (graph.mul(sums, sums), graph.mul(parts, parts));
                let squares = graph.sum(squares, &[1]);
                let (twice, half) = (graph.sub(squared, squares), graph.number(0.5));
                let products = graph.mul(twice, half);
                let by_factor = graph.reshape(products, &[-1, factors as i64, outputs as i64]);
                graph.sum(by_factor, &[1])
            }
            Form::ByField { fields } => {
                debug_assert_eq!(fields, dense + sparse);
                let fields = fields as i64;
                // By feature, field, and the rest: a product is of what each has for the other.
                let all = graph.reshape(parts, &[-1, fields, fields, (factors * outputs) as i64]);
                let turned = graph.node(Operation::Transpose { order: vec![0, 2, 1, 3] }, &[all]);
                let products = graph.mul(all, turned);
                let once = (0..fields * fields).map(|at| at / fields < at % fields);
                let once = once.map(|is| f32::from(u8::from(is))).collect();
                let once = Tensor::floats(once).reshaped(vec![fields as usize, fields as usize, 1]);
                let once = graph.constant("once", once?);
                let products = graph.mul(products, once);
                let sums = graph.sum(products, &[1, 2]);
                let by_factor = graph.reshape(sums, &[-1, factors as i64, outputs as i64]);
                graph.sum(by_factor, &[1])
            }
        })
    }
}
