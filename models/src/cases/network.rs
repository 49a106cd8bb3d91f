//! Work for the kernels of networks: rows scored, rows learned in mini-batches.
//!
//! Both are whole models. What is learned there is planned here, as in a stream, so that the clock
//! of a bench counts the planning, too.

use pelton_kernels::cases::Work;
use pelton_kernels::coordinate::device::{RowBuffers, TableError};
use pelton_kernels::device::{Buffer, Device, Stream};

use super::{Doing, Drawn, kernel_error};
use crate::Model;
use crate::neural::{Neural, NeuralConfig};

pub(super) struct NetworkWork {
    doing: Doing,
    config: NeuralConfig,
    drawn: Drawn,
    here: Neural,
    scores: Vec<f32>,
    there: Option<There>,
}

struct There {
    model: Neural,
    rows: RowBuffers,
    predictions: Buffer<f32>,
    scores: Vec<f32>,
}

impl NetworkWork {
    pub fn open(
        size: (usize, u64),
        config: NeuralConfig,
        (doing, widths): (Doing, [usize; 2]),
    ) -> Result<Box<dyn Work>, TableError> {
        let drawn = Drawn::new(size, widths, config.task);
        let mut here = Neural::new(config, drawn.shape).map_err(kernel_error)?;
        if doing == Doing::Score {
            // Rows that nothing was learned of have no embeddings.
            here.learn(&drawn.batch()).map_err(kernel_error)?;
        }
        let scores = vec![0.0; size.0 * config.task.outputs()];
        Ok(Box::new(NetworkWork { doing, config, drawn, here, scores, there: None }))
    }
}

fn saved(model: &Neural, scores: &[f32]) -> Vec<u8> {
    let mut bytes: Vec<u8> =
        scores.iter().flat_map(|score| score.to_bits().to_le_bytes()).collect();
    model.write_state(&mut bytes).expect("a vector takes all bytes");
    bytes
}

impl Work for NetworkWork {
    fn here(&mut self) -> Result<(), TableError> {
        self.drawn.by(&mut self.here, self.doing, &mut self.scores)
    }

    fn bring(&mut self, stream: &Stream) -> Result<(), TableError> {
        let device = Device::Gpu(stream.gpu().clone());
        let mut model = Neural::on(&device, self.config, self.drawn.shape).map_err(kernel_error)?;
        let mut bytes = Vec::new();
        self.here.write_state(&mut bytes).expect("a vector takes all bytes");
        model.read_state(&mut &bytes[..]).map_err(kernel_error)?;
        let rows = self.drawn.bring(stream)?;
        let predictions = Buffer::new(stream.gpu(), self.scores.len())?;
        let scores = vec![0.0; self.scores.len()];
        self.there = Some(There { model, rows, predictions, scores });
        Ok(())
    }

    fn there(&mut self, stream: &Stream) -> Result<(), TableError> {
        let There { model, rows, predictions, scores } =
            self.there.as_mut().expect("brought there");
        if self.doing == Doing::Score {
            return model.score_on(stream, rows.all(), predictions);
        }
        self.drawn.by(model, self.doing, scores)?;
        Ok(model.before(stream)?)
    }

    fn results(&mut self, stream: &Stream) -> Result<[Vec<u8>; 2], TableError> {
        let There { model, predictions, scores, .. } = self.there.as_mut().expect("brought there");
        if self.doing == Doing::Score {
            stream.read(predictions, scores)?;
        }
        Ok([saved(&self.here, &self.scores), saved(model, scores)])
    }
}
