//! An isolation tree, and how deep in it a row would come to be alone.
//!
//! A node cuts a random column at a random place between the least and the greatest value that its
//! rows have there, until a row is alone: what is far out or sparse is alone early (Liu, Ting, Zhou
//! 2008, "Isolation forest"). Cuts follow the range of the rows, so that the unit of a column says
//! nothing, and one far value takes a cut and no more.
//!
//! A plain isolation tree cannot tell how far beyond its rows a new one is. Here the depth of a row
//! is the mean over the trees that might have been grown *with* it: where it lies a gap outside the
//! range of a node, the cut would have come to lie in the gap with probability
//! `gap / (gap + range)`, and it would have been alone there (the insertion of Guha et al. 2016,
//! "Robust random cut forest", and of Lakshminarayanan et al. 2014, "Mondrian forests", taken as a
//! mean and not drawn). A column in which all rows of a node are equal guards it in the same way:
//! the range is none, so any other value would have been alone.
//!
//! Every node of a path names the column that it is about: what cuts a row off early is there to
//! be told.

use pelton_kernels::hash::mix64;

/// Columns that are drawn in search of one to cut.
const TRIES: usize = 8;

/// A node; a leaf has no children.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Node {
    pub column: u16,
    /// Cuts above it.
    pub depth: u16,
    /// From here on a row goes to the second child; nowhere for a guard, which has one child. The
    /// depth of a row that comes to a leaf.
    pub cut: f32,
    /// The least and the greatest value of the column.
    pub range: [f32; 2],
    /// Where the first child is, the second behind it.
    pub children: u32,
}

impl Node {
    fn leaf(depth: f32) -> Node {
        Node { column: 0, depth: 0, cut: depth, range: [0.0; 2], children: 0 }
    }

    /// Whether a walk from node to node may rely on it, as one of a damaged state.
    pub fn is_sound(&self, at: usize, nodes: usize, width: usize, depth_max: f32) -> bool {
        let [low, high] = self.range;
        let is_ordered = low <= high && (high - low).is_finite();
        let children = self.children as usize;
        if children == 0 {
            return is_ordered && (0.0..=depth_max).contains(&self.cut);
        }
        let last = children + usize::from(self.cut != f32::INFINITY);
        let is_inside = at < children && last < nodes && usize::from(self.column) < width;
        is_ordered && is_inside && !self.cut.is_nan() && f32::from(self.depth) < depth_max
    }
}

/// At what depth a row would be alone, on average.
///
/// # Shapes
/// `row: [width]`, finite.
#[inline]
pub(super) fn depth_of(nodes: &[Node], row: &[f32]) -> f32 {
    let (mut inside, mut depth, mut at) = (1.0_f32, 0.0_f32, 0);
    loop {
        let node = &nodes[at];
        if node.children == 0 {
            return depth + inside * node.cut;
        }
        let value = row[usize::from(node.column)];
        let [low, high] = node.range;
        if value < low || value > high {
            let gap = if value < low { low - value } else { value - high };
            let apart = gap / (gap + (high - low));
            depth += inside * apart * f32::from(node.depth + 1);
            inside *= 1.0 - apart;
        }
        at = node.children as usize + usize::from(value >= node.cut);
    }
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
        let mut nodes = vec![Node::leaf(0.0)];
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
            let node = Node {
                column: column as u16,
                depth: depth as u16,
                cut: f32::INFINITY,
                range,
                children,
            };
            if range[0] < range[1] {
                let cut = cut_of(range, draws.unit());
                nodes[at] = Node { cut, ..node };
                nodes.extend([Node::leaf(0.0); 2]);
                let middle = self.part(places, column, cut);
                let (left, right) = places.split_at_mut(middle);
                self.grow_at(children as usize, depth + 1, left, draws, nodes);
                self.grow_at(children as usize + 1, depth + 1, right, draws, nodes);
                return;
            }
            if !is_guarded {
                is_guarded = true;
                nodes[at] = node;
                nodes.push(Node::leaf(0.0));
                at = children as usize;
            }
        }
        // With the row that comes there is one more.
        nodes[at] = Node::leaf(depth as f32 + self.alone[places.len() + 1]);
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

/// A place in a range that leaves something on both sides.
fn cut_of([low, high]: [f32; 2], unit: f32) -> f32 {
    let cut = low + unit * (high - low);
    if cut > low && cut <= high { cut } else { high }
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
