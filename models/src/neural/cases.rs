//! A network on a GPU by itself, for the cases of the kernels.

use pelton_kernels::coordinate::device::{RowsThere, Scorer, TableError};
use pelton_kernels::device::{Buffer, DeviceError, Stream};

use super::Neural;

impl Neural {
    /// Scores rows that lie on the GPU, without waiting, by another stream than the model's own;
    /// none was given to learn since it last waited.
    pub(crate) fn score_on(
        &self,
        stream: &Stream,
        rows: RowsThere<'_>,
        predictions: &mut Buffer<f32>,
    ) -> Result<(), TableError> {
        let there = self.there.as_ref().expect("a case has brought it to a GPU");
        there.score_on(stream, (rows, self.link.target_unit()), predictions)
    }

    /// Work given to the stream from now on begins after what the model was given to do.
    pub(crate) fn before(&self, stream: &Stream) -> Result<(), DeviceError> {
        self.there.as_ref().expect("a case has brought it to a GPU").ready(stream)
    }
}
