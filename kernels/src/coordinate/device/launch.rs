//! The launches of a table's kernels, in their order.

use super::spec::{ModelArgument, StepArgument};
use super::{CoordinateTable, RowsThere, Rule, Task};
use crate::coordinate::{LANES, TILE};
use crate::device::{Argument, DeviceError, Launch, Stream};

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
    /// The rows fit the table, have labels, and there is room for a step of them.
    pub(super) unsafe fn launch_step(
        &mut self,
        stream: &Stream,
        rows: RowsThere<'_>,
    ) -> Result<(), DeviceError> {
        // SAFETY: the caller's.
        unsafe { self.launch_score(stream, rows, [self.scores.address(), 0]) }?;
        let spec = self.spec;
        let (count, stride, classes) = (rows.count(), spec.stride(), spec.classes);
        let tiles = count.div_ceil(TILE);
        for buffer in &mut self.room.of_inputs {
            stream.clear(buffer)?;
        }
        stream.clear(&mut self.outcome)?;
        let (model, step) = (self.argument(), self.step_argument());
        let of_rows = rows.argument();
        let shared = [Argument::of(&model), Argument::of(&of_rows), Argument::of(&step)];
        let launch = |kernel, items, threads| {
            // SAFETY: the caller's; the kernels have these three arguments.
            unsafe { stream.launch(Launch::over(kernel, items, threads), &shared) }
        };
        let launch_with = |kernel, items, threads, number: i32| {
            let [model, rows, step] = shared;
            let arguments = [model, rows, step, Argument::of(&number)];
            // SAFETY: the caller's; the kernels have a number as their fourth argument.
            unsafe { stream.launch(Launch::over(kernel, items, threads), &arguments) }
        };
        let is_regression = spec.task == Task::Regression;
        launch("linear_accept", count * LANES, 256)?;
        launch("linear_touches", tiles * stride, 128)?;
        if is_regression {
            launch_with("linear_targets", 1, 1, 1)?;
        }
        launch("linear_measure", count, 128)?;
        if spec.rule == Rule::Sgd {
            launch("linear_lengths", 1, 256)?;
        }
        launch("linear_differentiate", count, 128)?;
        if is_regression {
            launch_with("linear_targets", 1, 1, 0)?;
        }
        launch("linear_dense_sums", tiles * (2 * classes + 2) * stride, 128)?;
        launch("linear_dense_step", classes * stride, 128)?;
        if spec.sparse_width > 0 {
            let terms = count * spec.sparse_width;
            let bits = usize::BITS - terms.saturating_sub(1).leading_zeros();
            let room = 62 - i32::try_from(bits).expect("at most 64");
            launch_with("linear_sparse_sums", terms, 256, room)?;
            launch_with("linear_sparse_step", terms, 256, room)?;
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

    fn step_argument(&self) -> StepArgument {
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
