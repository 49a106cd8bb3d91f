//! The blend of four linear experts on a GPU: its tables, and the launches of `blend.cu`.
//!
//! Rows are learned one after another, by one block, since each changes the covariances that the
//! next is learned with: it has the bits of the CPU's code, and not its speed. What this does not
//! do: keep earlier states, or read and write saved ones, which the model does from copies of the
//! tables.

use std::sync::Arc;

use super::{BlendCell, EXPERTS, FILTERS};
use crate::coordinate::LANES;
use crate::coordinate::device::{
    ModelArgument, Outcome, RowsThere, Running, Table, TableError, TableSpec,
};
use crate::device::{
    Argument, Buffer, Device, DeviceError, Gpu, Launch, Pinned, Pinning, Plain, Stream,
};

/// What a table of the blend is made for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct BlendSpec {
    /// Shape, task and penalties; its rule and rates are not used.
    pub table: TableSpec,
    /// Whether the filters keep full covariances of the dense inputs.
    pub has_covariances: bool,
    /// Prior variances of dense weights, then the rates of the descents.
    pub dense_priors: [f32; EXPERTS],
    /// The same of sparse weights.
    pub sparse_priors: [f32; EXPERTS],
    /// Forgetting of the filters.
    pub forgetting: [f32; FILTERS],
    /// Rate and share of the mixture.
    pub mixture: [f32; 2],
}

// SAFETY: eight numbers, 32 bytes without padding.
unsafe impl Plain for BlendCell {}

/// What learning changes.
#[derive(Debug)]
pub struct BlendCells {
    /// `[classes, width]`: the dense inputs and the bias.
    pub dense: Buffer<BlendCell>,
    /// `[coordinates, classes]`.
    pub sparse: Buffer<BlendCell>,
    /// `[classes, FILTERS, width, stride]`, or nothing.
    pub covariances: Buffer<f64>,
    /// `[classes, FILTERS, stride]`: their diagonals.
    pub variances: Buffer<f64>,
    /// `[EXPERTS]`.
    pub mixture: Buffer<f32>,
    /// One.
    pub running: Buffer<Running>,
}

/// A blend's tables on a GPU.
#[derive(Debug)]
pub struct BlendTable {
    spec: BlendSpec,
    cells: BlendCells,
    outcome: Buffer<u32>,
    outcome_here: Pinned<u32>,
    mixture_here: Pinned<f32>,
}

/// The argument of the kernels, as blend.cu declares it.
#[derive(Clone, Copy)]
#[repr(C)]
pub(crate) struct BlendArgument {
    base: ModelArgument,
    addresses: [u64; 5],
    numbers: [u32; 2],
    rates: [f32; 2 * EXPERTS + FILTERS + 2],
}

// SAFETY: numbers only, without padding: 96 + 40 + 8 + 48 bytes.
unsafe impl Plain for BlendArgument {}

impl BlendSpec {
    /// Dense inputs and the bias.
    #[must_use]
    pub fn width(&self) -> usize {
        self.table.inputs() + 1
    }

    fn filters(&self) -> usize {
        if self.has_covariances { self.table.classes * FILTERS } else { 0 }
    }

    /// Bytes of shared memory that learning rows takes, without that of an addend.
    pub(crate) fn shared_bytes(&self) -> usize {
        let doubles = if self.has_covariances { 7 * self.table.stride() } else { 0 };
        8 * doubles + 4 * 2 * EXPERTS * self.table.classes
    }

    pub(crate) fn argument(&self, cells: &BlendCells) -> BlendArgument {
        let mut rates = [0.0; 2 * EXPERTS + FILTERS + 2];
        let all = self.dense_priors.iter().chain(&self.sparse_priors);
        let all = all.chain(&self.forgetting).chain(&self.mixture);
        rates.iter_mut().zip(all).for_each(|(slot, rate)| *slot = *rate);
        BlendArgument {
            base: ModelArgument::of(&self.table, [0, 0, 0, cells.running.address()]),
            addresses: [
                cells.dense.address(),
                cells.sparse.address(),
                cells.covariances.address(),
                cells.variances.address(),
                cells.mixture.address(),
            ],
            numbers: [u32::from(self.has_covariances), 0],
            rates,
        }
    }
}

impl BlendCells {
    pub(crate) fn new(gpu: &Arc<Gpu>, spec: &BlendSpec) -> Result<BlendCells, DeviceError> {
        let (classes, width, stride) = (spec.table.classes, spec.width(), spec.table.stride());
        Ok(BlendCells {
            dense: Buffer::new(gpu, classes * width)?,
            sparse: Buffer::new(gpu, classes * spec.table.absent)?,
            covariances: Buffer::new(gpu, spec.filters() * width * stride)?,
            variances: Buffer::new(gpu, spec.filters() * stride)?,
            mixture: Buffer::new(gpu, EXPERTS)?,
            running: Buffer::new(gpu, 1)?,
        })
    }

    pub(crate) fn copy_from(
        &mut self,
        stream: &Stream,
        from: &BlendCells,
    ) -> Result<(), DeviceError> {
        stream.copy(&mut self.dense, &from.dense, from.dense.len())?;
        stream.copy(&mut self.sparse, &from.sparse, from.sparse.len())?;
        stream.copy(&mut self.covariances, &from.covariances, from.covariances.len())?;
        stream.copy(&mut self.variances, &from.variances, from.variances.len())?;
        stream.copy(&mut self.mixture, &from.mixture, EXPERTS)?;
        stream.copy(&mut self.running, &from.running, 1)
    }
}

impl BlendTable {
    /// Tables that hold nothing yet: the caller writes the cells of an untrained model.
    ///
    /// # Errors
    /// [`DeviceError::Memory`] when they do not fit, [`DeviceError::Lost`].
    pub fn new(stream: &Stream, spec: BlendSpec) -> Result<BlendTable, DeviceError> {
        let gpu = stream.gpu();
        let device = Device::Gpu(Arc::clone(gpu));
        Ok(BlendTable {
            cells: BlendCells::new(gpu, &spec)?,
            outcome: Buffer::new(gpu, 2)?,
            outcome_here: Pinned::new(&device, 2, Pinning::Both)?,
            mixture_here: Pinned::new(&device, EXPERTS, Pinning::Both)?,
            spec,
        })
    }

    /// Weights of the experts when last looked at: behind whatever was learned or taken.
    #[must_use]
    pub fn mixture(&self) -> [f32; EXPERTS] {
        std::array::from_fn(|expert| self.mixture_here[expert])
    }

    /// Reads the weights of the experts, after [`Table::cells_mut`] was written to.
    ///
    /// # Errors
    /// [`DeviceError`].
    pub fn look_at_mixture(&mut self, stream: &Stream) -> Result<(), DeviceError> {
        stream.download((&mut self.mixture_here, 0), (&self.cells.mixture, 0), EXPERTS)?;
        stream.wait()
    }
}

impl Table for BlendTable {
    type Cells = BlendCells;

    fn cells(&self) -> &BlendCells {
        &self.cells
    }

    fn cells_mut(&mut self) -> &mut BlendCells {
        &mut self.cells
    }

    fn copy(&self, stream: &Stream, room: Option<BlendCells>) -> Result<BlendCells, DeviceError> {
        let mut copy = room.map_or_else(|| BlendCells::new(stream.gpu(), &self.spec), Ok)?;
        copy.copy_from(stream, &self.cells)?;
        Ok(copy)
    }

    fn restore(&mut self, stream: &Stream, copy: &BlendCells) -> Result<(), DeviceError> {
        self.cells.copy_from(stream, copy)?;
        self.look_at_mixture(stream)
    }

    fn score(
        &mut self,
        stream: &Stream,
        rows: RowsThere<'_>,
        predictions: &mut Buffer<f32>,
    ) -> Result<(), TableError> {
        self.spec.table.check(rows, Some(predictions), false)?;
        let launch = Launch::over("blend_score", rows.count() * LANES, 256);
        let (model, rows, to) =
            (self.spec.argument(&self.cells), rows.argument(), predictions.address());
        let arguments = [Argument::of(&model), Argument::of(&rows), Argument::of(&to)];
        // SAFETY: the kernel's arguments, whose shapes were checked.
        unsafe { stream.launch(launch, &arguments) }.map_err(TableError::from)
    }

    fn each(
        &mut self,
        stream: &Stream,
        rows: RowsThere<'_>,
        predictions: Option<&mut Buffer<f32>>,
    ) -> Result<Outcome, TableError> {
        let table = &self.spec.table;
        table.check(rows, predictions.as_deref(), true)?;
        stream.clear(&mut self.outcome)?;
        let to = predictions.map_or(0, |predictions| predictions.address());
        let stride = table.stride();
        let count = |value: usize| u32::try_from(value).expect("a row is small");
        // A thread for each column of the filters' covariances, in whole warps.
        let columns = if self.spec.has_covariances { FILTERS * stride } else { 32 };
        let launch = Launch {
            shared_bytes: count(self.spec.shared_bytes()),
            ..Launch::block("blend_each", count(columns.next_multiple_of(32)))
        };
        let (model, rows, outcome) =
            (self.spec.argument(&self.cells), rows.argument(), self.outcome.address());
        let arguments =
            [Argument::of(&model), Argument::of(&rows), Argument::of(&to), Argument::of(&outcome)];
        // SAFETY: the kernel's arguments; the shapes were checked, and the block and its shared
        // memory are as large as it says.
        unsafe { stream.launch(launch, &arguments) }?;
        stream.download((&mut self.outcome_here, 0), (&self.outcome, 0), 2)?;
        self.look_at_mixture(stream)?;
        Ok([self.outcome_here[0], self.outcome_here[1]])
    }
}
