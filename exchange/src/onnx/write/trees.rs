//! Trees as the attributes of a `TreeEnsembleRegressor`.
//!
//! Nodes are named by the place of their tree and their own; a tree's nodes are those that its root
//! leads to, since a node of the graph belongs to no tree. Thresholds and weights are 32-bit floats
//! in a file: what a leaf adds is rounded to one.

use pelton_models::graph::{Rule, TreeNode, Trees};

use super::super::FORMAT;
use super::super::proto::{AttributeProto, attribute};
use super::{int, ints};
use crate::ExchangeError;

/// The attributes.
///
/// # Errors
/// [`ExchangeError::Unsupported`] for sets of numbers, which have no rule of their own here.
pub(super) fn attributes(trees: &Trees) -> Result<Vec<AttributeProto>, ExchangeError> {
    if !trees.is_sound() {
        return Err(ExchangeError::malformed(FORMAT, "a tree leads to a node that is not there"));
    }
    let mut lists = Lists::default();
    for (tree, root) in trees.roots.iter().enumerate() {
        lists.tree(trees, tree as i64, *root)?;
    }
    Ok(vec![
        int("n_targets", trees.base.len() as i64),
        strings("aggregate_function", "SUM"),
        strings("post_transform", "NONE"),
        floats("base_values", trees.base.iter().map(|base| *base as f32).collect()),
        ints("nodes_treeids", lists.trees),
        ints("nodes_nodeids", lists.nodes),
        ints("nodes_featureids", lists.columns),
        floats("nodes_values", lists.values),
        modes(lists.modes),
        ints("nodes_truenodeids", lists.lefts),
        ints("nodes_falsenodeids", lists.rights),
        ints("nodes_missing_value_tracks_true", lists.is_missing_left),
        ints("target_treeids", lists.target_trees),
        ints("target_nodeids", lists.target_nodes),
        ints("target_ids", lists.targets),
        floats("target_weights", lists.weights),
    ])
}

#[derive(Default)]
struct Lists {
    trees: Vec<i64>,
    nodes: Vec<i64>,
    columns: Vec<i64>,
    values: Vec<f32>,
    modes: Vec<&'static str>,
    lefts: Vec<i64>,
    rights: Vec<i64>,
    is_missing_left: Vec<i64>,
    target_trees: Vec<i64>,
    target_nodes: Vec<i64>,
    targets: Vec<i64>,
    weights: Vec<f32>,
}

impl Lists {
    fn tree(&mut self, trees: &Trees, tree: i64, root: u32) -> Result<(), ExchangeError> {
        // A node that two ways lead to is written once: ways behind it are the same.
        let mut open = vec![root];
        let mut seen = std::collections::BTreeSet::new();
        while let Some(place) = open.pop() {
            if !seen.insert(place) {
                let reason = "a tree with two ways to one node";
                return Err(ExchangeError::unsupported(FORMAT, reason));
            }
            match &trees.nodes[place as usize] {
                TreeNode::Split { column, rule, is_missing_left, left, right } => {
                    let (mode, value) = match rule {
                        Rule::LessOrEqual(value) => ("BRANCH_LEQ", *value),
                        Rule::Less(value) => ("BRANCH_LT", *value),
                        Rule::OneOf(_) => {
                            let what = "trees that split by sets of categories";
                            return Err(ExchangeError::unsupported(FORMAT, what));
                        }
                    };
                    self.node((tree, place), (mode, value, i64::from(*column)));
                    self.ends((*left, *right), *is_missing_left);
                    // The left way is written first: a reader that goes by order sees depth first.
                    open.extend([*right, *left]);
                }
                TreeNode::Leaf { first, count } => {
                    self.node((tree, place), ("LEAF", 0.0, 0));
                    self.ends((0, 0), false);
                    let own = &trees.leaves[*first as usize..][..*count as usize];
                    if own.is_empty() {
                        // A leaf must have a weight to be one.
                        self.weight((tree, place), 0, 0.0);
                    }
                    for leaf in own {
                        self.weight((tree, place), i64::from(leaf.output), leaf.value as f32);
                    }
                }
            }
        }
        Ok(())
    }

    fn node(&mut self, (tree, place): (i64, u32), (mode, value, column): (&'static str, f32, i64)) {
        self.trees.push(tree);
        self.nodes.push(i64::from(place));
        self.modes.push(mode);
        self.values.push(value);
        self.columns.push(column);
    }

    fn ends(&mut self, (left, right): (u32, u32), is_missing_left: bool) {
        self.lefts.push(i64::from(left));
        self.rights.push(i64::from(right));
        self.is_missing_left.push(i64::from(is_missing_left));
    }

    fn weight(&mut self, (tree, place): (i64, u32), output: i64, value: f32) {
        self.target_trees.push(tree);
        self.target_nodes.push(i64::from(place));
        self.targets.push(output);
        self.weights.push(value);
    }
}

fn floats(name: &str, floats: Vec<f32>) -> AttributeProto {
    AttributeProto {
        name: name.to_owned(),
        floats,
        r#type: attribute::FLOATS,
        ..AttributeProto::default()
    }
}

fn strings(name: &str, text: &str) -> AttributeProto {
    AttributeProto {
        name: name.to_owned(),
        s: Some(text.as_bytes().to_vec()),
        r#type: attribute::STRING,
        ..AttributeProto::default()
    }
}

fn modes(modes: Vec<&'static str>) -> AttributeProto {
    AttributeProto {
        name: "nodes_modes".to_owned(),
        strings: modes.into_iter().map(|mode| mode.as_bytes().to_vec()).collect(),
        r#type: attribute::STRINGS,
        ..AttributeProto::default()
    }
}
