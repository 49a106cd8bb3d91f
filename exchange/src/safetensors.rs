//! safetensors: the numbers of a graph by name, for tools that want weights and no operations.
//!
//! A file is the length of a header (8 bytes), the header (JSON: kind, shape and place of each
//! tensor, and texts about all of it), and the numbers, little-endian. It is written here and not
//! by the library of that name, which orders its texts by chance: the same graph is the same bytes.
//! The format: the README of the project safetensors, "Format".
//!
//! An ensemble of trees is the tensors `trees.base`, `trees.roots`, by node `trees.columns` (-1 for
//! a leaf), `trees.rules` (0 at most, 1 below, 2 one of a set), `trees.thresholds`,
//! `trees.is_missing_left`, `trees.left`, `trees.right`, `trees.firsts` and `trees.counts` (of what
//! follows: a leaf's part of `trees.leaf_outputs` and `trees.leaf_values`, or a set's words of 32
//! bits in `trees.sets`). The second ensemble is `trees_2`.

#[cfg(test)]
mod tests;

use pelton_models::graph::{Data, Graph, Kind, Operation, Rule, Step, Tensor, TreeNode, Trees};
use serde_json::{Map, Value};

use crate::ExchangeError;
use crate::onnx::little_endian;
use crate::onnx::names::Names;

const FORMAT: &str = "safetensors";

/// What a reader takes for a header at most.
const HEADER_BYTES_MAX: usize = 100_000_000;

/// The constants and trees of a graph, with `about` as its texts. Names are those of the same
/// graph's ONNX file.
///
/// # Errors
/// [`ExchangeError::Malformed`] for a graph whose inputs or outputs share a name, and
/// [`ExchangeError::Unsupported`] for more names than a header takes.
pub fn write(graph: &Graph, about: &[(String, String)]) -> Result<Vec<u8>, ExchangeError> {
    let (mut names, constants) = Names::of(graph).ok_or_else(|| {
        ExchangeError::malformed(FORMAT, "two of its inputs and outputs have one name")
    })?;
    let mut tensors: Vec<(String, Tensor)> = Vec::new();
    for (step, name) in graph.steps().iter().zip(constants) {
        match (step, name) {
            (Step::Constant { tensor, .. }, Some(name)) => tensors.push((name, tensor.clone())),
            (Step::Node { operation: Operation::Trees(trees), .. }, _) => {
                let own = names.take("trees");
                for (part, tensor) in arrays(trees) {
                    tensors.push((names.take(&format!("{own}.{part}")), tensor));
                }
            }
            _ => {}
        }
    }
    // Large numbers first: each tensor begins at a multiple of its numbers' size.
    tensors.sort_by(|(one, a), (other, b)| {
        kind(b.kind()).1.cmp(&kind(a.kind()).1).then_with(|| one.cmp(other))
    });
    let mut header = Map::new();
    if !about.is_empty() {
        let texts = about.iter().map(|(key, text)| (key.clone(), Value::from(text.as_str())));
        header.insert("__metadata__".to_owned(), Value::Object(texts.collect()));
    }
    let mut numbers = Vec::new();
    for (name, tensor) in tensors {
        let start = numbers.len();
        numbers.extend(little_endian(tensor.data()));
        let entry = serde_json::json!({
            "dtype": kind(tensor.kind()).0,
            "shape": tensor.shape(),
            "data_offsets": [start, numbers.len()],
        });
        header.insert(name, entry);
    }
    let mut header = Value::Object(header).to_string().into_bytes();
    // The numbers begin at a multiple of 8.
    header.resize(header.len().next_multiple_of(8), b' ');
    if header.len() > HEADER_BYTES_MAX {
        return Err(ExchangeError::unsupported(FORMAT, "a header of more than 100 MB"));
    }
    let length = (header.len() as u64).to_le_bytes();
    Ok([&length[..], &header, &numbers].concat())
}

/// A kind's name, and the bytes of a number.
fn kind(kind: Kind) -> (&'static str, usize) {
    match kind {
        Kind::F64 => ("F64", 8),
        Kind::I64 => ("I64", 8),
        Kind::F32 => ("F32", 4),
        Kind::Bool => ("BOOL", 1),
    }
}

/// An ensemble as lists of numbers.
fn arrays(trees: &Trees) -> Vec<(&'static str, Tensor)> {
    let mut sets = Vec::new();
    let mut spans = Vec::with_capacity(trees.nodes.len());
    for node in &trees.nodes {
        spans.push(match node {
            TreeNode::Split { rule: Rule::OneOf(bits), .. } => {
                sets.extend(bits.iter().map(|word| i64::from(*word)));
                (sets.len() - bits.len(), bits.len())
            }
            TreeNode::Split { .. } => (0, 0),
            TreeNode::Leaf { first, count } => (*first as usize, *count as usize),
        });
    }
    let split =
        |of: &dyn Fn(&TreeNode) -> i64| Tensor::integers(trees.nodes.iter().map(of).collect());
    let threshold = |node: &TreeNode| match node {
        TreeNode::Split { rule: Rule::LessOrEqual(own) | Rule::Less(own), .. } => *own,
        _ => 0.0,
    };
    let is_missing_left = trees.nodes.iter().map(|node| match node {
        TreeNode::Split { is_missing_left, .. } => *is_missing_left,
        TreeNode::Leaf { .. } => false,
    });
    let truths = Tensor::new(vec![trees.nodes.len()], Data::Bool(is_missing_left.collect()));
    let mut arrays = vec![
        ("base", Tensor::doubles(trees.base.clone())),
        ("roots", Tensor::integers(trees.roots.iter().map(|own| i64::from(*own)).collect())),
        (
            "columns",
            split(&|node| match node {
                TreeNode::Split { column, .. } => i64::from(*column),
                TreeNode::Leaf { .. } => -1,
            }),
        ),
        (
            "rules",
            split(&|node| match node {
                TreeNode::Split { rule: Rule::Less(_), .. } => 1,
                TreeNode::Split { rule: Rule::OneOf(_), .. } => 2,
                _ => 0,
            }),
        ),
        ("thresholds", Tensor::floats(trees.nodes.iter().map(threshold).collect())),
        (
            "left",
            split(&|node| match node {
                TreeNode::Split { left, .. } => i64::from(*left),
                TreeNode::Leaf { .. } => -1,
            }),
        ),
        (
            "right",
            split(&|node| match node {
                TreeNode::Split { right, .. } => i64::from(*right),
                TreeNode::Leaf { .. } => -1,
            }),
        ),
        ("firsts", Tensor::integers(spans.iter().map(|(first, _)| *first as i64).collect())),
        ("counts", Tensor::integers(spans.iter().map(|(_, count)| *count as i64).collect())),
        ("sets", Tensor::integers(sets)),
        (
            "leaf_outputs",
            Tensor::integers(trees.leaves.iter().map(|leaf| i64::from(leaf.output)).collect()),
        ),
        ("leaf_values", Tensor::doubles(trees.leaves.iter().map(|leaf| leaf.value).collect())),
    ];
    arrays.extend(truths.map(|truths| ("is_missing_left", truths)));
    arrays
}
