//! A Hoeffding tree whose nodes all keep counting.
//!
//! Every node on the way of a row counts its label, in running means of the label (the share of
//! each class) with [`MEMORIES`] memories, from two rows to all. What a node predicts is drawn to
//! what its parent does: from the root down `q <- q + (p - q) n / (n + shrinkage)`, with `n` the
//! rows that the mean `p` lasts (shrinkage along the path, as in Pereira, Singer 1999). How trees
//! grow and are cut back is in `grow.rs`.
//!
//! Invariant: what is counted and predicted is a function of the rows in their order.

use super::bins::Bins;
use super::config::{ForestConfig, MEMORIES};
use super::grow::all_codes;
use super::leaves::Leaves;
use super::split::Cell;

/// No slot: a node that has split, or a leaf too deep to.
pub(super) const NONE: u32 = u32::MAX;

/// A node: a split, or a leaf where `left` is 0.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Node {
    /// The column looked at.
    pub column: u32,
    /// Values up to this go left.
    pub threshold: f32,
    /// The left child; the right one is the next.
    pub left: u32,
    /// The histogram of a leaf.
    pub slot: u32,
    /// Rows counted, halved whenever the tree is cut back.
    pub rows: f32,
}

/// A leaf of no rows.
pub(super) const LEAF: Node = Node { column: 0, threshold: 0.0, left: 0, slot: NONE, rows: 0.0 };

/// A labelled row, and what trees need to learn it.
pub(super) struct Row<'a> {
    pub config: &'a ForestConfig,
    pub bins: &'a Bins,
    pub values: &'a [f32],
    pub codes: &'a [u8],
    pub label: f32,
    pub weight: f32,
}

/// The tree; the root is the first node.
#[derive(Clone, Debug)]
pub(super) struct Tree {
    /// Decides the columns its leaves watch.
    pub seed: u64,
    pub outputs: usize,
    pub nodes: Vec<Node>,
    /// `[nodes, MEMORIES, outputs]`: the running means.
    pub means: Vec<f32>,
    /// Left ones of pairs of nodes that are not used, the next one last.
    pub free: Vec<u32>,
    pub leaves: Leaves,
}

impl Tree {
    /// A root that knows no row.
    pub fn new(config: &ForestConfig, bins: &Bins, seed: u64) -> Tree {
        let outputs = config.task.outputs();
        let width = bins.width();
        // One row of every class, half of each.
        let (rows, mean) = match Cell::of(config.task) {
            Cell::Moments => (0.0, 0.0),
            Cell::Classes(classes) => (1.0, 1.0 / classes as f32),
        };
        let mut tree = Tree {
            seed,
            outputs,
            nodes: vec![Node { rows, ..LEAF }],
            means: vec![mean; MEMORIES * outputs],
            free: Vec::new(),
            leaves: Leaves::new(Cell::of(config.task), config.watched(width)),
        };
        tree.watch(config, 0, &all_codes(bins));
        tree
    }

    /// A root that knows what the root of another tree does.
    pub fn beside(other: &Tree, config: &ForestConfig, bins: &Bins, seed: u64) -> Tree {
        let mut tree = Tree::new(config, bins, seed);
        tree.nodes[0].rows = other.nodes[0].rows;
        let root = tree.means.len();
        tree.means.copy_from_slice(&other.means[..root]);
        tree
    }

    /// The next node on the way of a row.
    #[inline]
    pub fn next(node: &Node, values: &[f32]) -> usize {
        node.left as usize + usize::from(values[node.column as usize] > node.threshold)
    }

    /// What the tree predicts by each memory.
    ///
    /// # Shapes
    /// `out: [MEMORIES, outputs]`.
    #[inline]
    pub fn predict(&self, config: &ForestConfig, values: &[f32], out: &mut [f32]) {
        if self.outputs == 1 {
            self.predict_one(config, values, out);
            return;
        }
        let stride = MEMORIES * self.outputs;
        out.copy_from_slice(&self.means[..stride]);
        let mut node = &self.nodes[0];
        while node.left != 0 {
            let at = Tree::next(node, values);
            node = &self.nodes[at];
            self.draw_to(config, at, out);
        }
    }

    /// Draws what is predicted to the means of a node.
    ///
    /// # Shapes
    /// `out: [MEMORIES, outputs]`.
    #[inline]
    pub fn draw_to(&self, config: &ForestConfig, at: usize, out: &mut [f32]) {
        let stride = MEMORIES * self.outputs;
        let means = self.means[at * stride..][..stride].chunks_exact(self.outputs);
        let parts = out.chunks_exact_mut(self.outputs).zip(means);
        for ((out, own), memory) in parts.zip(config.memories) {
            let share = trust(config, self.nodes[at].rows, memory);
            out.iter_mut().zip(own).for_each(|(out, own)| *out += (own - *out) * share);
        }
    }

    /// The same for one output, a vector a node.
    #[inline]
    fn predict_one(&self, config: &ForestConfig, values: &[f32], out: &mut [f32]) {
        let (means, _) = self.means.as_chunks::<MEMORIES>();
        let mut predicted = means[0];
        let mut node = &self.nodes[0];
        while node.left != 0 {
            let at = Tree::next(node, values);
            node = &self.nodes[at];
            draw(&mut predicted, &means[at], node.rows, config);
        }
        out.copy_from_slice(&predicted);
    }

    /// Learns a row that the histograms count `bag` times; what [`Tree::predict`] says before.
    ///
    /// # Shapes
    /// `out: [MEMORIES, outputs]`.
    pub fn predict_and_learn(&mut self, row: &Row<'_>, bag: f32, out: &mut [f32]) {
        let leaf = if self.outputs == 1 { self.walk_one(row, out) } else { self.walk(row, out) };
        let slot = self.nodes[leaf].slot;
        if slot == NONE || bag <= 0.0 {
            return;
        }
        if self.leaves.add(slot, row.codes, row.label, bag * row.weight) {
            self.look_for_split(row, leaf);
        }
    }

    /// Predicts and counts on the way to a leaf.
    fn walk(&mut self, row: &Row<'_>, out: &mut [f32]) -> usize {
        self.predict(row.config, row.values, out);
        let stride = MEMORIES * self.outputs;
        let mut at = 0;
        loop {
            self.nodes[at].rows += row.weight;
            let means = self.means[at * stride..][..stride].chunks_exact_mut(self.outputs);
            for (means, memory) in means.zip(row.config.memories) {
                let rate = rate(row, self.nodes[at].rows, memory);
                means.iter_mut().for_each(|mean| *mean -= *mean * rate);
                means[row.label as usize] += rate;
            }
            let node = &self.nodes[at];
            if node.left == 0 {
                return at;
            }
            at = Tree::next(node, row.values);
        }
    }

    /// The same for one output, a vector a node.
    #[inline]
    fn walk_one(&mut self, row: &Row<'_>, out: &mut [f32]) -> usize {
        let (means, _) = self.means.as_chunks_mut::<MEMORIES>();
        let lasts = row.config.memories.map(|memory| memory.max(row.weight));
        let mut predicted = means[0];
        let mut at = 0;
        loop {
            let (node, own) = (&mut self.nodes[at], &mut means[at]);
            if at > 0 {
                draw(&mut predicted, own, node.rows, row.config);
            }
            node.rows += row.weight;
            for (mean, lasts) in own.iter_mut().zip(lasts) {
                *mean += (row.label - *mean) * (row.weight / least(node.rows, lasts));
            }
            if node.left == 0 {
                break;
            }
            at = Tree::next(node, row.values);
        }
        out.copy_from_slice(&predicted);
        at
    }
}

/// Draws what is predicted to the means of a node.
#[inline]
fn draw(predicted: &mut [f32; MEMORIES], own: &[f32; MEMORIES], rows: f32, config: &ForestConfig) {
    let shares = config.memories.map(|memory| trust(config, rows, memory));
    for ((predicted, own), share) in predicted.iter_mut().zip(own).zip(shares) {
        *predicted += (own - *predicted) * share;
    }
}

/// How far a label moves a mean.
#[inline]
fn rate(row: &Row<'_>, rows: f32, memory: f32) -> f32 {
    row.weight / least(rows, memory.max(row.weight))
}

/// How far a mean is trusted against what the parent says.
#[inline]
pub(super) fn trust(config: &ForestConfig, rows: f32, memory: f32) -> f32 {
    let count = least(rows, memory);
    count / (count + config.shrinkage)
}

/// The lesser of two numbers, as one instruction: neither is NaN.
#[inline]
fn least(one: f32, other: f32) -> f32 {
    if one < other { one } else { other }
}
