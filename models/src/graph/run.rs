//! Working a graph out.

use std::borrow::Cow;

use super::{
    Data, Graph, GraphError, Kind, Operation, Step, Tensor, Value, arrange, elementwise, reduce,
};

impl Graph {
    /// Works out all outputs of some rows.
    ///
    /// # Shapes
    /// `inputs`: in the order of [`Graph::inputs`], `[rows, columns]` each; an input of one column
    /// may be `[rows]`.
    ///
    /// # Errors
    /// [`GraphError`] for inputs or an operation whose shapes or kinds do not fit.
    pub fn run(&self, inputs: &[Tensor]) -> Result<Vec<Tensor>, GraphError> {
        let last_uses = self.last_uses();
        let mut given = inputs.iter();
        let mut values: Vec<Option<Cow<'_, Tensor>>> = Vec::with_capacity(self.steps().len());
        for (place, step) in self.steps().iter().enumerate() {
            let value = match step {
                Step::Input { name, kind, columns } => {
                    let given = given.next().filter(|own| fits(own, *kind, *columns));
                    let reason = || format!("not [rows, {columns}] of {kind:?}");
                    let operation = || format!("input `{name}`");
                    Cow::Borrowed(
                        given.ok_or_else(|| GraphError {
                            operation: operation(),
                            reason: reason(),
                        })?,
                    )
                }
                Step::Constant { tensor, .. } => Cow::Borrowed(tensor),
                Step::Node { operation, inputs } => {
                    let taken = |input: &Value| {
                        let value = values.get(input.index()).and_then(Option::as_deref);
                        value.ok_or_else(|| GraphError::new(operation, "an input is not there"))
                    };
                    let inputs = inputs.iter().map(taken).collect::<Result<Vec<&Tensor>, _>>()?;
                    Cow::Owned(operation.work_out(&inputs)?)
                }
            };
            values.push(Some(value));
            if let Step::Node { inputs, .. } = step {
                let is_done = |input: &&Value| last_uses[input.index()] == place;
                inputs.iter().filter(is_done).for_each(|input| values[input.index()] = None);
            }
        }
        let output = |(_, value): &(String, Value)| {
            let value = values.get(value.index()).cloned().flatten();
            let gone = || GraphError { operation: "output".into(), reason: "is not there".into() };
            value.map(Cow::into_owned).ok_or_else(gone)
        };
        self.outputs().iter().map(output).collect()
    }

    /// Whether a row gets another result beside others than by itself: then the graph looks at the
    /// rows of a batch together, which no stream can promise to cut the same way. Tried on rows of
    /// numbers of all sizes.
    ///
    /// # Errors
    /// [`GraphError`] when it does not run on such rows.
    pub fn mixes_rows(&self) -> Result<bool, GraphError> {
        let rows = PROBES.len();
        let inputs = |from: usize, to: usize| -> Vec<Tensor> {
            let input = |(at, (_, _, kind, columns)): (usize, (Value, &str, Kind, usize))| {
                let numbers = (from..to).flat_map(|row| {
                    (0..columns).map(move |column| PROBES[(row + at + 3 * column) % rows])
                });
                let data = match kind {
                    Kind::F32 => Data::F32(numbers.collect()),
                    Kind::F64 => Data::F64(numbers.map(f64::from).collect()),
                    // Indices, and truths: what is negative or large is absent where it can be.
                    Kind::I64 => Data::I64(numbers.map(|x| i64::from(x > 0.0)).collect()),
                    Kind::Bool => Data::Bool(numbers.map(|x| x > 0.0).collect()),
                };
                Tensor::of(vec![to - from, columns], data)
            };
            self.inputs().enumerate().map(input).collect()
        };
        let together = self.run(&inputs(0, rows))?;
        for row in 0..rows {
            let alone = self.run(&inputs(row, row + 1))?;
            for (all, own) in together.iter().zip(&alone) {
                let length = own.data().len();
                let all_rows = all.data().len();
                if all_rows != rows * length
                    || bits(all).skip(row * length).take(length).ne(bits(own))
                {
                    return Ok(true);
                }
            }
        }
        Ok(false)
    }

    /// The last step that needs each value; one that is an output is needed always.
    fn last_uses(&self) -> Vec<usize> {
        let mut last = vec![usize::MAX; self.steps().len()];
        for (place, step) in self.steps().iter().enumerate() {
            if let Step::Node { inputs, .. } = step {
                inputs.iter().for_each(|input| last[input.index()] = place);
            }
        }
        self.outputs().iter().for_each(|(_, value)| last[value.index()] = usize::MAX);
        last
    }
}

/// Numbers to try a graph on.
const PROBES: [f32; 5] = [0.5, -2.0, 30.0, 0.0, 1.25];

fn bits(tensor: &Tensor) -> Box<dyn Iterator<Item = u64> + '_> {
    match tensor.data() {
        Data::F32(own) => Box::new(own.iter().map(|x| u64::from(x.to_bits()))),
        Data::F64(own) => Box::new(own.iter().map(|x| x.to_bits())),
        Data::I64(own) => Box::new(own.iter().map(|x| *x as u64)),
        Data::Bool(own) => Box::new(own.iter().map(|x| u64::from(*x))),
    }
}

fn fits(tensor: &Tensor, kind: Kind, columns: usize) -> bool {
    let is_shape = match tensor.shape() {
        [_, width] => *width == columns,
        [_] => columns == 1,
        _ => false,
    };
    is_shape && tensor.kind() == kind
}

impl Operation {
    /// What it makes of tensors: as in a graph that runs.
    ///
    /// # Errors
    /// [`GraphError`] for too few of them, or shapes or kinds that do not fit.
    pub fn work_out(&self, inputs: &[&Tensor]) -> Result<Tensor, GraphError> {
        let operation = self;
        let few = || GraphError::new(operation, "has too few inputs");
        let first = *inputs.first().ok_or_else(few)?;
        let second = || inputs.get(1).copied().ok_or_else(few);
        match operation {
            Operation::Unary(own) => elementwise::unary(*own, first),
            Operation::Binary(own) => elementwise::binary(*own, first, second()?),
            Operation::Where => {
                elementwise::choose(first, second()?, inputs.get(2).copied().ok_or_else(few)?)
            }
            Operation::Cast(kind) => Ok(elementwise::cast(*kind, first)),
            Operation::MatMul => reduce::multiply(first, second()?),
            Operation::Gather { axis } => arrange::gather(operation, *axis, first, second()?),
            Operation::Concat { axis } => arrange::concat(operation, *axis, inputs),
            Operation::Reshape { shape } => arrange::reshape(operation, shape, first),
            Operation::Transpose { order } => arrange::transpose(operation, order, first),
            Operation::Slice { axis, start, end } => {
                arrange::slice(operation, (*axis, *start, *end), first)
            }
            Operation::Unsqueeze { axes } => arrange::unsqueeze(operation, axes, first),
            Operation::Squeeze { axes } => arrange::squeeze(operation, axes, first),
            Operation::Reduce { reduction, axes, keep } => {
                reduce::reduce(operation, (*reduction, axes, *keep), first)
            }
            Operation::Softmax { axis } => reduce::softmax(operation, *axis, first),
            Operation::Trees(trees) => trees.run(first),
        }
    }
}
