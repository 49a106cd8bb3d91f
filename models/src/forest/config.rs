//! Settings of a forest.

use pelton_kernels::KernelError;

use super::leaves::LEAF_BINS;
use crate::{FeatureShape, Task};

/// Running means of a node, each with another memory.
pub(super) const MEMORIES: usize = 4;
/// Bytes that the histograms of all trees may take: trees of wide rows and many classes are smaller
/// for it.
const HISTOGRAM_BYTES_MAX: usize = 256 << 20;
/// Of all columns two thirds are watched, up to so many; their square root where that is more.
const COLUMNS_MAX: usize = 12;

/// Settings of [`Forest`](super::Forest); the defaults need no tuning.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ForestConfig {
    /// What is learned.
    pub task: Task,
    /// Trees that vote.
    pub trees: usize,
    /// Columns that a leaf watches; 0 = two thirds of them and one, up to 12, or the square root of
    /// all and one, whichever is more.
    pub columns: usize,
    /// How often a tree counts a row on average (Poisson); also how often a rare label does while
    /// of the common ones a share is passed over.
    pub lambda: f64,
    /// The least share of a common label's rows that histograms count, for the others as well.
    pub share_min: f32,
    /// Rows of a leaf before it may split, and between two looks for a split.
    pub grace_rows: f32,
    /// Nats that a split must win, beside those that so many cuts and classes win by chance.
    pub gain_min: f64,
    /// Rows on each side of a split.
    pub side_min: f64,
    /// Rows that a node's running means last, each.
    pub memories: [f32; MEMORIES],
    /// Rows that what a node's parent says counts for.
    pub shrinkage: f32,
    /// Nodes of a tree at most.
    pub nodes_max: usize,
    /// Chance of a false warning that a tree has become worse, each time it is looked.
    pub warning: f64,
    /// Rows by which a challenger is compared with its tree.
    pub trial_rows: f32,
    /// Standard errors by which it must be better to replace it.
    pub trial_errors: f32,
    /// How sharply votes follow the trailing losses of trees.
    pub sharpness: f32,
    /// Rate at which the last layer learns.
    pub rate: f32,
}

impl ForestConfig {
    /// The defaults.
    #[must_use]
    pub fn new(task: Task) -> ForestConfig {
        ForestConfig {
            task,
            trees: 10,
            columns: 0,
            lambda: 6.0,
            share_min: 0.25,
            grace_rows: 50.0,
            gain_min: 2.0,
            side_min: 3.0,
            memories: [2.0, 8.0, 128.0, 1e7],
            shrinkage: 2.0,
            nodes_max: 2048,
            warning: 0.01,
            trial_rows: 3000.0,
            trial_errors: 3.0,
            sharpness: 10.0,
            rate: 0.1,
        }
    }

    /// Refuses settings outside their ranges.
    pub(super) fn check(&self, width: usize) -> Result<(), KernelError> {
        let within = |value: f32, low: f32, high: f32| (low..=high).contains(&value);
        let classes = self.task.outputs();
        let memories = self.memories.iter().all(|memory| within(*memory, 1.0, 1e7));
        let checks = [
            ("classes", (1..=1024).contains(&classes), "must be in 1..=1024"),
            ("width", (0..=1 << 16).contains(&width), "must be at most 65536"),
            ("trees", (1..=1000).contains(&self.trees), "must be in 1..=1000"),
            ("columns", self.columns <= 1 << 16, "must be at most 65536"),
            ("lambda", (0.1..=32.0).contains(&self.lambda), "must be in 0.1..=32"),
            ("share_min", within(self.share_min, 0.01, 1.0), "must be in 0.01..=1"),
            ("grace_rows", within(self.grace_rows, 1.0, 1e6), "must be in 1..=1e6"),
            ("gain_min", (-1e3..=1e9).contains(&self.gain_min), "must be in -1000..=1e9"),
            ("side_min", (0.0..=1e6).contains(&self.side_min), "must be in 0..=1e6"),
            ("memories", memories, "must be in 1..=1e7"),
            ("shrinkage", within(self.shrinkage, 1e-3, 1e6), "must be in 1e-3..=1e6"),
            ("nodes_max", (3..=1 << 24).contains(&self.nodes_max), "must be in 3..=2^24"),
            ("warning", self.warning > 0.0 && self.warning < 1.0, "must be between 0 and 1"),
            ("trial_rows", within(self.trial_rows, 32.0, 1e6), "must be in 32..=1e6"),
            ("trial_errors", within(self.trial_errors, 0.0, 1e6), "must be in 0..=1e6"),
            ("sharpness", within(self.sharpness, 0.0, 1e6), "must be in 0..=1e6"),
            ("rate", within(self.rate, 0.0, 10.0), "must be in 0..=10"),
        ];
        let wrong = checks.into_iter().find(|(_, is_legal, _)| !is_legal);
        wrong.map_or(Ok(()), |(argument, _, reason)| {
            Err(KernelError::Value { kernel: "forest", argument, reason })
        })
    }

    /// Kinds of labels that the sample keeps apart.
    pub(super) fn kinds(&self) -> usize {
        match self.task {
            Task::Binary => 2,
            Task::MultiClass { classes } => classes as usize,
            Task::Regression => 1,
        }
    }

    /// Columns that a leaf watches, of so many.
    pub(super) fn watched(&self, width: usize) -> usize {
        let root = width.isqrt() + 1;
        let columns = if self.columns == 0 {
            root.max((width * 2 / 3 + 1).min(COLUMNS_MAX))
        } else {
            self.columns
        };
        columns.min(width)
    }

    /// Nodes of a tree, so that the histograms of its leaves stay within bounds.
    pub(super) fn nodes(&self, width: usize, cell: usize) -> usize {
        // A tree and its challenger.
        let bytes = HISTOGRAM_BYTES_MAX / (2 * self.trees);
        let leaves = bytes / (self.watched(width) * LEAF_BINS * cell * size_of::<f32>());
        self.nodes_max.min((2 * leaves).max(4) - 1)
    }
}

/// What a state is of.
pub(super) fn header(config: &ForestConfig, shape: FeatureShape) -> [u64; 20] {
    let task = match config.task {
        Task::Binary => 0_u64,
        Task::MultiClass { classes } => u64::from(classes) << 2 | 1,
        Task::Regression => 2,
    };
    let pair = |high: f32, low: f32| u64::from(high.to_bits()) << 32 | u64::from(low.to_bits());
    let [first, second, third, fourth] = config.memories;
    [
        u64::from_le_bytes(*b"forest-2"),
        task,
        config.trees as u64,
        config.columns as u64,
        config.lambda.to_bits(),
        config.gain_min.to_bits(),
        config.side_min.to_bits(),
        config.warning.to_bits(),
        pair(first, second),
        pair(third, fourth),
        pair(config.grace_rows, config.shrinkage),
        pair(config.share_min, 0.0),
        pair(config.trial_rows, config.trial_errors),
        pair(config.sharpness, config.rate),
        config.nodes_max as u64,
        shape.dense_width as u64,
        shape.sparse_width as u64,
        u64::from(shape.sparse_bits),
        MEMORIES as u64,
        LEAF_BINS as u64,
    ]
}
