//! Tree ensembles of ai.onnx.ml 1 to 3: lists of nodes by tree and number to trees of a graph.
//!
//! What the format leaves open is done as onnxruntime does it: a NaN goes where the comparison with
//! it leads, or to the true side if the node tracks it; two classes with weights for the first only
//! are one score, that of the second, which becomes two in three ways; with weights for the second
//! only the first has 0.

use std::collections::{BTreeMap, BTreeSet};

use pelton_models::graph::{Binary, Kind, Leaf, Operation, Rule, TreeNode, Trees, Unary};

use super::build::Item;
use super::call::Call;
use super::learned::post_transform;
use crate::Predicts;

/// What is lowered here.
pub(super) const NAMES: [&str; 2] = ["TreeEnsembleClassifier", "TreeEnsembleRegressor"];

/// The node, if it is one of these; the classifier gives the scores, not the label.
pub(super) fn lower(call: &mut Call<'_>) -> Result<Option<Item>, String> {
    Ok(Some(match call.node.op_type.as_str() {
        "TreeEnsembleClassifier" => classifier(call)?.predicting(Predicts::Probabilities),
        "TreeEnsembleRegressor" => {
            let targets = usize::try_from(call.int("n_targets", 1)).unwrap_or(0);
            let leaves = leaves(call, "target", targets)?;
            let base = base(call, targets)?;
            let y = ensemble(call, base, leaves)?;
            post_transform(call, y)?.predicting(Predicts::Value)
        }
        _ => return Ok(None),
    }))
}

/// What leaves add, by tree and node.
type Leaves = BTreeMap<(i64, i64), Vec<Leaf>>;

fn classifier(call: &mut Call<'_>) -> Result<Item, String> {
    let strings = call.attribute("classlabels_strings").map_or(0, |own| own.strings.len());
    let classes = call.ints("classlabels_int64s").map_or(0, <[i64]>::len).max(strings);
    let ids: BTreeSet<i64> = call.ints("class_ids").unwrap_or_default().iter().copied().collect();
    let one = if classes == 2 && ids.len() == 1 { ids.first().copied() } else { None };
    if classes == 2 && call.floats("base_values").len() == 2 {
        return Err("two base values for two classes: its scores are not defined".to_owned());
    }
    let leaves = leaves(call, "class", classes)?;
    if one != Some(0) {
        // A base value is that of the first class, and stays out where no leaf is for that class.
        let base = if one.is_some() { vec![0.0; classes] } else { base(call, classes)? };
        let y = ensemble(call, base, leaves)?;
        return post_transform(call, y);
    }
    let base = base(call, 1)?;
    let is_positive = !call.floats("class_weights").iter().any(|weight| *weight < 0.0);
    let transform = call.text("post_transform");
    let y = ensemble(call, base, leaves)?;
    let build = &mut *call.build;
    let pair = match (is_positive, transform.as_str()) {
        (_, "LOGISTIC") => {
            let less = build.unary(Unary::Neg, &y)?;
            [build.unary(Unary::Sigmoid, &less)?, build.unary(Unary::Sigmoid, &y)?]
        }
        // What sums of positive weights are is a probability already.
        (true, "" | "NONE" | "SOFTMAX" | "SOFTMAX_ZERO") => {
            [build.before(Binary::Sub, 1.0, &y)?, y]
        }
        (false, "" | "NONE" | "SOFTMAX" | "SOFTMAX_ZERO") => [build.unary(Unary::Neg, &y)?, y],
        (_, other) => return Err(format!("transforms scores by {other}")),
    };
    build.node(Operation::Concat { axis: 1 }, &[&pair[0], &pair[1]])
}

/// What outputs begin at: none are zeros, and one is that of the first output.
fn base(call: &Call<'_>, outputs: usize) -> Result<Vec<f64>, String> {
    let given = call.floats("base_values");
    if outputs > 1 << 20 || given.len() > outputs {
        return Err(format!("{} base values for {outputs} outputs", given.len()));
    }
    let mut base = vec![0.0; outputs];
    base.iter_mut().zip(given).for_each(|(base, given)| *base = f64::from(*given));
    Ok(base)
}

fn leaves(call: &Call<'_>, of: &str, outputs: usize) -> Result<Leaves, String> {
    let ints = |name: &str| call.ints(&format!("{of}_{name}")).unwrap_or_default();
    let (trees, nodes, ids) = (ints("treeids"), ints("nodeids"), ints("ids"));
    let weights = call.floats(&format!("{of}_weights"));
    let lengths = [nodes.len(), ids.len(), weights.len()];
    if lengths.iter().any(|length| *length != trees.len()) {
        return Err(format!("{of}s by lists of {} and {lengths:?}", trees.len()));
    }
    let factor = match call.text("aggregate_function").as_str() {
        "" | "SUM" => 1.0,
        "AVERAGE" => {
            let all = call.ints("nodes_treeids").unwrap_or_default();
            1.0 / all.iter().collect::<BTreeSet<_>>().len().max(1) as f64
        }
        other => return Err(format!("puts trees together by {other}")),
    };
    let mut leaves = Leaves::new();
    for (((tree, node), id), weight) in trees.iter().zip(nodes).zip(ids).zip(weights) {
        let output = u32::try_from(*id).ok().filter(|output| (*output as usize) < outputs);
        let output = output.ok_or_else(|| format!("{of} {id} of {outputs}"))?;
        let value = f64::from(*weight) * factor;
        leaves.entry((*tree, *node)).or_default().push(Leaf { output, value });
    }
    Ok(leaves)
}

/// A node of the lists.
struct Listed {
    node: i64,
    column: u32,
    value: f32,
    mode: Mode,
    ends: [i64; 2],
    is_missing_true: bool,
}

#[derive(Clone, Copy, PartialEq)]
enum Mode {
    LessOrEqual,
    Less,
    GreaterOrEqual,
    Greater,
    Equal,
    NotEqual,
    Leaf,
}

fn ensemble(call: &mut Call<'_>, base: Vec<f64>, leaves: Leaves) -> Result<Item, String> {
    let mut by_tree: BTreeMap<i64, Vec<Listed>> = BTreeMap::new();
    for (tree, node) in listed(call)? {
        by_tree.entry(tree).or_default().push(node);
    }
    let mut trees = Trees { base, ..Trees::default() };
    for (tree, nodes) in by_tree {
        let ends = nodes.iter().filter(|node| node.mode != Mode::Leaf).flat_map(|node| node.ends);
        let ends: BTreeSet<i64> = ends.collect();
        let root = nodes.iter().find(|node| !ends.contains(&node.node));
        let root = root.ok_or_else(|| format!("tree {tree} has no root"))?.node;
        let nodes: BTreeMap<i64, Listed> =
            nodes.into_iter().map(|node| (node.node, node)).collect();
        grow(&mut trees, &nodes, root, |node| leaves.get(&(tree, node)))
            .ok_or_else(|| format!("tree {tree} leads to a node that is not there, or twice"))?;
    }
    let x = call.input(0)?;
    let x = call.build.cast(Kind::F32, &x)?;
    call.build.node(Operation::Trees(trees), &[&x])
}

/// The lists as nodes.
fn listed(call: &Call<'_>) -> Result<Vec<(i64, Listed)>, String> {
    if call.node.attribute.iter().any(|own| own.name.ends_with("_as_tensor")) {
        return Err("has thresholds in doubles".to_owned());
    }
    let ints = |name: &str| call.ints(&format!("nodes_{name}")).unwrap_or_default();
    let (trees, nodes, columns) = (ints("treeids"), ints("nodeids"), ints("featureids"));
    let (yes, no, missing) =
        (ints("truenodeids"), ints("falsenodeids"), ints("missing_value_tracks_true"));
    let values = call.floats("nodes_values");
    let modes = call.attribute("nodes_modes").map_or(&[][..], |own| own.strings.as_slice());
    let lengths = [nodes, columns, yes, no].map(<[i64]>::len);
    let is_even = lengths.iter().all(|length| *length == trees.len());
    if !is_even || values.len() != trees.len() || modes.len() != trees.len() {
        return Err("lists of nodes of different lengths".to_owned());
    }
    let one = |at: usize| {
        let mode = match modes[at].as_slice() {
            b"BRANCH_LEQ" => Mode::LessOrEqual,
            b"BRANCH_LT" => Mode::Less,
            b"BRANCH_GTE" => Mode::GreaterOrEqual,
            b"BRANCH_GT" => Mode::Greater,
            b"BRANCH_EQ" => Mode::Equal,
            b"BRANCH_NEQ" => Mode::NotEqual,
            b"LEAF" => Mode::Leaf,
            other => return Err(format!("splits by {}", String::from_utf8_lossy(other))),
        };
        let node = Listed {
            node: nodes[at],
            column: u32::try_from(columns[at]).map_err(|_| "looks at no column".to_owned())?,
            value: values[at],
            mode,
            ends: [yes[at], no[at]],
            is_missing_true: missing.get(at).is_some_and(|own| *own != 0),
        };
        Ok((trees[at], node))
    };
    (0..trees.len()).map(one).collect()
}

/// Adds a tree from its root on; none where a node is missing or comes twice.
fn grow<'a>(
    trees: &mut Trees,
    nodes: &BTreeMap<i64, Listed>,
    root: i64,
    leaf: impl Fn(i64) -> Option<&'a Vec<Leaf>>,
) -> Option<()> {
    trees.roots.push(trees.nodes.len() as u32);
    let mut seen = BTreeSet::new();
    // Nodes that are to be added, with the ends that lead to them.
    let mut open: Vec<(i64, Vec<(usize, bool)>)> = vec![(root, Vec::new())];
    while let Some((node, ends)) = open.pop() {
        if !seen.insert(node) {
            return None;
        }
        let own = nodes.get(&node)?;
        let place = trees.nodes.len();
        for (from, is_left) in ends {
            if let TreeNode::Split { left, right, .. } = &mut trees.nodes[from] {
                *(if is_left { left } else { right }) = place as u32;
            }
        }
        let split = |rule: Rule, is_missing_left: bool| TreeNode::Split {
            column: own.column,
            rule,
            is_missing_left,
            left: 0,
            right: 0,
        };
        let (tracks, value, [yes, no]) = (own.is_missing_true, own.value, own.ends);
        let (at_most, below) = (Rule::LessOrEqual(value), Rule::Less(value));
        let (added, left, right) = match own.mode {
            Mode::Leaf => {
                trees.leaf(leaf(node).into_iter().flatten().copied());
                continue;
            }
            Mode::LessOrEqual => (split(at_most, tracks), yes, no),
            Mode::Less => (split(below, tracks), yes, no),
            Mode::GreaterOrEqual => (split(below, !tracks), no, yes),
            Mode::Greater => (split(at_most, !tracks), no, yes),
            Mode::Equal | Mode::NotEqual => {
                // Below goes with above; NaN is unlike any value.
                let is_equal = own.mode == Mode::Equal;
                let (same, other) = if is_equal { (yes, no) } else { (no, yes) };
                let is_missing_same = is_equal && tracks;
                trees.nodes.push(split(below, !is_missing_same));
                trees.nodes.push(split(at_most, true));
                if let TreeNode::Split { right, .. } = &mut trees.nodes[place] {
                    *right = place as u32 + 1;
                }
                open.push((other, vec![(place, true), (place + 1, false)]));
                open.push((same, vec![(place + 1, true)]));
                continue;
            }
        };
        trees.nodes.push(added);
        open.push((right, vec![(place, false)]));
        open.push((left, vec![(place, true)]));
    }
    Some(())
}
