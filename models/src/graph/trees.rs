//! Decision trees over the columns of a row, each leaf with what it adds to the outputs.
//!
//! Nodes of all trees lie in one array; a tree is the place of its root. Thresholds are 32-bit
//! floats, as values are; what leaves add is summed in doubles in the order of the trees.

use super::{Data, GraphError, Operation, Tensor};

/// How a node decides.
#[derive(Clone, Debug, PartialEq)]
pub enum Rule {
    /// Left up to this value.
    LessOrEqual(f32),
    /// Left below this value.
    Less(f32),
    /// Left where the value, towards zero, is one of these whole numbers (bits, 32 a word).
    OneOf(Vec<u32>),
}

/// A node that decides, or a leaf.
#[derive(Clone, Debug, PartialEq)]
pub enum TreeNode {
    /// It sends a row on.
    Split {
        /// The column it looks at.
        column: u32,
        /// How it decides.
        rule: Rule,
        /// Where NaN goes.
        is_missing_left: bool,
        /// The nodes behind it, both after this one.
        left: u32,
        /// The one for what is not sent left.
        right: u32,
    },
    /// It ends the way: what it adds are these of [`Trees::leaves`].
    Leaf {
        /// The first one.
        first: u32,
        /// How many.
        count: u32,
    },
}

/// What a leaf adds to an output.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Leaf {
    /// The output.
    pub output: u32,
    /// What is added.
    pub value: f64,
}

/// An ensemble of trees; the output is the base and what one leaf of each tree adds.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Trees {
    /// What the outputs begin at; their number is that of the outputs.
    pub base: Vec<f64>,
    /// The first node of each tree.
    pub roots: Vec<u32>,
    /// The nodes of all trees.
    pub nodes: Vec<TreeNode>,
    /// What leaves add.
    pub leaves: Vec<Leaf>,
}

/// What a tree that is added has at one of its places, each known by a `T`.
#[derive(Clone, Debug, PartialEq)]
pub enum Grown<T> {
    /// A node that decides; NaN goes right.
    Split {
        /// The column it looks at.
        column: u32,
        /// How it decides.
        rule: Rule,
        /// The place of what is sent left.
        left: T,
        /// The place of the rest.
        right: T,
    },
    /// A leaf, and what it adds.
    Leaf(Vec<Leaf>),
}

impl Trees {
    /// Adds a tree: `at` says what there is at each place, beginning at the root.
    pub fn grow<T>(&mut self, root: T, mut at: impl FnMut(T) -> Grown<T>) {
        let unknown = TreeNode::Leaf { first: 0, count: 0 };
        self.roots.push(self.nodes.len() as u32);
        // Nodes whose number is given, but not yet what they are: no recursion, however deep.
        let mut open = vec![(self.nodes.len(), root)];
        self.nodes.push(unknown.clone());
        while let Some((node, place)) = open.pop() {
            self.nodes[node] = match at(place) {
                Grown::Split { column, rule, left, right } => {
                    let next = self.nodes.len();
                    self.nodes.extend([unknown.clone(), unknown.clone()]);
                    open.extend([(next + 1, right), (next, left)]);
                    let (left, right) = (next as u32, next as u32 + 1);
                    TreeNode::Split { column, rule, is_missing_left: false, left, right }
                }
                Grown::Leaf(values) => {
                    let (first, count) = (self.leaves.len() as u32, values.len() as u32);
                    self.leaves.extend(values);
                    TreeNode::Leaf { first, count }
                }
            };
        }
    }

    /// Adds a leaf behind the nodes there are, and its place.
    pub fn leaf(&mut self, values: impl IntoIterator<Item = Leaf>) -> u32 {
        let first = self.leaves.len() as u32;
        self.leaves.extend(values);
        let count = self.leaves.len() as u32 - first;
        self.nodes.push(TreeNode::Leaf { first, count });
        self.nodes.len() as u32 - 1
    }

    /// Columns that the trees look at: the last one, and one.
    #[must_use]
    pub fn columns(&self) -> usize {
        let column = |node: &TreeNode| match node {
            TreeNode::Split { column, .. } => *column as usize + 1,
            TreeNode::Leaf { .. } => 0,
        };
        self.nodes.iter().map(column).max().unwrap_or(0)
    }

    /// Whether every way ends in a leaf that there is.
    #[must_use]
    pub fn is_sound(&self) -> bool {
        let (nodes, outputs) = (self.nodes.len() as u64, self.base.len());
        let is_node = |(place, node): (usize, &TreeNode)| match node {
            TreeNode::Split { left, right, .. } => {
                let is_behind =
                    |next: u32| u64::from(next) > place as u64 && u64::from(next) < nodes;
                is_behind(*left) && is_behind(*right)
            }
            TreeNode::Leaf { first, count } => {
                u64::from(*first) + u64::from(*count) <= self.leaves.len() as u64
            }
        };
        self.roots.iter().all(|root| u64::from(*root) < nodes)
            && self.nodes.iter().enumerate().all(is_node)
            && self.leaves.iter().all(|leaf| (leaf.output as usize) < outputs)
    }

    /// The outputs of each row.
    pub(super) fn run(&self, input: &Tensor) -> Result<Tensor, GraphError> {
        let refused = |reason: &str| GraphError::new(&Operation::Trees(Trees::default()), reason);
        let (&[rows, width], Data::F32(values)) = (input.shape(), input.data()) else {
            return Err(refused("not over rows of 32-bit floats"));
        };
        if width < self.columns() {
            return Err(refused("a column looked at is not there"));
        }
        let outputs = self.base.len();
        let mut out = Vec::with_capacity(rows * outputs);
        let mut sums = vec![0.0; outputs];
        for row in 0..rows {
            sums.copy_from_slice(&self.base);
            let values = &values[row * width..][..width];
            self.roots.iter().for_each(|root| self.add(*root, values, &mut sums));
            out.extend(sums.iter().map(|sum| *sum as f32));
        }
        Ok(Tensor::of(vec![rows, outputs], Data::F32(out)))
    }

    /// Adds what the leaf adds that a row comes to.
    fn add(&self, root: u32, values: &[f32], sums: &mut [f64]) {
        let mut place = root;
        loop {
            match &self.nodes[place as usize] {
                TreeNode::Split { column, rule, is_missing_left, left, right } => {
                    let value = values[*column as usize];
                    let goes_left = if value.is_nan() {
                        *is_missing_left
                    } else {
                        match rule {
                            Rule::LessOrEqual(threshold) => value <= *threshold,
                            Rule::Less(threshold) => value < *threshold,
                            Rule::OneOf(bits) => is_one_of(bits, value),
                        }
                    };
                    place = if goes_left { *left } else { *right };
                }
                TreeNode::Leaf { first, count } => {
                    let own = &self.leaves[*first as usize..][..*count as usize];
                    own.iter().for_each(|leaf| sums[leaf.output as usize] += leaf.value);
                    return;
                }
            }
        }
    }
}

fn is_one_of(bits: &[u32], value: f32) -> bool {
    // Negative numbers and those beyond all words are none.
    if !(value > -1.0 && value < (32 * bits.len()) as f32) {
        return false;
    }
    let number = value as usize;
    // Of no words there is no first one, which numbers in (-1, 0) ask for.
    bits.get(number / 32).is_some_and(|word| word >> (number % 32) & 1 == 1)
}
