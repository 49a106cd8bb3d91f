//! What drawing a model needs again and again: short names for operations, the features of a row,
//! and tables by sparse index.

use super::{Binary, Data, Graph, Kind, Operation, Reduction, Tensor, Unary, Value};
use crate::{FeatureShape, ModelError};

/// Lets the operations that are used often be written as what they are.
macro_rules! short {
    ($($(#[$about:meta])* $name:ident: $own:expr;)*) => {
        $($(#[$about])* pub fn $name(&mut self, x: Value) -> Value {
            self.node(Operation::Unary($own), &[x])
        })*
    };
    (pairs $($(#[$about:meta])* $name:ident: $own:expr;)*) => {
        $($(#[$about])* pub fn $name(&mut self, a: Value, b: Value) -> Value {
            self.node(Operation::Binary($own), &[a, b])
        })*
    };
}

impl Graph {
    short! {
        /// `|x|`.
        abs: Unary::Abs;
        /// `e^x`.
        exp: Unary::Exp;
        /// The natural logarithm.
        ln: Unary::Log;
        /// `max(x, 0)`.
        relu: Unary::Relu;
        /// `1 / (1 + e^-x)`.
        sigmoid: Unary::Sigmoid;
    }

    short! { pairs
        /// `a + b`.
        add: Binary::Add;
        /// `a - b`.
        sub: Binary::Sub;
        /// `a b`.
        mul: Binary::Mul;
        /// `a / b`.
        div: Binary::Div;
        /// The larger one.
        max: Binary::Max;
        /// The smaller one.
        min: Binary::Min;
        /// Whether `a < b`.
        less: Binary::Less;
    }

    /// One 32-bit float.
    pub fn number(&mut self, number: f32) -> Value {
        self.constant("number", Tensor::of(Vec::new(), Data::F32(vec![number])))
    }

    /// One 64-bit float.
    pub fn double(&mut self, number: f64) -> Value {
        self.constant("number", Tensor::of(Vec::new(), Data::F64(vec![number])))
    }

    /// One integer.
    pub fn integer(&mut self, number: i64) -> Value {
        self.constant("number", Tensor::of(Vec::new(), Data::I64(vec![number])))
    }

    /// `x` brought between two 32-bit floats.
    pub fn clamp(&mut self, x: Value, [least, most]: [f32; 2]) -> Value {
        let (least, most) = (self.number(least), self.number(most));
        let raised = self.max(x, least);
        self.min(raised, most)
    }

    /// `yes` where `which` is true, else `no`.
    pub fn choose(&mut self, which: Value, yes: Value, no: Value) -> Value {
        self.node(Operation::Where, &[which, yes, no])
    }

    /// 32-bit floats, 0 where they are not finite.
    pub fn finite(&mut self, x: Value) -> Value {
        let (size, most, zero) = (self.abs(x), self.number(f32::INFINITY), self.number(0.0));
        let is_finite = self.less(size, most);
        self.choose(is_finite, x, zero)
    }

    /// As 32-bit floats.
    pub fn single(&mut self, x: Value) -> Value {
        self.node(Operation::Cast(Kind::F32), &[x])
    }

    /// As 64-bit floats.
    pub fn doubled(&mut self, x: Value) -> Value {
        self.node(Operation::Cast(Kind::F64), &[x])
    }

    /// The log odds of probabilities, no nearer to 0 and 1 than `least`.
    pub fn log_odds(&mut self, p: Value, least: f32) -> Value {
        let p = self.clamp(p, [least, 1.0 - least]);
        let one = self.number(1.0);
        let rest = self.sub(one, p);
        let odds = self.div(p, rest);
        self.ln(odds)
    }

    /// `a` times `b`, as matrices.
    pub fn multiply(&mut self, a: Value, b: Value) -> Value {
        self.node(Operation::MatMul, &[a, b])
    }

    /// Sums along axes, which go.
    pub fn sum(&mut self, x: Value, axes: &[i64]) -> Value {
        let reduction = Reduction::Sum;
        self.node(Operation::Reduce { reduction, axes: axes.to_vec(), keep: false }, &[x])
    }

    /// In another shape; -1 is what is left, 0 what it was.
    pub fn reshape(&mut self, x: Value, shape: &[i64]) -> Value {
        self.node(Operation::Reshape { shape: shape.to_vec() }, &[x])
    }

    /// Columns `from..to` of rows.
    pub fn columns(&mut self, x: Value, from: usize, to: usize) -> Value {
        let (start, end) = (from as i64, to as i64);
        self.node(Operation::Slice { axis: 1, start, end }, &[x])
    }

    /// Columns side by side; one part is itself.
    pub fn beside(&mut self, parts: &[Value]) -> Value {
        match parts {
            [only] => *only,
            parts => self.node(Operation::Concat { axis: 1 }, parts),
        }
    }

    /// Shares by the exponentials of the columns of a row.
    pub fn softmax(&mut self, x: Value) -> Value {
        self.node(Operation::Softmax { axis: -1 }, &[x])
    }
}

/// The features of rows to score, as a model that is drawn sees them.
#[derive(Clone, Copy, Debug)]
pub struct Inputs {
    /// What they are.
    pub shape: FeatureShape,
    /// `[rows, dense_width]` of 32-bit floats, where there are any.
    pub dense: Option<Value>,
    /// `[rows, sparse_width]` of places in tables by index, where there are any: what is not below
    /// `2^sparse_bits`, and what is negative, is `2^sparse_bits`.
    pub sparse: Option<Value>,
    /// `[rows, notes_width]` of 32-bit floats, where there are any.
    pub notes: Option<Value>,
}

impl Inputs {
    /// Adds the inputs `dense` and `sparse` to a graph, as far as a shape has them.
    pub fn of(shape: FeatureShape, graph: &mut Graph) -> Inputs {
        let dense =
            (shape.dense_width > 0).then(|| graph.input("dense", Kind::F32, shape.dense_width));
        let sparse = (shape.sparse_width > 0).then(|| {
            let given = graph.input("sparse", Kind::I64, shape.sparse_width);
            let (zero, limit) = (graph.integer(0), graph.integer(1 << shape.sparse_bits));
            let is_known = graph.less(given, limit);
            let known = graph.choose(is_known, given, limit);
            let is_negative = graph.less(known, zero);
            graph.choose(is_negative, limit, known)
        });
        Inputs { shape, dense, sparse, notes: None }
    }

    /// The same with these dense features and notes in the place of others.
    #[must_use]
    pub fn with(&self, dense: Option<Value>, notes: Option<Value>) -> Inputs {
        Inputs { dense, notes, ..*self }
    }

    /// The columns that trees see: dense features and notes, 0 where they are not finite.
    pub fn tree_columns(&self, graph: &mut Graph) -> Option<Value> {
        let parts: Vec<Value> = [self.dense, self.notes].into_iter().flatten().collect();
        if parts.is_empty() {
            return None;
        }
        let columns = graph.beside(&parts);
        Some(graph.finite(columns))
    }

    /// The same numbers in every row, `[rows, numbers]`; none where a row has no features at all.
    pub fn in_every_row(&self, graph: &mut Graph, name: &str, numbers: Vec<f32>) -> Option<Value> {
        let any = match (self.dense, self.sparse) {
            (Some(dense), _) => graph.columns(dense, 0, 1),
            (None, Some(sparse)) => {
                let first = graph.columns(sparse, 0, 1);
                graph.single(first)
            }
            (None, None) => return None,
        };
        let is_none = graph.node(Operation::Unary(Unary::IsNaN), &[any]);
        let (ones, zero) = (graph.single(is_none), graph.number(0.0));
        let zeros = graph.mul(ones, zero);
        let numbers = graph.constant(name, Tensor::floats(numbers));
        Some(graph.add(zeros, numbers))
    }

    /// [`Inputs::in_every_row`], of rows that have features.
    ///
    /// # Errors
    /// [`ModelError::NotDrawn`] where a row has none at all.
    pub fn repeat(
        &self,
        graph: &mut Graph,
        name: &str,
        numbers: Vec<f32>,
    ) -> Result<Value, ModelError> {
        let refused = ModelError::NotDrawn("a model of rows without features");
        self.in_every_row(graph, name, numbers).ok_or(refused)
    }

    /// [`Inputs::tree_columns`], or one column of 0 where there are none.
    ///
    /// # Errors
    /// As [`Inputs::repeat`].
    pub fn columns_or_zero(&self, graph: &mut Graph) -> Result<Value, ModelError> {
        match self.tree_columns(graph) {
            Some(columns) => Ok(columns),
            None => self.repeat(graph, "columns", vec![0.0]),
        }
    }

    /// What a table has for each sparse feature: `[rows, sparse_width, width]` 32-bit floats.
    /// `keys` are the indices of its rows in their order; behind these `table` has one row for
    /// indices that have none.
    pub fn look_up(
        &self,
        graph: &mut Graph,
        name: &str,
        keys: impl IntoIterator<Item = u32>,
        (table, width): (Vec<f32>, usize),
    ) -> Option<Value> {
        let sparse = self.sparse?;
        let table = Tensor::matrix(table, width);
        let last = table.shape()[0] as i64 - 1;
        let mut slots = vec![last; (1 << self.shape.sparse_bits) + 1];
        for (row, key) in (0..last).zip(keys) {
            slots[key as usize] = row;
        }
        graph.within(name, |graph| {
            let slots = graph.constant("slots", Tensor::integers(slots));
            let table = graph.constant("rows", table);
            let gather = Operation::Gather { axis: 0 };
            let slots = graph.node(gather.clone(), &[slots, sparse]);
            Some(graph.node(gather, &[table, slots]))
        })
    }
}
