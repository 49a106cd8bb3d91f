//! One regression tree over codes, grown level by level from histograms.
//!
//! A split maximises `G_l^2 / (H_l + lambda) + G_r^2 / (H_r + lambda) - G^2 / (H + lambda)` over
//! all columns and bins, where `G` and `H` are sums of first and second derivatives of the loss by
//! the margin; a leaf moves the margin by `-rate G / (H + lambda)` (Friedman 2001; Chen, Guestrin
//! 2016, "XGBoost", equations 6 and 7).
//!
//! Both derivatives of a row are fixed-point numbers in the halves of one integer (`pull.rs`), so
//! a bin of a histogram is one addition, sums do not depend on the order of rows, and the larger
//! child's histogram is exactly its parent's less the smaller child's. Invariant: the first best
//! split wins, so equal rows give equal trees.

use std::ops::Range;

use super::pull::{Pull, Scale};

/// How trees are grown.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Growth {
    /// Splits from the root to a leaf.
    pub depth: usize,
    /// What a leaf moves a margin by, of what it would best.
    pub rate: f32,
    /// Penalty on the square of a leaf's value.
    pub lambda: f64,
    /// Least sum of second derivatives on each side of a split.
    pub hessian_min: f64,
}

/// Where a node sends a row: the column it looks at, and the last code that goes left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Split(pub u32);

impl Split {
    /// Every row goes left: what a node that does not split does.
    pub const NONE: Split = Split(255);

    fn new(column: usize, bin: usize) -> Split {
        Split((column as u32) << 8 | bin as u32)
    }

    /// The column looked at.
    #[inline]
    pub fn column(self) -> usize {
        (self.0 >> 8) as usize
    }

    /// Whether a row of these codes goes right; a row without columns never does.
    #[inline]
    pub fn goes_right(self, codes: &[u8]) -> bool {
        codes.get(self.column()).is_some_and(|code| u32::from(*code) > self.0 & 255)
    }
}

/// A tree of full depth: the root is node 1, node `i` has the children `2 i` and `2 i + 1`.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Tree {
    /// `[2^depth]`; the first one is none.
    pub splits: Vec<Split>,
    /// What each node would add to a margin were it a leaf, which the last half are:
    /// `[2^(depth + 1)]`. Below a node that does not split only the way to the left is filled.
    pub values: Vec<f32>,
}

/// The codes of the sample.
#[derive(Clone, Copy, Debug)]
pub(super) struct Codes<'a> {
    /// `[rows, width]`.
    pub codes: &'a [u8],
    pub width: usize,
}

impl Codes<'_> {
    #[inline]
    fn row(&self, pull: &Pull) -> &[u8] {
        &self.codes[pull.row as usize * self.width..][..self.width]
    }
}

/// Least gain of a split.
const GAIN_MIN: f64 = 1e-3;
/// Codes of a column.
pub(super) const CODES: usize = 256;
/// Sums of both derivatives by code.
type Histogram = Vec<[i64; CODES]>;

/// Room for growing, used again.
#[derive(Clone, Debug, Default)]
pub(super) struct Room {
    histograms: Vec<Histogram>,
    gains: Vec<f64>,
}

/// A node whose rows are known, and with which histogram.
struct Open {
    node: usize,
    rows: Range<usize>,
    total: i64,
    histogram: usize,
}

/// A split that is possible.
struct Best {
    column: usize,
    bin: usize,
    left: i64,
}

/// The leaf that a row of these codes comes to, of a tree of this depth.
#[inline]
pub(super) fn leaf_of(splits: &[Split], depth: usize, codes: &[u8]) -> usize {
    let mut node = 1;
    for _ in 0..depth {
        // The mask says to the compiler what is so anyway.
        let split = splits[node & (splits.len() - 1)];
        node = 2 * node + usize::from(split.goes_right(codes));
    }
    node - (1 << depth)
}

impl Tree {
    /// A tree for these pulls, whose order it changes; `leaves` is told each leaf's value and rows.
    ///
    pub fn grow(
        growth: &Growth,
        codes: Codes<'_>,
        (pulls, scale): (&mut [Pull], Scale),
        room: &mut Room,
        mut leaves: impl FnMut(f32, &[Pull]),
    ) -> Tree {
        let inner = 1_usize << growth.depth;
        let mut tree = Tree { splits: vec![Split::NONE; inner], values: vec![0.0; 2 * inner] };
        room.make(codes.width, growth.depth);
        let total = pulls.iter().fold(0_i64, |sum, pull| sum.wrapping_add(pull.packed));
        fill(&mut room.histograms[0], codes, pulls);
        let mut level = vec![Open { node: 1, rows: 0..pulls.len(), total, histogram: 0 }];
        let mut histograms = 1;
        while !level.is_empty() {
            let mut next = Vec::new();
            for open in level {
                let value = scale.value(open.total, growth);
                tree.values[open.node] = value;
                let best = (open.node < inner).then(|| room.best_split(growth, scale, &open));
                let Some(best) = best.flatten() else {
                    tree.fill_left(open.node, value);
                    leaves(value, &pulls[open.rows]);
                    continue;
                };
                let split = Split::new(best.column, best.bin);
                tree.splits[open.node] = split;
                let own = &mut pulls[open.rows.clone()];
                let goes_left = |pull: &Pull| !split.goes_right(codes.row(pull));
                let middle = open.rows.start + partition(own, goes_left);
                let (left, right) = (open.rows.start..middle, middle..open.rows.end);
                let first = 2 * open.node;
                let mut own = [open.histogram; 2];
                // Leaves need no histogram.
                if first < inner {
                    let (smaller, rows) = if left.len() <= right.len() {
                        (0, &pulls[left.clone()])
                    } else {
                        (1, &pulls[right.clone()])
                    };
                    own[smaller] = histograms;
                    room.split(codes, rows, [open.histogram, histograms]);
                    histograms += 1;
                }
                let rest = open.total.wrapping_sub(best.left);
                next.extend([
                    Open { node: first, rows: left, total: best.left, histogram: own[0] },
                    Open { node: first + 1, rows: right, total: rest, histogram: own[1] },
                ]);
            }
            level = next;
        }
        tree
    }

    /// The nodes to the left below one, down to a leaf, have its value.
    fn fill_left(&mut self, node: usize, value: f32) {
        let mut node = node;
        while node < self.splits.len() {
            node *= 2;
            self.values[node] = value;
        }
    }
}

impl Room {
    /// Room for the histograms of all inner nodes but those that take their parent's.
    fn make(&mut self, width: usize, depth: usize) {
        let count = 1 << depth.saturating_sub(1);
        self.histograms.resize_with(count, Vec::new);
        self.histograms.iter_mut().for_each(|own| own.resize(width, [0; CODES]));
        self.gains.resize(CODES, 0.0);
    }

    /// Fills one histogram with rows and takes it from another.
    fn split(&mut self, codes: Codes<'_>, rows: &[Pull], [parent, own]: [usize; 2]) {
        let (before, behind) = self.histograms.split_at_mut(own);
        let (parent, own) = (&mut before[parent], &mut behind[0]);
        fill(own, codes, rows);
        for (parent, own) in parent.iter_mut().zip(own.iter()) {
            for (parent, own) in parent.iter_mut().zip(own) {
                *parent = parent.wrapping_sub(*own);
            }
        }
    }

    /// The split that gains the most.
    fn best_split(&mut self, growth: &Growth, scale: Scale, open: &Open) -> Option<Best> {
        let worth = |[gradient, hessian]: [f64; 2]| gradient * gradient / (hessian + growth.lambda);
        let all = scale.sums(open.total);
        let least = GAIN_MIN + worth(all);
        let (mut most, mut best) = (least, None);
        for (column, bins) in self.histograms[open.histogram].iter().enumerate() {
            // Sums up to each bin first, then all gains, so that these are worked out side by side.
            let mut upto = [0_i64; CODES];
            let mut sum = 0_i64;
            for (upto, own) in upto.iter_mut().zip(bins) {
                sum = sum.wrapping_add(*own);
                *upto = sum;
            }
            for (gain, upto) in self.gains.iter_mut().zip(&upto) {
                let left = scale.sums(*upto);
                let right = [all[0] - left[0], all[1] - left[1]];
                let is_legal = left[1].min(right[1]) >= growth.hessian_min;
                let own = worth(left) + worth(right);
                *gain = if is_legal { own } else { f64::NEG_INFINITY };
            }
            for (bin, gain) in self.gains[..CODES - 1].iter().enumerate() {
                if *gain > most {
                    (most, best) = (*gain, Some(Best { column, bin, left: upto[bin] }));
                }
            }
        }
        best
    }
}

/// The sums of these rows by column and code.
fn fill(histogram: &mut Histogram, codes: Codes<'_>, pulls: &[Pull]) {
    histogram.iter_mut().for_each(|bins| bins.fill(0));
    for pull in pulls {
        for (bins, code) in histogram.iter_mut().zip(codes.row(pull)) {
            let bin = &mut bins[usize::from(*code)];
            *bin = bin.wrapping_add(pull.packed);
        }
    }
}

/// Moves those that go left before the others; how many they are.
fn partition(pulls: &mut [Pull], goes_left: impl Fn(&Pull) -> bool) -> usize {
    let mut left = 0;
    for at in 0..pulls.len() {
        // No branch: which way a row goes cannot be foretold.
        let is_left = goes_left(&pulls[at]);
        pulls.swap(left, at);
        left += usize::from(is_left);
    }
    left
}
