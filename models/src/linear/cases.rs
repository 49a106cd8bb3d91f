//! The model's tables on a GPU by themselves, for the cases of the kernels.

use pelton_kernels::blend::device::BlendTable;
use pelton_kernels::coordinate::device::{CoordinateTable, RowsThere, TableError};
use pelton_kernels::device::{Buffer, Stream};

use super::blend::Blend;
use super::device::{Twin, table_spec};
use super::link::Link;
use super::{LinearConfig, Optimizer};
use crate::FeatureShape;

/// A table, whatever it learns by.
pub(crate) trait AnyTable {
    /// Predictions, without waiting.
    fn score(
        &mut self,
        stream: &Stream,
        rows: RowsThere<'_>,
        to: &mut Buffer<f32>,
    ) -> Result<(), TableError>;
    /// Learns the rows as one step, without waiting where the optimiser learns a step at once.
    fn step(&mut self, stream: &Stream, rows: RowsThere<'_>) -> Result<(), TableError>;
    /// Learns the rows one by one; waits.
    fn each(&mut self, stream: &Stream, rows: RowsThere<'_>) -> Result<(), TableError>;
}

/// The untrained tables of a model.
pub(crate) fn open_table(
    stream: &Stream,
    config: &LinearConfig,
    shape: FeatureShape,
) -> Result<Box<dyn AnyTable>, TableError> {
    let spec = table_spec(config, shape);
    let Optimizer::Blend { rate } = config.optimizer else {
        return Ok(Box::new(CoordinateTable::new(stream, spec)?));
    };
    let link = Link::new(config.task, config.positive_weight);
    let penalties = [config.l1, config.l2];
    let mut blend = Blend::new(link, shape, config.width(shape), rate, penalties);
    let table: BlendTable = Twin::new(stream, spec, &mut blend)?;
    Ok(Box::new(table))
}

impl AnyTable for CoordinateTable {
    fn score(
        &mut self,
        stream: &Stream,
        rows: RowsThere<'_>,
        to: &mut Buffer<f32>,
    ) -> Result<(), TableError> {
        CoordinateTable::score(self, stream, rows, to)
    }

    fn step(&mut self, stream: &Stream, rows: RowsThere<'_>) -> Result<(), TableError> {
        match rows.count() {
            1 => CoordinateTable::each(self, stream, rows, None).map(drop),
            _ => self.give_step(stream, rows),
        }
    }

    fn each(&mut self, stream: &Stream, rows: RowsThere<'_>) -> Result<(), TableError> {
        CoordinateTable::each(self, stream, rows, None).map(drop)
    }
}

impl AnyTable for BlendTable {
    fn score(
        &mut self,
        stream: &Stream,
        rows: RowsThere<'_>,
        to: &mut Buffer<f32>,
    ) -> Result<(), TableError> {
        BlendTable::score(self, stream, rows, to)
    }

    fn step(&mut self, stream: &Stream, rows: RowsThere<'_>) -> Result<(), TableError> {
        BlendTable::each(self, stream, rows, None).map(drop)
    }

    fn each(&mut self, stream: &Stream, rows: RowsThere<'_>) -> Result<(), TableError> {
        BlendTable::each(self, stream, rows, None).map(drop)
    }
}
