//! Factorization machines of the models on a GPU: what one is made of.
//!
//! On the CPU a machine is composed of [`crate::blend`], [`crate::pairs`] and [`crate::stack`] by
//! the model; on a GPU learning is one kernel, which goes through rows in turn, and what it has to
//! know of the machine is told here. Whether a row is learned depends on its scores, and the table
//! of embeddings on the rows that are learned: so that table lives and changes on the GPU, as that
//! of the CPU does, step by step.

pub mod device;

use crate::KernelError;
use crate::blend::EXPERTS;
use crate::blend::device::BlendSpec;

/// Warps of the block that learns, and terms of a sum that are made side by side, as the kernels
/// have them.
const WARPS: usize = 8;
const TERMS: usize = 256;
const LANES: usize = 8;
/// Inputs of a stack: the pool, the experts, a bias.
const STACKED: usize = EXPERTS + 2;
/// Bytes of shared memory that a GPU of compute capability 8.0 has for a block.
const SHARED_MAX: usize = 160 << 10;

/// What a machine is made for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct FactorSpec {
    /// The blend it stands on.
    pub blend: BlendSpec,
    /// Length of a vector.
    pub factors: usize,
    /// Columns, where a feature has a vector for each; 0 where it has one.
    pub fields: usize,
    /// Sparse indices that have embeddings at the same time, at most.
    pub rows_max: usize,
    /// Prior variances of embeddings, then the rates of the descents.
    pub priors: [f32; EXPERTS],
    /// What the numbers that embeddings begin with are multiplied by: integers below 2^23.
    pub scale: f32,
}

impl FactorSpec {
    /// Cells of a feature and class.
    fn width(&self) -> usize {
        self.fields.max(1) * self.factors
    }

    /// Cells of a feature.
    #[must_use]
    pub fn row_cells(&self) -> usize {
        self.width() * self.blend.table.classes
    }

    /// Bytes that a block has of a row, besides what the blend has.
    fn room_bytes(&self, warps: usize) -> usize {
        let table = &self.blend.table;
        let columns = table.dense_width + table.sparse_width;
        let floats = (EXPERTS + 1) * table.classes
            + EXPERTS * (self.factors + TERMS + 2)
            + 3 * columns
            + 2 * table.sparse_width
            + 4;
        8 * warps * 4 * LANES + 4 * floats
    }

    /// Bytes of shared memory that scoring and learning take.
    fn shared_bytes(&self) -> [usize; 2] {
        let scores = 4 * EXPERTS * self.blend.table.classes;
        [self.room_bytes(0) + scores, self.blend.shared_bytes() + self.room_bytes(WARPS)]
    }

    /// Refuses rows that are too wide for a block of a GPU, and tables beyond 32 bits.
    ///
    /// # Errors
    /// [`KernelError::Value`].
    pub fn check(&self) -> Result<(), KernelError> {
        let is_small = self.shared_bytes().iter().all(|bytes| *bytes <= SHARED_MAX);
        if is_small && self.rows_max <= 1 << 29 && self.row_cells() <= 1 << 24 {
            return Ok(());
        }
        let reason = "is too wide for a GPU";
        Err(KernelError::Value { kernel: "factor", argument: "shape", reason })
    }
}
