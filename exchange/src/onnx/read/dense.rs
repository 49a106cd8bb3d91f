//! Nodes of networks that look at many numbers: products, normalizations, reductions, shares.

use pelton_models::graph::{Binary, Kind, Operation, Reduction, Unary};

use super::build::{Build, Item};
use super::call::Call;
use crate::Predicts;

/// What is lowered here.
pub(super) const NAMES: [&str; 10] = [
    "BatchNormalization",
    "Gemm",
    "LayerNormalization",
    "LogSoftmax",
    "MatMul",
    "ReduceMax",
    "ReduceMean",
    "ReduceMin",
    "ReduceSum",
    "Softmax",
];

/// The node, if it is one of these.
pub(super) fn lower(call: &mut Call<'_>) -> Result<Option<Item>, String> {
    Ok(Some(match call.node.op_type.as_str() {
        "MatMul" => {
            let (a, b) = (call.input(0)?, call.input(1)?);
            multiply(call.build, &a, &b)?
        }
        "Gemm" => gemm(call)?,
        "BatchNormalization" => batch_normalization(call)?,
        "LayerNormalization" => layer_normalization(call)?,
        "Softmax" => softmax(call, false)?.predicting(Predicts::Probabilities),
        "LogSoftmax" => softmax(call, true)?,
        "ReduceMax" => reduce(call, Reduction::Max)?,
        "ReduceMean" => reduce(call, Reduction::Mean)?,
        "ReduceMin" => reduce(call, Reduction::Min)?,
        "ReduceSum" => reduce(call, Reduction::Sum)?,
        _ => return Ok(None),
    }))
}

/// A list on the right is a column.
fn multiply(build: &mut Build, a: &Item, b: &Item) -> Result<Item, String> {
    if b.rank() != 1 {
        return build.node(Operation::MatMul, &[a, b]);
    }
    let column = build.node(Operation::Unsqueeze { axes: vec![1] }, &[b])?;
    let product = build.node(Operation::MatMul, &[a, &column])?;
    build.node(Operation::Squeeze { axes: vec![-1] }, &[&product])
}

fn gemm(call: &mut Call<'_>) -> Result<Item, String> {
    let (mut a, mut b, c) = (call.input(0)?, call.input(1)?, call.optional(2));
    let (alpha, beta) = (call.float("alpha", 1.0), call.float("beta", 1.0));
    let is_turned = ["transA", "transB"].map(|name| call.int(name, 0) != 0);
    let build = &mut *call.build;
    for (matrix, is_turned) in [&mut a, &mut b].into_iter().zip(is_turned) {
        if is_turned {
            *matrix = build.node(Operation::Transpose { order: vec![1, 0] }, &[matrix])?;
        }
    }
    let mut y = build.node(Operation::MatMul, &[&a, &b])?;
    if alpha != 1.0 {
        y = build.with(Binary::Mul, &y, f64::from(alpha))?;
    }
    let Some(mut c) = c else { return Ok(y) };
    if beta != 1.0 {
        c = build.with(Binary::Mul, &c, f64::from(beta))?;
    }
    build.binary(Binary::Add, &y, &c)
}

fn batch_normalization(call: &mut Call<'_>) -> Result<Item, String> {
    if call.int("training_mode", 0) != 0 {
        return Err("is in training".to_owned());
    }
    let least = f64::from(call.float("epsilon", 1e-5));
    let x = call.input(0)?;
    let mut parts = Vec::with_capacity(4);
    for place in 1..=4 {
        let part = call.input(place)?;
        // Channels are the second axis.
        let axes: Vec<i64> = (1..x.rank().saturating_sub(1) as i64).collect();
        parts.push(match axes.is_empty() {
            true => part,
            false => call.build.node(Operation::Unsqueeze { axes }, &[&part])?,
        });
    }
    let build = &mut *call.build;
    let variance = build.with(Binary::Add, &parts[3], least)?;
    let deviation = build.unary(Unary::Sqrt, &variance)?;
    let factor = build.binary(Binary::Div, &parts[0], &deviation)?;
    let moved = build.binary(Binary::Sub, &x, &parts[2])?;
    let scaled = build.binary(Binary::Mul, &moved, &factor)?;
    build.binary(Binary::Add, &scaled, &parts[1])
}

fn layer_normalization(call: &mut Call<'_>) -> Result<Item, String> {
    let least = f64::from(call.float("epsilon", 1e-5));
    let (x, scale, bias) = (call.input(0)?, call.input(1)?, call.optional(2));
    let first = x.axis(call.int("axis", -1))? as i64;
    let axes: Vec<i64> = (first..x.rank() as i64).collect();
    let mean = || Operation::Reduce { reduction: Reduction::Mean, axes: axes.clone(), keep: true };
    let build = &mut *call.build;
    let middle = build.node(mean(), &[&x])?;
    let moved = build.binary(Binary::Sub, &x, &middle)?;
    let square = build.binary(Binary::Mul, &moved, &moved)?;
    let variance = build.node(mean(), &[&square])?;
    let variance = build.with(Binary::Add, &variance, least)?;
    let deviation = build.unary(Unary::Sqrt, &variance)?;
    let scaled = build.binary(Binary::Div, &moved, &deviation)?;
    let scaled = build.binary(Binary::Mul, &scaled, &scale)?;
    match bias {
        Some(bias) => build.binary(Binary::Add, &scaled, &bias),
        None => Ok(scaled),
    }
}

fn reduce(call: &mut Call<'_>, reduction: Reduction) -> Result<Item, String> {
    let x = call.input(0)?;
    let axes = call.listed("axes", 1)?.unwrap_or_default();
    if axes.is_empty() && call.int("noop_with_empty_axes", 0) != 0 {
        return Ok(x);
    }
    let keep = call.int("keepdims", 1) != 0;
    call.build.node(Operation::Reduce { reduction, axes, keep }, &[&x])
}

/// Shares, or their logarithms, along an axis; before version 13 along all axes from it on.
fn softmax(call: &mut Call<'_>, is_log: bool) -> Result<Item, String> {
    let x = call.input(0)?;
    let is_old = call.version < 13;
    let axis = x.axis(call.int("axis", if is_old { 1 } else { -1 }))?;
    let last = x.rank().saturating_sub(1);
    let build = &mut *call.build;
    if axis == last {
        return shares(build, &x, is_log);
    }
    if is_old {
        return Err(format!("along several axes, from {axis} on"));
    }
    let mut order: Vec<usize> = (0..x.rank()).collect();
    order.swap(axis, last);
    let turned = build.node(Operation::Transpose { order: order.clone() }, &[&x])?;
    let own = shares(build, &turned, is_log)?;
    build.node(Operation::Transpose { order }, &[&own])
}

/// Along the last axis.
pub(super) fn shares(build: &mut Build, x: &Item, is_log: bool) -> Result<Item, String> {
    if x.kind() == Kind::F32 && !is_log {
        return build.node(Operation::Softmax { axis: -1 }, &[x]);
    }
    let along = |reduction: Reduction| Operation::Reduce { reduction, axes: vec![-1], keep: true };
    let most = build.node(along(Reduction::Max), &[x])?;
    let moved = build.binary(Binary::Sub, x, &most)?;
    let powers = build.unary(Unary::Exp, &moved)?;
    let sum = build.node(along(Reduction::Sum), &[&powers])?;
    if is_log {
        let sum = build.unary(Unary::Log, &sum)?;
        return build.binary(Binary::Sub, &moved, &sum);
    }
    build.binary(Binary::Div, &powers, &sum)
}
