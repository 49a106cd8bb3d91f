//! Work for the kernels of models, and the table of all cases.
//!
//! Here are the models on the CPU, there their tables of [`pelton_kernels`] by themselves, or the
//! models on a GPU; what both have come to is looked at through scores, or saved bytes.

use pelton_kernels::cases::{BATCH, CASES, Case, Draw, Open, Work};
use pelton_kernels::coordinate::device::{RowBuffers, TableError};
use pelton_kernels::device::Stream;

use crate::factor::cases::factor_table;
use crate::factor::{Factor, FactorConfig, Interaction};
use crate::linear::cases::{blend_table, coordinate_table};
use crate::linear::{Linear, LinearConfig, Optimizer};
use crate::neural::{Form, NeuralConfig, Rule};
use crate::{FeatureShape, Features, LabeledBatch, Model, ModelError, Task};

mod network;
mod tables;

use network::NetworkWork;
use tables::TableWork;

/// Every case there is.
pub fn all() -> impl Iterator<Item = &'static Case> {
    CASES.iter().chain(LINEAR).chain(MACHINES).chain(NETWORKS)
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
    clicks("linear_step", "clicks, ftrl, begun launch by launch", 2.0, BATCH, |rows, seed| {
        let drawn = Drawn::new((rows, seed), [13, 26], Task::Binary);
        let here = linear(&drawn, Optimizer::FTRL)?;
        let unfused = |stream: &_, here: &_| {
            let mut table = coordinate_table(stream, here)?;
            table.unfuse();
            Ok(table)
        };
        Ok(Box::new(TableWork::new(drawn, Doing::Step, here, unfused)))
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

const MACHINES: &[Case] = &[
    Case {
        kernel: "factor_score",
        shape: "15 dense, 5 sparse, a vector for each field",
        // Each pair of twenty columns reads two vectors of four.
        bytes_per_row: (20 * 4 + 190 * 2 * 4 * 16) as f64,
        rows: BATCH,
        open: |rows, seed| {
            let config = FactorConfig::new(Task::Binary, Interaction::ByField);
            open_machine((rows, seed), config, Doing::Score)
        },
    },
    Case {
        kernel: "factor_each",
        shape: "15 dense, 5 sparse, a vector for each field, one by one",
        bytes_per_row: (20 * 4 + 2 * 190 * 2 * 4 * 32) as f64,
        rows: IN_TURN,
        open: |rows, seed| {
            let config = FactorConfig::new(Task::Regression, Interaction::ByField);
            open_machine((rows, seed), FactorConfig { memory_bytes: 0, ..config }, Doing::Each)
        },
    },
    Case {
        kernel: "factor_each",
        shape: "15 dense, 5 sparse, one vector, three classes, one by one",
        bytes_per_row: (20 * 4 + 2 * 20 * 3 * 8 * 32) as f64,
        rows: IN_TURN,
        open: |rows, seed| {
            let config = FactorConfig::new(Task::MultiClass { classes: 3 }, Interaction::Shared);
            open_machine((rows, seed), FactorConfig { memory_bytes: 0, ..config }, Doing::Each)
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
    let drawn = Drawn::new(size, [13, 26], Task::Binary);
    let here = linear(&drawn, optimizer)?;
    Ok(Box::new(TableWork::new(drawn, doing, here, coordinate_table)))
}

fn linear(drawn: &Drawn, optimizer: Optimizer) -> Result<Linear, TableError> {
    let config = LinearConfig { optimizer, ..LinearConfig::new(Task::Binary) };
    Linear::new(config, drawn.shape).map_err(kernel_error)
}

fn open_payments(size: (usize, u64), doing: Doing) -> Result<Box<dyn Work>, TableError> {
    let drawn = Drawn::new(size, [15, 2], Task::Binary);
    let here = Linear::new(LinearConfig::new(Task::Binary), drawn.shape).map_err(kernel_error)?;
    Ok(Box::new(TableWork::new(drawn, doing, here, blend_table)))
}

fn open_machine(
    size: (usize, u64),
    config: FactorConfig,
    doing: Doing,
) -> Result<Box<dyn Work>, TableError> {
    let drawn = Drawn::new(size, [15, 5], config.task);
    let mut here = Factor::new(config, drawn.shape).map_err(kernel_error)?;
    if doing == Doing::Score {
        // Rows that nothing was learned of have no embeddings.
        here.learn(&drawn.batch()).map_err(kernel_error)?;
    }
    Ok(Box::new(TableWork::new(drawn, doing, here, factor_table)))
}

#[derive(Clone, Copy, PartialEq)]
enum Doing {
    Score,
    Step,
    Each,
}

/// Rows with their labels.
struct Drawn {
    shape: FeatureShape,
    dense: Vec<f32>,
    sparse: Vec<u32>,
    labels: Vec<f32>,
    weights: Vec<f32>,
}

impl Drawn {
    fn new(
        (rows, seed): (usize, u64),
        [dense_width, sparse_width]: [usize; 2],
        task: Task,
    ) -> Drawn {
        // A table as large as so many rows deserve.
        let sparse_bits = if rows < BATCH { 12 } else { 22 };
        let mut draw = Draw::new(seed);
        let dense: Vec<f32> =
            (0..rows * dense_width).map(|_| draw.number().clamp(-8.0, 8.0)).collect();
        // Some categories are far more common than others.
        let mut index = || {
            let skewed = draw.unit().powi(4);
            (skewed * (1_u32 << sparse_bits) as f32) as u32
        };
        let sparse = (0..rows * sparse_width).map(|_| index()).collect();
        let mut draw = Draw::new(!seed);
        let mut label = |row: usize| match task {
            Task::Binary => f32::from(u8::from(dense[row * dense_width] + draw.number() > 0.5)),
            Task::MultiClass { classes } => (draw.unit() * classes as f32).floor(),
            Task::Regression => dense[row * dense_width] * 10.0 + draw.number(),
        };
        let labels = (0..rows).map(&mut label).collect();
        let shape = FeatureShape { dense_width, sparse_width, sparse_bits };
        Drawn { shape, dense, sparse, labels, weights: vec![1.0; rows] }
    }

    fn batch(&self) -> LabeledBatch<'_> {
        let (dense, sparse) = (&self.dense[..], &self.sparse[..]);
        let features = Features { rows: self.labels.len(), dense, sparse, notes: &[] };
        LabeledBatch { features, labels: &self.labels, weights: &self.weights }
    }

    /// Copies them to a GPU.
    fn bring(&self, stream: &Stream) -> Result<RowBuffers, TableError> {
        let shape = self.shape;
        let mut rows = RowBuffers::new(stream.gpu(), shape.dense_width, shape.sparse_width)?;
        let labels = Some((&self.labels[..], &self.weights[..]));
        rows.give(stream, (&self.dense, &self.sparse), self.labels.len(), labels)?;
        Ok(rows)
    }

    /// Does it by a model.
    fn by(
        &self,
        model: &mut impl Model,
        doing: Doing,
        scores: &mut [f32],
    ) -> Result<(), TableError> {
        match doing {
            Doing::Score => model.score(&self.batch().features, scores),
            Doing::Step => model.learn(&self.batch()).map(drop),
            Doing::Each => model.score_and_learn_each(&self.batch(), scores).map(drop),
        }
        .map_err(kernel_error)
    }
}

/// What went wrong, in the words of a kernel.
fn kernel_error(error: ModelError) -> TableError {
    match error {
        ModelError::Kernel(error) => TableError::Kernel(error),
        ModelError::Device(error) => TableError::Device(error),
        other => unreachable!("work reads no state: {other}"),
    }
}

#[cfg(all(test, feature = "double"))]
mod broken;
#[cfg(all(test, feature = "double"))]
mod tests;
