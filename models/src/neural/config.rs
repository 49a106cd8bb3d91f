//! Settings of networks.

use pelton_kernels::KernelError;
use pelton_kernels::descent::Rule;
use pelton_kernels::layer::LANES;

use crate::{FeatureShape, Task};

/// Rows that the table of embeddings has at least, however little memory there is.
const ROWS_MIN: usize = 64;

/// What lies between the features and the outputs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// A multilayer perceptron over dense features and embeddings of sparse ones, side by side.
    Mlp,
    /// The same over the products of pairs of embeddings as well, with a linear part beside it
    /// (Guo et al. 2017, "DeepFM"; Naumov et al. 2019, "DLRM"; He, Chua 2017 for the products).
    Deep,
}

/// Settings of [`Neural`](super::Neural); the defaults need no tuning.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct NeuralConfig {
    /// What is learned.
    pub task: Task,
    /// The form.
    pub form: Form,
    /// Widths of the two hidden layers, multiples of 8.
    pub hidden: [usize; 2],
    /// Length of an embedding.
    pub embedding: usize,
    /// Most bytes of embeddings of sparse indices; a power of two of them fits.
    pub memory_bytes: usize,
    /// How the dense parameters move; embeddings move by AdaGrad in either case.
    pub optimizer: Rule,
    /// The rate of the dense parameters, or the optimizer's own.
    pub rate: Option<f32>,
    /// Learned rows of a mini-batch; the first ones are smaller, and where one kind of label is
    /// rare (binary) they are up to eight times as large.
    pub batch_rows: usize,
    /// Recent positives kept, to be learned again where they are rare (binary); 0 for none.
    pub replay_rows: usize,
}

impl NeuralConfig {
    /// The defaults: hidden layers of 64 and 32, embeddings of 8, 64 MiB of them, Adam, no replay.
    #[must_use]
    pub fn new(task: Task, form: Form) -> NeuralConfig {
        NeuralConfig {
            task,
            form,
            hidden: [64, 32],
            embedding: 8,
            memory_bytes: 64 << 20,
            optimizer: Rule::Adam,
            rate: None,
            batch_rows: 8,
            replay_rows: 0,
        }
    }

    /// Refuses settings and shapes outside their ranges.
    pub(super) fn check(&self, shape: FeatureShape) -> Result<(), KernelError> {
        let classes = self.task.outputs();
        let is_width =
            |width: &usize| (LANES..=1024).contains(width) && width.is_multiple_of(LANES);
        let is_rate = |rate: f32| rate > 0.0 && rate <= 1.0;
        let few = 4 * shape.sparse_width;
        let checks = [
            ("classes", (1..=1024).contains(&classes), "must be in 1..=1024"),
            ("hidden", self.hidden.iter().all(is_width), "must be multiples of 8 up to 1024"),
            ("embedding", (1..=64).contains(&self.embedding), "must be in 1..=64"),
            ("rate", self.rate.is_none_or(is_rate), "must be above 0, at most 1"),
            ("batch_rows", (1..=4096).contains(&self.batch_rows), "must be in 1..=4096"),
            ("replay_rows", self.replay_rows <= 1 << 20, "must be at most 2^20"),
            ("sparse_bits", shape.sparse_bits <= 31, "must be at most 31"),
            ("memory_bytes", self.rows_max(shape) >= few, "holds fewer embeddings than it needs"),
        ];
        let wrong = checks.into_iter().find(|(_, is_legal, _)| !is_legal);
        wrong.map_or(Ok(()), |(argument, _, reason)| {
            Err(KernelError::Value { kernel: super::NAME, argument, reason })
        })
    }

    /// The rate in force.
    pub(super) fn rate(&self) -> f32 {
        self.rate.unwrap_or(match self.optimizer {
            Rule::Adam => 0.002,
            Rule::AdaGrad => 0.02,
        })
    }

    /// Numbers of an index: its embedding, and its linear weights where there is a linear part.
    pub(super) fn row_numbers(&self) -> usize {
        match self.form {
            Form::Mlp => self.embedding,
            Form::Deep => self.embedding + self.task.outputs(),
        }
    }

    /// Sparse indices that have an embedding at the same time: a power of two.
    pub(super) fn rows_max(&self, shape: FeatureShape) -> usize {
        // With the sums of squares: one of the embedding, one of the linear weights.
        let fitting = self.memory_bytes / ((self.row_numbers() + 2) * size_of::<f32>());
        let power = (fitting + 1).next_power_of_two() / 2;
        power.max(ROWS_MIN).min(1 << shape.sparse_bits.min(31))
    }
}
