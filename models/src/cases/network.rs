//! Work for the kernels of networks: rows scored, rows learned in mini-batches.
//!
//! Both are whole models. What is learned there is planned here, as in a stream, so that the clock
//! of a bench counts the planning, too.

use pelton_kernels::cases::{Draw, Work};
use pelton_kernels::coordinate::device::{RowBuffers, TableError};
use pelton_kernels::device::{Buffer, Device, Stream};

use super::{Doing, features, kernel_error};
use crate::neural::{Neural, NeuralConfig};
use crate::{FeatureShape, LabeledBatch, Model, Task};

pub(super) struct NetworkWork {
    doing: Doing,
    config: NeuralConfig,
    shape: FeatureShape,
    dense: Vec<f32>,
    sparse: Vec<u32>,
    labels: Vec<f32>,
    weights: Vec<f32>,
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
        (rows, seed): (usize, u64),
        config: NeuralConfig,
        (doing, [dense_width, sparse_width]): (Doing, [usize; 2]),
    ) -> Result<Box<dyn Work>, TableError> {
        let shape = FeatureShape { dense_width, sparse_width, sparse_bits: 12 };
        let mut draw = Draw::new(seed);
        let dense: Vec<f32> = (0..rows * dense_width).map(|_| draw.number()).collect();
        // Some categories are far more common than others.
        let mut index = || (draw.unit().powi(4) * 4096.0) as u32;
        let sparse: Vec<u32> = (0..rows * sparse_width).map(|_| index()).collect();
        let mut draw = Draw::new(!seed);
        let mut label = |row: usize| match config.task {
            Task::Binary => f32::from(u8::from(dense[row * dense_width] + draw.number() > 0.5)),
            Task::MultiClass { classes } => (draw.unit() * classes as f32).floor(),
            Task::Regression => dense[row * dense_width] * 10.0 + draw.number(),
        };
        let labels: Vec<f32> = (0..rows).map(&mut label).collect();
        let mut here = Neural::new(config, shape).map_err(kernel_error)?;
        if doing == Doing::Score {
            // Rows that nothing was learned of have no embeddings.
            let features = features(&dense, &sparse, rows);
            let weights = &vec![1.0; rows];
            let batch = LabeledBatch { features, labels: &labels, weights };
            here.learn(&batch).map_err(kernel_error)?;
        }
        Ok(Box::new(NetworkWork {
            doing,
            here,
            scores: vec![0.0; rows * config.task.outputs()],
            weights: vec![1.0; rows],
            dense,
            sparse,
            labels,
            config,
            shape,
            there: None,
        }))
    }

    fn batch(&self) -> LabeledBatch<'_> {
        let features = features(&self.dense, &self.sparse, self.labels.len());
        LabeledBatch { features, labels: &self.labels, weights: &self.weights }
    }

    /// Does it with one of the models.
    fn learned(&self, model: &mut Neural, scores: &mut [f32]) -> Result<(), TableError> {
        match self.doing {
            Doing::Score => model.score(&self.batch().features, scores),
            Doing::Step => model.learn(&self.batch()).map(drop),
            Doing::Each => model.score_and_learn_each(&self.batch(), scores).map(drop),
        }
        .map_err(kernel_error)
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
        let mut scores = std::mem::take(&mut self.scores);
        let mut here = std::mem::replace(
            &mut self.here,
            Neural::new(self.config, self.shape).map_err(kernel_error)?,
        );
        let done = self.learned(&mut here, &mut scores);
        (self.here, self.scores) = (here, scores);
        done
    }

    fn bring(&mut self, stream: &Stream) -> Result<(), TableError> {
        let gpu = stream.gpu();
        let device = Device::Gpu(gpu.clone());
        let mut model = Neural::on(&device, self.config, self.shape).map_err(kernel_error)?;
        let mut bytes = Vec::new();
        self.here.write_state(&mut bytes).expect("a vector takes all bytes");
        model.read_state(&mut &bytes[..]).map_err(kernel_error)?;
        let mut rows = RowBuffers::new(gpu, self.shape.dense_width, self.shape.sparse_width)?;
        rows.give(stream, (&self.dense, &self.sparse), self.labels.len(), None)?;
        let predictions = Buffer::new(gpu, self.scores.len())?;
        let scores = vec![0.0; self.scores.len()];
        self.there = Some(There { model, rows, predictions, scores });
        Ok(())
    }

    fn there(&mut self, stream: &Stream) -> Result<(), TableError> {
        let mut there = self.there.take().expect("brought there");
        let There { model, rows, predictions, scores } = &mut there;
        let done = match self.doing {
            Doing::Score => model.score_on(stream, rows.all(), predictions),
            Doing::Step | Doing::Each => {
                let learned = self.learned(model, scores);
                learned.and_then(|()| Ok(model.before(stream)?))
            }
        };
        self.there = Some(there);
        done
    }

    fn results(&mut self, stream: &Stream) -> Result<[Vec<u8>; 2], TableError> {
        let There { model, predictions, scores, .. } = self.there.as_mut().expect("brought there");
        if self.doing == Doing::Score {
            stream.read(predictions, scores)?;
        }
        Ok([saved(&self.here, &self.scores), saved(model, scores)])
    }
}
