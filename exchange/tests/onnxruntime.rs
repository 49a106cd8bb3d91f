//! Written graphs give in onnxruntime what they give here: every operation, kinds and shapes of all
//! sorts, trees with missing values.
//!
//! The environment variable PELTON_PYTHON names a Python with onnxruntime (scripts/python makes
//! one); without it nothing is tested, loudly.

use std::path::Path;
use std::process::Command;

use pelton_exchange::{onnx, safetensors};
use pelton_models::graph::{
    Binary, Data, Graph, Kind, Leaf, Operation, Reduction, Rule, Tensor, TreeNode, Trees, Unary,
    Value,
};

const ROWS: usize = 5;
const KINDS: [Kind; 4] = [Kind::F32, Kind::F64, Kind::I64, Kind::Bool];

/// Graphs by name, each with what it is given.
type Cases = Vec<(String, Graph, Vec<Tensor>)>;

#[test]
fn onnxruntime_gives_the_same() {
    let Some(python) = std::env::var_os("PELTON_PYTHON") else {
        eprintln!("SKIPPED: onnxruntime is not there: set PELTON_PYTHON, see scripts/python");
        return;
    };
    let mut cases = Cases::new();
    on_each(&mut cases);
    on_pairs(&mut cases);
    others(&mut cases);
    reductions(&mut cases);
    trees(&mut cases);
    let folder = tempfile::tempdir().expect("a folder");
    for (name, graph, inputs) in &cases {
        write(&folder.path().join(name), graph, inputs);
    }
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/onnxruntime_scores.py");
    let ended = Command::new(python).arg(script).arg(folder.path()).status();
    assert!(ended.expect("PELTON_PYTHON runs").success());
    let mut faults = Vec::new();
    let mut largest = 0.0_f64;
    for (name, graph, inputs) in &cases {
        let here = graph.run(inputs).expect("it runs");
        match compare(&folder.path().join(name), &here) {
            Ok(difference) => largest = largest.max(difference),
            Err(fault) => faults.push(format!("{name}: {fault}")),
        }
        let name_of_case = name.as_str();
        // The way back gives the same bits, for each output.
        for (name, value) in graph.outputs() {
            let place = graph.outputs().iter().position(|(_, own)| own == value);
            let place = place.expect("it is one");
            let bytes = onnx::write(graph, &[]).expect("it is written");
            let again = onnx::read(&bytes, Some(name)).map_err(|error| error.to_string());
            match again.and_then(|own| own.graph.run(inputs).map_err(|error| error.to_string())) {
                Ok(own) if bits(&own[0]) == bits(&here[place]) => {}
                // Written as other operations: libraries do not have this one.
                Ok(_) if name_of_case == "Softplus_F64" => {}
                Ok(own) => faults.push(format!("{name}: {:?} for {:?}", own[0], here[place])),
                // What gives no row for each row is no model.
                Err(_) if here[place].shape().first() != inputs[0].shape().first() => {}
                Err(error) => faults.push(format!("{name_of_case}: {name}: {error}")),
            }
        }
    }
    assert!(faults.is_empty(), "{} faults:\n{}", faults.len(), faults.join("\n"));
    eprintln!("{} graphs, largest difference {largest:e}", cases.len());
}

fn write(folder: &Path, graph: &Graph, inputs: &[Tensor]) {
    std::fs::create_dir(folder).expect("a folder");
    let save = |name: String, bytes: Vec<u8>| {
        std::fs::write(folder.join(name), bytes).expect("it is written");
    };
    let about = [("made by".to_owned(), "a test".to_owned())];
    save("model.onnx".into(), onnx::write(graph, &about).expect("it is written"));
    let mut told = Vec::new();
    for (place, ((_, name, kind, _), tensor)) in graph.inputs().zip(inputs).enumerate() {
        let kind = format!("{kind:?}");
        told.push(serde_json::json!({"name": name, "kind": kind, "shape": tensor.shape()}));
        save(format!("input_{place}.bin"), bytes(tensor.data()));
    }
    save("weights.safetensors".into(), safetensors::write(graph, &about).expect("it is written"));
    save("inputs.json".into(), serde_json::to_vec(&told).expect("JSON"));
}

fn bytes(data: &Data) -> Vec<u8> {
    match data {
        Data::F32(own) => own.iter().flat_map(|x| x.to_le_bytes()).collect(),
        Data::F64(own) => own.iter().flat_map(|x| x.to_le_bytes()).collect(),
        Data::I64(own) => own.iter().flat_map(|x| x.to_le_bytes()).collect(),
        Data::Bool(own) => own.iter().map(|x| u8::from(*x)).collect(),
    }
}

/// Bits, and NaN of any sort as one; shapes are compared elsewhere.
fn bits(tensor: &Tensor) -> Vec<u64> {
    let one = |x: f64| if x.is_nan() { u64::MAX } else { x.to_bits() };
    doubles(tensor.data()).into_iter().map(one).collect()
}

fn doubles(data: &Data) -> Vec<f64> {
    match data {
        Data::F32(own) => own.iter().map(|x| f64::from(*x)).collect(),
        Data::F64(own) => own.clone(),
        Data::I64(own) => own.iter().map(|x| *x as f64).collect(),
        Data::Bool(own) => own.iter().map(|x| f64::from(u8::from(*x))).collect(),
    }
}

/// The largest difference, relative to numbers over 1.
fn compare(folder: &Path, here: &[Tensor]) -> Result<f64, String> {
    if let Ok(error) = std::fs::read_to_string(folder.join("error.txt")) {
        return Err(error);
    }
    let told = std::fs::read(folder.join("outputs.json")).map_err(|error| error.to_string())?;
    let told: Vec<serde_json::Value> = serde_json::from_slice(&told).expect("JSON");
    let mut largest = 0.0_f64;
    for (place, (told, here)) in told.iter().zip(here).enumerate() {
        let shape: Vec<usize> = serde_json::from_value(told["shape"].clone()).expect("a shape");
        let kind = format!("{:?}", here.kind());
        // All of a tensor in one number: a list of one there.
        let is_one = shape == [1] && here.shape().is_empty();
        if !(shape == here.shape() || is_one) || told["kind"] != kind {
            return Err(format!("output {place}: {told}, here {:?} {kind}", here.shape()));
        }
        let raw = std::fs::read(folder.join(format!("output_{place}.bin"))).expect("an output");
        let there: Vec<f64> = match here.kind() {
            Kind::F32 => numbers(&raw, |raw: [u8; 4]| f64::from(f32::from_le_bytes(raw))),
            Kind::F64 => numbers(&raw, f64::from_le_bytes),
            Kind::I64 => numbers(&raw, |raw: [u8; 8]| i64::from_le_bytes(raw) as f64),
            Kind::Bool => numbers(&raw, |[raw]: [u8; 1]| f64::from(raw)),
        };
        for (at, (there, here)) in there.iter().zip(doubles(here.data())).enumerate() {
            if there.is_nan() && here.is_nan() || *there == here {
                continue;
            }
            let difference = (there - here).abs() / here.abs().max(1.0);
            if difference.is_nan() || difference > 1e-6 {
                return Err(format!("output {place}, number {at}: {there}, here {here}"));
            }
            largest = largest.max(difference);
        }
    }
    Ok(largest)
}

fn numbers<const BYTES: usize>(raw: &[u8], one: impl Fn([u8; BYTES]) -> f64) -> Vec<f64> {
    raw.chunks_exact(BYTES).map(|raw| one(raw.try_into().expect("as many"))).collect()
}

/// Numbers of all signs and sizes, other ones for another seed.
fn numbers_of(kind: Kind, shape: &[usize], seed: usize) -> Tensor {
    let count: usize = shape.iter().product();
    let number = |at: usize| ((at * 37 + seed * 11) % 41) as f64 / 4.0 - 4.25;
    let data = match kind {
        Kind::F32 => Data::F32((0..count).map(|at| number(at) as f32).collect()),
        Kind::F64 => Data::F64((0..count).map(number).collect()),
        // Never 0: what a division by it gives differs.
        Kind::I64 => Data::I64((0..count).map(|at| (number(at).floor() as i64) * 2 + 1).collect()),
        Kind::Bool => Data::Bool((0..count).map(|at| number(at) > 0.5).collect()),
    };
    Tensor::new(shape.to_vec(), data).expect("as many")
}

/// Adds a case if the graph runs here: what it refuses is not spelled either.
fn add(cases: &mut Cases, name: &str, graph: Graph, inputs: Vec<Tensor>) {
    if graph.run(&inputs).is_ok() {
        cases.push((name.to_owned(), graph, inputs));
    }
}

fn on_each(cases: &mut Cases) {
    for kind in KINDS {
        for own in Unary::ALL {
            let mut graph = Graph::new();
            let x = graph.input("x", kind, 7);
            let y = graph.node(Operation::Unary(own), &[x]);
            graph.output("y", y);
            let given = numbers_of(kind, &[ROWS, 7], 1);
            add(cases, &format!("{}_{kind:?}", own.name()), graph, vec![given]);
        }
    }
}

fn on_pairs(cases: &mut Cases) {
    let shapes: [&[usize]; 6] = [&[], &[1], &[3], &[1, 3], &[1, 1, 3], &[2, 1, 1]];
    for kind in KINDS {
        for own in Binary::ALL {
            let mut graph = Graph::new();
            let a = graph.input("a", kind, 3);
            let b = graph.input("b", kind, 3);
            let column = graph.input("c", kind, 1);
            let operation = || Operation::Binary(own);
            let mut values = vec![
                graph.node(operation(), &[a, b]),
                graph.node(operation(), &[a, column]),
                graph.node(operation(), &[column, a]),
            ];
            for shape in shapes {
                let constant = graph.constant("same", numbers_of(kind, shape, 5));
                values.push(graph.node(operation(), &[a, constant]));
                values.push(graph.node(operation(), &[constant, a]));
            }
            name_all(&mut graph, &values);
            let given = [3, 3, 1].map(|width| numbers_of(kind, &[ROWS, width], width));
            add(cases, &format!("{}_{kind:?}", own.name()), graph, given.to_vec());
        }
    }
}

fn name_all(graph: &mut Graph, values: &[Value]) {
    for (place, value) in values.iter().enumerate() {
        graph.output(&format!("y{place}"), *value);
    }
}

fn others(cases: &mut Cases) {
    for kind in KINDS {
        let mut graph = Graph::new();
        let x = graph.input("x", kind, 4);
        let mut values: Vec<Value> = KINDS.map(|to| graph.node(Operation::Cast(to), &[x])).to_vec();
        let high = graph.node(Operation::Unsqueeze { axes: vec![1, -1] }, &[x]);
        let cube = graph.node(Operation::Reshape { shape: vec![0, 2, -1] }, &[x]);
        let rows = graph.integer(-1);
        let places = numbers_of(Kind::I64, &[2, 1], 3);
        let places = graph.constant("places", cut(places, 4));
        values.extend([
            high,
            cube,
            graph.node(Operation::Squeeze { axes: vec![] }, &[high]),
            graph.node(Operation::Squeeze { axes: vec![-1] }, &[high]),
            graph.node(Operation::Transpose { order: vec![2, 0, 1] }, &[cube]),
            graph.node(Operation::Slice { axis: -1, start: -3, end: 99 }, &[x]),
            graph.node(Operation::Slice { axis: 1, start: 0, end: -1 }, &[cube]),
            graph.node(Operation::Gather { axis: 1 }, &[x, places]),
            graph.node(Operation::Gather { axis: -1 }, &[x, rows]),
            graph.node(Operation::Concat { axis: 1 }, &[x, x]),
            graph.node(Operation::Concat { axis: -1 }, &[cube, cube, cube]),
            x,
        ]);
        name_all(&mut graph, &values);
        add(cases, &format!("moved_{kind:?}"), graph, vec![numbers_of(kind, &[ROWS, 4], 2)]);
        let mut graph = Graph::new();
        let which = graph.input("which", Kind::Bool, 3);
        let [a, b] = ["a", "b"].map(|name| graph.input(name, kind, 3));
        let row = graph.constant("row", numbers_of(kind, &[1, 3], 9));
        let values = [
            graph.node(Operation::Where, &[which, a, b]),
            graph.node(Operation::Where, &[which, row, b]),
        ];
        name_all(&mut graph, &values);
        let given = [Kind::Bool, kind, kind].map(|kind| numbers_of(kind, &[ROWS, 3], 4));
        add(cases, &format!("Where_{kind:?}"), graph, given.to_vec());
    }
}

/// Integers brought to places of an axis, from either end.
fn cut(tensor: Tensor, length: i64) -> Tensor {
    let Data::I64(own) = tensor.data() else { panic!("integers") };
    let data = Data::I64(own.iter().map(|x| x % length).collect());
    Tensor::new(tensor.shape().to_vec(), data).expect("as many")
}

fn reductions(cases: &mut Cases) {
    for kind in [Kind::F32, Kind::F64] {
        for reduction in Reduction::ALL {
            let mut graph = Graph::new();
            let x = graph.input("x", kind, 6);
            let cube = graph.node(Operation::Reshape { shape: vec![-1, 2, 3] }, &[x]);
            let mut values = Vec::new();
            for keep in [false, true] {
                for axes in [vec![], vec![-1], vec![1, 2], vec![0]] {
                    let operation = Operation::Reduce { reduction, axes, keep };
                    values.push(graph.node(operation, &[cube]));
                }
            }
            name_all(&mut graph, &values);
            let given = numbers_of(kind, &[ROWS, 6], 3);
            add(cases, &format!("{}_{kind:?}", reduction.name()), graph, vec![given]);
        }
        let mut graph = Graph::new();
        let x = graph.input("x", kind, 6);
        let cube = graph.node(Operation::Reshape { shape: vec![-1, 2, 3] }, &[x]);
        let weights = graph.constant("weights", numbers_of(kind, &[3, 4], 2));
        let turned = graph.node(Operation::Transpose { order: vec![0, 2, 1] }, &[cube]);
        let mut values = vec![
            graph.node(Operation::MatMul, &[cube, weights]),
            graph.node(Operation::MatMul, &[cube, turned]),
        ];
        if kind == Kind::F32 {
            values.extend([x, cube].map(|x| graph.node(Operation::Softmax { axis: -1 }, &[x])));
        }
        name_all(&mut graph, &values);
        add(cases, &format!("MatMul_{kind:?}"), graph, vec![numbers_of(kind, &[ROWS, 6], 3)]);
    }
}

fn trees(cases: &mut Cases) {
    for (name, outputs, count) in [("one", 1, 4_u32), ("some", 3, 5), ("none", 2, 0)] {
        let mut own = Trees { base: vec![0.25; outputs], ..Trees::default() };
        for tree in 0..count {
            own.roots.push(own.nodes.len() as u32);
            let first = own.nodes.len() as u32;
            // The last tree is one leaf.
            let splits = if tree + 1 == count { 0 } else { 3 };
            for split in 0..splits {
                let threshold = (tree * 3 + split) as f32 / 2.0 - 2.0;
                own.nodes.push(TreeNode::Split {
                    column: (tree + split) % 4,
                    rule: match split % 2 {
                        0 => Rule::LessOrEqual(threshold),
                        _ => Rule::Less(threshold),
                    },
                    is_missing_left: (tree + split) % 2 == 0,
                    left: first + 2 * split + 1,
                    right: first + 2 * split + 2,
                });
            }
            for leaf in 0..=splits {
                // One leaf adds nothing at all.
                let values = (0..outputs as u32).map(|output| Leaf {
                    output,
                    value: f64::from(tree * 5 + leaf + output) / 8.0,
                });
                own.leaf(values.filter(|_| leaf != 2));
            }
        }
        let mut graph = Graph::new();
        let x = graph.input("x", Kind::F32, 4);
        let y = graph.node(Operation::Trees(own), &[x]);
        graph.output("scores", y);
        let Data::F32(mut given) = numbers_of(Kind::F32, &[40, 4], 7).data().clone() else {
            panic!("floats")
        };
        given.iter_mut().step_by(3).for_each(|x| *x = f32::NAN);
        add(cases, &format!("trees_{name}"), graph, vec![Tensor::matrix(given, 4)]);
    }
}
