//! The operations: each is one of ONNX, by the same name.

use super::{Kind, Trees};

/// What is done with each number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names are those of ONNX and of mathematics")]
pub enum Unary {
    Abs,
    Ceil,
    Exp,
    Floor,
    IsNaN,
    Log,
    Neg,
    Not,
    Relu,
    Sigmoid,
    Softplus,
    Sqrt,
    Tanh,
}

/// What is done with two numbers; tensors of other shapes are broadcast as in numpy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names are those of ONNX and of mathematics")]
pub enum Binary {
    Add,
    And,
    Div,
    Equal,
    Greater,
    GreaterOrEqual,
    Less,
    LessOrEqual,
    Max,
    Min,
    Mul,
    Or,
    Pow,
    Sub,
}

/// What many numbers become.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names are those of mathematics")]
pub enum Reduction {
    Max,
    Mean,
    Min,
    Sum,
}

/// An operation on tensors. Axes count from the end where they are negative.
#[derive(Clone, Debug, PartialEq)]
pub enum Operation {
    /// On each number.
    Unary(Unary),
    /// On pairs of numbers.
    Binary(Binary),
    /// The second input where the first is true, else the third.
    Where,
    /// To another kind of number.
    Cast(Kind),
    /// `[.., n, k]` times `[k, m]`, or of as many matrices each.
    MatMul,
    /// Parts of the first input by the indices in the second, along an axis. Negative indices count
    /// from the end.
    Gather {
        /// The axis.
        axis: i64,
    },
    /// Side by side along an axis.
    Concat {
        /// The axis.
        axis: i64,
    },
    /// The same numbers in another shape: 0 keeps a length, -1 is what is left.
    Reshape {
        /// The shape.
        shape: Vec<i64>,
    },
    /// Axes in another order.
    Transpose {
        /// Where each axis comes from.
        order: Vec<usize>,
    },
    /// Part of an axis.
    Slice {
        /// The axis.
        axis: i64,
        /// The first place kept.
        start: i64,
        /// The first place no longer kept; beyond the end is the end.
        end: i64,
    },
    /// Axes of length 1 more, by their places in the result.
    Unsqueeze {
        /// The axes.
        axes: Vec<i64>,
    },
    /// Axes of length 1 fewer; all of them where none is named.
    Squeeze {
        /// The axes.
        axes: Vec<i64>,
    },
    /// Many numbers to one along axes, all of them where none is named.
    Reduce {
        /// How.
        reduction: Reduction,
        /// The axes.
        axes: Vec<i64>,
        /// Whether they stay, with length 1.
        keep: bool,
    },
    /// Shares by the exponentials, along an axis.
    Softmax {
        /// The axis.
        axis: i64,
    },
    /// An ensemble of decision trees over the columns of a row.
    Trees(Trees),
}

impl Operation {
    /// Its name in ONNX.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Operation::Unary(own) => own.name(),
            Operation::Binary(own) => own.name(),
            Operation::Where => "Where",
            Operation::Cast(_) => "Cast",
            Operation::MatMul => "MatMul",
            Operation::Gather { .. } => "Gather",
            Operation::Concat { .. } => "Concat",
            Operation::Reshape { .. } => "Reshape",
            Operation::Transpose { .. } => "Transpose",
            Operation::Slice { .. } => "Slice",
            Operation::Unsqueeze { .. } => "Unsqueeze",
            Operation::Squeeze { .. } => "Squeeze",
            Operation::Reduce { reduction, .. } => reduction.name(),
            Operation::Softmax { .. } => "Softmax",
            Operation::Trees(_) => "TreeEnsembleRegressor",
        }
    }
}

impl Unary {
    /// All of them.
    pub const ALL: [Unary; 13] = [
        Unary::Abs,
        Unary::Ceil,
        Unary::Exp,
        Unary::Floor,
        Unary::IsNaN,
        Unary::Log,
        Unary::Neg,
        Unary::Not,
        Unary::Relu,
        Unary::Sigmoid,
        Unary::Softplus,
        Unary::Sqrt,
        Unary::Tanh,
    ];

    /// Its name in ONNX.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Unary::Abs => "Abs",
            Unary::Ceil => "Ceil",
            Unary::Exp => "Exp",
            Unary::Floor => "Floor",
            Unary::IsNaN => "IsNaN",
            Unary::Log => "Log",
            Unary::Neg => "Neg",
            Unary::Not => "Not",
            Unary::Relu => "Relu",
            Unary::Sigmoid => "Sigmoid",
            Unary::Softplus => "Softplus",
            Unary::Sqrt => "Sqrt",
            Unary::Tanh => "Tanh",
        }
    }
}

impl Binary {
    /// All of them.
    pub const ALL: [Binary; 14] = [
        Binary::Add,
        Binary::And,
        Binary::Div,
        Binary::Equal,
        Binary::Greater,
        Binary::GreaterOrEqual,
        Binary::Less,
        Binary::LessOrEqual,
        Binary::Max,
        Binary::Min,
        Binary::Mul,
        Binary::Or,
        Binary::Pow,
        Binary::Sub,
    ];

    /// Its name in ONNX.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Binary::Add => "Add",
            Binary::And => "And",
            Binary::Div => "Div",
            Binary::Equal => "Equal",
            Binary::Greater => "Greater",
            Binary::GreaterOrEqual => "GreaterOrEqual",
            Binary::Less => "Less",
            Binary::LessOrEqual => "LessOrEqual",
            Binary::Max => "Max",
            Binary::Min => "Min",
            Binary::Mul => "Mul",
            Binary::Or => "Or",
            Binary::Pow => "Pow",
            Binary::Sub => "Sub",
        }
    }
}

impl Reduction {
    /// All of them.
    pub const ALL: [Reduction; 4] =
        [Reduction::Max, Reduction::Mean, Reduction::Min, Reduction::Sum];

    /// Its name in ONNX.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Reduction::Max => "ReduceMax",
            Reduction::Mean => "ReduceMean",
            Reduction::Min => "ReduceMin",
            Reduction::Sum => "ReduceSum",
        }
    }
}
