//! Models of other tools against what onnxruntime gives for them, and files that are damaged.

use std::path::PathBuf;

use pelton_kernels::cases::scaled;
use pelton_models::graph::{Data, Graph, Kind, Leaf, Operation, Rule, Tensor, TreeNode, Trees};
use proptest::prelude::*;
use prost::Message;

use super::names::Names;
use super::proto::{ModelProto, NodeProto};
use super::{read, write};
use crate::{Imported, Predicts};

fn folder() -> PathBuf {
    [env!("CARGO_MANIFEST_DIR"), "fixtures", "onnx"].iter().collect()
}

fn bytes(name: &str) -> Vec<u8> {
    std::fs::read(folder().join(format!("{name}.onnx"))).expect("a fixture")
}

fn fixture_names() -> Vec<String> {
    let all = std::fs::read_dir(folder()).expect("fixtures").map(|entry| {
        let name = entry.expect("an entry").file_name().into_string().expect("a name");
        name.strip_suffix(".onnx").map(str::to_owned)
    });
    let mut all: Vec<String> = all.flatten().collect();
    all.sort();
    all
}

fn numbers(rows: &serde_json::Value) -> (usize, Vec<f32>) {
    let rows = rows.as_array().expect("rows");
    let own = rows.iter().flat_map(|row| row.as_array().expect("a row"));
    let own = own.map(|number| number.as_f64().map_or(f32::NAN, |number| number as f32));
    (rows.len(), own.collect())
}

/// What the graph gives for the rows of a fixture, and what it should.
fn scores(name: &str, own: &Imported) -> (Tensor, Vec<f32>) {
    let told = std::fs::read(folder().join(format!("{name}.json"))).expect("rows");
    let told: serde_json::Value = serde_json::from_slice(&told).expect("JSON");
    let input = |(_, name, kind, columns): (_, &str, Kind, usize)| {
        let (rows, numbers) = numbers(&told["inputs"][name]);
        assert_eq!(numbers.len(), rows * columns);
        let data = match kind {
            Kind::F64 => Data::F64(numbers.into_iter().map(f64::from).collect()),
            Kind::I64 => Data::I64(numbers.into_iter().map(|x| x as i64).collect()),
            _ => Data::F32(numbers),
        };
        Tensor::new(vec![rows, columns], data).expect("rows")
    };
    let inputs: Vec<Tensor> = own.graph.inputs().map(input).collect();
    let scores = own.graph.run(&inputs).expect("it runs").remove(0);
    (scores, numbers(&told["expected"]).1)
}

#[test]
fn models_of_other_tools_give_what_onnxruntime_gives() {
    let names = fixture_names();
    assert!(names.len() > 40, "{} fixtures", names.len());
    let mut faults = Vec::new();
    let mut largest = 0.0_f32;
    for name in names {
        let own = match read(&bytes(&name), None) {
            Ok(own) => own,
            Err(error) => {
                faults.push(format!("{name}: {error}"));
                continue;
            }
        };
        let (scores, expected) = scores(&name, &own);
        let scores = scores.as_f32().expect("floats");
        if scores.len() != expected.len() {
            faults.push(format!("{name}: {} numbers for {}", scores.len(), expected.len()));
            continue;
        }
        for (at, (own, there)) in scores.iter().zip(&expected).enumerate() {
            let difference = (own - there).abs() / there.abs().max(1.0);
            if own.is_nan() && there.is_nan() {
                continue;
            }
            if difference.is_nan() || difference > 1e-5 {
                faults.push(format!("{name}, number {at}: {own} for {there}"));
                break;
            }
            largest = largest.max(difference);
        }
        assert_eq!(own.graph.mixes_rows(), Ok(false), "{name}");
    }
    assert!(faults.is_empty(), "{} faults:\n{}", faults.len(), faults.join("\n"));
    eprintln!("largest difference {largest:e}");
}

#[test]
fn what_a_model_predicts_is_told() {
    let predicts = |name: &str| read(&bytes(name), None).expect("a fixture").predicts;
    for name in ["logistic", "forest_three", "boosting", "network", "torch", "lightgbm"] {
        assert_eq!(predicts(name), Predicts::Probabilities, "{name}");
    }
    for name in ["forest_value", "regression", "lightgbm_value"] {
        assert_eq!(predicts(name), Predicts::Value, "{name}");
    }
    assert_eq!(predicts("pieces"), Predicts::Unknown);
    let pieces = read(&bytes("pieces"), None).expect("a fixture");
    assert_eq!(pieces.columns, [None, Some(vec!["z".to_owned()])]);
    let columns = read(&bytes("by_column"), None).expect("a fixture").columns;
    let columns: Vec<String> = columns.into_iter().flatten().flatten().collect();
    assert_eq!(columns, ["age", "price", "rate"]);
}

fn message(bytes: &[u8], output: Option<&str>) -> String {
    read(bytes, output).expect_err("it cannot be read").to_string()
}

/// A fixture with its parts exchanged.
fn changed(name: &str, change: impl FnOnce(&mut ModelProto)) -> Vec<u8> {
    let mut model = ModelProto::decode(bytes(name).as_slice()).expect("a model");
    change(&mut model);
    model.encode_to_vec()
}

#[test]
fn what_is_not_supported_is_named() {
    let told = message(&bytes("logistic_plain"), Some("none"));
    assert!(told.contains("no output `none`, but `label`, `probabilities`"), "{told}");
    let told = message(&bytes("logistic_plain"), Some("label"));
    assert!(told.contains("`label`") || told.contains("output_label"), "{told}");
    let twice = changed("torch", |model| {
        let nodes = &mut model.graph.as_mut().expect("a graph").node;
        nodes[0].op_type = "Conv".into();
        nodes[0].name = "first".into();
        nodes[2].op_type = "LSTM".into();
    });
    let told = message(&twice, None);
    assert!(told.contains("Conv (node `first`), LSTM (node `r1`)"), "{told}");
    let text = changed("torch", |model| {
        let input = &mut model.graph.as_mut().expect("a graph").input[0];
        let own = input.r#type.as_mut().expect("a type").tensor_type.as_mut();
        own.expect("a tensor").elem_type = 8;
    });
    let told = message(&text, None);
    assert!(told.contains("input `x`: text"), "{told}");
    let unclear = changed("torch", |model| {
        let outputs = &mut model.graph.as_mut().expect("a graph").output;
        let mut other = outputs[0].clone();
        other.name = "h2".into();
        outputs.push(other);
    });
    assert!(message(&unclear, None).contains("name one of `y`, `h2`"));
    assert!(read(&unclear, Some("h2")).is_ok());
}

#[test]
fn a_batch_of_one_that_was_written_down_is_refused() {
    let fixed = changed("old", |model| {
        let graph = model.graph.as_mut().expect("a graph");
        let flatten = graph.node.iter_mut().find(|node| node.op_type == "Flatten");
        flatten.expect("one").attribute = vec![super::proto::AttributeProto {
            name: "axis".into(),
            i: Some(0),
            ..Default::default()
        }];
    });
    assert!(read(&fixed, None).is_err());
}

#[test]
fn sizes_that_no_memory_has_are_refused() {
    let large = changed("torch", |model| {
        let graph = model.graph.as_mut().expect("a graph");
        graph.initializer[0].dims = vec![1 << 40, 1 << 40];
    });
    assert!(message(&large, None).contains("initializer"));
    let wide = changed("torch", |model| {
        let graph = model.graph.as_mut().expect("a graph");
        let shape = graph.initializer.iter_mut().find(|own| own.name == "minus").expect("one");
        shape.raw_data = Some((1_i64 << 40).to_le_bytes().to_vec());
        graph.node[4] = NodeProto {
            input: vec!["minus".into()],
            output: vec!["d1".into()],
            op_type: "ConstantOfShape".into(),
            ..NodeProto::default()
        };
    });
    assert!(read(&wide, None).is_err());
}

#[test]
fn names_are_given_once() {
    let mut names = Names::default();
    let taken = ["a", "a_2", "a", "a", "b"].map(|name| names.take(name));
    assert_eq!(taken, ["a", "a_2", "a_3", "a_4", "b"]);
    let mut graph = Graph::new();
    let x = graph.input("x", Kind::F32, 1);
    graph.output("x", x);
    assert!(write(&graph, &[]).is_err());
}

#[test]
fn sets_of_categories_are_not_written() {
    let mut trees = Trees { base: vec![0.0], roots: vec![0], ..Trees::default() };
    let rule = Rule::OneOf(vec![5]);
    let (column, is_missing_left, left, right) = (0, true, 1, 2);
    trees.nodes.push(TreeNode::Split { column, rule, is_missing_left, left, right });
    trees.leaf([Leaf { output: 0, value: 1.0 }]);
    trees.leaf([]);
    let mut graph = Graph::new();
    let x = graph.input("x", Kind::F32, 1);
    let y = graph.node(Operation::Trees(trees), &[x]);
    graph.output("y", y);
    let told = write(&graph, &[]).expect_err("sets").to_string();
    assert!(told.contains("sets of categories"), "{told}");
}

#[test]
fn a_written_model_says_what_it_is() {
    let mut graph = Graph::new();
    let x = graph.input("x", Kind::F32, 2);
    let weights = Tensor::new(vec![2, 1], Data::F32(vec![1.0, 2.0])).expect("two");
    let weights = graph.constant("weights", weights);
    let y = graph.multiply(x, weights);
    let p = graph.sigmoid(y);
    graph.output("scores", p);
    let about = [("name".to_owned(), "tried".to_owned())];
    let written = write(&graph, &about).expect("it is written");
    let model = ModelProto::decode(written.as_slice()).expect("a model");
    assert_eq!((model.ir_version, model.producer_name.as_str()), (8, "pelton"));
    assert_eq!(model.metadata_props[0].value, "tried");
    let again = read(&written, None).expect("it is read");
    assert_eq!((again.graph, again.predicts), (graph, Predicts::Probability));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(scaled(64)))]

    /// Any bytes are a model or an error.
    #[test]
    fn damaged_files_are_errors(
        which in 0_usize..1000,
        cut in 0.0_f64..1.0,
        flips in prop::collection::vec((0.0_f64..1.0, 0_u8..8), 0..6),
    ) {
        let names = fixture_names();
        let mut bytes = bytes(&names[which % names.len()]);
        let at = |part: f64, length: usize| (part * length as f64) as usize;
        for (place, bit) in flips {
            let place = at(place, bytes.len());
            bytes[place] ^= 1 << bit;
        }
        let shorter = bytes[..at(cut, bytes.len())].to_vec();
        for bytes in [bytes, shorter] {
            if let Ok(own) = read(&bytes, None) {
                let zeros = |(_, _, kind, columns): (_, &str, Kind, usize)| match kind {
                    Kind::F32 => Tensor::matrix(vec![0.0; 3 * columns], columns),
                    _ => Tensor::integers(vec![0; 3]),
                };
                let inputs: Vec<Tensor> = own.graph.inputs().map(zeros).collect();
                let _ = own.graph.run(&inputs);
            }
        }
    }
}
