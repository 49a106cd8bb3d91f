//! Files that the library of the format reads: every number where its name says.

use pelton_models::graph::{Data, Graph, Kind, Leaf, Operation, Rule, Tensor, TreeNode, Trees};

use super::write;

fn graph() -> Graph {
    let mut graph = Graph::new();
    let x = graph.input("x", Kind::F32, 3);
    let mut trees = Trees { base: vec![0.5], roots: vec![0], ..Trees::default() };
    let rule = Rule::OneOf(vec![5, 7]);
    let (column, is_missing_left, left, right) = (2, true, 1, 2);
    trees.nodes.push(TreeNode::Split { column, rule, is_missing_left, left, right });
    trees.leaf([Leaf { output: 0, value: 1.25 }]);
    trees.leaf([]);
    let first = graph.node(Operation::Trees(trees.clone()), &[x]);
    let second = graph.node(Operation::Trees(trees), &[first]);
    let truths = Tensor::new(vec![3], Data::Bool(vec![true, false, true])).expect("three");
    graph.constant("weights", truths);
    graph.within("deep", |graph| {
        graph.constant("weights", Tensor::matrix(vec![1.0, -2.0, 3.5, 4.0], 2));
        graph.constant("weights", Tensor::doubles(vec![1e-300]))
    });
    graph.output("y", second);
    graph
}

#[test]
fn the_library_reads_what_is_written() {
    let about = [("b", "more"), ("a", "\"text\"\n")].map(|(a, b)| (a.to_owned(), b.to_owned()));
    let bytes = write(&graph(), &about).expect("it is written");
    assert_eq!(bytes, write(&graph(), &about).expect("it is written"));
    let (_, header) = safetensors::SafeTensors::read_metadata(&bytes).expect("a header");
    assert_eq!(header.metadata().as_ref().expect("texts")["a"], "\"text\"\n");
    let all = safetensors::SafeTensors::deserialize(&bytes).expect("a file");
    let own = |name: &str| all.tensor(name).unwrap_or_else(|_| panic!("{name}"));
    assert_eq!(own("weights").data(), [1, 0, 1]);
    assert_eq!(own("deep.weights").shape(), [2, 2]);
    let floats = [1.0_f32, -2.0, 3.5, 4.0].map(f32::to_le_bytes).concat();
    assert_eq!(own("deep.weights").data(), floats);
    assert_eq!(own("deep.weights_2").data(), 1e-300_f64.to_le_bytes());
    let integers = |own: [i64; 3]| own.map(i64::to_le_bytes).concat();
    assert_eq!(own("trees.columns").data(), integers([2, -1, -1]));
    assert_eq!(own("trees_2.rules").data(), integers([2, 0, 0]));
    assert_eq!(own("trees.counts").data(), integers([2, 1, 0]));
    assert_eq!(own("trees.leaf_values").data(), 1.25_f64.to_le_bytes());
    assert_eq!(own("trees.is_missing_left").data(), [1, 0, 0]);
    assert_eq!(all.len(), 3 + 2 * 13);
}

#[test]
fn a_graph_of_no_numbers_is_a_file() {
    let mut graph = Graph::new();
    let x = graph.input("x", Kind::F32, 1);
    graph.output("y", x);
    let bytes = write(&graph, &[]).expect("it is written");
    assert!(safetensors::SafeTensors::deserialize(&bytes).expect("a file").is_empty());
}
