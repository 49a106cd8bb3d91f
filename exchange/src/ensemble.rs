//! From the trees of a file to a graph: what XGBoost and LightGBM have in common.
//!
//! A file numbers the nodes of a tree as it likes; [`Trees`] wants children behind their parents.
//! So each tree is walked from its root and its nodes are numbered as they are met. A node that is
//! met twice has two parents or is its own ancestor: such a tree is refused, which also bounds the
//! walk. What the walk does not reach (XGBoost keeps pruned nodes) is left out.

use pelton_models::graph::{
    Binary, Graph, Kind, Leaf, Operation, Rule, TreeNode, Trees, Unary, Value,
};

use crate::{ExchangeError, Imported, Predicts};

/// More columns than any model of this kind has; what asks for more is refused before anything of
/// that size is made.
pub(crate) const COLUMNS_MAX: usize = 1 << 20;

/// The same for outputs.
pub(crate) const OUTPUTS_MAX: usize = 1 << 16;

/// What becomes of the sums of the leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Link {
    /// Nothing.
    Identity,
    /// `1 / (1 + exp(-x))`, each by itself.
    Sigmoid,
    /// Shares by the exponentials.
    Softmax,
    /// `exp(x)`.
    Exponential,
    /// `ln(1 + exp(x))`.
    Softplus,
    /// `x |x|`: back from a signed square root.
    SignedSquare,
}

/// A node as the file tells it; children by their numbers there.
pub(crate) enum Branch {
    /// It ends the way.
    Leaf(f64),
    /// It sends a row on.
    Split {
        /// The column it looks at.
        column: usize,
        /// What it asks, one question after the other.
        questions: Vec<Question>,
        /// The child that [`Goal::Left`] leads to.
        left: usize,
        /// The child that [`Goal::Right`] leads to.
        right: usize,
    },
}

/// A question of a split.
pub(crate) struct Question {
    /// What it asks.
    pub(crate) rule: Rule,
    /// Whether NaN goes as yes.
    pub(crate) is_missing_yes: bool,
    /// Where a row goes for which it holds.
    pub(crate) yes: Goal,
    /// Where others go.
    pub(crate) no: Goal,
}

/// Where a question leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Goal {
    /// To the left child.
    Left,
    /// To the right child.
    Right,
    /// To the next question of the same split.
    Next,
}

impl Question {
    /// The only question of a split: yes is left.
    pub(crate) fn only(rule: Rule, is_missing_left: bool) -> Question {
        Question { rule, is_missing_yes: is_missing_left, yes: Goal::Left, no: Goal::Right }
    }
}

/// Places of questions, and whether it is a yes that leads on.
type Answers = Vec<(usize, bool)>;

/// Trees that are being read.
pub(crate) struct Ensemble {
    /// The format, for errors.
    pub(crate) format: &'static str,
    /// Columns of a row.
    pub(crate) columns: usize,
    /// The trees so far.
    pub(crate) trees: Trees,
}

impl Ensemble {
    /// No trees yet.
    ///
    /// # Errors
    /// [`ExchangeError`] for no columns or outputs, or more than are done here.
    pub(crate) fn new(
        format: &'static str,
        columns: usize,
        base: Vec<f64>,
    ) -> Result<Ensemble, ExchangeError> {
        check_counts(format, columns, base.len())?;
        let trees = Trees { base, ..Trees::default() };
        Ok(Ensemble { format, columns, trees })
    }

    /// Adds a tree of `count` nodes whose root is number 0, with leaves for one output.
    ///
    /// # Errors
    /// [`ExchangeError`] for one that is none; whatever `node` refuses.
    pub(crate) fn plant(
        &mut self,
        output: usize,
        count: usize,
        mut node: impl FnMut(usize) -> Result<Branch, ExchangeError>,
    ) -> Result<(), ExchangeError> {
        let tree = self.trees.roots.len();
        let format = self.format;
        let malformed =
            |reason: String| ExchangeError::malformed(format, format!("tree {tree}: {reason}"));
        let mut is_met = vec![false; count];
        self.trees.roots.push(self.trees.nodes.len() as u32);
        // Each with the answers that lead to it.
        let mut open: Vec<(usize, Answers)> = vec![(0, Answers::new())];
        while let Some((number, comes_from)) = open.pop() {
            match is_met.get_mut(number) {
                None => return Err(malformed(format!("there is no node {number}"))),
                Some(true) => {
                    return Err(malformed(format!("two ways lead to node {number}")));
                }
                Some(is_met) => *is_met = true,
            }
            let place = self.trees.nodes.len() as u32;
            for (from, is_yes) in comes_from {
                if let Some(TreeNode::Split { left, right, .. }) = self.trees.nodes.get_mut(from) {
                    *(if is_yes { left } else { right }) = place;
                }
            }
            match node(number)? {
                Branch::Leaf(value) if value.is_finite() => {
                    self.trees.leaf([Leaf { output: output as u32, value }]);
                }
                Branch::Leaf(_) => {
                    return Err(malformed(format!("leaf {number} is no finite number")));
                }
                Branch::Split { column, .. } if column >= self.columns => {
                    let columns = self.columns;
                    let reason = format!("node {number} looks at column {column} of {columns}");
                    return Err(malformed(reason));
                }
                Branch::Split { column, questions, left, right } => {
                    let (to_left, to_right) = self.ask(column, questions);
                    open.push((right, to_right));
                    open.push((left, to_left));
                }
            }
        }
        Ok(())
    }

    /// Adds the questions of a split; the answers that lead left, and right.
    fn ask(&mut self, column: usize, questions: Vec<Question>) -> (Answers, Answers) {
        let (mut to_left, mut to_right) = (Answers::new(), Answers::new());
        for question in questions {
            let place = self.trees.nodes.len();
            for (goal, is_yes) in [(question.yes, true), (question.no, false)] {
                match goal {
                    Goal::Left => to_left.push((place, is_yes)),
                    Goal::Right => to_right.push((place, is_yes)),
                    Goal::Next => {}
                }
            }
            // What leads to no child leads to the next question.
            self.trees.nodes.push(TreeNode::Split {
                column: column as u32,
                rule: question.rule,
                is_missing_left: question.is_missing_yes,
                left: place as u32 + 1,
                right: place as u32 + 1,
            });
        }
        (to_left, to_right)
    }

    /// The whole model.
    ///
    /// # Errors
    /// [`ExchangeError::Malformed`] for names that are fewer or more than the columns.
    pub(crate) fn imported(
        self,
        names: Vec<String>,
        link: Link,
        predicts: Predicts,
    ) -> Result<Imported, ExchangeError> {
        if !self.trees.is_sound() {
            return Err(ExchangeError::malformed(self.format, "its trees do not hold together"));
        }
        let (mut graph, features) = begun(self.columns);
        let sums = graph.node(Operation::Trees(self.trees), &[features]);
        finished(self.format, graph, sums, (self.columns, names), (link, predicts))
    }
}

/// A graph with its input.
pub(crate) fn begun(columns: usize) -> (Graph, Value) {
    let mut graph = Graph::new();
    let features = graph.input("features", Kind::F32, columns);
    (graph, features)
}

/// The model whose sums, `[rows, outputs]`, are worked out by the graph so far. No names are
/// as good as names that only count.
pub(crate) fn finished(
    format: &'static str,
    mut graph: Graph,
    sums: Value,
    (columns, names): (usize, Vec<String>),
    (link, predicts): (Link, Predicts),
) -> Result<Imported, ExchangeError> {
    if !names.is_empty() && names.len() != columns {
        let reason = format!("it has {} names for {columns} columns", names.len());
        return Err(ExchangeError::malformed(format, reason));
    }
    let scores = match link {
        Link::Identity => sums,
        Link::Sigmoid => graph.node(Operation::Unary(Unary::Sigmoid), &[sums]),
        Link::Softmax => graph.node(Operation::Softmax { axis: -1 }, &[sums]),
        Link::Exponential => graph.node(Operation::Unary(Unary::Exp), &[sums]),
        Link::Softplus => graph.node(Operation::Unary(Unary::Softplus), &[sums]),
        Link::SignedSquare => {
            let size = graph.node(Operation::Unary(Unary::Abs), &[sums]);
            graph.node(Operation::Binary(Binary::Mul), &[sums, size])
        }
    };
    graph.output("scores", scores);
    let only_counts = |prefix: &str| {
        let mut numbered = names.iter().enumerate();
        numbered.all(|(place, name)| name.strip_prefix(prefix) == Some(&place.to_string()))
    };
    let names = (!only_counts("f") && !only_counts("Column_")).then_some(names);
    Ok(Imported { graph, predicts, columns: vec![names], about: Vec::new() })
}

/// Whether there are columns and outputs, and no more than are done here.
pub(crate) fn check_counts(
    format: &'static str,
    columns: usize,
    outputs: usize,
) -> Result<(), ExchangeError> {
    if columns == 0 || outputs == 0 {
        let reason = format!("it has {columns} columns and {outputs} outputs");
        return Err(ExchangeError::malformed(format, reason));
    }
    if columns > COLUMNS_MAX || outputs > OUTPUTS_MAX {
        let most = format!("at most {COLUMNS_MAX} and {OUTPUTS_MAX} are");
        let what = format!("{columns} columns and {outputs} outputs; {most}");
        return Err(ExchangeError::unsupported(format, what));
    }
    Ok(())
}

/// Words of 32 categories that lists of categories may still become: a list of one large number
/// is short, its bits are not.
pub(crate) struct CategoryRoom {
    format: &'static str,
    words: usize,
}

impl CategoryRoom {
    /// For a file of so many bytes: 32 bytes for each, and 4 MiB.
    pub(crate) fn of(format: &'static str, bytes: usize) -> CategoryRoom {
        CategoryRoom { format, words: bytes.saturating_mul(8).saturating_add(1 << 20) }
    }

    /// Words with the bits of these categories.
    ///
    /// # Errors
    /// [`ExchangeError`] for negative ones and those that there is no room for.
    pub(crate) fn bits(&mut self, categories: &[i64]) -> Result<Vec<u32>, ExchangeError> {
        let (Some(least), Some(most)) = (categories.iter().min(), categories.iter().max()) else {
            return Ok(Vec::new());
        };
        if *least < 0 {
            return Err(ExchangeError::malformed(self.format, format!("category {least}")));
        }
        let length = usize::try_from(most / 32 + 1).unwrap_or(usize::MAX);
        let what = || format!("category {most} and others as large: number them from 0");
        let left = self.words.checked_sub(length);
        self.words = left.ok_or_else(|| ExchangeError::unsupported(self.format, what()))?;
        let mut words = vec![0; length];
        categories.iter().for_each(|own| words[(own / 32) as usize] |= 1 << (own % 32));
        Ok(words)
    }
}

/// The category 0 and numbers in (-1, 0) are the same to [`Rule::OneOf`].
pub(crate) fn has_zero(words: &[u32]) -> bool {
    words.first().is_some_and(|word| word & 1 == 1)
}

/// Bytes that are another format of the same tools, and how to get one that is read.
///
/// # Errors
/// [`ExchangeError::Unsupported`].
pub(crate) fn check_container(
    format: &'static str,
    bytes: &[u8],
    instead: &str,
) -> Result<(), ExchangeError> {
    // A pickle of protocol 2 and later begins with 0x80 and its number.
    let is_pickle = matches!(bytes, [0x80, 2..=5, ..]);
    // In UBJSON the length of a key comes behind the brace, with the type of that number first.
    let is_binary_json =
        matches!(bytes, [b'{', b'i' | b'U' | b'I' | b'l' | b'L' | b'$' | b'#', ..]);
    let kind = match bytes {
        _ if is_pickle => "a pickle, which is code as much as data",
        _ if is_binary_json => "UBJSON",
        [b'b', b'i', b'n', b'f', ..] => "the binary format before JSON",
        [0x1f, 0x8b, ..] => "compressed bytes: unpack them",
        _ => return Ok(()),
    };
    Err(ExchangeError::unsupported(format, format!("{kind}; {instead}")))
}
