//! Operations against their definitions, and what a graph refuses.

use super::*;

fn run(graph: &Graph, inputs: &[Tensor]) -> Tensor {
    graph.run(inputs).expect("it fits").remove(0)
}

fn single(operation: Operation, inputs: Vec<Tensor>) -> Result<Tensor, GraphError> {
    let mut graph = Graph::new();
    let values: Vec<Value> =
        inputs.into_iter().map(|tensor| graph.constant("given", tensor)).collect();
    let value = graph.node(operation, &values);
    graph.output("out", value);
    Ok(graph.run(&[])?.remove(0))
}

fn floats(tensor: &Tensor) -> &[f32] {
    tensor.as_f32().expect("floats")
}

fn cube() -> Tensor {
    let numbers = (0..24).map(|at| at as f32).collect();
    Tensor::floats(numbers).reshaped(vec![2, 3, 4]).expect("24 numbers")
}

#[test]
fn shapes_are_broadcast() {
    let add = |a: Tensor, b: Tensor| single(Operation::Binary(Binary::Add), vec![a, b]);
    let row = Tensor::floats(vec![10.0, 20.0]);
    let column = Tensor::floats(vec![1.0, 2.0, 3.0]).reshaped(vec![3, 1]).expect("3 numbers");
    let all = add(column.clone(), row.clone()).expect("it fits");
    assert_eq!(
        (all.shape(), floats(&all)),
        (&[3, 2][..], &[11.0, 21.0, 12.0, 22.0, 13.0, 23.0][..])
    );
    assert_eq!(add(row.clone(), column).expect("it fits"), all);
    let matrix = Tensor::matrix(vec![1.0, 2.0, 3.0, 4.0], 2);
    assert_eq!(floats(&add(matrix.clone(), row.clone()).expect("it fits")), [11., 22., 13., 24.]);
    assert_eq!(floats(&add(row, matrix).expect("it fits")), [11., 22., 13., 24.]);
    let refused = add(Tensor::floats(vec![1.0; 2]), Tensor::floats(vec![1.0; 3]));
    assert_eq!(refused.expect_err("2 is not 3").to_string(), "Add: shapes [2] and [3] do not fit");
    // A row of one number for each matrix is no row for all.
    let tall = Tensor::floats(vec![1.0, 2.0]).reshaped(vec![2, 1, 1]).expect("2 numbers");
    let all = add(cube(), tall).expect("it fits");
    assert_eq!((floats(&all)[11], floats(&all)[12]), (12.0, 14.0));
}

#[test]
fn numbers_are_put_elsewhere() {
    let turned = single(Operation::Transpose { order: vec![2, 0, 1] }, vec![cube()]);
    let turned = turned.expect("an order");
    assert_eq!((turned.shape(), floats(&turned)[7]), (&[4, 2, 3][..], 5.0));
    let part = single(Operation::Slice { axis: -2, start: 1, end: 99 }, vec![cube()]);
    let part = part.expect("an axis");
    assert_eq!((part.shape(), &floats(&part)[..2]), (&[2, 2, 4][..], &[4.0, 5.0][..]));
    let which = Tensor::integers(vec![2, -3]);
    let picked = single(Operation::Gather { axis: 1 }, vec![cube(), which]).expect("indices");
    assert_eq!(
        (picked.shape(), floats(&picked)[..6].to_vec()),
        (&[2, 2, 4][..], vec![8., 9., 10., 11., 0., 1.])
    );
    let beyond = single(Operation::Gather { axis: 1 }, vec![cube(), Tensor::integers(vec![3])]);
    assert!(beyond.is_err());
    let both = single(Operation::Concat { axis: 1 }, vec![cube(), picked]).expect("alike");
    assert_eq!((both.shape(), floats(&both)[12]), (&[2, 5, 4][..], 8.0));
    let flat = single(Operation::Reshape { shape: vec![0, -1] }, vec![cube()]).expect("24");
    assert_eq!(flat.shape(), [2, 12]);
    assert!(single(Operation::Reshape { shape: vec![5, -1] }, vec![cube()]).is_err());
    let more = single(Operation::Unsqueeze { axes: vec![0, -1] }, vec![cube()]).expect("axes");
    assert_eq!(more.shape(), [1, 2, 3, 4, 1]);
    let fewer = single(Operation::Squeeze { axes: vec![0, -1] }, vec![more]).expect("axes");
    assert_eq!(fewer, cube());
}

#[test]
fn many_numbers_become_one() {
    let sum = |axes: &[i64], keep| {
        let reduction = Reduction::Sum;
        single(Operation::Reduce { reduction, axes: axes.to_vec(), keep }, vec![cube()])
    };
    let middle = sum(&[1], true).expect("an axis");
    assert_eq!(
        (middle.shape(), floats(&middle)),
        (&[2, 1, 4][..], &[12., 15., 18., 21., 48., 51., 54., 57.][..])
    );
    assert_eq!(floats(&sum(&[], false).expect("all")), [276.0]);
    let a = Tensor::matrix(vec![1.0, 2.0, 3.0, 4.0, 5.0, 6.0], 3);
    let b = Tensor::matrix(vec![1.0, 0.0, 0.0, 1.0, 2.0, 2.0], 2);
    let product = single(Operation::MatMul, vec![a.clone(), b]).expect("3 is 3");
    assert_eq!(floats(&product), [7.0, 8.0, 16.0, 17.0]);
    let each = cube().reshaped(vec![2, 3, 4]).expect("24");
    let turned = single(Operation::Transpose { order: vec![0, 2, 1] }, vec![cube()]).expect("3");
    let batched = single(Operation::MatMul, vec![each, turned]).expect("4 is 4");
    // Rows of the second matrix with themselves and each other.
    assert_eq!(
        (batched.shape(), floats(&batched)[9]),
        (&[2, 3, 3][..], 12. * 12. + 13. * 13. + 14. * 14. + 15. * 15.)
    );
    let shares = single(Operation::Softmax { axis: -1 }, vec![a]).expect("the last axis");
    let e = |x: f64| x.exp() / (1.0_f64.exp() + 2.0_f64.exp() + 3.0_f64.exp());
    assert!((f64::from(floats(&shares)[4]) - e(2.0)).abs() < 1e-7);
}

#[test]
fn functions_are_those_of_mathematics() {
    let at: Vec<f32> = (-400..400).map(|at| at as f32 / 37.0).collect();
    type Function = fn(f64) -> f64;
    let wanted: [(Unary, Function); 6] = [
        (Unary::Tanh, f64::tanh),
        (Unary::Exp, f64::exp),
        (Unary::Sigmoid, |x| 1.0 / (1.0 + (-x).exp())),
        (Unary::Softplus, |x| x.max(0.0) + (-x.abs()).exp().ln_1p()),
        (Unary::Relu, |x| x.max(0.0)),
        (Unary::Floor, f64::floor),
    ];
    for (own, function) in wanted {
        let out = single(Operation::Unary(own), vec![Tensor::floats(at.clone())]).expect("floats");
        for (x, out) in at.iter().zip(floats(&out)) {
            let wanted = function(f64::from(*x));
            let off = (f64::from(*out) - wanted).abs();
            assert!(off <= 1e-7 * wanted.abs().max(1e-3), "{own:?} {x}: {out} {wanted}");
        }
    }
    let powers = [(2.0, 3.0, 8.0), (2.0, -2.0, 0.25), (9.0, 0.5, 3.0), (2.0, 1.5, 2.828_427)];
    for (base, exponent, wanted) in powers {
        let both = vec![Tensor::floats(vec![base]), Tensor::floats(vec![exponent])];
        let out = single(Operation::Binary(Binary::Pow), both).expect("floats");
        assert!((floats(&out)[0] - wanted).abs() < 1e-6, "{base}^{exponent}");
    }
}

/// `x0 <= 1 ? (nan: right) 1 : (x1 in {0, 33} ? 2 : 4)`, and a second tree of one leaf.
fn small_trees() -> Trees {
    let mut trees = Trees { base: vec![0.5, 0.0], ..Trees::default() };
    trees.roots.push(0);
    let split = |column, rule, left| TreeNode::Split {
        column,
        rule,
        is_missing_left: false,
        left,
        right: left + 1,
    };
    trees.nodes.push(split(0, Rule::LessOrEqual(1.0), 1));
    trees.leaf([Leaf { output: 0, value: 1.0 }]);
    trees.nodes.push(split(1, Rule::OneOf(vec![1, 2]), 3));
    trees.leaf([Leaf { output: 0, value: 2.0 }, Leaf { output: 1, value: -1.0 }]);
    trees.leaf([Leaf { output: 0, value: 4.0 }]);
    let lone = trees.leaf([Leaf { output: 1, value: 10.0 }]);
    trees.roots.push(lone);
    trees
}

#[test]
fn a_split_by_no_categories_sends_all_right() {
    let mut trees = Trees { base: vec![0.0], roots: vec![0], ..Trees::default() };
    let rule = Rule::OneOf(Vec::new());
    trees.nodes.push(TreeNode::Split { column: 0, rule, is_missing_left: true, left: 1, right: 2 });
    for value in [1.0, 2.0] {
        trees.leaf([Leaf { output: 0, value }]);
    }
    let rows = Tensor::matrix(vec![-0.5, 0.0, -0.0, -1.0, 5.0], 1);
    let out = single(Operation::Trees(trees), vec![rows]).expect("one");
    assert_eq!(floats(&out), [2.0; 5]);
}

#[test]
fn trees_send_rows_to_leaves() {
    let trees = small_trees();
    assert!(trees.is_sound());
    let nan = f32::NAN;
    let rows = vec![1.0, 9.0, 1.1, 33.9, 2.0, 32.0, nan, 0.0, 5.0, nan, 5.0, -1.0];
    let out = single(Operation::Trees(trees.clone()), vec![Tensor::matrix(rows, 2)]).expect("two");
    let wanted = [1.5, 10.0, 2.5, 9.0, 4.5, 10.0, 2.5, 9.0, 4.5, 10.0, 4.5, 10.0];
    assert_eq!(floats(&out), wanted);
    assert!(single(Operation::Trees(trees.clone()), vec![Tensor::matrix(vec![1.0], 1)]).is_err());
    let mut looped = trees;
    looped.nodes[2] = TreeNode::Split {
        column: 0,
        rule: Rule::Less(0.0),
        is_missing_left: true,
        left: 2,
        right: 3,
    };
    assert!(!looped.is_sound());
}

/// A tree that is added by its places: the number of thresholds below a value, each half of them
/// asked for by the one in the middle.
#[test]
fn a_tree_is_added_from_its_root() {
    let thresholds = [-3.0, -1.0, 0.0, 0.5, 2.0, 7.0_f32];
    let mut trees = Trees { base: vec![0.0], ..Trees::default() };
    for factor in [1.0, 10.0] {
        trees.grow(0..thresholds.len() + 1, |range| {
            if range.len() == 1 {
                return Grown::Leaf(vec![Leaf { output: 0, value: factor * range.start as f64 }]);
            }
            let middle = range.start + range.len() / 2;
            let rule = Rule::LessOrEqual(thresholds[middle - 1]);
            let (left, right) = (range.start..middle, middle..range.end);
            Grown::Split { column: 0, rule, left, right }
        });
    }
    assert!(trees.is_sound() && trees.roots.len() == 2);
    let values = vec![-9.0, -3.0, -2.0, 0.0, 0.1, 2.0, 6.0, 7.5, f32::NAN];
    let count =
        |value: &f32| thresholds.iter().filter(|own| value.is_nan() || *value > **own).count();
    let wanted: Vec<f32> = values.iter().map(|value| 11.0 * count(value) as f32).collect();
    let out = single(Operation::Trees(trees), vec![Tensor::matrix(values, 1)]).expect("one");
    assert_eq!(floats(&out), wanted);
}

#[test]
fn a_graph_that_looks_at_the_batch_is_told() {
    let mut graph = Graph::new();
    let x = graph.input("x", Kind::F32, 3);
    let mean = |axes: &[i64]| Operation::Reduce {
        reduction: Reduction::Mean,
        axes: axes.to_vec(),
        keep: true,
    };
    let of_row = graph.node(mean(&[1]), &[x]);
    let less = graph.sub(x, of_row);
    graph.output("by row", less);
    assert_eq!(graph.mixes_rows(), Ok(false));
    let of_batch = graph.node(mean(&[0]), &[x]);
    let less = graph.sub(x, of_batch);
    graph.output("by batch", less);
    assert_eq!(graph.mixes_rows(), Ok(true));
}

#[test]
fn inputs_are_checked() {
    let mut graph = Graph::new();
    let x = graph.input("amount", Kind::F32, 2);
    let doubled = graph.add(x, x);
    graph.output("out", doubled);
    let out = run(&graph, &[Tensor::matrix(vec![1.0, 2.0], 2)]);
    assert_eq!(floats(&out), [2.0, 4.0]);
    let refused = graph.run(&[Tensor::matrix(vec![1.0, 2.0, 3.0], 3)]).expect_err("three");
    assert_eq!(refused.to_string(), "input `amount`: not [rows, 2] of F32");
    assert!(graph.run(&[]).is_err());
}
