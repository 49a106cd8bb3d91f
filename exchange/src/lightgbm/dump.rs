//! The JSON of `dump_model()`: nodes within nodes. JSON readers stop at some depth; a model of
//! trees deeper than about a hundred splits is to be saved as text.

use serde::de::IgnoredAny;
use serde::{Deserialize, Deserializer, de::Error};
use serde_json::value::RawValue;

use super::split::{Missing, Split, Test};
use super::{FORMAT, FileTree, Said, malformed};
use crate::ExchangeError;
use crate::ensemble::CategoryRoom;

/// A double, by one rounding from its text: the reader of JSON may be one unit off, and a
/// threshold is often the next double behind a value.
#[derive(Clone, Copy)]
struct Double(f64);

impl<'de> Deserialize<'de> for Double {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Double, D::Error> {
        let text = <&RawValue>::deserialize(deserializer)?.get();
        double(text).map(Double).ok_or_else(|| D::Error::custom("a leaf that is no number"))
    }
}

fn double(text: &str) -> Option<f64> {
    text.parse().ok().filter(|own: &f64| own.is_finite())
}

#[derive(Deserialize)]
struct Model<'a> {
    version: String,
    num_tree_per_iteration: usize,
    max_feature_idx: u32,
    objective: Option<String>,
    #[serde(default)]
    average_output: bool,
    feature_names: Vec<String>,
    #[serde(borrow)]
    tree_info: Vec<Tree<'a>>,
}

#[derive(Deserialize)]
struct Tree<'a> {
    #[serde(borrow)]
    tree_structure: Node<'a>,
}

/// A leaf, or a split.
#[derive(Deserialize)]
struct Node<'a> {
    leaf_value: Option<Double>,
    /// Only linear trees have one.
    leaf_const: Option<IgnoredAny>,
    split_feature: Option<usize>,
    /// A number, or categories as in `"0||3"`.
    #[serde(borrow)]
    threshold: Option<&'a RawValue>,
    decision_type: Option<String>,
    default_left: Option<bool>,
    missing_type: Option<String>,
    #[serde(borrow)]
    left_child: Option<Box<Node<'a>>>,
    #[serde(borrow)]
    right_child: Option<Box<Node<'a>>>,
}

/// Reads the JSON.
pub(super) fn read(text: &str) -> Result<Said, ExchangeError> {
    let model: Model = serde_json::from_str(text).map_err(|error| malformed(error.to_string()))?;
    if !matches!(model.version.as_str(), "v3" | "v4") {
        let what = "another version; load and dump it with LightGBM 3 or 4";
        return Err(ExchangeError::unsupported(FORMAT, what));
    }
    let mut room = CategoryRoom::of(FORMAT, text.len());
    let trees = model.tree_info.iter().map(|tree| flat(tree, &mut room));
    Ok(Said {
        columns: model.max_feature_idx as usize + 1,
        names: model.feature_names,
        outputs: model.num_tree_per_iteration,
        objective: model.objective,
        is_average: model.average_output,
        trees: trees.collect::<Result<_, _>>()?,
    })
}

/// A tree with its splits and leaves in lists, in the order in which they are met.
fn flat(tree: &Tree<'_>, room: &mut CategoryRoom) -> Result<FileTree, ExchangeError> {
    let mut flat = FileTree { splits: Vec::new(), leaves: Vec::new() };
    // Each with the split it belongs to, and whether it is its left child.
    let mut open = vec![(&tree.tree_structure, None)];
    while let Some((node, parent)) = open.pop() {
        let number = match node.leaf_value {
            Some(Double(value)) => {
                if node.leaf_const.is_some() {
                    let what = "linear trees; train without `linear_tree`";
                    return Err(ExchangeError::unsupported(FORMAT, what));
                }
                flat.leaves.push(value);
                -(flat.leaves.len() as i64)
            }
            None => {
                let place = flat.splits.len();
                let (Some(left), Some(right)) = (&node.left_child, &node.right_child) else {
                    return Err(malformed("a node is neither a leaf nor has two children"));
                };
                open.push((right.as_ref(), Some((place, false))));
                open.push((left.as_ref(), Some((place, true))));
                flat.splits.push(split(node, room)?);
                place as i64
            }
        };
        if let Some((place, is_left)) = parent {
            let split: &mut Split = &mut flat.splits[place];
            *(if is_left { &mut split.left } else { &mut split.right }) = number;
        }
    }
    Ok(flat)
}

/// A split whose children are still to be named.
fn split(node: &Node<'_>, room: &mut CategoryRoom) -> Result<Split, ExchangeError> {
    let missing = |key: &str| malformed(format!("a split has no `{key}`, or none of a known kind"));
    let threshold = node.threshold.ok_or_else(|| missing("threshold"))?.get();
    let test = match node.decision_type.as_deref() {
        Some("<=") => Test::UpTo(double(threshold).ok_or_else(|| missing("threshold"))?),
        Some("==") => {
            let numbers = threshold.trim_matches('"').split("||").map(str::parse);
            let numbers: Result<Vec<i64>, _> = numbers.collect();
            Test::OneOf(room.bits(&numbers.map_err(|_| missing("threshold"))?)?)
        }
        _ => return Err(missing("decision_type")),
    };
    Ok(Split {
        column: node.split_feature.ok_or_else(|| missing("split_feature"))?,
        test,
        missing: match node.missing_type.as_deref() {
            Some("None") => Missing::None,
            Some("Zero") => Missing::Zero,
            Some("NaN") => Missing::Nan,
            _ => return Err(missing("missing_type")),
        },
        is_default_left: node.default_left.ok_or_else(|| missing("default_left"))?,
        left: 0,
        right: 0,
    })
}
