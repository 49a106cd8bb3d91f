//! Nodes of ai.onnx.ml beside trees: what pipelines of scikit-learn are written as.

use pelton_models::graph::{Binary, Kind, Operation, Reduction, Tensor, Unary};

use super::build::{Build, Item};
use super::call::Call;
use super::dense::shares;
use crate::Predicts;

/// What is lowered here.
pub(super) const NAMES: [&str; 8] = [
    "Binarizer",
    "FeatureVectorizer",
    "Imputer",
    "LinearClassifier",
    "LinearRegressor",
    "Normalizer",
    "Scaler",
    "ZipMap",
];

/// The node, if it is one of these; `LinearClassifier` gives the scores, not the label.
pub(super) fn lower(call: &mut Call<'_>) -> Result<Option<Item>, String> {
    if !NAMES.contains(&call.node.op_type.as_str()) {
        return Ok(None);
    }
    let x = call.input(0)?;
    if call.node.op_type == "ZipMap" {
        return Ok(Some(x));
    }
    let predicts = x.predicts;
    Ok(Some(match call.node.op_type.as_str() {
        "Imputer" => impute(call, &x)?,
        "FeatureVectorizer" => vectorize(call)?,
        "Scaler" => {
            let x = call.build.cast(Kind::F32, &x)?;
            let [offset, scale] = ["offset", "scale"].map(|name| list(call, name));
            let moved = match offset {
                Some(offset) => call.build.binary(Binary::Sub, &x, &offset)?,
                None => x,
            };
            match scale {
                Some(scale) => call.build.binary(Binary::Mul, &moved, &scale)?,
                None => moved,
            }
        }
        "Binarizer" => {
            let threshold = f64::from(call.float("threshold", 0.0));
            let is_above = call.build.with(Binary::Greater, &x, threshold)?;
            call.build.cast(x.kind(), &is_above)?
        }
        "Normalizer" => normalize(call, &x)?.predicting(predicts),
        "LinearRegressor" => {
            let targets = usize::try_from(call.int("targets", 1)).unwrap_or(0);
            let y = linear(call, &x, targets)?;
            post_transform(call, y)?.predicting(Predicts::Value)
        }
        "LinearClassifier" => linear_classifier(call, &x)?,
        _ => return Ok(None),
    }))
}

/// An attribute of floats as a list of numbers.
fn list(call: &mut Call<'_>, name: &str) -> Option<Item> {
    let numbers = call.floats(name).to_vec();
    match numbers.is_empty() {
        true => None,
        false => Some(call.build.constant(name, Tensor::floats(numbers))),
    }
}

fn impute(call: &mut Call<'_>, x: &Item) -> Result<Item, String> {
    let (imputed, is_missing) = if x.kind() == Kind::I64 {
        let numbers = call.ints("imputed_value_int64s").unwrap_or_default().to_vec();
        let replaced = call.int("replaced_value_int64", 0);
        let imputed = call.build.constant("imputed", Tensor::integers(numbers));
        let replaced = call.build.constant("replaced", Tensor::integers(vec![replaced]));
        (imputed, call.build.binary(Binary::Equal, x, &replaced)?)
    } else {
        let imputed = list(call, "imputed_value_floats").ok_or("replaces by nothing")?;
        let imputed = call.build.cast(x.kind(), &imputed)?;
        let replaced = call.float("replaced_value_float", 0.0);
        let is_missing = match replaced.is_nan() {
            true => call.build.unary(Unary::IsNaN, x)?,
            false => call.build.with(Binary::Equal, x, f64::from(replaced))?,
        };
        (imputed, is_missing)
    };
    call.build.node(Operation::Where, &[&is_missing, &imputed, x])
}

fn vectorize(call: &mut Call<'_>) -> Result<Item, String> {
    let mut parts = Vec::new();
    for part in call.all()? {
        parts.push(call.build.cast(Kind::F32, &part)?);
    }
    let parts: Vec<&Item> = parts.iter().collect();
    call.build.node(Operation::Concat { axis: 1 }, &parts)
}

/// Rows by their largest number, the sum of sizes, or the root of the sum of squares; rows of 0
/// stay.
fn normalize(call: &mut Call<'_>, x: &Item) -> Result<Item, String> {
    let norm = call.text("norm");
    let build = &mut *call.build;
    let x = build.cast(Kind::F32, x)?;
    let along = |reduction: Reduction| Operation::Reduce { reduction, axes: vec![-1], keep: true };
    let size = match norm.as_str() {
        "MAX" | "" => build.node(along(Reduction::Max), &[&x])?,
        "L1" => {
            let sizes = build.unary(Unary::Abs, &x)?;
            build.node(along(Reduction::Sum), &[&sizes])?
        }
        "L2" => {
            let squares = build.binary(Binary::Mul, &x, &x)?;
            let sum = build.node(along(Reduction::Sum), &[&squares])?;
            build.unary(Unary::Sqrt, &sum)?
        }
        other => return Err(format!("by norm {other}")),
    };
    let is_none = build.with(Binary::Equal, &size, 0.0)?;
    let one = build.number(&x, 1.0);
    let size = build.node(Operation::Where, &[&is_none, &one, &size])?;
    build.binary(Binary::Div, &x, &size)
}

/// Products with rows of coefficients, and intercepts.
fn linear(call: &mut Call<'_>, x: &Item, outputs: usize) -> Result<Item, String> {
    let x = call.build.cast(Kind::F32, x)?;
    let coefficients = call.floats("coefficients").to_vec();
    let columns = coefficients.len().checked_div(outputs).ok_or("gives nothing")?;
    let matrix = Tensor::new(vec![outputs, columns], pelton_models::graph::Data::F32(coefficients));
    let matrix = matrix.ok_or("coefficients do not fill rows")?;
    let matrix = call.build.constant("coefficients", matrix);
    let turned = call.build.node(Operation::Transpose { order: vec![1, 0] }, &[&matrix])?;
    let y = call.build.node(Operation::MatMul, &[&x, &turned])?;
    match list(call, "intercepts") {
        Some(intercepts) => call.build.binary(Binary::Add, &y, &intercepts),
        None => Ok(y),
    }
}

fn linear_classifier(call: &mut Call<'_>, x: &Item) -> Result<Item, String> {
    let labels = match (call.ints("classlabels_ints"), call.attribute("classlabels_strings")) {
        (Some(labels), _) if !labels.is_empty() => labels.len(),
        (_, Some(labels)) => labels.strings.len(),
        _ => 0,
    };
    let classes = call.floats("intercepts").len().max(1);
    if classes == 1 || labels != classes {
        return Err(format!("{classes} rows of coefficients for {labels} classes"));
    }
    let scores = linear(call, x, classes)?;
    Ok(post_transform(call, scores)?.predicting(Predicts::Probabilities))
}

/// What scores become at last.
pub(super) fn post_transform(call: &mut Call<'_>, y: Item) -> Result<Item, String> {
    let name = call.text("post_transform");
    let build = &mut *call.build;
    match name.as_str() {
        "" | "NONE" => Ok(y),
        "LOGISTIC" => build.unary(Unary::Sigmoid, &y),
        "SOFTMAX" => shares(build, &y, false),
        "SOFTMAX_ZERO" => softmax_zero(build, &y),
        other => Err(format!("transforms scores by {other}")),
    }
}

/// Shares, but of scores that are 0 none.
fn softmax_zero(build: &mut Build, y: &Item) -> Result<Item, String> {
    let along = |reduction: Reduction| Operation::Reduce { reduction, axes: vec![-1], keep: true };
    let most = build.node(along(Reduction::Max), &[y])?;
    let moved = build.binary(Binary::Sub, y, &most)?;
    let powers = build.unary(Unary::Exp, &moved)?;
    let size = build.unary(Unary::Abs, y)?;
    let is_some = build.with(Binary::Greater, &size, 1e-7)?;
    let zero = build.number(y, 0.0);
    let powers = build.node(Operation::Where, &[&is_some, &powers, &zero])?;
    let sum = build.node(along(Reduction::Sum), &[&powers])?;
    build.binary(Binary::Div, &powers, &sum)
}
