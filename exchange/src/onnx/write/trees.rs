//! Trees as the attributes of a `TreeEnsembleRegressor`.
//!
//! A tree's nodes are those that its root leads to, numbered from 0 as the operator wants it: depth
//! first, left before right. Thresholds and weights are 32-bit floats
//! in a file: what a leaf adds is rounded to one.

use std::collections::{BTreeMap, BTreeSet};

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
    if trees.roots.is_empty() {
        // An ensemble has at least one tree.
        lists.node((0, 0), ("LEAF", 0.0, 0));
        lists.ends((0, 0), false);
        (0..trees.base.len()).for_each(|output| lists.weight((0, 0), output as i64, 0.0));
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

/// The nodes of a tree.
fn depth_first(trees: &Trees, root: u32) -> Result<Vec<u32>, ExchangeError> {
    let mut order = Vec::new();
    let mut open = vec![root];
    let mut seen = BTreeSet::new();
    while let Some(place) = open.pop() {
        if !seen.insert(place) {
            return Err(ExchangeError::unsupported(FORMAT, "a tree with two ways to one node"));
        }
        order.push(place);
        if let TreeNode::Split { left, right, .. } = &trees.nodes[place as usize] {
            open.extend([*right, *left]);
        }
    }
    Ok(order)
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
        let order = depth_first(trees, root)?;
        let numbers: BTreeMap<u32, i64> = order.iter().copied().zip(0..).collect();
        let number = |place: &u32| numbers.get(place).copied().unwrap_or(0);
        for place in order {
            let node = (tree, number(&place));
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
                    self.node(node, (mode, value, i64::from(*column)));
                    self.ends((number(left), number(right)), *is_missing_left);
                }
                TreeNode::Leaf { first, count } => {
                    self.node(node, ("LEAF", 0.0, 0));
                    self.ends((0, 0), false);
                    let own = &trees.leaves[*first as usize..][..*count as usize];
                    if own.is_empty() && tree > 0 {
                        // A leaf must have a weight to be one.
                        self.weight(node, 0, 0.0);
                    }
                    // Libraries add the base only to what some tree adds to: the first one adds to
                    // every output, if only 0.
                    let every = if tree == 0 { trees.base.len() as u32 } else { 0 };
                    let is_missing = |output: &u32| own.iter().all(|leaf| leaf.output != *output);
                    for output in (0..every).filter(is_missing) {
                        self.weight(node, i64::from(output), 0.0);
                    }
                    for leaf in own {
                        self.weight(node, i64::from(leaf.output), leaf.value as f32);
                    }
                }
            }
        }
        Ok(())
    }

    fn node(&mut self, (tree, place): (i64, i64), (mode, value, column): (&'static str, f32, i64)) {
        self.trees.push(tree);
        self.nodes.push(place);
        self.modes.push(mode);
        self.values.push(value);
        self.columns.push(column);
    }

    fn ends(&mut self, (left, right): (i64, i64), is_missing_left: bool) {
        self.lefts.push(left);
        self.rights.push(right);
        self.is_missing_left.push(i64::from(is_missing_left));
    }

    fn weight(&mut self, (tree, place): (i64, i64), output: i64, value: f32) {
        self.target_trees.push(tree);
        self.target_nodes.push(place);
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
