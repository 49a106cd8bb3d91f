//! Networks of the models on a GPU: what one is made of, and the steps in which it learns there.
//!
//! On the CPU a network is composed of [`crate::layer`] and [`crate::descent`] by the model; on a
//! GPU a pass through it is one kernel, so what the kernels have to know of it is told here. The
//! passes of a row are those of the CPU, operation by operation; only rows that have nothing to do
//! with each other go side by side ([`Walk`]).
//!
//! Which index has which row of the table of embeddings is decided by the caller, in the order of
//! the stream: that is little work, it needs no number of the network, and an index that takes the
//! row of another depends on all that came before. So the kernels are told the rows of what is
//! learned, and a table in the memory of the GPU, which follows, finds those of what is scored.
//!
//! What this does not do: decide when a mini-batch is whole, or which rows are in it.

pub mod device;
mod walk;

pub use walk::{Lesson, Walk};

use crate::KernelError;
use crate::coordinate::device::Task;
use crate::descent::Rule;
use crate::layer::LANES;

/// Rows that go through a network side by side, in one block; as network.cu has it.
pub const WAVE: usize = 8;

/// No row of the table of embeddings.
pub const NONE: u32 = u32::MAX;

/// What a network is made for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct NetworkSpec {
    /// What is predicted.
    pub task: Task,
    /// How the dense parameters move.
    pub rule: Rule,
    /// Their rate.
    pub rate: f32,
    /// Dense features of a row.
    pub dense: usize,
    /// Sparse features of a row.
    pub sparse: usize,
    /// Numbers of a vector.
    pub factors: usize,
    /// Outputs; the layers that give them are padded to a multiple of [`LANES`].
    pub outputs: usize,
    /// Outputs of the hidden layers, multiples of [`LANES`].
    pub hidden: [usize; 2],
    /// Whether there are products of pairs and a linear part.
    pub is_deep: bool,
    /// What the products are multiplied by.
    pub scale: f32,
    /// Embeddings at the same time, at most.
    pub rows_max: usize,
}

impl NetworkSpec {
    /// Numbers of a row of the table: a vector and linear weights.
    #[must_use]
    pub fn width(&self) -> usize {
        self.factors + if self.is_deep { self.outputs } else { 0 }
    }

    /// Inputs of the linear layer: dense features and products.
    fn straight(&self) -> usize {
        self.dense + if self.is_deep { self.factors } else { 0 }
    }

    fn inputs(&self) -> usize {
        self.straight() + self.sparse * self.factors
    }

    fn padded(&self) -> usize {
        self.outputs.next_multiple_of(LANES)
    }

    /// Where second, last and linear layer and the vectors of dense columns begin among the
    /// parameters, and how many parameters there are.
    fn parts(&self) -> [usize; 5] {
        let [first, second] = self.hidden;
        let padded = self.padded();
        let beside = match self.is_deep {
            true => [(self.straight() + 1) * padded, self.dense * self.factors],
            false => [0; 2],
        };
        let sizes =
            [(self.inputs() + 1) * first, (first + 1) * second, (second + 1) * padded, beside[0]];
        let mut end = 0;
        let [second, last, linear, vectors] = sizes.map(|size| {
            end += size;
            end
        });
        [second, last, linear, vectors, (vectors + beside[1]).next_multiple_of(LANES)]
    }

    /// Numbers of all parameters.
    #[must_use]
    pub fn parameters(&self) -> usize {
        self.parts()[4]
    }

    /// Numbers that a row needs on its way when it is scored, and when it is learned.
    fn strides(&self) -> [usize; 2] {
        let [first, second] = self.hidden;
        let (inputs, padded) = (self.inputs(), self.padded());
        let scored = inputs + first + second + padded + self.sparse + self.factors;
        [scored, scored + inputs + first + second + padded]
    }

    /// Refuses what the kernels cannot count in 32 bits.
    fn check(&self) -> Result<(), KernelError> {
        let most = [self.parameters(), WAVE * self.strides()[1], 4 * self.rows_max];
        if most.iter().all(|count| *count <= 1 << 31) {
            return Ok(());
        }
        let reason = "is too large for a GPU";
        Err(KernelError::Value { kernel: "network", argument: "shape", reason })
    }
}
