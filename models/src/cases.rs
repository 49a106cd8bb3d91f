//! Work for the kernels of the linear model, and the table of all cases.
//!
//! Here is [`Linear`] on the CPU, there the tables of [`pelton_kernels`] by themselves; what both
//! have come to is looked at through the scores of the same rows.

use pelton_kernels::cases::{BATCH, CASES, Case, Draw, Open, Work};
use pelton_kernels::coordinate::device::{RowBuffers, Table, TableError};
use pelton_kernels::device::{Buffer, DeviceError, Stream};

use crate::linear::cases::{blend_table, coordinate_table};
use crate::linear::{Linear, LinearConfig, Optimizer};
use crate::neural::{Form, NeuralConfig, Rule};
use crate::{FeatureShape, Features, LabeledBatch, Model, ModelError, Task};

mod network;

use network::NetworkWork;

/// Every case there is.
pub fn all() -> impl Iterator<Item = &'static Case> {
    CASES.iter().chain(LINEAR).chain(NETWORKS)
}

/// Rows that are learned one after another, for which a GPU is not made.
const IN_TURN: usize = 1 << 10;
/// Of clicks: a row, and a sector of 32 bytes for the cell of each category.
const CLICK_BYTES: f64 = (39 * 4 + 26 * 32) as f64;

const LINEAR: &[Case] = &[
    clicks("linear_score", "clicks: 13 dense, 26 sparse", 1.0, BATCH, |rows, seed| {
        open_clicks((rows, seed), Optimizer::FTRL, Doing::Score)
    }),
    clicks("linear_step", "clicks, ftrl", 2.0, BATCH, |rows, seed| {
        open_clicks((rows, seed), Optimizer::FTRL, Doing::Step)
    }),
    clicks("linear_step", "clicks, adagrad", 2.0, BATCH, |rows, seed| {
        open_clicks((rows, seed), Optimizer::ADAGRAD, Doing::Step)
    }),
    clicks("linear_step", "clicks, sgd", 2.0, BATCH, |rows, seed| {
        open_clicks((rows, seed), Optimizer::SGD, Doing::Step)
    }),
    clicks("linear_each", "clicks, ftrl, one by one", 2.0, IN_TURN, |rows, seed| {
        open_clicks((rows, seed), Optimizer::FTRL, Doing::Each)
    }),
    Case {
        kernel: "blend_score",
        shape: "payments: 15 dense, 2 sparse",
        bytes_per_row: (17 * 4 + 2 * 32) as f64,
        rows: BATCH,
        open: |rows, seed| open_payments((rows, seed), Doing::Score),
    },
    Case {
        kernel: "blend_each",
        shape: "payments, one by one",
        // Two covariances of 16 inputs, read and written.
        bytes_per_row: (17 * 4 + 2 * 2 * 32 + 2 * 2 * 16 * 16 * 8) as f64,
        rows: IN_TURN,
        open: |rows, seed| open_payments((rows, seed), Doing::Each),
    },
];

const NETWORKS: &[Case] = &[
    Case {
        kernel: "network_score",
        shape: "payments: 15 dense, 2 sparse, deep",
        bytes_per_row: (17 * 4 + 2 * 40) as f64,
        rows: BATCH,
        open: |rows, seed| {
            let config = NeuralConfig::new(Task::Binary, Form::Deep);
            NetworkWork::open((rows, seed), config, (Doing::Score, [15, 2]))
        },
    },
    Case {
        kernel: "network_walk",
        shape: "payments, a perceptron of values, in mini-batches",
        bytes_per_row: (19 * 4 + 4 * 40) as f64,
        rows: IN_TURN,
        open: |rows, seed| {
            let config = NeuralConfig::new(Task::Regression, Form::Mlp);
            // So few embeddings that most of the time one goes where another comes.
            let config = NeuralConfig { memory_bytes: 0, optimizer: Rule::AdaGrad, ..config };
            NetworkWork::open((rows, seed), config, (Doing::Step, [15, 2]))
        },
    },
    Case {
        kernel: "network_walk",
        shape: "payments, five classes, deep, one by one",
        bytes_per_row: (19 * 4 + 4 * 60) as f64,
        rows: IN_TURN,
        open: |rows, seed| {
            let config = NeuralConfig::new(Task::MultiClass { classes: 5 }, Form::Deep);
            let config = NeuralConfig { memory_bytes: 0, ..config };
            NetworkWork::open((rows, seed), config, (Doing::Each, [15, 2]))
        },
    },
];

const fn clicks(
    kernel: &'static str,
    shape: &'static str,
    passes: f64,
    rows: usize,
    open: Open,
) -> Case {
    Case { kernel, shape, bytes_per_row: passes * CLICK_BYTES, rows, open }
}

fn open_clicks(
    size: (usize, u64),
    optimizer: Optimizer,
    doing: Doing,
) -> Result<Box<dyn Work>, TableError> {
    LinearWork::open(size, (optimizer, [13, 26]), doing, coordinate_table)
}

fn open_payments(size: (usize, u64), doing: Doing) -> Result<Box<dyn Work>, TableError> {
    LinearWork::open(size, (Optimizer::AUTO, [15, 2]), doing, blend_table)
}

#[derive(Clone, Copy, PartialEq)]
enum Doing {
    Score,
    Step,
    Each,
}

/// Makes the table of a model on a GPU.
type Make<T> = fn(&Stream, &LinearConfig, FeatureShape) -> Result<T, DeviceError>;

struct LinearWork<T> {
    doing: Doing,
    dense: Vec<f32>,
    sparse: Vec<u32>,
    labels: Vec<f32>,
    weights: Vec<f32>,
    here: Linear,
    scores: Vec<f32>,
    config: LinearConfig,
    shape: FeatureShape,
    make: Make<T>,
    there: Option<There<T>>,
}

struct There<T> {
    table: T,
    rows: RowBuffers,
    scores: Buffer<f32>,
}

fn features<'a>(dense: &'a [f32], sparse: &'a [u32], rows: usize) -> Features<'a> {
    Features { rows, dense, sparse, notes: &[] }
}

/// What went wrong, in the words of a kernel.
fn kernel_error(error: ModelError) -> TableError {
    match error {
        ModelError::Kernel(error) => TableError::Kernel(error),
        ModelError::Device(error) => TableError::Device(error),
        other => unreachable!("work reads no state: {other}"),
    }
}

impl<T: Table + 'static> LinearWork<T> {
    fn open(
        (rows, seed): (usize, u64),
        (optimizer, [dense_width, sparse_width]): (Optimizer, [usize; 2]),
        doing: Doing,
        make: Make<T>,
    ) -> Result<Box<dyn Work>, TableError> {
        // A table as large as so many rows deserve.
        let sparse_bits = if rows < BATCH { 12 } else { 22 };
        let shape = FeatureShape { dense_width, sparse_width, sparse_bits };
        let config = LinearConfig { optimizer, ..LinearConfig::new(Task::Binary) };
        let mut draw = Draw::new(seed);
        let dense: Vec<f32> =
            (0..rows * dense_width).map(|_| draw.number().clamp(-8.0, 8.0)).collect();
        // Some categories are far more common than others.
        let mut index = || {
            let skewed = draw.unit().powi(4);
            (skewed * (1_u32 << sparse_bits) as f32) as u32
        };
        let sparse: Vec<u32> = (0..rows * sparse_width).map(|_| index()).collect();
        let mut draw = Draw::new(!seed);
        let labels: Vec<f32> = (0..rows)
            .map(|row| f32::from(u8::from(dense[row * dense_width] + draw.number() > 0.5)))
            .collect();
        let here = Linear::new(config, shape).map_err(kernel_error)?;
        Ok(Box::new(LinearWork {
            doing,
            here,
            scores: vec![0.0; rows],
            weights: vec![1.0; rows],
            dense,
            sparse,
            labels,
            config,
            shape,
            make,
            there: None,
        }))
    }
}

impl<T: Table + 'static> Work for LinearWork<T> {
    fn here(&mut self) -> Result<(), TableError> {
        let features = features(&self.dense, &self.sparse, self.labels.len());
        let batch = LabeledBatch { features, labels: &self.labels, weights: &self.weights };
        match self.doing {
            Doing::Score => self.here.score(&features, &mut self.scores),
            Doing::Step => self.here.learn(&batch).map(drop),
            Doing::Each => {
                let (here, scores) = (&mut self.here, &mut self.scores);
                here.score_and_learn_each(&batch, scores).map(drop)
            }
        }
        .map_err(kernel_error)
    }

    fn bring(&mut self, stream: &Stream) -> Result<(), TableError> {
        let (gpu, count) = (stream.gpu(), self.labels.len());
        let mut rows = RowBuffers::new(gpu, self.shape.dense_width, self.shape.sparse_width)?;
        let labels = Some((&self.labels[..], &self.weights[..]));
        rows.give(stream, (&self.dense, &self.sparse), count, labels)?;
        let table = (self.make)(stream, &self.config, self.shape)?;
        self.there = Some(There { table, rows, scores: Buffer::new(gpu, count)? });
        Ok(())
    }

    fn there(&mut self, stream: &Stream) -> Result<(), TableError> {
        let There { table, rows, scores } = self.there.as_mut().expect("brought there");
        match self.doing {
            Doing::Score => table.score(stream, rows.all(), scores),
            // A step of one row is that row.
            Doing::Step if self.labels.len() > 1 => table.give_step(stream, rows.all()),
            Doing::Step | Doing::Each => table.each(stream, rows.all(), None).map(drop),
        }
    }

    fn results(&mut self, stream: &Stream) -> Result<[Vec<u8>; 2], TableError> {
        let mut here = vec![0.0; self.labels.len()];
        self.here
            .score(&features(&self.dense, &self.sparse, here.len()), &mut here)
            .map_err(kernel_error)?;
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

#[cfg(all(test, feature = "double"))]
mod broken;
#[cfg(all(test, feature = "double"))]
mod tests;
