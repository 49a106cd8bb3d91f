//! The linear model's coordinates on a GPU: its tables, and the launches of `coordinate.cu`.
//!
//! Results have the bits of the CPU's code. Sums of sparse gradients are integers, added up by
//! atomic additions in whatever order; a step is nine launches and no wait. What this does not do:
//! keep earlier states, or read and write saved ones, which the model does from copies of the
//! tables.

use super::{Cell, LANES, TILE};
use crate::KernelError;
use crate::device::{Argument, Buffer, DeviceError, Gpu, Launch, Pinned, Plain, Stream};

mod rows;

pub use rows::RowBuffers;

/// The optimisers, as the kernels number them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Rule {
    /// FTRL-Proximal.
    Ftrl = 0,
    /// AdaGrad.
    AdaGrad = 1,
    /// Normalised descent with implicit steps.
    Sgd = 2,
}

/// The tasks, as the kernels number them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Task {
    /// One probability.
    Binary = 0,
    /// One probability per class.
    Classes = 1,
    /// One value.
    Regression = 2,
}

/// What a table of coordinates is made for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TableSpec {
    /// What is predicted.
    pub task: Task,
    /// How cells learn.
    pub rule: Rule,
    /// Outputs.
    pub classes: usize,
    /// Dense inputs as they are given.
    pub dense_width: usize,
    /// Whether each has a second input for its size.
    pub fold: bool,
    /// Sparse inputs of a row.
    pub sparse_width: usize,
    /// Sparse coordinates: indices below this.
    pub absent: usize,
    /// `alpha` of FTRL, the rate of the others.
    pub rate: f32,
    /// `beta` of FTRL.
    pub beta: f32,
    /// L1 penalty.
    pub l1: f32,
    /// L2 penalty.
    pub l2: f32,
    /// How often a positive counts.
    pub positive_weight: f32,
    /// Taken off the log odds before they become a probability.
    pub shift: f32,
}

impl TableSpec {
    fn inputs(&self) -> usize {
        self.dense_width * if self.fold { 2 } else { 1 }
    }

    /// Dense cells of a class: the inputs, the bias, zeros up to whole lanes.
    #[must_use]
    pub fn stride(&self) -> usize {
        (self.inputs() + 1).next_multiple_of(LANES)
    }

    fn dense_cells(&self) -> usize {
        self.classes * self.stride()
    }

    fn sparse_cells(&self) -> usize {
        self.classes * (self.absent + 1)
    }
}

/// What the model remembers of the stream besides its cells.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[repr(C)]
pub struct Running {
    /// Targets of a regression seen.
    pub target_count: u64,
    /// Their mean.
    pub target_mean: f64,
    /// The sum of their squared deviations.
    pub target_squares: f64,
    /// Rows whose length was taken.
    pub length_rows: u64,
    /// The sum of these lengths.
    pub length_sum: f64,
    /// The usual size of a residual.
    pub residual: f32,
    /// Nothing: the structure has no padding.
    pub unused: f32,
}

// SAFETY: numbers only, 48 bytes without padding.
unsafe impl Plain for Running {}

/// Arguments of the kernels, as coordinate.cu declares them.
#[derive(Clone, Copy)]
#[repr(C)]
struct ModelArgument {
    addresses: [u64; 4],
    numbers: [u32; 10],
    rates: [f32; 6],
}

#[derive(Clone, Copy)]
#[repr(C)]
struct StepArgument {
    addresses: [u64; 10],
}

// SAFETY: numbers only, without padding: 4 * 8 + 10 * 4 + 6 * 4 = 96 bytes.
unsafe impl Plain for ModelArgument {}
// SAFETY: numbers only.
unsafe impl Plain for StepArgument {}

/// The cells of a model, and what is remembered besides them.
#[derive(Debug)]
pub struct Cells {
    /// `[classes, stride]`.
    pub dense: Buffer<Cell>,
    /// `[absent + 1, classes]`; those of the last index are zero.
    pub sparse: Buffer<Cell>,
    /// One.
    pub running: Buffer<Running>,
}

impl Cells {
    fn new(gpu: &std::sync::Arc<Gpu>, spec: &TableSpec) -> Result<Cells, DeviceError> {
        Ok(Cells {
            dense: Buffer::new(gpu, spec.dense_cells())?,
            sparse: Buffer::new(gpu, spec.sparse_cells())?,
            running: Buffer::new(gpu, 1)?,
        })
    }

    /// Copies all of it.
    fn copy_from(&mut self, stream: &Stream, from: &Cells) -> Result<(), DeviceError> {
        stream.copy(&mut self.dense, &from.dense, from.dense.len())?;
        stream.copy(&mut self.sparse, &from.sparse, from.sparse.len())?;
        stream.copy(&mut self.running, &from.running, 1)
    }
}

/// A model's tables on a GPU, with the room that its work needs.
#[derive(Debug)]
pub struct CoordinateTable {
    spec: TableSpec,
    cells: Cells,
    penalties: Buffer<f32>,
    /// Sums of sparse gradients, all zero between steps; made at the first step.
    sums: Buffer<u64>,
    scores: Buffer<f32>,
    room: StepRoom,
    outcome: Buffer<u32>,
    outcome_here: Pinned<u32>,
}

/// What a step needs for its rows.
#[derive(Debug)]
struct StepRoom {
    /// Importances, lengths and stiffness: `[3, rows]`, each behind the other.
    of_rows: [Buffer<f32>; 3],
    gradients: Buffer<f32>,
    /// Touches and largest sizes, `[stride]`.
    of_inputs: [Buffer<u32>; 2],
    tiles: Buffer<f64>,
}

/// Rows learned, and refused.
pub type Outcome = [u32; 2];

impl CoordinateTable {
    /// Tables of zeros.
    ///
    /// # Errors
    /// [`DeviceError::Memory`] when they do not fit, [`DeviceError::Lost`].
    pub fn new(stream: &Stream, spec: TableSpec) -> Result<CoordinateTable, DeviceError> {
        let gpu = stream.gpu();
        let mut cells = Cells::new(gpu, &spec)?;
        stream.clear(&mut cells.dense)?;
        stream.clear(&mut cells.sparse)?;
        stream.clear(&mut cells.running)?;
        let mut penalties = Buffer::new(gpu, spec.stride())?;
        let mut ones = vec![0.0; spec.stride()];
        ones[..spec.inputs()].fill(1.0);
        stream.write(&mut penalties, &ones)?;
        let empty = || Buffer::new(gpu, 0);
        let of_rows = [empty()?, empty()?, empty()?];
        let of_inputs = [Buffer::new(gpu, spec.stride())?, Buffer::new(gpu, spec.stride())?];
        let device = crate::device::Device::Gpu(std::sync::Arc::clone(gpu));
        Ok(CoordinateTable {
            cells,
            penalties,
            sums: Buffer::new(gpu, 0)?,
            scores: empty()?,
            room: StepRoom { of_rows, gradients: empty()?, of_inputs, tiles: Buffer::new(gpu, 0)? },
            outcome: Buffer::new(gpu, 4)?,
            outcome_here: Pinned::new(&device, 4, crate::device::Pinning::Both)?,
            spec,
        })
    }

    /// What it was made for.
    #[must_use]
    pub fn spec(&self) -> &TableSpec {
        &self.spec
    }

    /// The cells.
    #[must_use]
    pub fn cells(&self) -> &Cells {
        &self.cells
    }

    /// The same to be overwritten.
    pub fn cells_mut(&mut self) -> &mut Cells {
        &mut self.cells
    }

    /// A copy of the cells in the memory of the GPU, in `room` where there is one to be used again.
    ///
    /// # Errors
    /// [`DeviceError`].
    pub fn copy(&self, stream: &Stream, room: Option<Cells>) -> Result<Cells, DeviceError> {
        let mut copy = room.map_or_else(|| Cells::new(stream.gpu(), &self.spec), Ok)?;
        copy.copy_from(stream, &self.cells)?;
        Ok(copy)
    }

    /// Takes the cells of a copy.
    ///
    /// # Errors
    /// [`DeviceError`].
    pub fn restore(&mut self, stream: &Stream, copy: &Cells) -> Result<(), DeviceError> {
        self.cells.copy_from(stream, copy)
    }

    /// Predictions of the rows.
    ///
    /// # Shapes
    /// `predictions`: `[rows, classes]` or longer.
    ///
    /// # Errors
    /// [`TableError`].
    pub fn score(
        &mut self,
        stream: &Stream,
        rows: &RowBuffers,
        predictions: &mut Buffer<f32>,
    ) -> Result<(), TableError> {
        self.check(rows, Some(predictions), false)?;
        self.scores.reserve(rows.count() * self.spec.classes)?;
        let predictions = predictions.address();
        // SAFETY: the shapes were checked; `scores` has room for them.
        unsafe { self.launch_score(stream, rows, predictions) }.map_err(TableError::from)
    }

    /// Scores each row and learns it before the next one; predictions where they are asked for.
    ///
    /// # Shapes
    /// As [`CoordinateTable::score`].
    ///
    /// # Errors
    /// [`TableError`].
    pub fn each(
        &mut self,
        stream: &Stream,
        rows: &RowBuffers,
        predictions: Option<&mut Buffer<f32>>,
    ) -> Result<Outcome, TableError> {
        self.check(rows, predictions.as_deref(), true)?;
        stream.clear(&mut self.outcome)?;
        let to = predictions.map_or(0, |predictions| predictions.address());
        let (model, rows, outcome) = (self.argument(), rows.argument(), self.outcome.address());
        let bytes = 8 * self.spec.classes + 8 * self.spec.sparse_width;
        let launch = Launch {
            shared_bytes: u32::try_from(bytes).unwrap_or(u32::MAX),
            ..Launch::block("linear_each", 32)
        };
        let arguments =
            [Argument::of(&model), Argument::of(&rows), Argument::of(&to), Argument::of(&outcome)];
        // SAFETY: the kernel's arguments; the shapes were checked, and the shared memory holds two
        // numbers a class and a cell a slot.
        unsafe { stream.launch(launch, &arguments) }?;
        let [learned, refused, ..] = self.read_outcome(stream)?;
        Ok([learned, refused])
    }

    /// Learns the rows as one step: all scored at the cells as they are, then one change a cell.
    ///
    /// # Errors
    /// [`TableError`].
    pub fn step(&mut self, stream: &Stream, rows: &RowBuffers) -> Result<Outcome, TableError> {
        self.give_step(stream, rows)?;
        let [_, _, learned, refused] = self.read_outcome(stream)?;
        Ok([learned, refused])
    }

    /// The same without waiting for what became of the rows.
    ///
    /// # Errors
    /// [`TableError`].
    pub fn give_step(&mut self, stream: &Stream, rows: &RowBuffers) -> Result<(), TableError> {
        self.check(rows, None, true)?;
        self.make_room(stream, rows.count())?;
        // SAFETY: the shapes were checked, and there is room for all that the kernels write.
        unsafe { self.launch_step(stream, rows) }.map_err(TableError::from)
    }

    fn read_outcome(&mut self, stream: &Stream) -> Result<[u32; 4], DeviceError> {
        stream.download((&mut self.outcome_here, 0), (&self.outcome, 0), 4)?;
        stream.wait()?;
        Ok([0, 1, 2, 3].map(|at| self.outcome_here[at]))
    }

    fn check(
        &self,
        rows: &RowBuffers,
        predictions: Option<&Buffer<f32>>,
        is_labelled: bool,
    ) -> Result<(), KernelError> {
        let spec = &self.spec;
        let kernel = "linear";
        let expect = |argument, expected, given| match given == expected {
            true => Ok(()),
            false => Err(KernelError::Shape { kernel, argument, expected, given }),
        };
        expect("rows.dense_width", spec.dense_width, rows.dense_width())?;
        expect("rows.sparse_width", spec.sparse_width, rows.sparse_width())?;
        expect(
            "rows.labels",
            usize::from(is_labelled),
            usize::from(rows.is_labelled() && is_labelled),
        )?;
        let (argument, expected) = ("predictions", rows.count() * spec.classes);
        match predictions.map(Buffer::len) {
            Some(given) if given < expected => {
                Err(KernelError::Shape { kernel, argument, expected, given })
            }
            _ if rows.count() == 0 => {
                Err(KernelError::Value { kernel, argument: "rows", reason: "must not be empty" })
            }
            _ => Ok(()),
        }
    }

    fn make_room(&mut self, stream: &Stream, rows: usize) -> Result<(), DeviceError> {
        let classes = self.spec.classes;
        self.scores.reserve(rows * classes)?;
        for buffer in &mut self.room.of_rows {
            buffer.reserve(rows)?;
        }
        self.room.gradients.reserve(rows * classes)?;
        let tiles = rows.div_ceil(TILE);
        self.room.tiles.reserve(tiles * (2 * classes + 2) * self.spec.stride())?;
        if self.sums.is_empty() && self.spec.absent > 0 {
            self.sums = Buffer::new(stream.gpu(), self.spec.absent * (2 + 2 * classes))?;
            stream.clear(&mut self.sums)?;
        }
        Ok(())
    }

    /// # Safety
    /// The rows fit the table, `scores` has room for them, and `predictions` is 0 or an address
    /// with as much room.
    unsafe fn launch_score(
        &self,
        stream: &Stream,
        rows: &RowBuffers,
        predictions: u64,
    ) -> Result<(), DeviceError> {
        let launch = Launch::over("linear_score", rows.count() * LANES, 256);
        let (model, rows, scores) = (self.argument(), rows.argument(), self.scores.address());
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
    unsafe fn launch_step(
        &mut self,
        stream: &Stream,
        rows: &RowBuffers,
    ) -> Result<(), DeviceError> {
        // SAFETY: the caller's.
        unsafe { self.launch_score(stream, rows, 0) }?;
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

    fn argument(&self) -> ModelArgument {
        let spec = &self.spec;
        let count = |value: usize| u32::try_from(value).expect("shapes are below 2^32");
        ModelArgument {
            addresses: [
                self.cells.dense.address(),
                self.cells.sparse.address(),
                self.penalties.address(),
                self.cells.running.address(),
            ],
            numbers: [
                count(spec.classes),
                count(spec.stride()),
                count(spec.inputs()),
                count(spec.dense_width),
                count(spec.sparse_width),
                count(spec.absent),
                u32::from(spec.fold),
                spec.task as u32,
                spec.rule as u32,
                0,
            ],
            rates: [spec.rate, spec.beta, spec.l1, spec.l2, spec.positive_weight, spec.shift],
        }
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

/// What a table refuses, or its device.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TableError {
    /// Shapes that do not fit; nothing was done.
    #[error(transparent)]
    Kernel(#[from] KernelError),
    /// The device could not do it.
    #[error(transparent)]
    Device(#[from] DeviceError),
}
