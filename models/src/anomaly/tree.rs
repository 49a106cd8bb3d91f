//! An isolation tree, and how deep in it a row would come to be alone.
//!
//! A node cuts a random column at a random place between two of its rows, until a row is alone:
//! what is far out or sparse is alone early (Liu, Ting, Zhou 2008, "Isolation forest"). There the
//! place is anywhere between the least and the greatest value, so that where tails are heavy most
//! cuts part one row from all others and the bulk stays whole; two random rows are seldom both far
//! out. Either way the unit of a column says nothing.
//!
//! A plain isolation tree cannot tell how far beyond its rows a new one is. Here, where a row lies
//! a gap outside the range of a node, it is parted from the others with probability
//! `gap / (gap + range)`: that of a random cut of the range with the row in it, as when a row is
//! put into a tree (Guha et al. 2016, "Robust random cut forest"; Lakshminarayanan et al. 2014,
//! "Mondrian forests"). The depth is the mean over both ways, not a drawn one. A column in which
//! all rows of a node are equal guards it in the same way: the range is none, so any other value
//! is parted.
//!
//! Every node of a path names the column that it is about: what cuts a row off early is there to
//! be told.

use pelton_kernels::hash::mix64;

/// Columns that are drawn in search of one to cut.
const TRIES: usize = 8;
/// A node with fewer rows than one in so many of its tree's guards no column: few may be equal by
/// chance.
const GUARD_PART: usize = 3;

/// Trees that are walked side by side: the steps of one wait for each other, those of several not.
const ABREAST: usize = 4;
/// Numbers of a row are at most this far from 0, so that no range is infinite.
pub(super) const NUMBER_MAX: f32 = 1e30;

/// A node. A leaf leads to itself, whatever the row.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Node {
    pub column: u32,
    /// The depth of a row that is alone from here on.
    pub depth: f32,
    /// From here on a row goes to the second child; nowhere for a guard, which has one child.
    pub cut: f32,
    /// The least and the greatest value of the column.
    pub range: [f32; 2],
    /// Where the first child is, the second behind it.
    pub children: u32,
}

impl Node {
    pub fn leaf(at: usize, depth: f32) -> Node {
        let range = [-NUMBER_MAX, NUMBER_MAX];
        Node { column: 0, depth, cut: f32::INFINITY, range, children: at as u32 }
    }

    /// Whether a walk may rely on it, as one of a damaged state: each leads to later ones, or is a
    /// leaf.
    pub fn is_sound(&self, at: usize, nodes: usize, width: usize, depth_max: f32) -> bool {
        let ([low, high], children) = (self.range, self.children as usize);
        let last = children + usize::from(self.cut != f32::INFINITY);
        let is_number = |value: f32| (-NUMBER_MAX..=NUMBER_MAX).contains(&value);
        let is_inner = at < children && last < nodes && (self.column as usize) < width;
        (0.0..=depth_max).contains(&self.depth)
            && (is_inner && is_number(low) && is_number(high) && low <= high && !self.cut.is_nan()
                || *self == Node::leaf(at, self.depth))
    }
}

/// The sum over trees of the depth at which a row would be alone in each, on average.
///
/// # Shapes
/// `row: [width]`, each within [`NUMBER_MAX`]; one number where there are no columns.
pub(super) fn depth_of(trees: &[Vec<Node>], row: &[f32]) -> f32 {
    let (abreast, rest) = trees.as_chunks::<ABREAST>();
    let several = abreast.iter().map(|trees| walk(trees, row).iter().sum::<f32>()).sum::<f32>();
    several + rest.iter().map(|tree| walk(std::array::from_ref(tree), row)[0]).sum::<f32>()
}

#[inline]
fn walk<const TREES: usize>(trees: &[Vec<Node>; TREES], row: &[f32]) -> [f32; TREES] {
    let (mut at, mut inside, mut depth) = ([0; TREES], [1.0_f32; TREES], [0.0_f32; TREES]);
    loop {
        let mut is_there = true;
        for tree in 0..TREES {
            let node = &trees[tree][at[tree]];
            let value = row[node.column as usize];
            let [low, high] = node.range;
            let gap = (low - value).max(value - high).max(0.0);
            // The smallest number does not count but where the gap and the range are none.
            let apart = gap / (gap + (high - low)).max(f32::MIN_POSITIVE);
            depth[tree] += inside[tree] * apart * node.depth;
            inside[tree] -= inside[tree] * apart;
            let next = node.children as usize + usize::from(value >= node.cut);
            is_there &= next == at[tree];
            at[tree] = next;
        }
        if is_there {
            break;
        }
    }
    for tree in 0..TREES {
        depth[tree] += inside[tree] * trees[tree][at[tree]].depth;
    }
    depth
}

/// Random numbers by their number.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Draws(pub u64);

impl Draws {
    fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(1);
        mix64(self.0.wrapping_mul(0x9e37_79b9_7f4a_7c15))
    }

    /// One of `0..count`; the bias of a multiplication is far below 2^-32.
    pub fn below(&mut self, count: usize) -> usize {
        ((u128::from(self.bits()) * count as u128) >> 64) as usize
    }

    fn unit(&mut self) -> f32 {
        (self.bits() >> 40) as f32 / (1_u32 << 24) as f32
    }
}

/// What trees are grown from.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ground<'a> {
    /// `[rows, width]`.
    pub rows: &'a [f32],
    pub width: usize,
    /// Cuts from the root to a leaf, at most.
    pub depth_max: usize,
    /// See [`depths_alone`].
    pub alone: &'a [f32],
}

impl Ground<'_> {
    /// A tree over the rows at these places, which are put into another order.
    pub fn grow(&self, places: &mut [u32], draws: &mut Draws) -> Vec<Node> {
        let mut nodes = vec![Node::leaf(0, 0.0)];
        self.grow_at(0, 0, places, draws, &mut nodes);
        nodes
    }

    /// Makes what is at a place the root of a tree over these rows.
    fn grow_at(
        &self,
        mut at: usize,
        depth: usize,
        places: &mut [u32],
        draws: &mut Draws,
        nodes: &mut Vec<Node>,
    ) {
        let tries = if places.len() > 1 && depth < self.depth_max { TRIES } else { 0 };
        let mut is_guarded = false;
        for _ in 0..tries.min(TRIES * self.width) {
            let column = draws.below(self.width);
            let range = self.range(places, column);
            let children = nodes.len() as u32;
            let (own, cut) = ((depth + 1) as f32, f32::INFINITY);
            let node = Node { column: column as u32, depth: own, cut, range, children };
            if range[0] < range[1] {
                let cut = self.cut(places, column, range, draws);
                nodes[at] = Node { cut, ..node };
                nodes.extend([node; 2]);
                let middle = self.part(places, column, cut);
                let (left, right) = places.split_at_mut(middle);
                self.grow_at(children as usize, depth + 1, left, draws, nodes);
                self.grow_at(children as usize + 1, depth + 1, right, draws, nodes);
                return;
            }
            if !is_guarded && places.len() * GUARD_PART >= self.alone.len() {
                is_guarded = true;
                nodes[at] = node;
                nodes.push(node);
                at = children as usize;
            }
        }
        // With the row that comes there is one more.
        nodes[at] = Node::leaf(at, depth as f32 + self.alone[places.len() + 1]);
    }

    /// A place between the values of two random rows that leaves rows on both sides.
    fn cut(&self, places: &[u32], column: usize, range: [f32; 2], draws: &mut Draws) -> f32 {
        let [one, other] = [(); 2].map(|()| self.value(places[draws.below(places.len())], column));
        let (low, high) = if one < other { (one, other) } else { (other, one) };
        let cut = low + draws.unit() * (high - low);
        if cut > low && cut <= high {
            return cut;
        }
        // The two are equal, or next to each other.
        if high > range[0] { high } else { self.least_above(places, column, high) }
    }

    fn least_above(&self, places: &[u32], column: usize, limit: f32) -> f32 {
        let values = places.iter().map(|place| self.value(*place, column));
        values.fold(
            f32::MAX,
            |least, value| if value > limit && value < least { value } else { least },
        )
    }

    fn value(&self, place: u32, column: usize) -> f32 {
        self.rows[place as usize * self.width + column]
    }

    fn range(&self, places: &[u32], column: usize) -> [f32; 2] {
        let values = places.iter().map(|place| self.value(*place, column));
        values.fold([f32::MAX, f32::MIN], |[low, high], value| {
            [if value < low { value } else { low }, if value > high { value } else { high }]
        })
    }

    /// Puts the rows below the cut before the others; how many they are.
    fn part(&self, places: &mut [u32], column: usize, cut: f32) -> usize {
        let mut middle = 0;
        for at in 0..places.len() {
            if self.value(places[at], column) < cut {
                places.swap(at, middle);
                middle += 1;
            }
        }
        middle
    }
}

/// The mean depth at which one of so many rows is alone in a tree of random cuts, for `0..=rows`:
/// `2 H(n - 1) - 2 (n - 1) / n` (Liu, Ting, Zhou 2008, equation 1, with the sum itself).
pub(super) fn depths_alone(rows: usize) -> Vec<f32> {
    let mut harmonic = 0.0_f64;
    let depth = |count: usize| {
        if count < 2 {
            return 0.0;
        }
        harmonic += 1.0 / (count - 1) as f64;
        (2.0 * harmonic - 2.0 * (count - 1) as f64 / count as f64) as f32
    };
    (0..=rows).map(depth).collect()
}
