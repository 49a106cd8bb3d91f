//! A graph as the bytes of an ONNX file.
//!
//! Operations are spelled one by one. What the graph says with fields of an operation, and operator
//! set 17 with an input of integers (a shape, axes, bounds), becomes an initializer.

mod trees;

use pelton_models::graph::{Binary, Data, Graph, Kind, Operation, Step, Tensor, Unary, Value};
use prost::Message;

use super::FORMAT;
use super::names::Names;
use super::proto::{
    AttributeProto, DimensionProto, GraphProto, ModelProto, NodeProto, OperatorSetIdProto,
    StringStringEntryProto, TensorProto, TensorShapeProto, TensorTypeProto, TypeProto,
    ValueInfoProto, attribute, kind,
};
use crate::ExchangeError;

/// Of these two versions, all that runs them since 2022 runs them.
const OPERATORS: i64 = 17;
const OPERATORS_ML: i64 = 3;
const IR_VERSION: i64 = 8;

/// A graph as an ONNX model, with `about` as its metadata.
///
/// # Shapes
/// Inputs `[N, columns]`, outputs as what the graph gives, `N` where a length follows the rows.
///
/// # Errors
/// [`ExchangeError::Malformed`] for a graph that does not run on rows of zeros, or whose inputs or
/// outputs share a name; [`ExchangeError::Unsupported`] for trees that split by sets of numbers.
pub fn write(graph: &Graph, about: &[(String, String)]) -> Result<Vec<u8>, ExchangeError> {
    let (names, constants) = Names::of(graph).ok_or_else(|| {
        ExchangeError::malformed(FORMAT, "two of its inputs and outputs have one name")
    })?;
    let kinds = kinds(graph);
    let mut writer = Writer { names, graph: GraphProto::default(), at: Vec::new(), kinds };
    writer.graph.name = "pelton".to_owned();
    for (place, (step, constant)) in graph.steps().iter().zip(constants).enumerate() {
        writer.step(graph, place, step, constant)?;
    }
    for (name, value) in graph.outputs() {
        if writer.at[value.index()] != *name {
            let from = writer.at[value.index()].clone();
            writer.node("Identity", vec![from], name.clone(), Vec::new());
        }
    }
    writer.graph.output = outputs(graph)?;
    let entry = |(key, value): &(String, String)| StringStringEntryProto {
        key: key.clone(),
        value: value.clone(),
    };
    let operators =
        |domain: &str, version: i64| OperatorSetIdProto { domain: domain.to_owned(), version };
    let model = ModelProto {
        ir_version: IR_VERSION,
        producer_name: "pelton".to_owned(),
        producer_version: env!("CARGO_PKG_VERSION").to_owned(),
        graph: Some(writer.graph),
        opset_import: vec![operators("", OPERATORS), operators("ai.onnx.ml", OPERATORS_ML)],
        metadata_props: about.iter().map(entry).collect(),
    };
    Ok(model.encode_to_vec())
}

/// A file that is being written.
struct Writer {
    names: Names,
    graph: GraphProto,
    /// The names of the values of the steps so far.
    at: Vec<String>,
    /// The kinds of all values.
    kinds: Vec<Kind>,
}

impl Writer {
    fn step(
        &mut self,
        graph: &Graph,
        place: usize,
        step: &Step,
        constant: Option<String>,
    ) -> Result<(), ExchangeError> {
        let name = match step {
            Step::Input { name, kind, columns } => {
                let dims = vec![DimensionProto::rows(), DimensionProto::known(*columns)];
                self.graph.input.push(value_info(name, *kind, dims));
                name.clone()
            }
            Step::Constant { name, tensor } => {
                let name = constant.unwrap_or_else(|| name.clone());
                self.graph.initializer.push(initializer(name.clone(), tensor));
                name
            }
            Step::Node { operation, inputs } => {
                let is_own = |(_, value): &&(String, Value)| value.index() == place;
                let name = match graph.outputs().iter().find(is_own) {
                    Some((name, _)) => name.clone(),
                    None => self.names.take(&format!("{}_{place}", operation.name())),
                };
                let kind = inputs.first().map(|input| self.kinds[input.index()]);
                let inputs = inputs.iter().map(|input| self.at[input.index()].clone()).collect();
                match (operation, kind) {
                    (Operation::Unary(Unary::Softplus), Some(Kind::F64)) => {
                        self.softplus(inputs, name.clone());
                    }
                    (Operation::Unary(Unary::Relu), Some(Kind::I64)) => {
                        let zero = self.integers("zero", &[0]);
                        self.node("Max", [inputs, vec![zero]].concat(), name.clone(), Vec::new());
                    }
                    _ => self.operation(operation, inputs, name.clone())?,
                }
                name
            }
        };
        self.at.push(name);
        Ok(())
    }

    fn operation(
        &mut self,
        operation: &Operation,
        mut inputs: Vec<String>,
        output: String,
    ) -> Result<(), ExchangeError> {
        let attributes = match operation {
            Operation::Unary(_) | Operation::Binary(_) | Operation::Where | Operation::MatMul => {
                Vec::new()
            }
            Operation::Cast(kind) => vec![int("to", i64::from(number_of(*kind)))],
            Operation::Gather { axis }
            | Operation::Concat { axis }
            | Operation::Softmax { axis } => vec![int("axis", *axis)],
            Operation::Transpose { order } => {
                vec![ints("perm", order.iter().map(|axis| *axis as i64).collect())]
            }
            Operation::Reshape { shape } => {
                inputs.push(self.integers("shape", shape));
                Vec::new()
            }
            Operation::Slice { axis, start, end } => {
                inputs.push(self.integers("starts", &[*start]));
                inputs.push(self.integers("ends", &[*end]));
                inputs.push(self.integers("axes", &[*axis]));
                Vec::new()
            }
            Operation::Unsqueeze { axes } => {
                inputs.push(self.integers("axes", axes));
                Vec::new()
            }
            Operation::Squeeze { axes } => {
                if !axes.is_empty() {
                    inputs.push(self.integers("axes", axes));
                }
                Vec::new()
            }
            Operation::Reduce { axes, keep, .. } => {
                let mut attributes = vec![int("keepdims", i64::from(*keep))];
                match operation.name() {
                    _ if axes.is_empty() => {}
                    // The only one that had changed by then.
                    "ReduceSum" => inputs.push(self.integers("axes", axes)),
                    _ => attributes.push(ints("axes", axes.clone())),
                }
                attributes
            }
            Operation::Trees(trees) => trees::attributes(trees)?,
        };
        self.node(operation.name(), inputs, output, attributes);
        Ok(())
    }

    /// `max(x, 0) + ln(1 + e^-|x|)`: libraries have it for 32-bit floats only.
    fn softplus(&mut self, x: Vec<String>, output: String) {
        let [one, raised, size, less, power, more, rest] =
            ["one", "raised", "size", "less", "power", "more", "rest"]
                .map(|part| self.names.take(&format!("{output}_{part}")));
        let number = Tensor::doubles(vec![1.0]);
        let number = number.clone().reshaped(Vec::new()).unwrap_or(number);
        self.graph.initializer.push(initializer(one.clone(), &number));
        self.node("Relu", x.clone(), raised.clone(), Vec::new());
        self.node("Abs", x, size.clone(), Vec::new());
        self.node("Neg", vec![size], less.clone(), Vec::new());
        self.node("Exp", vec![less], power.clone(), Vec::new());
        self.node("Add", vec![power, one], more.clone(), Vec::new());
        self.node("Log", vec![more], rest.clone(), Vec::new());
        self.node("Add", vec![raised, rest], output, Vec::new());
    }

    /// Integers as an initializer.
    fn integers(&mut self, name: &str, numbers: &[i64]) -> String {
        let name = self.names.take(name);
        let tensor = Tensor::integers(numbers.to_vec());
        self.graph.initializer.push(initializer(name.clone(), &tensor));
        name
    }

    fn node(
        &mut self,
        operation: &str,
        input: Vec<String>,
        output: String,
        attribute: Vec<AttributeProto>,
    ) {
        let is_ml = operation == "TreeEnsembleRegressor";
        self.graph.node.push(NodeProto {
            input,
            name: format!("make_{output}"),
            output: vec![output],
            op_type: operation.to_owned(),
            attribute,
            domain: if is_ml { "ai.onnx.ml".to_owned() } else { String::new() },
        });
    }
}

/// The kind of each value.
fn kinds(graph: &Graph) -> Vec<Kind> {
    let mut kinds: Vec<Kind> = Vec::with_capacity(graph.steps().len());
    for step in graph.steps() {
        let of = |inputs: &[Value], place: usize| {
            inputs.get(place).and_then(|input| kinds.get(input.index())).copied()
        };
        let kind = match step {
            Step::Input { kind, .. } => Some(*kind),
            Step::Constant { tensor, .. } => Some(tensor.kind()),
            Step::Node { operation, inputs } => match operation {
                Operation::Cast(kind) => Some(*kind),
                Operation::Where => of(inputs, 1),
                Operation::Unary(Unary::IsNaN) => Some(Kind::Bool),
                Operation::Binary(
                    Binary::Equal
                    | Binary::Greater
                    | Binary::GreaterOrEqual
                    | Binary::Less
                    | Binary::LessOrEqual,
                ) => Some(Kind::Bool),
                _ => of(inputs, 0),
            },
        };
        kinds.push(kind.unwrap_or(Kind::F32));
    }
    kinds
}

/// The outputs with their shapes: a length that differs for one row and for two follows the rows.
fn outputs(graph: &Graph) -> Result<Vec<ValueInfoProto>, ExchangeError> {
    let [one, two] = [1, 2].map(|rows| {
        let zeros = |(_, _, kind, columns): (Value, &str, Kind, usize)| {
            let count = rows * columns;
            let data = match kind {
                Kind::F32 => Data::F32(vec![0.0; count]),
                Kind::F64 => Data::F64(vec![0.0; count]),
                Kind::I64 => Data::I64(vec![0; count]),
                Kind::Bool => Data::Bool(vec![false; count]),
            };
            Tensor::new(vec![rows, columns], data)
        };
        let inputs = graph.inputs().map(zeros).collect::<Option<Vec<Tensor>>>();
        let inputs = inputs.ok_or_else(|| ExchangeError::malformed(FORMAT, "too many columns"))?;
        graph.run(&inputs).map_err(|error| ExchangeError::malformed(FORMAT, error.to_string()))
    });
    let (one, two) = (one?, two?);
    let output = |((name, _), (one, two)): (&(String, Value), (&Tensor, &Tensor))| {
        let dim = |(one, two): (&usize, &usize)| match one == two {
            true => DimensionProto::known(*one),
            false => DimensionProto::rows(),
        };
        let dims = one.shape().iter().zip(two.shape()).map(dim).collect();
        value_info(name, one.kind(), dims)
    };
    Ok(graph.outputs().iter().zip(one.iter().zip(&two)).map(output).collect())
}

impl DimensionProto {
    fn rows() -> DimensionProto {
        DimensionProto { dim_value: None, dim_param: Some("N".to_owned()) }
    }

    fn known(length: usize) -> DimensionProto {
        DimensionProto { dim_value: Some(length as i64), dim_param: None }
    }
}

fn value_info(name: &str, kind: Kind, dim: Vec<DimensionProto>) -> ValueInfoProto {
    let shape = Some(TensorShapeProto { dim });
    let tensor_type = Some(TensorTypeProto { elem_type: number_of(kind), shape });
    let r#type = Some(TypeProto { tensor_type, sequence_type: None });
    ValueInfoProto { name: name.to_owned(), r#type }
}

fn number_of(own: Kind) -> i32 {
    match own {
        Kind::F32 => kind::FLOAT,
        Kind::F64 => kind::DOUBLE,
        Kind::I64 => kind::INT64,
        Kind::Bool => kind::BOOL,
    }
}

fn initializer(name: String, tensor: &Tensor) -> TensorProto {
    TensorProto {
        dims: tensor.shape().iter().map(|length| *length as i64).collect(),
        data_type: number_of(tensor.kind()),
        name,
        raw_data: Some(little_endian(tensor.data())),
        ..TensorProto::default()
    }
}

/// Numbers as bytes, the lowest first.
pub(crate) fn little_endian(data: &Data) -> Vec<u8> {
    match data {
        Data::F32(own) => own.iter().flat_map(|x| x.to_le_bytes()).collect(),
        Data::F64(own) => own.iter().flat_map(|x| x.to_le_bytes()).collect(),
        Data::I64(own) => own.iter().flat_map(|x| x.to_le_bytes()).collect(),
        Data::Bool(own) => own.iter().map(|x| u8::from(*x)).collect(),
    }
}

fn int(name: &str, number: i64) -> AttributeProto {
    AttributeProto {
        name: name.to_owned(),
        i: Some(number),
        r#type: attribute::INT,
        ..AttributeProto::default()
    }
}

fn ints(name: &str, ints: Vec<i64>) -> AttributeProto {
    AttributeProto {
        name: name.to_owned(),
        ints,
        r#type: attribute::INTS,
        ..AttributeProto::default()
    }
}
