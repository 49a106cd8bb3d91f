//! Nodes that make one number of many by ways that no operation has of its own, and the codes of
//! categories.

use pelton_models::graph::{Binary, Data, Kind, Operation, Reduction, Tensor, Unary};

use super::build::{Build, Item};
use super::call::Call;

/// What is lowered here.
pub(super) const NAMES: [&str; 7] = [
    "ArgMax",
    "ArgMin",
    "ReduceL1",
    "ReduceL2",
    "ReduceLogSumExp",
    "ReduceProd",
    "ReduceSumSquare",
];

/// The node, if it is one of these, or a `OneHotEncoder`.
pub(super) fn lower(call: &mut Call<'_>) -> Result<Option<Item>, String> {
    let name = call.node.op_type.clone();
    if name == "OneHotEncoder" {
        return one_hot(call).map(Some);
    }
    if !NAMES.contains(&name.as_str()) {
        return Ok(None);
    }
    let x = call.input(0)?;
    let keep = call.int("keepdims", 1) != 0;
    if name == "ArgMax" || name == "ArgMin" {
        let (axis, is_last) = (call.int("axis", 0), call.int("select_last_index", 0) != 0);
        return extreme(call.build, &x, (axis, keep, is_last, name == "ArgMax")).map(Some);
    }
    let axes = call.listed("axes", 1)?.unwrap_or_default();
    if axes.is_empty() && call.int("noop_with_empty_axes", 0) != 0 {
        return Err("of nothing".to_owned());
    }
    let build = &mut *call.build;
    let along = |reduction: Reduction, keep: bool| {
        let axes = axes.clone();
        Operation::Reduce { reduction, axes, keep }
    };
    Ok(Some(match name.as_str() {
        "ReduceL1" => {
            let sizes = build.unary(Unary::Abs, &x)?;
            build.node(along(Reduction::Sum, keep), &[&sizes])?
        }
        "ReduceL2" | "ReduceSumSquare" => {
            let squares = build.binary(Binary::Mul, &x, &x)?;
            let sum = build.node(along(Reduction::Sum, keep), &[&squares])?;
            if name == "ReduceL2" { build.unary(Unary::Sqrt, &sum)? } else { sum }
        }
        "ReduceLogSumExp" => {
            let most = build.node(along(Reduction::Max, true), &[&x])?;
            let moved = build.binary(Binary::Sub, &x, &most)?;
            let powers = build.unary(Unary::Exp, &moved)?;
            let sum = build.node(along(Reduction::Sum, keep), &[&powers])?;
            let rest = build.unary(Unary::Log, &sum)?;
            let most = build.node(along(Reduction::Max, keep), &[&x])?;
            build.binary(Binary::Add, &most, &rest)?
        }
        _ => product(build, &x, &axes, keep)?,
    }))
}

/// Along one axis of a length that is known: factor by factor.
fn product(build: &mut Build, x: &Item, axes: &[i64], keep: bool) -> Result<Item, String> {
    let [axis] = axes else { return Err("along other than one axis".to_owned()) };
    let length = x.length(*axis)? as i64;
    let part = |at: i64| Operation::Slice { axis: *axis, start: at, end: at + 1 };
    if !(1..=1024).contains(&length) {
        return Err(format!("of {length} factors"));
    }
    let mut product = build.node(part(0), &[x])?;
    for at in 1..length {
        let own = build.node(part(at), &[x])?;
        product = build.binary(Binary::Mul, &product, &own)?;
    }
    match keep {
        true => Ok(product),
        false => build.node(Operation::Squeeze { axes: vec![*axis] }, &[&product]),
    }
}

/// The place of the largest number along an axis, or of the smallest: the first of equal ones, or
/// the last.
fn extreme(
    build: &mut Build,
    x: &Item,
    (axis, keep, is_last, is_largest): (i64, bool, bool, bool),
) -> Result<Item, String> {
    let length = x.length(axis)?;
    if length > 1 << 24 {
        return Err("along an axis of more places than floats can count".to_owned());
    }
    let along =
        |reduction: Reduction, keep: bool| Operation::Reduce { reduction, axes: vec![axis], keep };
    let reduction = if is_largest { Reduction::Max } else { Reduction::Min };
    let most = build.node(along(reduction, true), &[x])?;
    let is_most = build.binary(Binary::Equal, x, &most)?;
    let mut shape = vec![1; x.rank()];
    shape[x.axis(axis)?] = length;
    let places = Tensor::new(shape, Data::F32((0..length).map(|at| at as f32).collect()));
    let places = build.constant("places", places.ok_or("no places")?);
    let (none, reduction) =
        if is_last { (-1.0, Reduction::Max) } else { (length as f64, Reduction::Min) };
    let none = build.number(&places, none);
    let places = build.node(Operation::Where, &[&is_most, &places, &none])?;
    let place = build.node(along(reduction, keep), &[&places])?;
    build.cast(Kind::I64, &place)
}

/// 1 where a number is the category, one more axis; what is no category is 0 everywhere.
fn one_hot(call: &mut Call<'_>) -> Result<Item, String> {
    let x = call.input(0)?;
    let categories = call.ints("cats_int64s").unwrap_or_default().to_vec();
    if categories.is_empty() || call.int("zeros", 1) == 0 {
        return Err("of text, or that fails for a category it does not know".to_owned());
    }
    let categories = call.build.constant("categories", Tensor::integers(categories));
    let x = call.build.cast(Kind::I64, &x)?;
    let x = call.build.node(Operation::Unsqueeze { axes: vec![-1] }, &[&x])?;
    let is_own = call.build.binary(Binary::Equal, &x, &categories)?;
    call.build.cast(Kind::F32, &is_own)
}
