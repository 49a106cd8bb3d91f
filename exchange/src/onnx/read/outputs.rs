//! Which output of a file is meant, and what becomes of it.

use std::collections::BTreeSet;

use pelton_models::graph::{Kind, Operation};

use super::super::FORMAT;
use super::super::proto::{GraphProto, ValueInfoProto, kind};
use super::Predicts;
use super::build::{Build, Item};
use crate::ExchangeError;

/// What outputs of a model are called that are not its label: the first one that is there is meant.
const NAMES: [&str; 9] = [
    "probabilities",
    "output_probability",
    "probability",
    "probability_tensor",
    "probas",
    "scores",
    "score",
    "variable",
    "output",
];

/// The name of the output that is meant.
pub(super) fn choose(graph: &GraphProto, wanted: Option<&str>) -> Result<String, ExchangeError> {
    let names = || graph.output.iter().map(|output| output.name.as_str());
    if let Some(wanted) = wanted {
        if names().any(|name| name == wanted) {
            return Ok(wanted.to_owned());
        }
    } else if let [only] = graph.output.as_slice() {
        return Ok(only.name.clone());
    } else {
        if let Some(name) = NAMES.into_iter().find(|name| names().any(|own| own == *name)) {
            return Ok(name.to_owned());
        }
        let floats: BTreeSet<&str> =
            graph.output.iter().filter(|own| is_float(own)).map(|own| own.name.as_str()).collect();
        if let (Some(first), 1) = (floats.first(), floats.len()) {
            return Ok((*first).to_owned());
        }
    }
    let choices = names().map(|name| format!("`{name}`")).collect::<Vec<String>>().join(", ");
    let what = match wanted {
        Some(wanted) => format!("it has no output `{wanted}`, but {choices}"),
        None => format!("it does not tell which output is meant: name one of {choices}"),
    };
    Err(ExchangeError::unsupported(FORMAT, what))
}

/// Floats, or what a classifier makes of them.
fn is_float(output: &ValueInfoProto) -> bool {
    output.r#type.as_ref().is_some_and(|own| {
        let is_tensor = own.tensor_type.as_ref().is_some_and(|tensor| {
            tensor.elem_type == kind::FLOAT || tensor.elem_type == kind::DOUBLE
        });
        is_tensor || own.sequence_type.is_some()
    })
}

/// Makes a value the output, a row for each row.
///
/// # Errors
/// What is wrong, where it gives other than a row for each row.
pub(super) fn finish(build: &mut Build, name: &str, item: &Item) -> Result<Predicts, String> {
    let mut item = item.clone();
    let predicts = item.predicts;
    let rows = item.probes.each_ref().map(|probe| probe.shape().first().copied());
    if rows != [Some(1), Some(2)] {
        return Err("it gives no row for each row".to_owned());
    }
    if item.rank() != 2 {
        item = build.node(Operation::Reshape { shape: vec![0, -1] }, &[&item])?;
    }
    let columns = item.length(1)?;
    let value = build.place(&item)?;
    build.graph.output(name, value);
    Ok(match (predicts, item.kind(), columns) {
        (_, Kind::I64 | Kind::Bool, _) => Predicts::Unknown,
        (Predicts::Probability | Predicts::Value, _, 1) => predicts,
        (Predicts::Probabilities, _, 2..) => predicts,
        _ => Predicts::Unknown,
    })
}
