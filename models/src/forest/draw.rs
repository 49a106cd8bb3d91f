//! The forest as operations: one ensemble whose outputs are the averages, then the vote.
//!
//! What a tree predicts depends on the leaf alone, however its nodes are drawn to each other on the
//! way: so a leaf carries `[MEMORIES, outputs]`, times the share of its tree.

use super::Forest;
use super::config::{ForestConfig, MEMORIES};
use super::tree::Tree;
use super::vote::{NEAR, Vote};
use crate::graph::{Graph, Grown, Inputs, Leaf, Operation, Rule, Tensor, Trees, Value};
use crate::{ModelError, Task};

impl Forest {
    /// Draws the scores.
    pub(super) fn draw_scores(
        &self,
        graph: &mut Graph,
        inputs: &Inputs,
    ) -> Result<Value, ModelError> {
        let columns = inputs.columns_or_zero(graph)?;
        let averages = vec![0.0; MEMORIES * self.config.task.outputs()];
        let mut trees = Trees { base: averages, ..Trees::default() };
        for (member, share) in self.members.iter().zip(&self.shares) {
            member.tree.draw(&self.config, f64::from(*share), &mut trees);
        }
        let averages = graph.node(Operation::Trees(trees), &[columns]);
        Ok(graph.within("vote", |graph| self.vote.draw(self.config.task, graph, averages)))
    }
}

impl Tree {
    /// Adds the tree, with what [`Tree::predict`] gives, so many times, at each leaf.
    fn draw(&self, config: &ForestConfig, share: f64, trees: &mut Trees) {
        let root = (0, self.means[..MEMORIES * self.outputs].to_vec());
        trees.grow(root, |(at, predicted): (usize, Vec<f32>)| {
            let node = &self.nodes[at];
            if node.left == 0 {
                let leaf = |(output, value)| Leaf { output, value: share * f64::from(value) };
                return Grown::Leaf((0..).zip(predicted).map(leaf).collect());
            }
            let below = |at: usize| {
                let mut predicted = predicted.clone();
                self.draw_to(config, at, &mut predicted);
                (at, predicted)
            };
            let (rule, left) = (Rule::LessOrEqual(node.threshold), node.left as usize);
            let (left, right) = (below(left), below(left + 1));
            Grown::Split { column: node.column, rule, left, right }
        });
    }
}

impl Vote {
    /// Draws what [`Vote::predict`] makes of averages.
    ///
    /// # Shapes
    /// `averages: [rows, MEMORIES * outputs]`; returned are `[rows, outputs]`.
    fn draw(&self, task: Task, graph: &mut Graph, averages: Value) -> Value {
        let weights = Tensor::matrix(self.weights[..MEMORIES].to_vec(), 1);
        let weights = graph.constant("weights", weights);
        match task {
            Task::Binary => {
                let inputs = graph.log_odds(averages, NEAR);
                let sums = graph.multiply(inputs, weights);
                let bias = graph.number(self.weights[MEMORIES]);
                let margins = graph.add(sums, bias);
                graph.sigmoid(margins)
            }
            Task::MultiClass { classes } => {
                let least = graph.number(NEAR);
                let above = graph.max(averages, least);
                let logs = graph.ln(above);
                let each = graph.reshape(logs, &[0, MEMORIES as i64, i64::from(classes)]);
                let weighted = graph.mul(each, weights);
                let scores = graph.sum(weighted, &[1]);
                graph.softmax(scores)
            }
            Task::Regression => graph.multiply(averages, weights),
        }
    }
}
