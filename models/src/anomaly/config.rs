//! Settings of the anomaly detector.

use pelton_kernels::KernelError;

use crate::{FeatureShape, Task};

/// Settings of [`Anomaly`](super::Anomaly) and [`Strangeness`](super::Strangeness); the defaults
/// need no tuning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AnomalyConfig {
    /// What the labels are; they are not looked at. [`Anomaly`](super::Anomaly) takes
    /// [`Task::Binary`] alone.
    pub task: Task,
    /// Isolation trees.
    pub trees: usize,
    /// Rows that a tree is grown from.
    pub sample_rows: usize,
    /// Rows kept of the last ones, from which those of a tree are drawn.
    pub window_rows: usize,
    /// One row in so many is kept, so that the window is that much longer.
    pub stride: u64,
}

impl AnomalyConfig {
    /// The defaults.
    #[must_use]
    pub fn new(task: Task) -> AnomalyConfig {
        AnomalyConfig { task, trees: 32, sample_rows: 512, window_rows: 4096, stride: 4 }
    }

    /// Refuses settings and shapes outside their ranges.
    pub(super) fn check(&self, shape: FeatureShape) -> Result<(), KernelError> {
        let sample_max = self.window_rows.min(1 << 14);
        let columns = shape.dense_width.saturating_add(shape.sparse_width);
        let checks = [
            ("trees", (1..=1024).contains(&self.trees), "must be in 1..=1024"),
            ("window_rows", (64..=1 << 20).contains(&self.window_rows), "must be in 64..=2^20"),
            (
                "sample_rows",
                (8..=sample_max).contains(&self.sample_rows),
                "must be in 8..=2^14, at most window_rows",
            ),
            ("stride", (1..=1 << 20).contains(&self.stride), "must be in 1..=2^20"),
            ("shape", columns <= usize::from(u16::MAX), "must have at most 65535 columns"),
        ];
        let wrong = checks.into_iter().find(|(_, is_legal, _)| !is_legal);
        wrong.map_or(Ok(()), |(argument, _, reason)| {
            Err(KernelError::Value { kernel: "anomaly", argument, reason })
        })
    }

    /// Cuts from the root of a tree to a leaf, at most: by then a usual row is among few.
    pub(super) fn depth(&self) -> usize {
        self.sample_rows.next_power_of_two().trailing_zeros() as usize
    }
}
