//! What the tables of a model on a GPU have in common, whatever they learn by.

use super::{Outcome, RowsThere, TableError};
use crate::device::{Buffer, DeviceError, Stream};

/// What scores rows on a GPU behind whatever makes them there, in the stream of those.
///
/// What changes its cells on a stream of its own is waited for by whoever asked for it, or by
/// [`Scorer::ready`].
pub trait Scorer {
    /// Scores of a row.
    fn outputs(&self) -> usize;

    /// Names the memory that launches given now address: while it says the same, they may be done
    /// again.
    fn place(&self) -> [u64; 2];

    /// Lets whatever is given to this stream from now on begin behind the learning that is under
    /// way; asked for before each [`Scorer::give`], and whenever what was given is done again.
    ///
    /// # Errors
    /// [`DeviceError`].
    fn ready(&self, stream: &Stream) -> Result<(), DeviceError> {
        let _ = stream;
        Ok(())
    }

    /// Gives the launches that score the rows, without waiting.
    ///
    /// # Shapes
    /// `predictions`: `[rows, outputs]` or longer.
    ///
    /// # Errors
    /// [`TableError`], for a shape before anything is given.
    fn give(
        &self,
        stream: &Stream,
        rows: RowsThere<'_>,
        predictions: &mut Buffer<f32>,
    ) -> Result<(), TableError>;
}

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

    /// How often its memory has been replaced by other memory.
    fn moves(&self) -> u64 {
        0
    }

    /// Takes the cells of a copy; waits.
    ///
    /// # Errors
    /// [`DeviceError`].
    fn restore(&mut self, stream: &Stream, copy: &Self::Cells) -> Result<(), DeviceError>;

    /// Predictions of the rows, without waiting; what is launched addresses the cells and what it
    /// is given, and nothing else that could move.
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

    /// Learns rows that came as one step: row after row, unless the table knows a step.
    ///
    /// # Errors
    /// [`TableError`].
    fn step(&mut self, stream: &Stream, rows: RowsThere<'_>) -> Result<Outcome, TableError> {
        self.each(stream, rows, None)
    }

    /// The same, without waiting for what became of the rows where the table can; predictions by
    /// the cells as they were before, where they are asked for.
    ///
    /// # Shapes
    /// As [`Table::score`].
    ///
    /// # Errors
    /// [`TableError`].
    fn give_step(
        &mut self,
        stream: &Stream,
        rows: RowsThere<'_>,
        predictions: Option<&mut Buffer<f32>>,
    ) -> Result<(), TableError> {
        if let Some(predictions) = predictions {
            self.score(stream, rows, predictions)?;
        }
        self.step(stream, rows).map(drop)
    }
}
