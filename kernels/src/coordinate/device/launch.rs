//! The launches of a table's kernels, in their order.

use super::rows::RowsArgument;
use super::spec::{ModelArgument, StepArgument};
use super::{CoordinateTable, RowsThere, Rule, Task};
use crate::coordinate::{LANES, TILE};
use crate::device::{Argument, DeviceError, Launch, Plain, Stream};

/// Rows of a warp.
const WARP: usize = 32;

/// What the kernels of a step are told.
struct Given {
    model: ModelArgument,
    rows: RowsArgument,
    step: StepArgument,
}

impl Given {
    /// # Safety
    /// The kernel has these three arguments, and what they say is so.
    unsafe fn launch(
        &self,
        stream: &Stream,
        kernel: &'static str,
        items: usize,
        threads: u32,
    ) -> Result<(), DeviceError> {
        let arguments =
            [Argument::of(&self.model), Argument::of(&self.rows), Argument::of(&self.step)];
        // SAFETY: the caller's.
        unsafe { stream.launch(Launch::over(kernel, items, threads), &arguments) }
    }

    /// # Safety
    /// The same of four.
    unsafe fn launch_with<T: Plain>(
        &self,
        stream: &Stream,
        (kernel, items, threads): (&'static str, usize, u32),
        fourth: &T,
    ) -> Result<(), DeviceError> {
        let arguments = [
            Argument::of(&self.model),
            Argument::of(&self.rows),
            Argument::of(&self.step),
            Argument::of(fourth),
        ];
        // SAFETY: the caller's.
        unsafe { stream.launch(Launch::over(kernel, items, threads), &arguments) }
    }
}

impl CoordinateTable {
    /// # Safety
    /// The rows fit the table; linear scores and predictions are addresses with room for them, or
    /// one of them is 0.
    pub(super) unsafe fn launch_score(
        &self,
        stream: &Stream,
        rows: RowsThere<'_>,
        [scores, predictions]: [u64; 2],
    ) -> Result<(), DeviceError> {
        let launch = Launch::over("linear_score", rows.count() * LANES, 256);
        let (model, rows) = (self.argument(), rows.argument());
        let arguments = [
            Argument::of(&model),
            Argument::of(&rows),
            Argument::of(&scores),
            Argument::of(&predictions),
        ];
        // SAFETY: the caller's.
        unsafe { stream.launch(launch, &arguments) }
    }

    /// # Safety
    /// The rows fit the table, have labels, there is room for a step of them, and `predictions` is
    /// 0 or an address with room for them.
    pub(super) unsafe fn launch_step(
        &mut self,
        stream: &Stream,
        rows: RowsThere<'_>,
        predictions: u64,
    ) -> Result<(), DeviceError> {
        let spec = self.spec;
        let (count, stride, classes) = (rows.count(), spec.stride(), spec.classes);
        let tiles = count.div_ceil(TILE);
        for buffer in &mut self.room.of_inputs {
            stream.clear(buffer)?;
        }
        stream.clear(&mut self.outcome)?;
        // SAFETY: the caller's.
        unsafe { self.launch_beginning(stream, rows, predictions) }?;
        let given = Given { model: self.argument(), rows: rows.argument(), step: self.step() };
        // SAFETY: the caller's; the kernels have the arguments of a step.
        unsafe {
            given.launch(stream, "linear_dense_sums", tiles * (2 * classes + 2) * stride, 128)?;
            given.launch(stream, "linear_dense_step", classes * stride, 128)?;
        }
        if spec.sparse_width > 0 {
            let terms = count * spec.sparse_width;
            let bits = usize::BITS - terms.saturating_sub(1).leading_zeros();
            let room = 62 - i32::try_from(bits).expect("at most 64");
            // A warp has one slot of its rows.
            let threads = count.next_multiple_of(WARP) * spec.sparse_width;
            // SAFETY: the caller's; the kernels have a number as their fourth argument.
            unsafe {
                given.launch_with(stream, ("linear_sparse_sums", threads, 256), &room)?;
                given.launch_with(stream, ("linear_sparse_step", threads, 256), &room)?;
            }
        }
        Ok(())
    }

    /// Whether a row of a step depends on no other one until it has its gradients.
    fn is_by_row(&self) -> bool {
        self.spec.rule != Rule::Sgd && self.spec.task != Task::Regression
    }

    /// What comes before the sums of a step.
    ///
    /// # Safety
    /// As [`CoordinateTable::launch_step`].
    unsafe fn launch_beginning(
        &self,
        stream: &Stream,
        rows: RowsThere<'_>,
        predictions: u64,
    ) -> Result<(), DeviceError> {
        let (spec, count) = (self.spec, rows.count());
        let given = Given { model: self.argument(), rows: rows.argument(), step: self.step() };
        let stride = spec.stride();
        let touches = count.div_ceil(TILE) * stride;
        // FTRL asks neither how often dense coordinates are touched nor for their largest sizes.
        let has_touches = spec.rule != Rule::Ftrl;
        // SAFETY: the caller's; the kernels have the arguments of a step, those with a fourth one
        // are given it.
        unsafe {
            if self.is_fused && self.is_by_row() {
                let launch = ("linear_begin", count * LANES, 256);
                given.launch_with(stream, launch, &predictions)?;
                if has_touches {
                    given.launch(stream, "linear_touches", touches, 128)?;
                }
                return Ok(());
            }
            self.launch_score(stream, rows, [self.scores.address(), predictions])?;
            let is_regression = spec.task == Task::Regression;
            given.launch(stream, "linear_accept", count * LANES, 256)?;
            if has_touches {
                given.launch(stream, "linear_touches", touches, 128)?;
            }
            if is_regression {
                given.launch_with(stream, ("linear_targets", 1, 1), &1_u32)?;
            }
            given.launch(stream, "linear_measure", count, 128)?;
            if spec.rule == Rule::Sgd {
                given.launch(stream, "linear_lengths", 1, 256)?;
            }
            given.launch(stream, "linear_differentiate", count, 128)?;
            if is_regression {
                given.launch_with(stream, ("linear_targets", 1, 1), &0_u32)?;
            }
        }
        Ok(())
    }

    pub(super) fn argument(&self) -> ModelArgument {
        let cells = &self.cells;
        let addresses = [
            cells.dense.address(),
            cells.sparse.address(),
            self.penalties.address(),
            cells.running.address(),
        ];
        ModelArgument::of(&self.spec, addresses)
    }

    fn step(&self) -> StepArgument {
        let [importances, lengths, stiffness] = &self.room.of_rows;
        let [touches, largest] = &self.room.of_inputs;
        StepArgument {
            addresses: [
                self.scores.address(),
                importances.address(),
                lengths.address(),
                stiffness.address(),
                self.room.gradients.address(),
                touches.address(),
                largest.address(),
                self.room.tiles.address(),
                self.sums.address(),
                self.outcome.address(),
            ],
        }
    }
}
