//! What the tables of a model on a GPU have in common, whatever they learn by.

use super::{Outcome, RowsThere, TableError};
use crate::device::{Buffer, DeviceError, Stream};

/// The cells of a model on a GPU, scored and changed there.
pub trait Table {
    /// What learning changes.
    type Cells: Send;

    /// The cells.
    fn cells(&self) -> &Self::Cells;

    /// The same to be overwritten.
    fn cells_mut(&mut self) -> &mut Self::Cells;

    /// A copy of the cells in the memory of the GPU, in `room` where there is one to be used again.
    ///
    /// # Errors
    /// [`DeviceError`].
    fn copy(&self, stream: &Stream, room: Option<Self::Cells>) -> Result<Self::Cells, DeviceError>;

    /// Takes the cells of a copy.
    ///
    /// # Errors
    /// [`DeviceError`].
    fn restore(&mut self, stream: &Stream, copy: &Self::Cells) -> Result<(), DeviceError>;

    /// Predictions of the rows.
    ///
    /// # Shapes
    /// `predictions`: `[rows, classes]` or longer.
    ///
    /// # Errors
    /// [`TableError`].
    fn score(
        &mut self,
        stream: &Stream,
        rows: RowsThere<'_>,
        predictions: &mut Buffer<f32>,
    ) -> Result<(), TableError>;

    /// Scores each row and learns it before the next one; predictions where they are asked for.
    ///
    /// # Shapes
    /// As [`Table::score`].
    ///
    /// # Errors
    /// [`TableError`].
    fn each(
        &mut self,
        stream: &Stream,
        rows: RowsThere<'_>,
        predictions: Option<&mut Buffer<f32>>,
    ) -> Result<Outcome, TableError>;

    /// Learns rows that came as one step.
    ///
    /// # Errors
    /// [`TableError`].
    fn step(&mut self, stream: &Stream, rows: RowsThere<'_>) -> Result<Outcome, TableError>;

    /// The same, without waiting for what became of the rows where the table can.
    ///
    /// # Errors
    /// [`TableError`].
    fn give_step(&mut self, stream: &Stream, rows: RowsThere<'_>) -> Result<(), TableError>;
}
