//! Tensors: a shape and numbers of one kind, row-major.

/// Of what the numbers of a tensor are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// 32-bit floats.
    F32,
    /// 64-bit floats.
    F64,
    /// 64-bit integers.
    I64,
    /// Truths.
    Bool,
}

/// Numbers of one kind.
#[derive(Clone, Debug, PartialEq)]
pub enum Data {
    /// 32-bit floats.
    F32(Vec<f32>),
    /// 64-bit floats.
    F64(Vec<f64>),
    /// 64-bit integers.
    I64(Vec<i64>),
    /// Truths.
    Bool(Vec<bool>),
}

/// A tensor.
#[derive(Clone, Debug, PartialEq)]
pub struct Tensor {
    shape: Vec<usize>,
    data: Data,
}

impl Tensor {
    /// A tensor of this shape; none where there are more or fewer numbers than it takes.
    #[must_use]
    pub fn new(shape: Vec<usize>, data: Data) -> Option<Tensor> {
        (count(&shape)? == data.len()).then_some(Tensor { shape, data })
    }

    /// A list of floats.
    #[must_use]
    pub fn floats(numbers: Vec<f32>) -> Tensor {
        Tensor { shape: vec![numbers.len()], data: Data::F32(numbers) }
    }

    /// Rows of as many floats each; what does not fill a row is left out.
    #[must_use]
    pub fn matrix(mut numbers: Vec<f32>, columns: usize) -> Tensor {
        let rows = numbers.len().checked_div(columns).unwrap_or(0);
        numbers.truncate(rows * columns);
        Tensor { shape: vec![rows, columns], data: Data::F32(numbers) }
    }

    /// A list of doubles.
    #[must_use]
    pub fn doubles(numbers: Vec<f64>) -> Tensor {
        Tensor { shape: vec![numbers.len()], data: Data::F64(numbers) }
    }

    /// A list of integers.
    #[must_use]
    pub fn integers(numbers: Vec<i64>) -> Tensor {
        Tensor { shape: vec![numbers.len()], data: Data::I64(numbers) }
    }

    /// The length of each axis.
    #[must_use]
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// The numbers.
    #[must_use]
    pub fn data(&self) -> &Data {
        &self.data
    }

    /// The kind of the numbers.
    #[must_use]
    pub fn kind(&self) -> Kind {
        self.data.kind()
    }

    /// The numbers, if they are 32-bit floats.
    #[must_use]
    pub fn as_f32(&self) -> Option<&[f32]> {
        match &self.data {
            Data::F32(numbers) => Some(numbers),
            _ => None,
        }
    }

    /// The same numbers in another shape of as many.
    #[must_use]
    pub fn reshaped(self, shape: Vec<usize>) -> Option<Tensor> {
        Tensor::new(shape, self.data)
    }

    /// A tensor whose shape is known to fit.
    pub(super) fn of(shape: Vec<usize>, data: Data) -> Tensor {
        debug_assert_eq!(count(&shape), Some(data.len()));
        Tensor { shape, data }
    }
}

impl Data {
    /// How many numbers there are.
    #[must_use]
    pub fn len(&self) -> usize {
        match self {
            Data::F32(own) => own.len(),
            Data::F64(own) => own.len(),
            Data::I64(own) => own.len(),
            Data::Bool(own) => own.len(),
        }
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The kind of the numbers.
    #[must_use]
    pub fn kind(&self) -> Kind {
        match self {
            Data::F32(_) => Kind::F32,
            Data::F64(_) => Kind::F64,
            Data::I64(_) => Kind::I64,
            Data::Bool(_) => Kind::Bool,
        }
    }

    /// The numbers at these places.
    pub(super) fn pick(&self, places: impl Iterator<Item = usize>) -> Data {
        match self {
            Data::F32(own) => Data::F32(places.map(|place| own[place]).collect()),
            Data::F64(own) => Data::F64(places.map(|place| own[place]).collect()),
            Data::I64(own) => Data::I64(places.map(|place| own[place]).collect()),
            Data::Bool(own) => Data::Bool(places.map(|place| own[place]).collect()),
        }
    }
}

/// More numbers than this one tensor does not have: a damaged file must not ask for memory.
const NUMBERS_MAX: usize = 1 << 30;

/// Numbers of a tensor of this shape; none where they are too many.
pub(super) fn count(shape: &[usize]) -> Option<usize> {
    let product = shape.iter().try_fold(1_usize, |product, length| product.checked_mul(*length));
    product.filter(|count| *count <= NUMBERS_MAX)
}

/// The axis that is meant, of so many.
pub(super) fn axis(axis: i64, rank: usize) -> Option<usize> {
    let place = if axis < 0 { axis + rank as i64 } else { axis };
    usize::try_from(place).ok().filter(|place| *place < rank)
}

/// The shape that both of these are broadcast to.
pub(super) fn broadcast(one: &[usize], other: &[usize]) -> Option<Vec<usize>> {
    let rank = one.len().max(other.len());
    let length = |shape: &[usize], at: usize| match (at + shape.len()).checked_sub(rank) {
        Some(place) => shape[place],
        None => 1,
    };
    let both = |at| match (length(one, at), length(other, at)) {
        (a, b) if a == b => Some(a),
        (1, b) => Some(b),
        (a, 1) => Some(a),
        _ => None,
    };
    let shape: Option<Vec<usize>> = (0..rank).map(both).collect();
    shape.filter(|shape| count(shape).is_some())
}

/// The places in a tensor of one shape of all numbers of the shape it is broadcast to.
pub(super) fn places(from: &[usize], to: &[usize]) -> Vec<usize> {
    let total: usize = to.iter().product();
    if from == to {
        return (0..total).collect();
    }
    if from.iter().all(|length| *length == 1) {
        return vec![0; total];
    }
    let mut strides = vec![0; to.len()];
    let mut stride = 1;
    for (at, length) in from.iter().enumerate().rev() {
        if *length > 1 {
            strides[at + to.len() - from.len()] = stride;
        }
        stride *= length;
    }
    let mut places = Vec::with_capacity(total);
    let mut at = vec![0; to.len()];
    let mut place = 0;
    for _ in 0..total {
        places.push(place);
        for axis in (0..to.len()).rev() {
            at[axis] += 1;
            place += strides[axis];
            if at[axis] < to[axis] {
                break;
            }
            place -= strides[axis] * to[axis];
            at[axis] = 0;
        }
    }
    places
}
