//! Operations that put numbers elsewhere and change none.

use super::tensor::{axis, count};
use super::{Data, GraphError, Operation, Tensor};

/// Parts of `from` along an axis, by index.
pub(super) fn gather(
    operation: &Operation,
    along: i64,
    from: &Tensor,
    indices: &Tensor,
) -> Result<Tensor, GraphError> {
    let refused = |reason: String| GraphError::new(operation, reason);
    let Data::I64(which) = indices.data() else { return Err(refused("not by integers".into())) };
    let shape = from.shape();
    let at = axis(along, shape.len()).ok_or_else(|| refused(format!("no axis {along}")))?;
    let (length, inner) = (shape[at], shape[at + 1..].iter().product::<usize>());
    let outer: usize = shape[..at].iter().product();
    let place = |index: &i64| {
        axis(*index, length).ok_or_else(|| refused(format!("index {index} is not below {length}")))
    };
    let which = which.iter().map(place).collect::<Result<Vec<usize>, _>>()?;
    let result = [&shape[..at], indices.shape(), &shape[at + 1..]].concat();
    count(&result).ok_or_else(|| refused("too many numbers".into()))?;
    let starts = (0..outer)
        .flat_map(|outer| which.iter().map(move |index| (outer * length + index) * inner));
    let data = from.data().pick(starts.flat_map(|start| start..start + inner));
    Ok(Tensor::of(result, data))
}

/// Side by side along an axis.
pub(super) fn concat(
    operation: &Operation,
    along: i64,
    parts: &[&Tensor],
) -> Result<Tensor, GraphError> {
    let refused = |reason: &str| GraphError::new(operation, reason);
    let [first, ..] = parts else { return Err(refused("of nothing")) };
    let at = axis(along, first.shape().len()).ok_or_else(|| refused("no such axis"))?;
    let mut shape = first.shape().to_vec();
    shape[at] = 0;
    for part in parts {
        let own = part.shape();
        let is_alike = own.len() == shape.len() && own[..at] == shape[..at];
        if !is_alike || own[at + 1..] != shape[at + 1..] || part.kind() != first.kind() {
            return Err(refused("shapes or kinds do not fit"));
        }
        shape[at] += own[at];
    }
    count(&shape).ok_or_else(|| refused("too many numbers"))?;
    let outer: usize = shape[..at].iter().product();
    macro_rules! side_by_side {
        ($kind:ident) => {{
            let mut all = Vec::new();
            for row in 0..outer {
                for part in parts {
                    if let Data::$kind(own) = part.data() {
                        let length = own.len() / outer;
                        all.extend_from_slice(&own[row * length..(row + 1) * length]);
                    }
                }
            }
            Data::$kind(all)
        }};
    }
    let data = match first.data() {
        Data::F32(_) => side_by_side!(F32),
        Data::F64(_) => side_by_side!(F64),
        Data::I64(_) => side_by_side!(I64),
        Data::Bool(_) => side_by_side!(Bool),
    };
    Ok(Tensor::of(shape, data))
}

/// The same numbers in another shape.
pub(super) fn reshape(
    operation: &Operation,
    wanted: &[i64],
    input: &Tensor,
) -> Result<Tensor, GraphError> {
    let refused = || {
        let reason = format!("{:?} does not become {wanted:?}", input.shape());
        GraphError::new(operation, reason)
    };
    let mut shape = Vec::with_capacity(wanted.len());
    let mut rest = None;
    for (at, length) in wanted.iter().enumerate() {
        shape.push(match length {
            0 => *input.shape().get(at).ok_or_else(refused)?,
            -1 if rest.is_none() => {
                rest = Some(at);
                1
            }
            length => usize::try_from(*length).map_err(|_| refused())?,
        });
    }
    if let Some(rest) = rest {
        let known = count(&shape).ok_or_else(refused)?;
        shape[rest] = input.data().len().checked_div(known).unwrap_or(0);
    }
    Tensor::new(shape, input.data().clone()).ok_or_else(refused)
}

/// Axes of length 1 more.
pub(super) fn unsqueeze(
    operation: &Operation,
    axes: &[i64],
    input: &Tensor,
) -> Result<Tensor, GraphError> {
    let rank = input.shape().len() + axes.len();
    let refused = || GraphError::new(operation, format!("no axes {axes:?}"));
    let axes = axes.iter().map(|own| axis(*own, rank)).collect::<Option<Vec<usize>>>();
    let axes = axes.ok_or_else(refused)?;
    let mut old = input.shape().iter();
    let length = |at| if axes.contains(&at) { Some(1) } else { old.next().copied() };
    let shape = (0..rank).map(length).collect::<Option<Vec<usize>>>().ok_or_else(refused)?;
    Tensor::new(shape, input.data().clone()).ok_or_else(refused)
}

/// Axes of length 1 fewer.
pub(super) fn squeeze(
    operation: &Operation,
    axes: &[i64],
    input: &Tensor,
) -> Result<Tensor, GraphError> {
    let rank = input.shape().len();
    let refused = || GraphError::new(operation, format!("no axes {axes:?} of length 1"));
    let named = axes.iter().map(|own| axis(*own, rank)).collect::<Option<Vec<usize>>>();
    let named = named.ok_or_else(refused)?;
    let goes = |at: &usize| match named.is_empty() {
        true => input.shape()[*at] == 1,
        false => named.contains(at),
    };
    let shape = (0..rank).filter(|at| !goes(at)).map(|at| input.shape()[at]).collect();
    Tensor::new(shape, input.data().clone()).ok_or_else(refused)
}

/// Axes in another order.
pub(super) fn transpose(
    operation: &Operation,
    order: &[usize],
    input: &Tensor,
) -> Result<Tensor, GraphError> {
    let rank = input.shape().len();
    if order.len() != rank || !(0..rank).all(|at| order.contains(&at)) {
        return Err(GraphError::new(operation, format!("{order:?} is no order of {rank} axes")));
    }
    let mut strides = vec![1; rank];
    for at in (1..rank).rev() {
        strides[at - 1] = strides[at] * input.shape()[at];
    }
    let shape: Vec<usize> = order.iter().map(|at| input.shape()[*at]).collect();
    let steps: Vec<usize> = order.iter().map(|axis| strides[*axis]).collect();
    let (mut at, mut next) = (vec![0; rank], 0);
    let place = |_| {
        let place = next;
        for axis in (0..rank).rev() {
            at[axis] += 1;
            next += steps[axis];
            if at[axis] < shape[axis] {
                break;
            }
            next -= steps[axis] * shape[axis];
            at[axis] = 0;
        }
        place
    };
    let data = input.data().pick((0..input.data().len()).map(place));
    Ok(Tensor::of(shape, data))
}

/// Part of an axis.
pub(super) fn slice(
    operation: &Operation,
    (along, start, end): (i64, i64, i64),
    input: &Tensor,
) -> Result<Tensor, GraphError> {
    let mut shape = input.shape().to_vec();
    let no_axis = || GraphError::new(operation, format!("no axis {along}"));
    let at = axis(along, shape.len()).ok_or_else(no_axis)?;
    let length = shape[at] as i64;
    let place = |bound: i64| {
        let from_start = if bound < 0 { bound.saturating_add(length) } else { bound };
        from_start.clamp(0, length) as usize
    };
    let (start, end) = (place(start), place(end));
    let inner: usize = shape[at + 1..].iter().product();
    let outer: usize = shape[..at].iter().product();
    let step = shape[at] * inner;
    shape[at] = end.saturating_sub(start);
    let (from, to) = (start * inner, end.max(start) * inner);
    let data = input.data().pick((0..outer).flat_map(|row| row * step + from..row * step + to));
    Ok(Tensor::of(shape, data))
}
