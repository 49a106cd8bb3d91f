//! Operations that make fewer numbers of many: sums in the order of the numbers.

use std::borrow::Cow;

use pelton_kernels::math;

use super::tensor::{axis, count};
use super::{Data, GraphError, Operation, Reduction, Tensor};

/// `[.., n, k]` times `[k, m]`, or as many matrices each.
pub(super) fn multiply(one: &Tensor, other: &Tensor) -> Result<Tensor, GraphError> {
    let refused = || {
        let reason = format!("{:?} times {:?}", one.shape(), other.shape());
        GraphError::new(&Operation::MatMul, reason)
    };
    let ([batch @ .., rows, inner], [others @ .., height, columns]) = (one.shape(), other.shape())
    else {
        return Err(refused());
    };
    if inner != height || !(others.is_empty() || others == batch) {
        return Err(refused());
    }
    let shape = [batch, &[*rows, *columns]].concat();
    let total = count(&shape).ok_or_else(refused)?;
    macro_rules! product {
        ($kind:ident, $zero:expr, $a:expr, $b:expr) => {{
            let mut out = vec![$zero; total];
            let per_matrix = if others.is_empty() { total } else { rows * columns };
            let rows_of = |numbers: usize| numbers.checked_div(*columns).unwrap_or(0);
            for (matrix, out) in out.chunks_exact_mut(per_matrix.max(1)).enumerate() {
                let right = if others.is_empty() { 0 } else { matrix * inner * columns };
                let right = &$b[right..][..inner * columns];
                let left = &$a[matrix * rows_of(per_matrix) * inner..];
                let parts =
                    out.chunks_exact_mut((*columns).max(1)).zip(left.chunks((*inner).max(1)));
                for (out, left) in parts {
                    for (factor, right) in left.iter().zip(right.chunks_exact((*columns).max(1))) {
                        out.iter_mut().zip(right).for_each(|(out, own)| *out += factor * own);
                    }
                }
            }
            Data::$kind(out)
        }};
    }
    let data = match (one.data(), other.data()) {
        (Data::F32(a), Data::F32(b)) => product!(F32, 0.0_f32, a, b),
        (Data::F64(a), Data::F64(b)) => product!(F64, 0.0_f64, a, b),
        _ => return Err(refused()),
    };
    Ok(Tensor::of(shape, data))
}

/// Many numbers to one along axes.
pub(super) fn reduce(
    operation: &Operation,
    (reduction, axes, keep): (Reduction, &[i64], bool),
    input: &Tensor,
) -> Result<Tensor, GraphError> {
    let refused = |reason: &str| GraphError::new(operation, reason);
    let rank = input.shape().len();
    let named = axes.iter().map(|own| axis(*own, rank)).collect::<Option<Vec<usize>>>();
    let named = named.ok_or_else(|| refused("no such axes"))?;
    let goes = |at: usize| named.is_empty() || named.contains(&at);
    // Axes that go last, so that what becomes one number lies together.
    let order: Vec<usize> =
        (0..rank).filter(|at| !goes(*at)).chain((0..rank).filter(|at| goes(*at))).collect();
    let moved = match order.is_sorted() {
        true => Cow::Borrowed(input),
        false => Cow::Owned(super::arrange::transpose(operation, &order, input)?),
    };
    let stay = |at: usize| if goes(at) { keep.then_some(1) } else { Some(input.shape()[at]) };
    let shape: Vec<usize> = (0..rank).filter_map(stay).collect();
    let length: usize = (0..rank).filter(|at| goes(*at)).map(|at| input.shape()[at]).product();
    let total = count(&shape).ok_or_else(|| refused("too many numbers"))?;
    if length == 0 {
        return Err(refused("of no numbers"));
    }
    let data = match moved.data() {
        Data::F32(x) => Data::F32(x.chunks_exact(length).map(|x| fold(reduction, x)).collect()),
        Data::F64(x) => {
            Data::F64(x.chunks_exact(length).map(|x| fold_doubles(reduction, x)).collect())
        }
        _ => return Err(refused("not of floats")),
    };
    debug_assert_eq!(data.len(), total);
    Ok(Tensor::of(shape, data))
}

fn fold(reduction: Reduction, x: &[f32]) -> f32 {
    match reduction {
        Reduction::Max => x.iter().fold(f32::NEG_INFINITY, |most, x| most.max(*x)),
        Reduction::Min => x.iter().fold(f32::INFINITY, |least, x| least.min(*x)),
        Reduction::Sum => x.iter().fold(0.0, |sum, x| sum + x),
        Reduction::Mean => x.iter().fold(0.0, |sum, x| sum + x) / x.len() as f32,
    }
}

fn fold_doubles(reduction: Reduction, x: &[f64]) -> f64 {
    match reduction {
        Reduction::Max => x.iter().fold(f64::NEG_INFINITY, |most, x| most.max(*x)),
        Reduction::Min => x.iter().fold(f64::INFINITY, |least, x| least.min(*x)),
        Reduction::Sum => x.iter().fold(0.0, |sum, x| sum + x),
        Reduction::Mean => x.iter().fold(0.0, |sum, x| sum + x) / x.len() as f64,
    }
}

/// Shares along the last axis.
pub(super) fn softmax(
    operation: &Operation,
    along: i64,
    input: &Tensor,
) -> Result<Tensor, GraphError> {
    let rank = input.shape().len();
    let (Some(at), Data::F32(x)) = (axis(along, rank), input.data()) else {
        return Err(GraphError::new(operation, "not along this axis, or not of 32-bit floats"));
    };
    if at + 1 != rank {
        return Err(GraphError::new(operation, "not along the last axis"));
    }
    let mut out = x.clone();
    for row in out.chunks_exact_mut(input.shape()[at].max(1)) {
        let most = row.iter().fold(f32::NEG_INFINITY, |most, x| most.max(*x));
        let mut total = 0.0;
        for x in row.iter_mut() {
            let own = math::exp(f64::from(*x - most));
            total += own;
            *x = own as f32;
        }
        row.iter_mut().for_each(|x| *x = (f64::from(*x) / total) as f32);
    }
    Ok(Tensor::of(input.shape().to_vec(), Data::F32(out)))
}
