//! An ONNX file as a graph: the nodes that lead to one output, each lowered to a few operations.
//!
//! Files may have any operator set from 7 on as far as their nodes are known; old and new forms of
//! a node are told apart by whether a setting is an attribute or an input. Weights must lie within
//! the file.

mod basic;
mod build;
mod call;
mod dense;
mod layout;
mod learned;
mod outputs;
mod reduced;
mod tensors;
mod trees;

use std::collections::{BTreeMap, BTreeSet};

use pelton_models::graph::{Kind, Operation};
use prost::Message;

use super::FORMAT;
use super::proto::{
    GraphProto, ModelProto, NodeProto, StringStringEntryProto, ValueInfoProto, kind,
};
use crate::{ExchangeError, Imported, Predicts};
use build::{Build, Item};
use call::Call;

/// More columns than this no input has.
const COLUMNS_MAX: usize = 1 << 20;

/// The model in an ONNX file that gives `output`; where none is named the only one, else the one
/// that is called as probabilities or scores are, else the only one of floats.
///
/// # Shapes
/// Inputs `[rows, columns]`, also where the file takes `[rows]`, or more axes than two; an output
/// `[rows]` becomes `[rows, 1]`, and more axes than two become columns.
///
/// # Errors
/// [`ExchangeError::Malformed`] for damaged bytes, or nodes that do not fit each other;
/// [`ExchangeError::Unsupported`] for operations, inputs or settings that are not lowered: all
/// operations of that sort are named at once.
pub fn read(bytes: &[u8], output: Option<&str>) -> Result<Imported, ExchangeError> {
    let model = ModelProto::decode(bytes)
        .map_err(|error| ExchangeError::malformed(FORMAT, error.to_string()))?;
    let graph = model.graph.as_ref();
    let graph = graph.ok_or_else(|| ExchangeError::malformed(FORMAT, "it has no graph"))?;
    let name = outputs::choose(graph, output)?;
    let needed = needed(graph, &name);
    all_are_known(&needed)?;
    let used: BTreeSet<&str> =
        needed.iter().flat_map(|node| &node.input).map(String::as_str).collect();
    let mut build = Build::of(bytes.len());
    let mut values: BTreeMap<&str, Item> = BTreeMap::new();
    let is_used = |own: &str| used.contains(own) || own == name;
    for tensor in graph.initializer.iter().filter(|tensor| is_used(&tensor.name)) {
        let own = tensors::tensor(tensor).map_err(|reason| {
            ExchangeError::malformed(FORMAT, format!("initializer `{}`: {reason}", tensor.name))
        })?;
        values.insert(&tensor.name, build.constant(&tensor.name, own));
    }
    let mut columns = Vec::new();
    // Every input stays one, used or not: rows are given to all of them.
    let initializers: BTreeSet<&str> =
        graph.initializer.iter().map(|tensor| tensor.name.as_str()).collect();
    for input in graph.input.iter().filter(|own| !initializers.contains(own.name.as_str())) {
        let (item, own) = give(&mut build, input, is_used(&input.name))?;
        columns.push(told_columns(&model, &input.name).or(own));
        values.insert(&input.name, item);
    }
    for node in needed {
        let inputs = node.input.iter().map(|input| values.get(input.as_str()).cloned()).collect();
        let set = model.opset_import.iter().find(|set| domain(&set.domain) == domain(&node.domain));
        let version = set.map_or(1, |set| set.version);
        let call = Call { build: &mut build, node, inputs, version };
        let lowered = lower(call).map_err(|reason| {
            let what = format!("{} `{}`: {reason}", node.op_type, node_name(node));
            ExchangeError::unsupported(FORMAT, what)
        })?;
        for (name, item) in node.output.iter().zip(lowered) {
            if let (false, Some(item)) = (name.is_empty(), item) {
                values.insert(name, item);
            }
        }
    }
    let item = values.get(name.as_str()).ok_or_else(|| {
        ExchangeError::unsupported(FORMAT, format!("output `{name}`: not numbers, or a label"))
    })?;
    let predicts = outputs::finish(&mut build, &name, item).map_err(|reason| {
        ExchangeError::unsupported(FORMAT, format!("output `{name}`: {reason}"))
    })?;
    let pair = |own: &StringStringEntryProto| (own.key.clone(), own.value.clone());
    let about = model.metadata_props.iter().map(pair).collect();
    Ok(Imported { graph: build.graph, predicts, columns, about })
}

/// The names of an input's columns where the file's metadata tell them, as files written here do: a
/// JSON list by `columns.INPUT`.
fn told_columns(model: &ModelProto, input: &str) -> Option<Vec<String>> {
    let key = format!("columns.{input}");
    let told = model.metadata_props.iter().find(|own| own.key == key)?;
    serde_json::from_str(&told.value).ok()
}

fn domain(domain: &str) -> &str {
    if domain == "ai.onnx" { "" } else { domain }
}

fn node_name(node: &NodeProto) -> &str {
    match (node.name.as_str(), node.output.first()) {
        ("", Some(output)) => output,
        (name, _) => name,
    }
}

/// The nodes that lead to a value, in the order of the file.
fn needed<'a>(graph: &'a GraphProto, output: &str) -> Vec<&'a NodeProto> {
    let mut wanted: BTreeSet<&str> = BTreeSet::from([output]);
    let mut needed = Vec::new();
    for node in graph.node.iter().rev() {
        if node.output.iter().any(|own| !own.is_empty() && wanted.contains(own.as_str())) {
            wanted.extend(node.input.iter().map(String::as_str).filter(|own| !own.is_empty()));
            needed.push(node);
        }
    }
    needed.reverse();
    needed
}

/// Names all operations that are not lowered.
fn all_are_known(nodes: &[&NodeProto]) -> Result<(), ExchangeError> {
    let is_known = |node: &&&NodeProto| {
        let name = node.op_type.as_str();
        match node.domain.as_str() {
            "" | "ai.onnx" => {
                basic::NAMES.contains(&name)
                    || layout::NAMES.contains(&name)
                    || dense::NAMES.contains(&name)
                    || reduced::NAMES.contains(&name)
                    || basic::unary(name).is_some()
                    || basic::binary(name).is_some()
            }
            "ai.onnx.ml" => {
                learned::NAMES.contains(&name)
                    || trees::NAMES.contains(&name)
                    || ["ArrayFeatureExtractor", "OneHotEncoder"].contains(&name)
            }
            _ => false,
        }
    };
    let mut unknown: BTreeMap<&str, &str> = BTreeMap::new();
    for node in nodes.iter().filter(|node| !is_known(node)) {
        unknown.entry(&node.op_type).or_insert_with(|| node_name(node));
    }
    if unknown.is_empty() {
        return Ok(());
    }
    let each = unknown.iter().map(|(operation, name)| format!("{operation} (node `{name}`)"));
    let each = each.collect::<Vec<String>>().join(", ");
    Err(ExchangeError::unsupported(FORMAT, format!("operations {each}")))
}

/// An input of the graph, and the names of its columns.
fn give(
    build: &mut Build,
    input: &ValueInfoProto,
    is_used: bool,
) -> Result<(Item, Option<Vec<String>>), ExchangeError> {
    let name = &input.name;
    let unsupported =
        |what: String| ExchangeError::unsupported(FORMAT, format!("input `{name}`: {what}"));
    let tensor = input.r#type.as_ref().and_then(|own| own.tensor_type.as_ref());
    let tensor = tensor.ok_or_else(|| unsupported("not a tensor".to_owned()))?;
    let kind = kind_of(tensor.elem_type).map_err(unsupported)?;
    let dims = tensor.shape.as_ref().map(|shape| shape.dim.as_slice());
    let [_, rest @ ..] = dims.unwrap_or_default() else {
        return Err(unsupported("its shape does not tell its columns".to_owned()));
    };
    let length = |length: Option<i64>| length.and_then(|own| usize::try_from(own).ok());
    let lengths = rest.iter().map(|dim| length(dim.dim_value)).collect::<Option<Vec<usize>>>();
    let columns = lengths
        .as_ref()
        .and_then(|lengths| lengths.iter().try_fold(1_usize, |all, own| all.checked_mul(*own)));
    let columns = columns.filter(|columns| (1..=COLUMNS_MAX).contains(columns));
    let columns =
        columns.ok_or_else(|| unsupported("its shape does not tell its columns".to_owned()))?;
    let mut item = build.input(name, kind, columns).map_err(unsupported)?;
    if rest.len() != 1 && is_used {
        let shape = std::iter::once(-1).chain(rest.iter().filter_map(|dim| dim.dim_value));
        let shape = Operation::Reshape { shape: shape.collect() };
        item = build.node(shape, &[&item]).map_err(unsupported)?;
    }
    Ok((item, (columns == 1).then(|| vec![name.clone()])))
}

/// The kind of a kind's number.
fn kind_of(number: i32) -> Result<Kind, String> {
    match number {
        kind::FLOAT => Ok(Kind::F32),
        kind::DOUBLE => Ok(Kind::F64),
        kind::BOOL => Ok(Kind::Bool),
        kind::INT64 | kind::INT32 | kind::INT16 | kind::INT8 | kind::UINT16 | kind::UINT8 => {
            Ok(Kind::I64)
        }
        other => Err(tensors::not_these(other)),
    }
}

/// The outputs of a node, as far as they are numbers.
fn lower(mut call: Call<'_>) -> Result<Vec<Option<Item>>, String> {
    let name = call.node.op_type.clone();
    if name == "Split" {
        return Ok(layout::split(&mut call)?.into_iter().map(Some).collect());
    }
    let families =
        [learned::lower, trees::lower, layout::lower, dense::lower, reduced::lower, basic::lower];
    for family in families {
        if let Some(item) = family(&mut call)? {
            return Ok(match name.as_str() {
                "LinearClassifier" | "TreeEnsembleClassifier" => vec![None, Some(item)],
                _ => vec![Some(item)],
            });
        }
    }
    Err("is not known".to_owned())
}
