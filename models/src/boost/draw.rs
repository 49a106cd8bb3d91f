//! Boosted trees as operations: all generations that serve as one ensemble over the numbers.
//!
//! What a generation multiplies and adds is folded into its leaves, in doubles, and bins become
//! the edges between them: a row goes the same way, and only the rounding of sums is other.

use super::generation::{self, Generation};
use super::tree::Split;
use super::{Boost, Task};
use crate::ModelError;
use crate::graph::{Graph, Grown, Inputs, Leaf, Operation, Rule, Trees, Value};

impl Boost {
    /// Draws the scores.
    pub(super) fn draw_scores(
        &self,
        graph: &mut Graph,
        inputs: &Inputs,
    ) -> Result<Value, ModelError> {
        let margins = if self.serving.is_empty() {
            // What the labels alone say.
            let (base, [mean, deviation]) = generation::start(self.config.task, &self.sample);
            let margins = base.iter().map(|base| mean + deviation * base).collect();
            inputs.repeat(graph, "base", margins)?
        } else {
            let columns = inputs.columns_or_zero(graph)?;
            graph.node(Operation::Trees(self.trees()), &[columns])
        };
        Ok(match self.config.task {
            Task::Binary => graph.sigmoid(margins),
            Task::MultiClass { .. } => graph.softmax(margins),
            Task::Regression => margins,
        })
    }

    /// The mean of the margins of all generations.
    fn trees(&self) -> Trees {
        let outputs = self.config.task.outputs();
        let mut trees = Trees { base: vec![0.0; outputs], ..Trees::default() };
        for whole in &self.serving {
            let [mean, deviation] = whole.scale.map(f64::from);
            let count = self.serving.len() as f64;
            for (base, own) in trees.base.iter_mut().zip(&whole.base) {
                *base += (mean + deviation * f64::from(*own)) / count;
            }
            whole.draw(&mut trees, deviation / count);
        }
        trees
    }
}

impl Generation {
    /// Adds its trees, with leaves so many times as large.
    fn draw(&self, trees: &mut Trees, factor: f64) {
        let (size, outputs) = (1 << self.depth, self.base.len());
        let each = self.splits.chunks_exact(size).zip(self.leaves.chunks_exact(size));
        for (at, (splits, leaves)) in each.enumerate() {
            trees.grow(1, |mut node: usize| {
                while node < size {
                    if let Some((column, edge)) = self.edge(splits[node]) {
                        let (rule, left) = (Rule::LessOrEqual(edge), 2 * node);
                        return Grown::Split { column, rule, left, right: left + 1 };
                    }
                    node *= 2;
                }
                let value = factor * f64::from(leaves[node - size]);
                Grown::Leaf(vec![Leaf { output: (at % outputs) as u32, value }])
            });
        }
    }

    /// The column of a split and the largest value that goes left; none where all do.
    fn edge(&self, split: Split) -> Option<(u32, f32)> {
        let (column, bin) = (split.column(), split.0 & 255);
        let edge = self.bins.edges().get(column)?.get(bin as usize)?;
        Some((column as u32, *edge))
    }
}
