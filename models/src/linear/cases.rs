//! The model's tables on a GPU by themselves, for the cases of the kernels.

use pelton_kernels::blend::device::BlendTable;
use pelton_kernels::coordinate::device::CoordinateTable;
use pelton_kernels::device::{DeviceError, Stream};

use super::blend::Blend;
use super::device::{Twin, table_spec};
use super::link::Link;
use super::{Linear, Optimizer};

/// The untrained table of a model that learns by coordinate.
pub(crate) fn coordinate_table(
    stream: &Stream,
    here: &Linear,
) -> Result<CoordinateTable, DeviceError> {
    CoordinateTable::new(stream, table_spec(&here.config, here.shape))
}

/// The untrained tables of the blend.
pub(crate) fn blend_table(stream: &Stream, here: &Linear) -> Result<BlendTable, DeviceError> {
    let (config, shape) = (&here.config, here.shape);
    let Optimizer::Blend { rate } = config.optimizer else {
        unreachable!("a case of the blend is one of its optimiser")
    };
    let link = Link::new(config.task, config.positive_weight);
    let blend = Blend::new(link, shape, config.width(shape), rate, [config.l1, config.l2]);
    Twin::new(stream, table_spec(config, shape), &blend)
}
