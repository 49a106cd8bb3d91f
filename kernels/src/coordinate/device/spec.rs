//! What a table of coordinates is made for, and how a kernel is told of it.

use super::RowsThere;
use crate::KernelError;
use crate::coordinate::LANES;
use crate::device::{Buffer, Plain};

/// The optimisers, as the kernels number them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Rule {
    /// FTRL-Proximal.
    Ftrl = 0,
    /// AdaGrad.
    AdaGrad = 1,
    /// Normalised descent with implicit steps.
    Sgd = 2,
}

/// The tasks, as the kernels number them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Task {
    /// One probability.
    Binary = 0,
    /// One probability per class.
    Classes = 1,
    /// One value.
    Regression = 2,
}

/// What a table of coordinates is made for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TableSpec {
    /// What is predicted.
    pub task: Task,
    /// How cells learn.
    pub rule: Rule,
    /// Outputs.
    pub classes: usize,
    /// Dense inputs as they are given.
    pub dense_width: usize,
    /// Whether each has a second input for its size.
    pub fold: bool,
    /// Sparse inputs of a row.
    pub sparse_width: usize,
    /// Sparse coordinates: indices below this.
    pub absent: usize,
    /// `alpha` of FTRL, the rate of the others.
    pub rate: f32,
    /// `beta` of FTRL.
    pub beta: f32,
    /// L1 penalty.
    pub l1: f32,
    /// L2 penalty.
    pub l2: f32,
    /// How often a positive counts.
    pub positive_weight: f32,
    /// Taken off the log odds before they become a probability.
    pub shift: f32,
}

impl TableSpec {
    pub(crate) fn inputs(&self) -> usize {
        self.dense_width * if self.fold { 2 } else { 1 }
    }

    /// Dense cells of a class: the inputs, the bias, zeros up to whole lanes.
    #[must_use]
    pub fn stride(&self) -> usize {
        (self.inputs() + 1).next_multiple_of(LANES)
    }

    /// Refuses rows and predictions of another shape.
    pub(crate) fn check(
        &self,
        rows: RowsThere<'_>,
        predictions: Option<&Buffer<f32>>,
        is_labelled: bool,
    ) -> Result<(), KernelError> {
        let spec = self;
        let kernel = "linear";
        let expect = |argument, expected, given| match given == expected {
            true => Ok(()),
            false => Err(KernelError::Shape { kernel, argument, expected, given }),
        };
        let [dense_width, sparse_width] = rows.widths();
        expect("rows.dense_width", spec.dense_width, dense_width)?;
        expect("rows.sparse_width", spec.sparse_width, sparse_width)?;
        expect(
            "rows.labels",
            usize::from(is_labelled),
            usize::from(rows.is_labelled() && is_labelled),
        )?;
        let (argument, expected) = ("predictions", rows.count() * spec.classes);
        match predictions.map(Buffer::len) {
            Some(given) if given < expected => {
                Err(KernelError::Shape { kernel, argument, expected, given })
            }
            _ if rows.count() == 0 => {
                Err(KernelError::Value { kernel, argument: "rows", reason: "must not be empty" })
            }
            _ => Ok(()),
        }
    }

    pub(super) fn dense_cells(&self) -> usize {
        self.classes * self.stride()
    }

    pub(super) fn sparse_cells(&self) -> usize {
        self.classes * (self.absent + 1)
    }
}

/// What the model remembers of the stream besides its cells.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[repr(C)]
pub struct Running {
    /// Targets of a regression seen.
    pub target_count: u64,
    /// Their mean.
    pub target_mean: f64,
    /// The sum of their squared deviations.
    pub target_squares: f64,
    /// Rows whose length was taken.
    pub length_rows: u64,
    /// The sum of these lengths.
    pub length_sum: f64,
    /// The usual size of a residual.
    pub residual: f32,
    /// Nothing: the structure has no padding.
    pub unused: f32,
}

// SAFETY: numbers only, 48 bytes without padding.
unsafe impl Plain for Running {}

/// Arguments of the kernels, as cells.cuh and step.cu declare them.
#[derive(Clone, Copy)]
#[repr(C)]
pub(crate) struct ModelArgument {
    addresses: [u64; 4],
    numbers: [u32; 10],
    rates: [f32; 6],
}

#[derive(Clone, Copy)]
#[repr(C)]
pub(super) struct StepArgument {
    pub addresses: [u64; 10],
}

// SAFETY: numbers only, without padding: 4 * 8 + 10 * 4 + 6 * 4 = 96 bytes.
unsafe impl Plain for ModelArgument {}
// SAFETY: numbers only.
unsafe impl Plain for StepArgument {}

impl ModelArgument {
    /// The addresses of dense and sparse cells, penalties and what is remembered besides them.
    pub fn of(spec: &TableSpec, addresses: [u64; 4]) -> ModelArgument {
        let count = |value: usize| u32::try_from(value).expect("shapes are below 2^32");
        ModelArgument {
            addresses,
            numbers: [
                count(spec.classes),
                count(spec.stride()),
                count(spec.inputs()),
                count(spec.dense_width),
                count(spec.sparse_width),
                count(spec.absent),
                u32::from(spec.fold),
                spec.task as u32,
                spec.rule as u32,
                0,
            ],
            rates: [spec.rate, spec.beta, spec.l1, spec.l2, spec.positive_weight, spec.shift],
        }
    }
}
