//! Operations on each number, or on pairs of them.

use pelton_kernels::math;

use super::tensor::{broadcast, places};
use super::{Binary, Data, GraphError, Kind, Operation, Tensor, Unary};

/// One operation on each number.
pub(super) fn unary(own: Unary, input: &Tensor) -> Result<Tensor, GraphError> {
    let refused =
        || GraphError::new(&Operation::Unary(own), format!("not of numbers of {:?}", input.kind()));
    let data = match (own, input.data()) {
        (Unary::IsNaN, Data::F32(x)) => Data::Bool(x.iter().map(|x| x.is_nan()).collect()),
        (Unary::IsNaN, Data::F64(x)) => Data::Bool(x.iter().map(|x| x.is_nan()).collect()),
        (Unary::Not, Data::Bool(x)) => Data::Bool(x.iter().map(|x| !x).collect()),
        (Unary::Abs, Data::I64(x)) => Data::I64(x.iter().map(|x| x.wrapping_abs()).collect()),
        (Unary::Neg, Data::I64(x)) => Data::I64(x.iter().map(|x| x.wrapping_neg()).collect()),
        (Unary::Relu, Data::I64(x)) => Data::I64(x.iter().map(|x| (*x).max(0)).collect()),
        (_, Data::F32(x)) => {
            let f = single(own).ok_or_else(refused)?;
            Data::F32(x.iter().map(|x| f(*x)).collect())
        }
        (_, Data::F64(x)) => {
            let f = double(own).ok_or_else(refused)?;
            Data::F64(x.iter().map(|x| f(*x)).collect())
        }
        _ => return Err(refused()),
    };
    Ok(Tensor::of(input.shape().to_vec(), data))
}

fn single(own: Unary) -> Option<fn(f32) -> f32> {
    Some(match own {
        Unary::Abs => f32::abs,
        Unary::Ceil => f32::ceil,
        Unary::Exp => |x| math::exp(f64::from(x)) as f32,
        Unary::Floor => f32::floor,
        Unary::Log => |x| math::ln(f64::from(x)) as f32,
        Unary::Neg => |x| -x,
        Unary::Relu => |x| if x < 0.0 { 0.0 } else { x },
        Unary::Sigmoid => |x| math::sigmoid(f64::from(x)) as f32,
        Unary::Softplus => |x| math::softplus(f64::from(x)) as f32,
        Unary::Sqrt => f32::sqrt,
        Unary::Tanh => |x| tanh(f64::from(x)) as f32,
        Unary::IsNaN | Unary::Not => return None,
    })
}

fn double(own: Unary) -> Option<fn(f64) -> f64> {
    Some(match own {
        Unary::Abs => f64::abs,
        Unary::Ceil => f64::ceil,
        Unary::Exp => math::exp,
        Unary::Floor => f64::floor,
        Unary::Log => math::ln,
        Unary::Neg => |x| -x,
        Unary::Relu => |x| if x < 0.0 { 0.0 } else { x },
        Unary::Sigmoid => math::sigmoid,
        Unary::Softplus => math::softplus,
        Unary::Sqrt => f64::sqrt,
        Unary::Tanh => tanh,
        Unary::IsNaN | Unary::Not => return None,
    })
}

/// `(1 - e) / (1 + e)` with `e = exp(-2 |x|)`, by what is 1 less where that cancels.
fn tanh(x: f64) -> f64 {
    let size = x.abs();
    if size < 1e-3 {
        return x * (1.0 - x * x / 3.0);
    }
    let e = math::exp(-2.0 * size);
    (1.0 - e) / (1.0 + e) * x.signum()
}

/// One operation on pairs of numbers.
pub(super) fn binary(own: Binary, one: &Tensor, other: &Tensor) -> Result<Tensor, GraphError> {
    let operation = Operation::Binary(own);
    let shape = broadcast(one.shape(), other.shape()).ok_or_else(|| {
        let shapes = format!("shapes {:?} and {:?} do not fit", one.shape(), other.shape());
        GraphError::new(&operation, shapes)
    })?;
    let refused = || {
        let kinds = format!("not of numbers of {:?} and {:?}", one.kind(), other.kind());
        GraphError::new(&operation, kinds)
    };
    let pair = Pair { one: one.shape(), other: other.shape(), shape: &shape };
    let data = match (one.data(), other.data()) {
        (Data::F32(a), Data::F32(b)) => match single_pair(own) {
            Some(f) => Data::F32(pair.zip(a, b, f)),
            None => Data::Bool(pair.zip(a, b, compare(own).ok_or_else(refused)?)),
        },
        (Data::F64(a), Data::F64(b)) => match double_pair(own) {
            Some(f) => Data::F64(pair.zip(a, b, f)),
            None => Data::Bool(pair.zip(a, b, compare(own).ok_or_else(refused)?)),
        },
        (Data::I64(a), Data::I64(b)) => match integer_pair(own) {
            Some(f) => Data::I64(pair.zip(a, b, f)),
            None => Data::Bool(pair.zip(a, b, compare(own).ok_or_else(refused)?)),
        },
        (Data::Bool(a), Data::Bool(b)) => {
            let f: fn(bool, bool) -> bool = match own {
                Binary::And => |a, b| a & b,
                Binary::Or => |a, b| a | b,
                Binary::Equal => |a, b| a == b,
                _ => return Err(refused()),
            };
            Data::Bool(pair.zip(a, b, f))
        }
        _ => return Err(refused()),
    };
    Ok(Tensor::of(shape, data))
}

fn single_pair(own: Binary) -> Option<fn(f32, f32) -> f32> {
    Some(match own {
        Binary::Add => |a, b| a + b,
        Binary::Sub => |a, b| a - b,
        Binary::Mul => |a, b| a * b,
        Binary::Div => |a, b| a / b,
        Binary::Max => |a, b| if a > b || a.is_nan() { a } else { b },
        Binary::Min => |a, b| if a < b || a.is_nan() { a } else { b },
        Binary::Pow => |a, b| power(f64::from(a), f64::from(b)) as f32,
        _ => return None,
    })
}

fn double_pair(own: Binary) -> Option<fn(f64, f64) -> f64> {
    Some(match own {
        Binary::Add => |a, b| a + b,
        Binary::Sub => |a, b| a - b,
        Binary::Mul => |a, b| a * b,
        Binary::Div => |a, b| a / b,
        Binary::Max => |a, b| if a > b || a.is_nan() { a } else { b },
        Binary::Min => |a, b| if a < b || a.is_nan() { a } else { b },
        Binary::Pow => power,
        _ => return None,
    })
}

fn integer_pair(own: Binary) -> Option<fn(i64, i64) -> i64> {
    Some(match own {
        Binary::Add => i64::wrapping_add,
        Binary::Sub => i64::wrapping_sub,
        Binary::Mul => i64::wrapping_mul,
        Binary::Div => |a, b| a.checked_div(b).unwrap_or(0),
        Binary::Max => i64::max,
        Binary::Min => i64::min,
        _ => return None,
    })
}

fn compare<T: PartialOrd>(own: Binary) -> Option<fn(T, T) -> bool> {
    Some(match own {
        Binary::Equal => |a, b| a == b,
        Binary::Greater => |a, b| a > b,
        Binary::GreaterOrEqual => |a, b| a >= b,
        Binary::Less => |a, b| a < b,
        Binary::LessOrEqual => |a, b| a <= b,
        _ => return None,
    })
}

/// Whole powers by products, the others by logarithms.
fn power(base: f64, exponent: f64) -> f64 {
    if exponent == 0.5 {
        return base.sqrt();
    }
    if exponent.fract() == 0.0 && exponent.abs() <= 64.0 {
        let product = (0..exponent.abs() as u32).fold(1.0, |product, _| product * base);
        return if exponent < 0.0 { 1.0 / product } else { product };
    }
    match base {
        0.0 => {
            if exponent > 0.0 {
                0.0
            } else {
                f64::INFINITY
            }
        }
        base if base < 0.0 => f64::NAN,
        base => math::exp(exponent * math::ln(base)),
    }
}

/// The second input where the first is true, else the third.
pub(super) fn choose(which: &Tensor, yes: &Tensor, no: &Tensor) -> Result<Tensor, GraphError> {
    let refused = |reason: &str| GraphError::new(&Operation::Where, reason);
    let Data::Bool(which_data) = which.data() else { return Err(refused("not by truths")) };
    let shape = broadcast(which.shape(), yes.shape())
        .and_then(|shape| broadcast(&shape, no.shape()))
        .ok_or_else(|| refused("shapes do not fit"))?;
    let [which, at_yes, at_no] = [which, yes, no].map(|own| places(own.shape(), &shape));
    let all = || which.iter().zip(at_yes.iter().zip(&at_no));
    let data = match (yes.data(), no.data()) {
        (Data::F32(a), Data::F32(b)) => {
            Data::F32(all().map(|(w, (y, n))| if which_data[*w] { a[*y] } else { b[*n] }).collect())
        }
        (Data::F64(a), Data::F64(b)) => {
            Data::F64(all().map(|(w, (y, n))| if which_data[*w] { a[*y] } else { b[*n] }).collect())
        }
        (Data::I64(a), Data::I64(b)) => {
            Data::I64(all().map(|(w, (y, n))| if which_data[*w] { a[*y] } else { b[*n] }).collect())
        }
        _ => return Err(refused("not of numbers of two kinds, or of truths")),
    };
    Ok(Tensor::of(shape, data))
}

/// To another kind: towards zero, truths as 0 and 1.
pub(super) fn cast(kind: Kind, input: &Tensor) -> Tensor {
    let one = |truth: &bool| f32::from(u8::from(*truth));
    let data = match (input.data(), kind) {
        (Data::F32(x), Kind::F64) => Data::F64(x.iter().map(|x| f64::from(*x)).collect()),
        (Data::F32(x), Kind::I64) => Data::I64(x.iter().map(|x| *x as i64).collect()),
        (Data::F32(x), Kind::Bool) => Data::Bool(x.iter().map(|x| *x != 0.0).collect()),
        (Data::F64(x), Kind::F32) => Data::F32(x.iter().map(|x| *x as f32).collect()),
        (Data::F64(x), Kind::I64) => Data::I64(x.iter().map(|x| *x as i64).collect()),
        (Data::F64(x), Kind::Bool) => Data::Bool(x.iter().map(|x| *x != 0.0).collect()),
        (Data::I64(x), Kind::F32) => Data::F32(x.iter().map(|x| *x as f32).collect()),
        (Data::I64(x), Kind::F64) => Data::F64(x.iter().map(|x| *x as f64).collect()),
        (Data::I64(x), Kind::Bool) => Data::Bool(x.iter().map(|x| *x != 0).collect()),
        (Data::Bool(x), Kind::F32) => Data::F32(x.iter().map(one).collect()),
        (Data::Bool(x), Kind::F64) => Data::F64(x.iter().map(|x| f64::from(one(x))).collect()),
        (Data::Bool(x), Kind::I64) => Data::I64(x.iter().map(|x| i64::from(*x)).collect()),
        (same, _) => same.clone(),
    };
    Tensor::of(input.shape().to_vec(), data)
}

/// Two shapes and the one that both are broadcast to.
struct Pair<'a> {
    one: &'a [usize],
    other: &'a [usize],
    shape: &'a [usize],
}

impl Pair<'_> {
    fn zip<T: Copy, R>(&self, one: &[T], other: &[T], f: impl Fn(T, T) -> R) -> Vec<R> {
        if self.one == self.other {
            return one.iter().zip(other).map(|(a, b)| f(*a, *b)).collect();
        }
        // A row, or one number, for all rows: what a bias is.
        let is_tail = |tail: &[usize], of: &[usize]| {
            let tail = &tail[tail.iter().take_while(|length| **length == 1).count()..];
            of.len() >= tail.len() && of[of.len() - tail.len()..] == *tail
        };
        if self.one == self.shape && is_tail(self.other, self.one) && !other.is_empty() {
            let rows = one.chunks_exact(other.len());
            return rows.flat_map(|row| row.iter().zip(other)).map(|(a, b)| f(*a, *b)).collect();
        }
        if self.other == self.shape && is_tail(self.one, self.other) && !one.is_empty() {
            let rows = other.chunks_exact(one.len());
            return rows.flat_map(|row| one.iter().zip(row)).map(|(a, b)| f(*a, *b)).collect();
        }
        let at = places(self.one, self.shape).into_iter().zip(places(self.other, self.shape));
        at.map(|(a, b)| f(one[a], other[b])).collect()
    }
}
