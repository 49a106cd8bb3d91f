//! Work for the kernels of models that are tables on a GPU: the linear model and the machine.

use pelton_kernels::cases::Work;
use pelton_kernels::coordinate::device::{RowBuffers, Table, TableError};
use pelton_kernels::device::{Buffer, DeviceError, Stream};

use super::{Doing, Drawn, kernel_error};
use crate::Model;

/// Makes the table of a model on a GPU.
type Make<M, T> = fn(&Stream, &M) -> Result<T, DeviceError>;

pub(super) struct TableWork<M, T> {
    doing: Doing,
    drawn: Drawn,
    here: M,
    scores: Vec<f32>,
    make: Make<M, T>,
    there: Option<There<T>>,
}

struct There<T> {
    table: T,
    rows: RowBuffers,
    scores: Buffer<f32>,
}

impl<M: Model, T: Table> TableWork<M, T> {
    /// Work of a model as it is.
    pub fn new(drawn: Drawn, doing: Doing, here: M, make: Make<M, T>) -> Self {
        let scores = vec![0.0; drawn.labels.len() * here.outputs()];
        TableWork { doing, drawn, here, scores, make, there: None }
    }
}

impl<M: Model, T: Table> Work for TableWork<M, T> {
    fn here(&mut self) -> Result<(), TableError> {
        self.drawn.by(&mut self.here, self.doing, &mut self.scores)
    }

    fn bring(&mut self, stream: &Stream) -> Result<(), TableError> {
        let rows = self.drawn.bring(stream)?;
        let table = (self.make)(stream, &self.here)?;
        let scores = Buffer::new(stream.gpu(), self.scores.len())?;
        self.there = Some(There { table, rows, scores });
        Ok(())
    }

    fn there(&mut self, stream: &Stream) -> Result<(), TableError> {
        let There { table, rows, scores } = self.there.as_mut().expect("brought there");
        match self.doing {
            Doing::Score => table.score(stream, rows.all(), scores),
            // A step of one row is that row.
            Doing::Step if rows.count() > 1 => table.give_step(stream, rows.all(), None),
            Doing::Step | Doing::Each => table.each(stream, rows.all(), None).map(drop),
        }
    }

    fn results(&mut self, stream: &Stream) -> Result<[Vec<u8>; 2], TableError> {
        let mut here = vec![0.0; self.scores.len()];
        self.here.score(&self.drawn.batch().features, &mut here).map_err(kernel_error)?;
        let There { table, rows, scores } = self.there.as_mut().expect("brought there");
        table.score(stream, rows.all(), scores)?;
        let mut there = vec![0.0; here.len()];
        stream.read(scores, &mut there)?;
        let bytes = |scores: &[f32]| {
            scores.iter().flat_map(|score| score.to_bits().to_le_bytes()).collect()
        };
        Ok([bytes(&here), bytes(&there)])
    }
}
