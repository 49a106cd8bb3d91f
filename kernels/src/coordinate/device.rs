//! The linear model's coordinates on a GPU: its tables, and the launches of `coordinate.cu`.
//!
//! Results have the bits of the CPU's code. Sums of sparse gradients are integers, added up by
//! atomic additions in whatever order; a step is five to twelve kernels, and no wait. What this
//! does not do: keep earlier states, or read and write saved ones, which the model does from copies
//! of the tables.

use super::{Cell, TILE};
use crate::KernelError;
use crate::device::{Argument, Buffer, DeviceError, Gpu, Launch, Pinned, Stream};

mod launch;
mod rows;
mod spec;
mod table;

pub use rows::{RowBuffers, RowsThere};
pub(crate) use spec::ModelArgument;
pub use spec::{Rule, Running, TableSpec, Task};
pub use table::{Scorer, Table};

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
    /// Whether the beginning of a step is one launch where it can be.
    is_fused: bool,
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
            is_fused: true,
            spec,
        })
    }

    /// What it was made for.
    #[must_use]
    pub fn spec(&self) -> &TableSpec {
        &self.spec
    }

    /// Begins steps launch by launch from now on: what the one launch is held to, and measured
    /// against. The results are the same.
    pub fn unfuse(&mut self) {
        self.is_fused = false;
    }

    fn read_outcome(&mut self, stream: &Stream) -> Result<[u32; 4], DeviceError> {
        stream.download((&mut self.outcome_here, 0), (&self.outcome, 0), 4)?;
        stream.wait()?;
        Ok([0, 1, 2, 3].map(|at| self.outcome_here[at]))
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
}

impl Table for CoordinateTable {
    type Cells = Cells;

    fn cells(&self) -> &Cells {
        &self.cells
    }

    fn cells_mut(&mut self) -> &mut Cells {
        &mut self.cells
    }

    fn copy(&self, stream: &Stream, room: Option<Cells>) -> Result<Cells, DeviceError> {
        let mut copy = room.map_or_else(|| Cells::new(stream.gpu(), &self.spec), Ok)?;
        copy.copy_from(stream, &self.cells)?;
        Ok(copy)
    }

    fn restore(&mut self, stream: &Stream, copy: &Cells) -> Result<(), DeviceError> {
        self.cells.copy_from(stream, copy)?;
        stream.wait()
    }

    fn score(
        &mut self,
        stream: &Stream,
        rows: RowsThere<'_>,
        predictions: &mut Buffer<f32>,
    ) -> Result<(), TableError> {
        self.spec.check(rows, Some(predictions), false)?;
        // SAFETY: the shapes were checked, and predictions may take the place of scores.
        unsafe { self.launch_score(stream, rows, [0, predictions.address()]) }
            .map_err(TableError::from)
    }

    fn each(
        &mut self,
        stream: &Stream,
        rows: RowsThere<'_>,
        predictions: Option<&mut Buffer<f32>>,
    ) -> Result<Outcome, TableError> {
        self.spec.check(rows, predictions.as_deref(), true)?;
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

    fn step(&mut self, stream: &Stream, rows: RowsThere<'_>) -> Result<Outcome, TableError> {
        self.give_step(stream, rows, None)?;
        let [_, _, learned, refused] = self.read_outcome(stream)?;
        Ok([learned, refused])
    }

    fn give_step(
        &mut self,
        stream: &Stream,
        rows: RowsThere<'_>,
        predictions: Option<&mut Buffer<f32>>,
    ) -> Result<(), TableError> {
        self.spec.check(rows, predictions.as_deref(), true)?;
        self.make_room(stream, rows.count())?;
        let to = predictions.map_or(0, |predictions| predictions.address());
        // SAFETY: the shapes were checked, and there is room for all that the kernels write.
        unsafe { self.launch_step(stream, rows, to) }.map_err(TableError::from)
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
