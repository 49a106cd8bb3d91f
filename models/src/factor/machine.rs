//! The learner of rows behind a factorization machine: the linear blend, pairs on top of each of
//! its experts, and a stack over the experts.
//!
//! Each expert is a whole machine: the error that its pairs learn from is that of its linear score
//! and its pairs together, and one implicit step moves both. The mixture pools the experts; the
//! stack ([`pelton_kernels::stack`]) begins at that pool and improves on it.

use std::io;

use pelton_kernels::blend::{BlendCell, EXPERTS};
use pelton_kernels::implicit::pulls;
use pelton_kernels::math::softmax_f32;
use pelton_kernels::mixture::Mixture;
use pelton_kernels::stack::Stack;
use pelton_kernels::state::{StateReader, StateWriter};

use super::config::FactorConfig;
use super::embeddings::Embeddings;
use crate::graph::{Graph, Value};
use crate::linear::blend::{Blend, Example, limited_shares};
use crate::linear::draw::DrawnRow;
use crate::linear::kept::{Beside, Kept};
use crate::linear::link::{Link, class_log_odds};
use crate::linear::rows::{Row, RowLearner};
use crate::linear::{LinearConfig, Optimizer};
use crate::{FeatureShape, Task};

/// A factorization machine.
pub(super) struct Machine {
    pub config: FactorConfig,
    pub linear: Blend,
    pub embeddings: Embeddings,
    /// One for each class.
    pub stacks: Vec<Stack>,
    /// Rows learned: the clock of idle embeddings.
    pub learned: u64,
    /// Scores of a row that has got new embeddings.
    scores: Vec<f32>,
    /// Stacked scores by class, and the probabilities they give.
    stacked: Vec<f32>,
}

impl Machine {
    pub fn new(config: &FactorConfig, shape: FeatureShape) -> Machine {
        let settings = LinearConfig::new(config.task);
        let link = Link::new(config.task, settings.positive_weight);
        let classes = config.task.outputs();
        let rate = Optimizer::AUTO.rate();
        Machine {
            config: *config,
            linear: Blend::new(link, shape, settings.width(shape), rate, [0.0; 2]),
            embeddings: Embeddings::new(config, shape),
            stacks: vec![Stack::new(EXPERTS); classes],
            learned: 0,
            scores: vec![0.0; classes * EXPERTS],
            stacked: vec![0.0; classes],
        }
    }

    /// How much the pool, each expert and the bias count in the score of a class.
    pub fn stack_weights(&self, class: usize) -> &[f64] {
        self.stacks[class].weights()
    }

    /// The embeddings.
    pub fn embeddings_ref(&self) -> &Embeddings {
        &self.embeddings
    }

    /// The same to change.
    #[cfg(test)]
    pub fn embeddings(&mut self) -> &mut Embeddings {
        &mut self.embeddings
    }

    #[cfg(test)]
    pub fn linear_scores(&self, row: Row<'_>, scores: &mut [f32]) {
        self.linear.score(row, scores);
    }

    /// The stacked scores from those of the experts.
    fn stack(&self, scores: &[f32], out: &mut [f32]) {
        let experts = scores.as_chunks::<EXPERTS>().0;
        for ((out, scores), stack) in out.iter_mut().zip(experts).zip(&self.stacks) {
            *out = stack.score(Mixture::pool(&self.linear.mixture, scores), scores);
        }
    }

    /// Learns how to stack from the scores as they were before the example was learned, weighted
    /// by `mixture`.
    fn learn_stacks(&mut self, scores: &[f32], mixture: &[f32; EXPERTS], example: &Example) {
        let link = &self.linear.link;
        let is_classes = matches!(link.task, Task::MultiClass { .. });
        let mut stacked = std::mem::take(&mut self.stacked);
        if is_classes {
            softmax_f32(&mut stacked);
        }
        let experts = scores.as_chunks::<EXPERTS>().0;
        for (class, (stack, scores)) in self.stacks.iter_mut().zip(experts).enumerate() {
            let spread = stack.spread(Mixture::pool(mixture, scores), scores);
            let reach = spread * example.importance;
            let (pull, information) = if link.task == Task::Regression {
                let residual = link.limited(link.target(example.label) - stacked[class]);
                (residual / (1.0 + reach), 1.0)
            } else {
                let wanted = if is_classes { class } else { 1 };
                let sign = if example.label as usize == wanted { 1.0 } else { -1.0 };
                let score =
                    if is_classes { class_log_odds(stacked[class]) } else { stacked[class] };
                let [pull, ..] = pulls([sign * score; EXPERTS], [reach; EXPERTS]);
                (sign * pull, (pull * (1.0 - pull)).max(1e-7))
            };
            stack.learn(spread, pull, information, example.importance);
        }
        self.stacked = stacked;
    }
}

impl RowLearner for Machine {
    fn scores_width(&self) -> usize {
        self.linear.scores_width()
    }

    #[inline]
    fn score(&self, row: Row<'_>, scores: &mut [f32]) {
        self.linear.score(row, scores);
        self.embeddings.add_scores(row, scores);
    }

    fn predict(&self, scores: &[f32], out: &mut [f32]) {
        self.stack(scores, out);
        self.linear.link.predict(out);
    }

    fn explain(
        &self,
        row: Row<'_>,
        (scores, class): (&[f32], usize),
        weights: &mut [f32],
        out: &mut [f32],
    ) {
        // An expert counts in the pool, which the stack weights first, and by itself.
        let limited = limited_shares(&scores.as_chunks::<EXPERTS>().0[class]);
        let stack = self.stacks[class].weights();
        let shares = std::array::from_fn(|at| {
            let pooled = stack[0] as f32 * self.linear.mixture[at];
            (pooled + stack[at + 1] as f32) * limited[at]
        });
        let (from, last) = (out.len() - 1 - row.sparse.len(), out.len() - 1);
        self.linear.explain_with((row, class), &shares, weights, &mut out[from..last]);
        self.embeddings.explain((row, class), &shares, out);
        out[last] += stack[EXPERTS + 1] as f32;
    }

    fn draw(&self, graph: &mut Graph, row: &DrawnRow<'_>) -> Option<Value> {
        self.draw_machine(graph, row)
    }

    fn link(&self) -> &Link {
        &self.linear.link
    }

    fn learn(&mut self, row: Row<'_>, scores: &[f32], label: f32, weight: f32) -> bool {
        let Some(importance) = self.linear.importance(row, scores, (label, weight)) else {
            return false;
        };
        self.learned += 1;
        let mut own = std::mem::take(&mut self.scores);
        own.copy_from_slice(scores);
        if self.embeddings.admit(row, self.learned) {
            self.score(row, &mut own);
        }
        self.embeddings.take(row);
        let mut stacked = std::mem::take(&mut self.stacked);
        self.stack(&own, &mut stacked);
        self.stacked = stacked;
        let (mixture, example) = (self.linear.mixture, Example { label, weight, importance });
        self.linear.learn_with(row, &own, &example, &mut self.embeddings);
        self.learn_stacks(&own, &mixture, &example);
        self.scores = own;
        true
    }

    #[inline]
    fn prefetch(&self, sparse: &[u32]) {
        self.linear.prefetch(sparse);
    }

    fn expert_weights(&self) -> Option<[f32; 4]> {
        self.linear.expert_weights()
    }

    type Cell = BlendCell;

    fn table(&mut self) -> &mut [BlendCell] {
        self.linear.table()
    }

    fn table_ref(&self) -> &[BlendCell] {
        self.linear.table_ref()
    }

    fn kept(&mut self) -> &mut Kept<BlendCell> {
        self.linear.kept()
    }

    fn kept_ref(&self) -> &Kept<BlendCell> {
        self.linear.kept_ref()
    }

    /// Without the embeddings, which have their own notes of earlier states.
    fn write_small(&self, state: &mut StateWriter<'_>) -> io::Result<()> {
        state.put(self.learned)?;
        self.stacks.iter().try_for_each(|stack| stack.write(state))?;
        self.linear.write_small(state)
    }

    fn read_small(&mut self, state: &mut StateReader<'_>) -> io::Result<()> {
        self.learned = state.get()?;
        for stack in &mut self.stacks {
            stack.read(state)?;
        }
        self.linear.read_small(state)
    }

    fn write_table(&self, state: &mut StateWriter<'_>) -> io::Result<()> {
        self.embeddings.write(state)?;
        self.linear.write_table(state)
    }

    fn read_table(&mut self, state: &mut StateReader<'_>) -> io::Result<()> {
        self.embeddings.read(state)?;
        self.linear.read_table(state)
    }
}

/// The embeddings have notes of their own.
impl Beside for Machine {
    fn keep_beside(&mut self) {
        self.embeddings.keep();
    }

    fn forget_oldest_beside(&mut self) {
        self.embeddings.forget_oldest();
    }

    fn go_back_beside(&mut self) -> io::Result<()> {
        self.embeddings.go_back()
    }

    fn unwind_beside(&mut self) -> io::Result<()> {
        self.embeddings.unwind()
    }

    fn write_kept_beside(&self, state: &mut StateWriter<'_>) -> io::Result<()> {
        self.embeddings.write_kept(state)
    }

    fn read_kept_beside(&mut self, state: &mut StateReader<'_>) -> io::Result<()> {
        self.embeddings.read_kept(state)
    }

    fn write_beside(&self, state: &mut StateWriter<'_>) -> io::Result<()> {
        state.put(self.learned)?;
        self.embeddings.write(state)
    }

    fn keep_whole_beside(&mut self, state: &mut StateReader<'_>) -> io::Result<()> {
        let learned = state.get()?;
        let mut was = Embeddings::new(&self.config, self.embeddings.shape);
        was.read(state)?;
        self.embeddings.keep_whole(&was, learned, self.learned > learned);
        Ok(())
    }
}
