//! One regression tree over codes, grown level by level from histograms.
//!
//! A split maximises `G_l^2 / (H_l + lambda) + G_r^2 / (H_r + lambda) - G^2 / (H + lambda)` over
//! all columns and bins, where `G` and `H` are sums of first and second derivatives of the loss by
//! the margin; a leaf moves the margin by `-rate G / (H + lambda)` (Friedman 2001; Chen, Guestrin
//! 2016, "XGBoost", equations 6 and 7). Invariant: sums are doubles in the order of the rows, the
//! first best split wins, so equal rows give equal trees.

use super::bins::BINS;

/// What a row asks of the tree: first and second derivative of its loss, with its weight.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pull {
    /// The row.
    pub row: u32,
    /// First derivative.
    pub gradient: f32,
    /// Second derivative.
    pub hessian: f32,
}

/// How trees are grown.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Growth {
    /// Splits from the root to a leaf, at most.
    pub depth: usize,
    /// What a leaf moves a margin by, of what it would best.
    pub rate: f32,
    /// Penalty on the square of a leaf's value.
    pub lambda: f64,
    /// Least sum of second derivatives on each side of a split.
    pub hessian_min: f64,
}

/// A node: a split, or a leaf where `left` is 0.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Node {
    /// The column looked at.
    pub column: u32,
    /// Codes up to this go left.
    pub bin: u32,
    /// The left child; the right one is the next.
    pub left: u32,
    /// What a leaf adds to the margin.
    pub value: f32,
}

/// A tree; the root is the first node.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Tree {
    pub nodes: Vec<Node>,
}

/// Least gain of a split.
const GAIN_MIN: f64 = 1e-3;

/// Room for growing, used again.
#[derive(Clone, Debug, Default)]
pub(super) struct Room {
    histogram: Vec<[f64; 2]>,
}

impl Tree {
    /// What the tree adds to the margin of a row.
    #[inline]
    pub fn value(&self, codes: &[u8]) -> f32 {
        let mut node = self.nodes[0];
        while node.left != 0 {
            let goes_right = u32::from(codes[node.column as usize]) > node.bin;
            node = self.nodes[node.left as usize + usize::from(goes_right)];
        }
        node.value
    }

    /// A tree for these pulls, whose order it changes.
    ///
    /// # Shapes
    /// `codes: [rows, width]`.
    pub fn grow(
        growth: &Growth,
        (codes, width): (&[u8], usize),
        pulls: &mut [Pull],
        room: &mut Room,
    ) -> Tree {
        let mut tree = Tree { nodes: vec![Node::default()] };
        let mut level = vec![(0, 0..pulls.len())];
        for depth in 0..=growth.depth {
            let mut next = Vec::new();
            for (node, range) in level {
                let own = &mut pulls[range.clone()];
                let total = sum(own);
                let can_split = depth < growth.depth;
                let split = can_split.then(|| best_split(growth, (codes, width), own, room));
                let Some((column, bin)) = split.flatten() else {
                    let best = -total[0] / (total[1] + growth.lambda);
                    tree.nodes[node].value = best as f32 * growth.rate;
                    continue;
                };
                let goes_left =
                    |pull: &Pull| codes[pull.row as usize * width + column] as usize <= bin;
                let middle = range.start + partition(own, goes_left);
                let left = tree.nodes.len();
                tree.nodes.extend([Node::default(); 2]);
                tree.nodes[node] =
                    Node { column: column as u32, bin: bin as u32, left: left as u32, value: 0.0 };
                next.push((left, range.start..middle));
                next.push((left + 1, middle..range.end));
            }
            level = next;
        }
        tree
    }
}

fn sum(pulls: &[Pull]) -> [f64; 2] {
    pulls.iter().fold([0.0; 2], |[gradient, hessian], pull| {
        [gradient + f64::from(pull.gradient), hessian + f64::from(pull.hessian)]
    })
}

/// The column and last bin on the left of the split that gains the most.
fn best_split(
    growth: &Growth,
    (codes, width): (&[u8], usize),
    pulls: &[Pull],
    room: &mut Room,
) -> Option<(usize, usize)> {
    room.histogram.clear();
    room.histogram.resize(width * (BINS + 1), [0.0; 2]);
    for pull in pulls {
        let row = &codes[pull.row as usize * width..][..width];
        let [gradient, hessian] = [pull.gradient, pull.hessian].map(f64::from);
        for (bins, code) in room.histogram.chunks_exact_mut(BINS + 1).zip(row) {
            let bin = &mut bins[usize::from(*code)];
            *bin = [bin[0] + gradient, bin[1] + hessian];
        }
    }
    let [gradient, hessian] = sum(pulls);
    let worth = |gradient: f64, hessian: f64| gradient * gradient / (hessian + growth.lambda);
    let (mut most, mut best) = (GAIN_MIN, None);
    for (column, bins) in room.histogram.chunks_exact(BINS + 1).enumerate() {
        let mut left = [0.0; 2];
        for (bin, own) in bins[..BINS].iter().enumerate() {
            left = [left[0] + own[0], left[1] + own[1]];
            let right = [gradient - left[0], hessian - left[1]];
            if left[1] < growth.hessian_min || right[1] < growth.hessian_min {
                continue;
            }
            let gain =
                worth(left[0], left[1]) + worth(right[0], right[1]) - worth(gradient, hessian);
            if gain > most {
                (most, best) = (gain, Some((column, bin)));
            }
        }
    }
    best
}

/// Moves those that go left before the others; how many they are.
fn partition(pulls: &mut [Pull], goes_left: impl Fn(&Pull) -> bool) -> usize {
    let (mut left, mut end) = (0, pulls.len());
    while left < end {
        if goes_left(&pulls[left]) {
            left += 1;
        } else {
            end -= 1;
            pulls.swap(left, end);
        }
    }
    left
}
