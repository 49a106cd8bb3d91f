//! The trees of a file as those of a graph.

use pelton_models::graph::Rule;

use super::file::{Float, Forest, Tree, count};
use super::{FORMAT, malformed};
use crate::ExchangeError;
use crate::ensemble::{Branch, CategoryRoom, Ensemble, Goal, Question, has_zero};

/// Adds all trees up to the best round, each with its weight where there are weights.
pub(super) fn plant(
    ensemble: &mut Ensemble,
    forest: &Forest,
    weights: Option<&[Float]>,
    best: Option<usize>,
    mut room: CategoryRoom,
) -> Result<(), ExchangeError> {
    let trees = forest.trees.len();
    let classes = ensemble.trees.base.len();
    let said = count("num_trees", &forest.gbtree_model_param.num_trees)?;
    let given = [("num_trees", said), ("tree_info", forest.tree_info.len())];
    let dropped = weights.map(|own| ("weight_drop", own.len()));
    for (name, number) in given.into_iter().chain(dropped) {
        if number != trees {
            return Err(malformed(format!("`{name}` is of {number} trees, but there are {trees}")));
        }
    }
    let used = best.map_or(Ok(trees), |best| used_trees(forest, classes, best))?;
    for (place, tree) in forest.trees.iter().enumerate().take(used) {
        let class = forest.tree_info[place];
        if class >= classes {
            return Err(malformed(format!("tree {place} is of class {class} of {classes}")));
        }
        let weight = weights.map_or(1.0, |own| f64::from(own[place].0));
        check(place, tree)?;
        let categories = Categories::of(place, tree)?;
        ensemble.plant(class, tree.left_children.len(), |node| {
            branch(tree, &categories, weight, node, &mut room)
        })?;
    }
    Ok(())
}

/// Trees of the rounds up to the best one. Of a model that was cut after its training the best
/// round may be gone: all trees then.
fn used_trees(forest: &Forest, classes: usize, best: usize) -> Result<usize, ExchangeError> {
    let all = forest.trees.len();
    let rounds = best.saturating_add(1);
    let used = match &forest.iteration_indptr {
        Some(begins) => begins.get(rounds).copied().unwrap_or(all),
        None => {
            let parallel = forest.gbtree_model_param.num_parallel_tree.as_deref();
            let parallel = parallel.map_or(Ok(1), |own| count("num_parallel_tree", own))?;
            rounds.saturating_mul(parallel.max(1)).saturating_mul(classes)
        }
    };
    Ok(used.min(all))
}

/// Whether there is as much of everything as there are nodes, and a leaf is one number.
fn check(place: usize, tree: &Tree) -> Result<(), ExchangeError> {
    let nodes = tree.left_children.len();
    if let Some(size) = tree.tree_param.size_leaf_vector.as_deref()
        && count("size_leaf_vector", size)? > 1
    {
        let what = "leaves of several numbers; train with `multi_strategy` \
                    `one_output_per_tree`";
        return Err(ExchangeError::unsupported(FORMAT, what));
    }
    let said = count("num_nodes", &tree.tree_param.num_nodes)?;
    let types = tree.split_type.len();
    let given = [
        ("num_nodes", said),
        ("right_children", tree.right_children.len()),
        ("split_indices", tree.split_indices.len()),
        ("split_conditions", tree.split_conditions.len()),
        ("default_left", tree.default_left.len()),
        ("split_type", if types == 0 { nodes } else { types }),
    ];
    match given.iter().find(|(_, length)| *length != nodes) {
        Some((name, length)) => {
            let reason = format!("tree {place}: `{name}` is of {length} nodes, not {nodes}");
            Err(malformed(reason))
        }
        None => Ok(()),
    }
}

/// The categories of each node, in the order of the nodes.
struct Categories<'a>(Vec<(usize, &'a [i64])>);

impl Categories<'_> {
    fn of(place: usize, tree: &Tree) -> Result<Categories<'_>, ExchangeError> {
        let nodes = &tree.categories_nodes;
        let (begins, sizes) = (&tree.categories_segments, &tree.categories_sizes);
        if begins.len() != nodes.len() || sizes.len() != nodes.len() {
            let lengths = format!("{}, {} and {}", nodes.len(), begins.len(), sizes.len());
            let reason = format!("tree {place}: categories of {lengths} nodes");
            return Err(malformed(reason));
        }
        // Parts do not overlap; if they did, a small file could ask for very much.
        if sizes.iter().fold(0, |sum: usize, own| sum.saturating_add(*own)) > tree.categories.len()
        {
            return Err(malformed(format!("tree {place}: there are not so many categories")));
        }
        let of = |(node, (begin, size)): (&usize, (&usize, &usize))| {
            let part = tree.categories.get(*begin..).and_then(|rest| rest.get(..*size));
            let reason = || malformed(format!("tree {place}: node {node} lacks its categories"));
            part.map(|part| (*node, part)).ok_or_else(reason)
        };
        let mut all =
            nodes.iter().zip(begins.iter().zip(sizes)).map(of).collect::<Result<Vec<_>, _>>()?;
        all.sort_by_key(|(node, _)| *node);
        Ok(Categories(all))
    }

    fn at(&self, node: usize) -> Option<&[i64]> {
        let place = self.0.binary_search_by_key(&node, |(node, _)| *node).ok()?;
        Some(self.0[place].1)
    }
}

/// A node; all lists are known to be of as many nodes.
fn branch(
    tree: &Tree,
    categories: &Categories<'_>,
    weight: f64,
    node: usize,
    room: &mut CategoryRoom,
) -> Result<Branch, ExchangeError> {
    let number = tree.split_conditions[node].0;
    let (left, right) = (tree.left_children[node], tree.right_children[node]);
    if left == -1 {
        return Ok(Branch::Leaf(f64::from(number) * weight));
    }
    let child = |own: i64| {
        let reason = || malformed(format!("node {node} has a child {own}"));
        usize::try_from(own).map_err(|_| reason())
    };
    let is_missing_left = tree.default_left[node].0;
    let questions = match tree.split_type.get(node) {
        None | Some(0) if number.is_nan() => {
            return Err(malformed(format!("node {node} has no threshold")));
        }
        None | Some(0) => vec![Question::only(Rule::Less(number), is_missing_left)],
        Some(1) => {
            let reason = || malformed(format!("node {node} has no categories"));
            let own = categories.at(node).ok_or_else(reason)?;
            by_category(room.bits(own)?, is_missing_left)
        }
        Some(other) => return Err(malformed(format!("node {node} is of type {other}"))),
    };
    let column = usize::try_from(tree.split_indices[node]).unwrap_or(usize::MAX);
    Ok(Branch::Split { column, questions, left: child(left)?, right: child(right)? })
}

/// Those that are listed go right, and nothing negative does.
fn by_category(words: Vec<u32>, is_missing_left: bool) -> Vec<Question> {
    let mut questions = Vec::new();
    if has_zero(&words) {
        // What is between -1 and 0 would be taken for category 0.
        questions.push(Question {
            rule: Rule::Less(0.0),
            is_missing_yes: is_missing_left,
            yes: Goal::Left,
            no: Goal::Next,
        });
    }
    let (yes, no) = (Goal::Right, Goal::Left);
    questions.push(Question {
        rule: Rule::OneOf(words),
        is_missing_yes: !is_missing_left,
        yes,
        no,
    });
    questions
}
