//! Which model a saved state is of.

use std::io;

use pelton_kernels::state::{StateReader, StateWriter};

use super::config::{LinearConfig, Optimizer};
use crate::{FeatureShape, Task};

/// Which model a state is of: a state of another shape, task or optimiser is refused.
fn header(config: &LinearConfig, shape: FeatureShape) -> [u64; 5] {
    let optimizer = match config.optimizer {
        Optimizer::Blend { .. } => 0_u64,
        Optimizer::Ftrl { .. } => 1,
        Optimizer::AdaGrad { .. } => 2,
        Optimizer::Sgd { .. } => 3,
    };
    let task = match config.task {
        Task::Binary => 0_u64,
        Task::MultiClass { classes } => u64::from(classes) << 2 | 1,
        Task::Regression => 2,
    };
    [
        u64::from_le_bytes(*b"linear-1"),
        optimizer << 1 | u64::from(config.fold),
        task,
        shape.dense_width as u64,
        (shape.sparse_width as u64) << 8 | u64::from(shape.sparse_bits),
    ]
}

pub(super) fn write_header(
    state: &mut StateWriter<'_>,
    config: &LinearConfig,
    shape: FeatureShape,
) -> io::Result<()> {
    state.slice(&header(config, shape))
}

pub(super) fn read_header(
    state: &mut StateReader<'_>,
    config: &LinearConfig,
    shape: FeatureShape,
) -> io::Result<()> {
    state.expect(&header(config, shape), "the model had another shape, task or optimizer")
}
