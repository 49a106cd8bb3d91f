//! A factorization machine on a GPU: its tables, and the launches of `factor.cu`.
//!
//! Rows are learned one after another by one block, as those of the blend. The table of embeddings
//! changes there: how many rows there are is read with what became of the rows that were learned,
//! so that room can be made for the next ones. Where the memory of the GPU does not suffice for all
//! that they may need, they are refused before anything has changed.
//!
//! Memory: that of the blend, and for each embedding its cells, 12 bytes and 8 to 16 of slots; rows
//! grow by doubling, so that for a moment there is half as much again.

use std::sync::Arc;

use super::{FactorSpec, LANES, STACKED, WARPS};
use crate::blend::device::{BlendArgument, BlendCells};
use crate::blend::{BlendCell, EXPERTS};
use crate::coordinate::device::{Outcome, RowsThere, Table, TableError};
use crate::device::{
    Argument, Buffer, Device, DeviceError, Gpu, Launch, Pinned, Pinning, Plain, Stream,
};

/// Rows of the table there are room for at least.
const ROWS_MIN: usize = 64;
/// Threads of a block that scores a row.
const SCORING: u32 = 128;
/// Blocks that score, for each multiprocessor.
const BLOCKS: usize = 16;

/// Rows of the table, where its hand is, how many rows were given away, rows learned.
pub type Figures = [u64; 4];

/// What learning changes.
#[derive(Debug)]
pub struct FactorCells {
    /// The blend.
    pub blend: BlendCells,
    /// `[dense + rows, classes, width]`: dense columns first.
    pub cells: Buffer<BlendCell>,
    /// The index of each row.
    pub keys: Buffer<u32>,
    /// The learned row in which each was last needed.
    pub seen: Buffer<u64>,
    /// One.
    pub figures: Buffer<Figures>,
    /// `[classes, EXPERTS + 2]`.
    pub stacks: Buffer<f64>,
    /// `[classes, EXPERTS + 2, 8]`.
    pub covariances: Buffer<f64>,
}

/// A machine's tables on a GPU.
#[derive(Debug)]
pub struct FactorTable {
    spec: FactorSpec,
    cells: FactorCells,
    slots: Buffer<u32>,
    moves: u64,
    outcome: Buffer<u32>,
    outcome_here: Pinned<u32>,
    figures_here: Pinned<Figures>,
    mixture_here: Pinned<f32>,
    blocks_max: usize,
}

/// As factor/shape.cuh declares it.
#[derive(Clone, Copy)]
#[repr(C)]
struct FactorArgument {
    blend: BlendArgument,
    addresses: [u64; 7],
    numbers: [u32; 6],
    rates: [f32; EXPERTS + 2],
}

// SAFETY: numbers only, without padding: 192 + 56 + 24 + 24 bytes.
unsafe impl Plain for FactorArgument {}

fn count(value: usize) -> u32 {
    u32::try_from(value).expect("shapes were checked when the machine was made")
}

impl FactorCells {
    fn new(gpu: &Arc<Gpu>, spec: &FactorSpec, rows: usize) -> Result<FactorCells, DeviceError> {
        let (table, row_cells) = (&spec.blend.table, spec.row_cells());
        Ok(FactorCells {
            blend: BlendCells::new(gpu, &spec.blend)?,
            cells: Buffer::new(gpu, (table.dense_width + rows) * row_cells)?,
            keys: Buffer::new(gpu, rows)?,
            seen: Buffer::new(gpu, rows)?,
            figures: Buffer::new(gpu, 1)?,
            stacks: Buffer::new(gpu, table.classes * STACKED)?,
            covariances: Buffer::new(gpu, table.classes * STACKED * LANES)?,
        })
    }

    fn copy_from(&mut self, stream: &Stream, from: &FactorCells) -> Result<(), DeviceError> {
        self.blend.copy_from(stream, &from.blend)?;
        stream.copy(&mut self.cells, &from.cells, from.cells.len())?;
        stream.copy(&mut self.keys, &from.keys, from.keys.len())?;
        stream.copy(&mut self.seen, &from.seen, from.seen.len())?;
        stream.copy(&mut self.figures, &from.figures, 1)?;
        stream.copy(&mut self.stacks, &from.stacks, from.stacks.len())?;
        stream.copy(&mut self.covariances, &from.covariances, from.covariances.len())
    }
}

impl FactorTable {
    /// Tables that hold nothing yet: the caller writes the cells of an untrained model.
    ///
    /// # Errors
    /// [`DeviceError::Memory`] when they do not fit, [`DeviceError::Lost`].
    pub fn new(stream: &Stream, spec: FactorSpec) -> Result<FactorTable, DeviceError> {
        let gpu = stream.gpu();
        let device = Device::Gpu(Arc::clone(gpu));
        let mut cells = FactorCells::new(gpu, &spec, 0)?;
        stream.clear(&mut cells.figures)?;
        let mut slots = Buffer::new(gpu, 2 * ROWS_MIN)?;
        stream.clear(&mut slots)?;
        Ok(FactorTable {
            moves: 0,
            cells,
            slots,
            outcome: Buffer::new(gpu, 2)?,
            outcome_here: Pinned::new(&device, 2, Pinning::Both)?,
            figures_here: Pinned::new(&device, 1, Pinning::Both)?,
            mixture_here: Pinned::new(&device, EXPERTS, Pinning::Both)?,
            blocks_max: BLOCKS * gpu.description().multiprocessors.max(1) as usize,
            spec,
        })
    }

    /// Rows of the table and so on, when last looked at: behind whatever was learned or taken.
    #[must_use]
    pub fn figures(&self) -> Figures {
        self.figures_here[0]
    }

    /// Weights of the experts when last looked at.
    #[must_use]
    pub fn mixture(&self) -> [f32; EXPERTS] {
        std::array::from_fn(|expert| self.mixture_here[expert])
    }

    /// Reads what [`FactorTable::figures`] and [`FactorTable::mixture`] give; waits.
    ///
    /// # Errors
    /// [`DeviceError`].
    pub fn look(&mut self, stream: &Stream) -> Result<(), DeviceError> {
        stream.download((&mut self.figures_here, 0), (&self.cells.figures, 0), 1)?;
        stream.download((&mut self.mixture_here, 0), (&self.cells.blend.mixture, 0), EXPERTS)?;
        stream.wait()
    }

    /// Makes room for so many rows of the table.
    ///
    /// # Errors
    /// [`DeviceError::Memory`], after which the table is as it was.
    pub fn reserve(&mut self, stream: &Stream, rows: usize) -> Result<(), DeviceError> {
        let (gpu, spec) = (stream.gpu(), &self.spec);
        if rows <= self.cells.keys.len() {
            return Ok(());
        }
        let rows = rows.next_power_of_two().max(ROWS_MIN).min(spec.rows_max);
        let own = &self.cells;
        let dense = spec.blend.table.dense_width;
        let mut cells = Buffer::new(gpu, (dense + rows) * spec.row_cells())?;
        let (mut keys, mut seen) = (Buffer::new(gpu, rows)?, Buffer::new(gpu, rows)?);
        let slots = match 2 * rows > self.slots.len() {
            true => Some(Buffer::new(gpu, (2 * rows).next_power_of_two())?),
            false => None,
        };
        stream.copy(&mut cells, &own.cells, own.cells.len())?;
        stream.copy(&mut keys, &own.keys, own.keys.len())?;
        stream.copy(&mut seen, &own.seen, own.seen.len())?;
        (self.cells.cells, self.cells.keys, self.cells.seen) = (cells, keys, seen);
        self.moves += 1;
        slots.map_or(Ok(()), |slots| {
            self.slots = slots;
            self.index(stream)
        })
    }

    /// Makes the slots anew, after keys were written.
    ///
    /// # Errors
    /// [`DeviceError`].
    pub fn index(&mut self, stream: &Stream) -> Result<(), DeviceError> {
        stream.clear(&mut self.slots)?;
        let model = self.argument();
        let launch = Launch::over("factor_index", self.cells.keys.len(), 256);
        // SAFETY: the kernel's argument; rows are no more than there are keys.
        unsafe { stream.launch(launch, &[Argument::of(&model)]) }
    }

    fn argument(&self) -> FactorArgument {
        let (spec, cells) = (&self.spec, &self.cells);
        let [first, second, third, fourth] = spec.priors;
        FactorArgument {
            blend: spec.blend.argument(&cells.blend),
            addresses: [
                cells.cells.address(),
                cells.keys.address(),
                cells.seen.address(),
                self.slots.address(),
                cells.figures.address(),
                cells.stacks.address(),
                cells.covariances.address(),
            ],
            numbers: [
                count(spec.factors),
                count(spec.fields),
                count(spec.width()),
                count(spec.row_cells()),
                count(spec.rows_max),
                count(self.slots.len() - 1),
            ],
            rates: [first, second, third, fourth, spec.scale, 0.0],
        }
    }
}

impl Table for FactorTable {
    type Cells = FactorCells;

    fn cells(&self) -> &FactorCells {
        &self.cells
    }

    fn cells_mut(&mut self) -> &mut FactorCells {
        &mut self.cells
    }

    fn copy(&self, stream: &Stream, room: Option<FactorCells>) -> Result<FactorCells, DeviceError> {
        let rows = self.cells.keys.len();
        let room = room.filter(|room| room.keys.len() >= rows);
        let mut copy = match room {
            Some(room) => room,
            None => FactorCells::new(stream.gpu(), &self.spec, rows)?,
        };
        copy.copy_from(stream, &self.cells)?;
        Ok(copy)
    }

    fn moves(&self) -> u64 {
        self.moves
    }

    fn restore(&mut self, stream: &Stream, copy: &FactorCells) -> Result<(), DeviceError> {
        self.reserve(stream, copy.keys.len())?;
        self.cells.copy_from(stream, copy)?;
        self.index(stream)?;
        self.look(stream)
    }

    fn score(
        &mut self,
        stream: &Stream,
        rows: RowsThere<'_>,
        predictions: &mut Buffer<f32>,
    ) -> Result<(), TableError> {
        self.spec.blend.table.check(rows, Some(predictions), false)?;
        let [shared_bytes, _] = self.spec.shared_bytes().map(count);
        let blocks = count(rows.count().min(self.blocks_max));
        let launch = Launch { kernel: "factor_score", blocks, threads: SCORING, shared_bytes };
        let (model, rows, to) = (self.argument(), rows.argument(), predictions.address());
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
        let table = &self.spec.blend.table;
        table.check(rows, predictions.as_deref(), true)?;
        let begins = rows.count().saturating_mul(table.sparse_width);
        let [there, ..] = self.figures();
        let most = self.spec.rows_max.min(begins.saturating_add(there as usize));
        self.reserve(stream, most)?;
        stream.clear(&mut self.outcome)?;
        let to = predictions.map_or(0, |predictions| predictions.address());
        let [_, shared_bytes] = self.spec.shared_bytes().map(count);
        let launch = Launch { shared_bytes, ..Launch::block("factor_each", count(32 * WARPS)) };
        let (model, rows, outcome) = (self.argument(), rows.argument(), self.outcome.address());
        let arguments =
            [Argument::of(&model), Argument::of(&rows), Argument::of(&to), Argument::of(&outcome)];
        // SAFETY: the kernel's arguments; the shapes were checked, there is room for all rows of
        // the table that may begin, and the block and its shared memory are as large as it says.
        unsafe { stream.launch(launch, &arguments) }?;
        stream.download((&mut self.outcome_here, 0), (&self.outcome, 0), 2)?;
        self.look(stream)?;
        Ok([self.outcome_here[0], self.outcome_here[1]])
    }
}
