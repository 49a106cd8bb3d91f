//! Nodes that put numbers elsewhere, and what tells of shapes.

use std::rc::Rc;

use pelton_models::graph::{Data, Operation, Tensor};

use super::build::Item;
use super::call::Call;

/// What is lowered here.
pub(super) const NAMES: [&str; 13] = [
    "ArrayFeatureExtractor",
    "Concat",
    "ConstantOfShape",
    "Expand",
    "Flatten",
    "Gather",
    "Reshape",
    "Shape",
    "Slice",
    "Split",
    "Squeeze",
    "Transpose",
    "Unsqueeze",
];

/// The node, if it is one of these; `Split` has [`split`].
pub(super) fn lower(call: &mut Call<'_>) -> Result<Option<Item>, String> {
    let x = match call.node.op_type.as_str() {
        name if NAMES.contains(&name) => call.input(0)?,
        _ => return Ok(None),
    };
    let predicts = x.predicts;
    Ok(Some(match call.node.op_type.as_str() {
        "Reshape" => reshape(call, &x)?.predicting(predicts),
        "Flatten" => flatten(call, &x)?.predicting(predicts),
        "Squeeze" => squeeze(call, &x)?.predicting(predicts),
        "Unsqueeze" => {
            let axes = call.listed("axes", 1)?.ok_or("names no axes")?;
            call.build.node(Operation::Unsqueeze { axes }, &[&x])?
        }
        "Transpose" => {
            let usual = (0..x.rank()).rev().collect();
            let order = match call.ints("perm") {
                Some(order) => order.iter().map(|axis| x.axis(*axis)).collect::<Result<_, _>>()?,
                None => usual,
            };
            call.build.node(Operation::Transpose { order }, &[&x])?
        }
        "Slice" => slice(call, x)?,
        "Gather" => {
            let axis = call.int("axis", 0);
            let indices = call.input(1)?;
            call.build.node(Operation::Gather { axis }, &[&x, &indices])?
        }
        "ArrayFeatureExtractor" => {
            let indices = call.input(1)?;
            let shape = Operation::Reshape { shape: vec![-1] };
            let indices = call.build.node(shape, &[&indices])?;
            call.build.node(Operation::Gather { axis: -1 }, &[&x, &indices])?
        }
        "Concat" => concat(call)?,
        "Shape" => {
            let (start, end) = (call.int("start", 0), call.int("end", i64::MAX));
            let lengths = |probe: &Rc<Tensor>| {
                let own = probe.shape().iter().map(|length| *length as i64);
                Rc::new(Tensor::integers(own.collect()))
            };
            let shape = call.build.known("shape", x.probes.each_ref().map(lengths));
            call.build.node(Operation::Slice { axis: 0, start, end }, &[&shape])?
        }
        "ConstantOfShape" => constant_of_shape(call, &x)?,
        "Expand" => {
            let shape = call.input(1)?;
            let all = filled(call, &shape, &Data::Bool(vec![true]))?;
            call.build.node(Operation::Where, &[&all, &x, &x])?
        }
        _ => return Ok(None),
    }))
}

/// A shape may be worked out of other shapes: a length that follows the rows is kept, or what is
/// left.
fn reshape(call: &mut Call<'_>, x: &Item) -> Result<Item, String> {
    let [one, two] = match call.ints("shape") {
        Some(shape) => [shape.to_vec(), shape.to_vec()],
        None => call.input(1)?.integers()?,
    };
    if one.len() != two.len() || call.int("allowzero", 0) != 0 && one.contains(&0) {
        return Err("a shape of a rank that follows the rows, or without numbers".to_owned());
    }
    let mut shape = Vec::with_capacity(one.len());
    for (at, (one, two)) in one.iter().zip(&two).enumerate() {
        let is_kept = [one, two].into_iter().zip(&x.probes).all(|(length, probe)| {
            probe.shape().get(at).is_some_and(|own| i64::try_from(*own) == Ok(*length))
        });
        shape.push(match (one == two, is_kept) {
            (true, _) => *one,
            (false, true) => 0,
            (false, false) => -1,
        });
    }
    call.build.node(Operation::Reshape { shape }, &[x])
}

fn flatten(call: &mut Call<'_>, x: &Item) -> Result<Item, String> {
    let (axis, rank) = (call.int("axis", 1), x.rank() as i64);
    let axis = if axis < 0 { axis.saturating_add(rank) } else { axis };
    let after = (axis.max(0)..rank).map(|axis| x.length(axis));
    let shape = match axis {
        0 => vec![1, -1],
        _ => {
            let after = after.collect::<Result<Vec<usize>, String>>()?;
            vec![-1, after.iter().product::<usize>() as i64]
        }
    };
    call.build.node(Operation::Reshape { shape }, &[x])
}

/// Without axes: those of length 1, but not the rows when there is one.
fn squeeze(call: &mut Call<'_>, x: &Item) -> Result<Item, String> {
    let axes = match call.listed("axes", 1)? {
        Some(axes) => axes,
        None => (0..x.rank() as i64).filter(|axis| x.length(*axis) == Ok(1)).collect(),
    };
    if axes.is_empty() {
        return Ok(x.clone());
    }
    call.build.node(Operation::Squeeze { axes }, &[x])
}

fn slice(call: &mut Call<'_>, mut x: Item) -> Result<Item, String> {
    let starts = call.listed("starts", 1)?.ok_or("has no starts")?;
    let ends = call.listed("ends", 2)?.ok_or("has no ends")?;
    let axes = call.listed("axes", 3)?.unwrap_or_else(|| (0..starts.len() as i64).collect());
    let steps = call.listed("steps", 4)?.unwrap_or_default();
    if steps.iter().any(|step| *step != 1) {
        return Err("takes steps of other than 1".to_owned());
    }
    if starts.len() != ends.len() || starts.len() != axes.len() {
        return Err("starts, ends and axes are not as many".to_owned());
    }
    for ((start, end), axis) in starts.into_iter().zip(ends).zip(axes) {
        x = call.build.node(Operation::Slice { axis, start, end }, &[&x])?;
    }
    Ok(x)
}

/// Parts of one axis, by their lengths or as many as there are outputs.
pub(super) fn split(call: &mut Call<'_>) -> Result<Vec<Item>, String> {
    let (x, axis) = (call.input(0)?, call.int("axis", 0));
    let count = call.node.output.len().max(1);
    let lengths = match call.listed("split", 1)? {
        Some(lengths) => lengths,
        None => {
            let each = x.length(axis)?.div_ceil(count) as i64;
            vec![each; count]
        }
    };
    let mut parts = Vec::with_capacity(lengths.len());
    let mut start = 0_i64;
    for length in lengths {
        let end = start.checked_add(length).filter(|end| *end >= start).ok_or("parts too long")?;
        parts.push(call.build.node(Operation::Slice { axis, start, end }, &[&x])?);
        start = end;
    }
    Ok(parts)
}

fn concat(call: &mut Call<'_>) -> Result<Item, String> {
    use crate::Predicts;
    let axis = call.attribute("axis").and_then(|own| own.i).ok_or("names no axis")?;
    let all = call.all()?;
    let parts: Vec<&Item> = all.iter().collect();
    let joined = call.build.node(Operation::Concat { axis }, &parts)?;
    // The probabilities of 0 and 1 are written as `1 - p` beside `p`.
    let has_one = all.iter().any(|part| part.predicts == Predicts::Probability);
    let is_pair = joined.rank() == 2 && joined.length(1) == Ok(2);
    Ok(if has_one && is_pair { joined.predicting(Predicts::Probabilities) } else { joined })
}

fn constant_of_shape(call: &mut Call<'_>, shape: &Item) -> Result<Item, String> {
    let value = call.tensor("value").transpose()?;
    let value = value.unwrap_or_else(|| Tensor::floats(vec![0.0]));
    filled(call, shape, value.data())
}

/// One number in all places of a shape that is known.
fn filled(call: &mut Call<'_>, shape: &Item, number: &Data) -> Result<Item, String> {
    let mut probes = Vec::new();
    for shape in shape.integers()? {
        let lengths = shape.iter().map(|length| usize::try_from(*length).ok());
        let lengths = lengths.collect::<Option<Vec<usize>>>().ok_or("a negative length")?;
        let count = lengths.iter().fold(1_usize, |all, own| all.saturating_mul(*own));
        call.build.spend(count)?;
        let data = match number {
            Data::F32(own) => Data::F32(vec![*own.first().ok_or("no number")?; count]),
            Data::F64(own) => Data::F64(vec![*own.first().ok_or("no number")?; count]),
            Data::I64(own) => Data::I64(vec![*own.first().ok_or("no number")?; count]),
            Data::Bool(own) => Data::Bool(vec![*own.first().ok_or("no number")?; count]),
        };
        probes.push(Rc::new(Tensor::new(lengths, data).ok_or("too many numbers")?));
    }
    let probes: [Rc<Tensor>; 2] = probes.try_into().map_err(|_| "no shape")?;
    Ok(call.build.known("filled", probes))
}
