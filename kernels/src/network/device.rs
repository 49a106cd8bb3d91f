//! A network on a GPU: its parameters, its embeddings, and the launches of `network.cu`.
//!
//! Memory: 16 bytes a parameter; for each embedding its numbers, two sums of squares and its index,
//! and 16 to 32 bytes of slots; rows grow by doubling, so that for a moment there is half as much
//! again. What is needed for a walk is made beforehand ([`DeviceNetwork::reserve`]): a GPU whose
//! memory does not suffice says so before anything has changed.
//!
//! Nothing here waits but what reads or writes whole states. Rows to learn are copied from two
//! places in turn, so that one walk is made while the one before is done.

mod buffers;

use super::{NetworkSpec, WAVE, Walk};
use crate::KernelError;
use crate::coordinate::device::{RowsThere, TableError, Task};
use crate::descent::{Descent, Rule};
use crate::device::{Argument, Buffer, DeviceError, Launch, Plain, Stream};
use buffers::{Lessons, TableRows};

/// Threads of a block that has a wave: two rows for each output of a layer of 64.
const THREADS: u32 = 256;
/// Bytes of shared memory that the room of a wave may have; a larger one lies in device memory.
const SHARED_MAX: usize = 40 << 10;
/// Blocks for each multiprocessor where the room lies in device memory.
const BLOCKS: usize = 4;
/// Rows of the table there are room for at least.
const ROWS_MIN: usize = 64;
/// `b1^t`, `b2^t`, the usual residual.
const MEMORY: usize = 3;

/// A network on a GPU.
#[derive(Debug)]
pub struct DeviceNetwork {
    spec: NetworkSpec,
    parameters: Buffer<f32>,
    means: Buffer<f32>,
    squares: Buffer<f32>,
    gradient: Buffer<f32>,
    memory: Buffer<f32>,
    table: TableRows,
    slots: Buffer<u32>,
    /// Slots that are not empty, at most, and rows of the table there.
    used: usize,
    rows: usize,
    /// Of blocks whose room does not fit into shared memory.
    room: Buffer<f32>,
    blocks_max: usize,
    /// How often table or slots have been replaced by larger ones.
    moves: u64,
    lessons: [Lessons; 2],
    /// Which of them comes next.
    turn: usize,
}

/// What learning has come to, here.
#[derive(Debug)]
pub struct NetworkState<'a> {
    /// `[parameters]`.
    pub parameters: &'a mut [f32],
    /// What is remembered of them.
    pub descent: &'a mut Descent,
    /// The usual residual of a regression.
    pub residual: &'a mut f32,
    /// `[rows, width]`.
    pub numbers: &'a mut [f32],
    /// `[rows]`.
    pub squares: &'a mut [[f32; 2]],
}

/// As network/shape.cuh declares it.
#[derive(Clone, Copy)]
#[repr(C)]
struct NetworkArgument {
    addresses: [u64; 10],
    unit: [f64; 2],
    numbers: [u32; 20],
    rates: [f32; 2],
}

// SAFETY: numbers only, without padding: 80 + 16 + 80 + 8 bytes.
unsafe impl Plain for NetworkArgument {}

fn count(value: usize) -> u32 {
    u32::try_from(value).expect("counts were checked when the network was made")
}

impl DeviceNetwork {
    /// A network that has learned nothing and holds nothing yet: see [`DeviceNetwork::send`].
    ///
    /// # Errors
    /// [`TableError`]: a shape beyond what is counted there, or memory that does not suffice.
    pub fn new(stream: &Stream, spec: NetworkSpec) -> Result<DeviceNetwork, TableError> {
        spec.check()?;
        let gpu = stream.gpu();
        let blocks_max = BLOCKS * gpu.description().multiprocessors.max(1) as usize;
        let [scored, learned] = spec.strides().map(|stride| match fits(stride) {
            true => 0,
            false => WAVE * stride,
        });
        let moments = if spec.rule == Rule::Adam { spec.parameters() } else { 0 };
        let mut slots = Buffer::new(gpu, 4 * ROWS_MIN)?;
        stream.clear(&mut slots)?;
        Ok(DeviceNetwork {
            parameters: Buffer::new(gpu, spec.parameters())?,
            means: Buffer::new(gpu, moments)?,
            squares: Buffer::new(gpu, spec.parameters())?,
            gradient: Buffer::new(gpu, spec.parameters())?,
            memory: Buffer::new(gpu, MEMORY)?,
            table: TableRows::new(gpu, 0, spec.width())?,
            slots,
            used: 0,
            rows: 0,
            room: Buffer::new(gpu, (blocks_max * scored).max(learned))?,
            blocks_max,
            moves: 0,
            lessons: [Lessons::new(gpu, &spec)?, Lessons::new(gpu, &spec)?],
            turn: 0,
            spec,
        })
    }

    /// How often its memory has been replaced by other memory.
    #[must_use]
    pub fn moves(&self) -> u64 {
        self.moves
    }

    /// What it was made for.
    #[must_use]
    pub fn spec(&self) -> &NetworkSpec {
        &self.spec
    }

    /// Takes a state, and the indices of its embeddings; waits.
    ///
    /// # Errors
    /// [`DeviceError`]; where memory does not suffice nothing has changed.
    pub fn send(
        &mut self,
        stream: &Stream,
        state: &NetworkState<'_>,
        keys: &[u32],
    ) -> Result<(), DeviceError> {
        self.reserve_rows(stream, keys.len())?;
        self.reserve_slots(stream, 2 * keys.len(), 0)?;
        let (means, squares, [first, second]) = state.descent.parts();
        stream.write(&mut self.parameters, state.parameters)?;
        stream.write(&mut self.means, means)?;
        stream.write(&mut self.squares, squares)?;
        stream.write(&mut self.memory, &[first, second, *state.residual])?;
        stream.write(&mut self.table.numbers, state.numbers)?;
        stream.write(&mut self.table.squares, state.squares)?;
        stream.write(&mut self.table.keys, keys)?;
        self.rows = keys.len();
        self.index(stream)?;
        stream.wait()
    }

    /// Reads the state of as many rows of the table; waits.
    ///
    /// # Errors
    /// [`DeviceError`].
    pub fn fetch(&self, stream: &Stream, state: &mut NetworkState<'_>) -> Result<(), DeviceError> {
        let mut memory = [0.0; MEMORY];
        stream.read(&self.memory, &mut memory)?;
        let [first, second, residual] = memory;
        let (means, squares, powers) = state.descent.parts_mut();
        stream.read(&self.parameters, state.parameters)?;
        stream.read(&self.means, means)?;
        stream.read(&self.squares, squares)?;
        (*powers, *state.residual) = ([first, second], residual);
        stream.read(&self.table.numbers, state.numbers)?;
        stream.read(&self.table.squares, state.squares)
    }

    /// Makes room for walks that end with so many rows of the table, of which each has so many
    /// lessons and scored rows at most.
    ///
    /// # Errors
    /// [`DeviceError::Memory`], after which the network is as it was.
    pub fn reserve(
        &mut self,
        stream: &Stream,
        rows: usize,
        [lessons, scored]: [usize; 2],
    ) -> Result<(), DeviceError> {
        let begins = lessons * self.spec.sparse;
        self.reserve_rows(stream, rows)?;
        self.reserve_slots(stream, rows, begins)?;
        // Steps are as many as lessons and runs of scored rows, at most.
        let words = 8 * (lessons + scored + 1) + 2 * begins + self.spec.outputs;
        self.lessons.iter_mut().try_for_each(|own| own.reserve(lessons, words))
    }

    fn reserve_rows(&mut self, stream: &Stream, rows: usize) -> Result<(), DeviceError> {
        if rows <= self.table.keys.len() {
            return Ok(());
        }
        let rows = rows.next_power_of_two().max(ROWS_MIN).min(self.spec.rows_max);
        let mut table = TableRows::new(stream.gpu(), rows, self.spec.width())?;
        let own = &self.table;
        stream.copy(&mut table.numbers, &own.numbers, own.numbers.len())?;
        stream.copy(&mut table.squares, &own.squares, own.squares.len())?;
        stream.copy(&mut table.keys, &own.keys, own.keys.len())?;
        self.table = table;
        self.moves += 1;
        Ok(())
    }

    /// Makes slots of which at most half are used when all rows and then as many begins are in.
    fn reserve_slots(
        &mut self,
        stream: &Stream,
        rows: usize,
        begins: usize,
    ) -> Result<(), DeviceError> {
        let wanted = (2 * (rows + begins)).next_power_of_two();
        if wanted <= self.slots.len() {
            return Ok(());
        }
        self.slots = Buffer::new(stream.gpu(), wanted)?;
        self.moves += 1;
        self.index(stream)
    }

    /// Makes the slots anew.
    fn index(&mut self, stream: &Stream) -> Result<(), DeviceError> {
        stream.clear(&mut self.slots)?;
        self.used = self.rows;
        if self.rows == 0 {
            return Ok(());
        }
        let (network, rows) = (self.argument(0, [0.0, 1.0]), count(self.rows));
        let launch = Launch::over("network_index", self.rows, 256);
        // SAFETY: the kernel's arguments; there are as many keys, and twice as many slots.
        unsafe { stream.launch(launch, &[Argument::of(&network), Argument::of(&rows)]) }
    }

    /// Predictions of the rows, without waiting; of a regression by mean and deviation of targets,
    /// or, without a `unit`, in theirs.
    ///
    /// # Shapes
    /// `predictions`: `[rows, outputs]` or longer.
    ///
    /// # Errors
    /// [`TableError`].
    pub fn score(
        &self,
        stream: &Stream,
        (rows, unit): (RowsThere<'_>, Option<[f64; 2]>),
        predictions: &mut Buffer<f32>,
    ) -> Result<(), TableError> {
        self.check(rows, predictions)?;
        if rows.count() == 0 {
            return Ok(());
        }
        let stride = self.spec.strides()[0];
        let tiles = rows.count().div_ceil(WAVE);
        let (blocks, shared_bytes) = match fits(stride) {
            true => (tiles, count(4 * WAVE * stride)),
            false => (tiles.min(self.blocks_max), 0),
        };
        let launch = Launch {
            kernel: "network_score",
            blocks: count(blocks),
            threads: THREADS,
            shared_bytes,
        };
        let mut network = self.argument(stride, unit.unwrap_or([0.0, 1.0]));
        network.numbers[3] = u32::from(unit.is_none());
        let (rows, to) = (rows.argument(), predictions.address());
        let arguments = [Argument::of(&network), Argument::of(&rows), Argument::of(&to)];
        // SAFETY: the kernel's arguments, whose shapes were checked; the room is that of as many
        // blocks.
        Ok(unsafe { stream.launch(launch, &arguments) }?)
    }

    /// Walks, without waiting. Of a regression predictions are outputs, in the unit of the targets
    /// that the caller knows for each row.
    ///
    /// # Shapes
    /// `rows`: those that are scored, their sparse features as rows of the table; all of the walk's
    /// numbers are below theirs. `predictions`: `[rows, outputs]` or longer.
    ///
    /// # Errors
    /// [`TableError`].
    ///
    /// # Panics
    /// If a row of the table lies beyond what was reserved.
    pub fn walk(
        &mut self,
        stream: &Stream,
        walk: &Walk,
        scored: Option<(RowsThere<'_>, &mut Buffer<f32>)>,
    ) -> Result<(), TableError> {
        if walk.is_empty() {
            return Ok(());
        }
        if let Some((rows, predictions)) = &scored {
            self.check(*rows, predictions)?;
        }
        let last = walk.begins.iter().map(|[row, _]| *row as usize + 1).max().unwrap_or(0);
        assert!(last <= self.table.keys.len(), "rows that were reserved");
        if 2 * (self.used + walk.begins.len()) > self.slots.len() {
            self.index(stream)?;
        }
        assert!(2 * (self.used + walk.begins.len()) <= self.slots.len(), "slots were reserved");
        self.used += walk.begins.len();
        self.rows = self.rows.max(last);
        let own = &mut self.lessons[self.turn];
        self.turn = 1 - self.turn;
        let [steps, begins, biases] = own.give(stream, walk)?;
        let lessons = own.rows.all().argument();
        let (rows, to) = scored.map_or((lessons, 0), |(rows, to)| (rows.argument(), to.address()));
        let stride = self.spec.strides()[1];
        let launch = Launch {
            shared_bytes: if fits(stride) { count(4 * WAVE * stride) } else { 0 },
            ..Launch::block("network_walk", THREADS)
        };
        let mut network = self.argument(stride, [0.0, 1.0]);
        network.numbers[3] = u32::from(self.spec.task == Task::Regression);
        network.numbers[4] = 1;
        let length = count(walk.steps.len());
        let arguments = [
            Argument::of(&network),
            Argument::of(&rows),
            Argument::of(&lessons),
            Argument::of(&steps),
            Argument::of(&begins),
            Argument::of(&biases),
            Argument::of(&length),
            Argument::of(&to),
        ];
        // SAFETY: the kernel's arguments; shapes were checked, rows of the table are there, and
        // what was copied to the GPU is written again by later work of the stream alone.
        Ok(unsafe { stream.launch(launch, &arguments) }?)
    }

    fn check(&self, rows: RowsThere<'_>, predictions: &Buffer<f32>) -> Result<(), KernelError> {
        let expect = |argument, expected, given| match given == expected {
            true => Ok(()),
            false => Err(KernelError::Shape { kernel: "network", argument, expected, given }),
        };
        let [dense, sparse] = rows.widths();
        expect("rows.dense_width", self.spec.dense, dense)?;
        expect("rows.sparse_width", self.spec.sparse, sparse)?;
        let wanted = rows.count() * self.spec.outputs;
        expect("predictions", wanted, predictions.len().min(wanted))
    }

    fn argument(&self, stride: usize, unit: [f64; 2]) -> NetworkArgument {
        let (spec, table) = (&self.spec, &self.table);
        let [second_at, last_at, linear_at, vectors_at, parameters] = spec.parts();
        let room = if fits(stride) { 0 } else { self.room.address() };
        let numbers = [
            spec.task as usize,
            usize::from(spec.rule == Rule::Adam),
            usize::from(spec.is_deep),
            0,
            0,
            self.slots.len() - 1,
            spec.dense,
            spec.sparse,
            spec.factors,
            spec.width(),
            spec.outputs,
            spec.padded(),
            spec.hidden[0],
            spec.hidden[1],
            second_at,
            last_at,
            linear_at,
            vectors_at,
            parameters,
            stride,
        ];
        NetworkArgument {
            addresses: [
                self.parameters.address(),
                self.means.address(),
                self.squares.address(),
                self.gradient.address(),
                table.numbers.address(),
                table.squares.address(),
                table.keys.address(),
                self.slots.address(),
                self.memory.address(),
                room,
            ],
            unit,
            numbers: numbers.map(count),
            rates: [spec.scale, spec.rate],
        }
    }
}

/// Whether the room of a wave fits into shared memory.
fn fits(stride: usize) -> bool {
    4 * WAVE * stride <= SHARED_MAX
}
