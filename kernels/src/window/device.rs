//! Windows on a GPU: the tables of some key columns there, and the launches of their kernels.
//!
//! Outputs, counts and saved bytes are those of [`WindowTable`], bit for bit.
//! What is kept differs (`window/table.cuh`): entries of a key in chunks that know what all before
//! them add up to, so that a window has no state of its own and all windows of all rows of a batch
//! are read at once. A batch is four launches for all tables together:
//!
//! 1. `window/arrange.cu`: which calls are accepted, and the calls sorted by key; a block a table.
//!    Where calls are many, several launches of many blocks (`window/wide.cu`).
//! 2. `window/enter.cu`: room is made and entries are written, a warp a key; where some are late,
//!    they are merged by runs (`window/runs.cuh`), and rows that later ones overtake are read.
//! 3. `window/read.cu`: a thread has one window of one row.
//! 4. `window/leave.cu`: old entries leave.
//!
//! Nothing waits in between: there is room for whatever a batch may bring before it is given
//! (`device/room.rs`), from what the table was known to hold and what was given since.
//!
//! # Limits
//! The tiled layout stays on the CPU. A table whose limits on keys or bytes may be reached by the
//! next batch has to be brought home ([`DeviceWindows::prepare`]): whom a limit evicts depends on
//! the order of all rows of all keys, and is left to the CPU. A table larger than the memory of the
//! GPU has its idle keys on the host (`device/moves.rs`, which has the limits of that). A batch has
//! at most 2^24 calls, a key at most 2^31 entries.
//!
//! `min` and `max` take steps by the logarithm of their window's entries (`window/nodes.cuh`), and
//! `distinct` so many for each chunk of eight entries with a code that counts. What a batch brings
//! to a key is looked for among the entries before it once (`window/distances.cuh`), as far as the
//! widest window with `distinct` reaches; where some are late, once a run. `last` goes back over
//! missing values one by one.

mod arranging;
mod cold;
mod layout;
mod moves;
mod pieces;
mod room;
mod state;
mod table;
mod work;

use std::io;
use std::sync::Arc;

use super::{TableSpec, WindowCounts, WindowTable};
use crate::assemble::Columns;
use crate::assemble::device::ColumnBuffers;
use crate::coordinate::device::TableError;
use crate::device::{Argument, Buffer, Device, DeviceError, Launch, Pinned, Pinning, Stream};

pub(crate) use arranging::Arranging;
pub use cold::ColdCounts;
use layout::{Standing, TableArgued, small};
use room::Coming;
use table::DeviceTable;
pub use table::{Labels, TableColumns};

/// Warps of a block, where a warp has a key.
const WARPS: usize = 4;
/// Threads of a block, where a thread has a window.
const READING: u32 = 128;
/// The window tables of a stream, on a GPU.
pub struct DeviceWindows {
    tables: Vec<DeviceTable>,
    arguments: Buffer<TableArgued>,
    arguments_here: Pinned<TableArgued>,
    standings: Buffer<Standing>,
    standings_here: Pinned<Standing>,
}

impl DeviceWindows {
    /// Empty tables.
    ///
    /// # Errors
    /// [`crate::KernelError::Value`] for a specification that cannot be, or not on a GPU;
    /// [`DeviceError`].
    pub fn new(
        stream: &Stream,
        tables: Vec<(TableSpec, TableColumns)>,
    ) -> Result<DeviceWindows, TableError> {
        let (gpu, count) = (stream.gpu(), tables.len());
        let device = Device::Gpu(Arc::clone(gpu));
        let tables: Vec<DeviceTable> = tables
            .into_iter()
            .map(|(spec, columns)| DeviceTable::new(stream, spec, columns))
            .collect::<Result<_, _>>()?;
        let standings: Vec<Standing> = tables.iter().map(|table| table.standing).collect();
        Ok(DeviceWindows {
            tables,
            arguments: Buffer::new(gpu, count)?,
            arguments_here: Pinned::new(&device, count, Pinning::Both)?,
            standings: stream.buffer_of(&standings)?,
            standings_here: Pinned::new(&device, count, Pinning::Both)?,
        })
    }

    /// Lets the entries of new keys be numbered from here on.
    #[cfg(all(test, feature = "double"))]
    pub(crate) fn begin_at(&mut self, first_seq: u32) {
        self.tables.iter_mut().for_each(|table| table.first_seq = first_seq);
    }

    /// Tables there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.tables.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.tables.is_empty()
    }

    /// Lets the tables' batches be brought in order in another way: for tests and measurements.
    pub(crate) fn arrange(&mut self, arranging: Arranging) {
        self.tables.iter_mut().for_each(|table| table.arranging = arranging);
    }

    /// Room for what enters table `index` with the next batch; the caller fills the columns, all as
    /// long as `count` or longer.
    ///
    /// # Errors
    /// [`DeviceError::Memory`].
    pub fn labels(
        &mut self,
        stream: &Stream,
        index: usize,
        count: usize,
    ) -> Result<&mut Labels, DeviceError> {
        let table = &mut self.tables[index];
        table.labels.resize(stream.gpu(), count, table.spec.values)?;
        Ok(&mut table.labels)
    }

    /// Makes room for the next batch, of these rows and the labels at hand: their categories are
    /// those the GPU has, from which keys are made. Names the first table that may reach its
    /// limits, or is better kept by the CPU (`device/moves.rs`): it has to be brought home
    /// ([`DeviceWindows::take_home`]) before this is asked again.
    ///
    /// # Errors
    /// [`crate::KernelError`] where the table's key is not among the columns; [`DeviceError`].
    pub fn prepare(
        &mut self,
        stream: &Stream,
        batch: &Columns<'_>,
    ) -> Result<Option<usize>, TableError> {
        for index in 0..self.tables.len() {
            self.tables[index].check_keys(batch)?;
            let entering = self.tables[index].entering(batch.rows);
            if self.tables[index].is_crowded(entering) {
                match self.forget(stream, index) {
                    Err(DeviceError::Memory { .. }) => {}
                    other => other?,
                }
            }
            let table = &self.tables[index];
            if !table.is_within_limits(entering) || table.cold.is_no_gain() {
                return Ok(Some(index));
            }
            if !self.ready(stream, index, batch)? {
                return Ok(Some(index));
            }
            let table = &mut self.tables[index];
            table.cold.has_served(batch.rows + table.labels.count);
        }
        Ok(None)
    }

    /// Takes a table out of the memory of the GPU; those behind it move up by one. Waits.
    ///
    /// # Errors
    /// [`DeviceError`] as one of another kind.
    pub fn take_home(&mut self, stream: &Stream, index: usize) -> io::Result<WindowTable> {
        self.settle(stream).map_err(io::Error::other)?;
        let mut bytes = Vec::new();
        self.tables[index].room.shed(stream).map_err(io::Error::other)?;
        self.write_state(stream, index, &mut bytes)?;
        let table = WindowTable::read_state(&self.tables[index].spec, &mut &bytes[..])?;
        self.let_go(stream, index).map_err(io::Error::other)?;
        Ok(table)
    }

    /// Gives up a table with all that it holds; those behind it move up by one. Waits.
    ///
    /// # Errors
    /// [`DeviceError`].
    pub fn let_go(&mut self, stream: &Stream, index: usize) -> Result<(), DeviceError> {
        self.tables.remove(index);
        self.tell_standings(stream)
    }

    /// Answers the rows of the batch in `columns` into its given columns, and enters them or the
    /// labels; without waiting ([`DeviceWindows::settle`]). Room for it was made before
    /// ([`DeviceWindows::prepare`]).
    ///
    /// # Errors
    /// [`TableError`], for a shape before anything is changed.
    pub fn run(&mut self, stream: &Stream, columns: &mut ColumnBuffers) -> Result<(), TableError> {
        let calls = self.arm(stream, columns)?;
        Ok(self.give(stream, calls)?)
    }

    /// Says what the batch in `columns` is, to what is given next; the most calls of a table.
    ///
    /// # Errors
    /// [`TableError`], for a shape before anything is changed.
    pub fn arm(
        &mut self,
        stream: &Stream,
        columns: &mut ColumnBuffers,
    ) -> Result<usize, TableError> {
        self.tables.iter().try_for_each(|table| table.check(columns))?;
        let (rows, mut calls_max) = (columns.rows(), 0);
        for (index, table) in self.tables.iter_mut().enumerate() {
            let calls = rows + table.labels.count;
            let entering = table.entering(rows);
            // Nothing, where the batch was prepared for.
            let coming = Coming::of_calls(entering);
            table.make_room(stream, self.standings.address(), index, (coming, calls))?;
            table.room.labels.give(stream, &mut table.labels)?;
            let mut argument = table.argument(self.standings.address(), index);
            (argument.rows, argument.labels) = (small(rows), small(table.labels.count));
            let [times_ms, numbers, categories, given] = columns.addresses();
            argument.rows_at[..3].copy_from_slice(&[times_ms, numbers, categories]);
            argument.rows_at[4] = given;
            argument.stride = small(columns.rows_max());
            argument.out_stride = small(columns.widths()[2]);
            argument.out_offset = small(table.columns.offset);
            self.arguments_here[index] = argument;
            calls_max = calls_max.max(calls);
            table.room.has_given(&table.standing, entering);
            table.labels.count = 0;
            table.batch = table.batch.wrapping_add(1);
        }
        Ok(calls_max)
    }

    /// Passes of the sort that [`DeviceWindows::give`] makes for at most `calls`, where it sorts by
    /// many blocks. What is recorded holds for batches for which this is not more.
    #[must_use]
    pub fn passes(&self, calls: usize) -> Option<u32> {
        let (arranging, slot_bits) = self.arranging();
        arranging.passes(calls, slot_bits)
    }

    /// How batches are brought in order, and the bits that slots of a table have at most.
    fn arranging(&self) -> (Arranging, u32) {
        let arranging = self.tables.first().map(|table| table.arranging);
        let bits = self.tables.iter().map(|table| table.room.slot_bits());
        (arranging.unwrap_or_default(), bits.max().unwrap_or(0))
    }

    /// Gives the work of the batch that is armed, or of any later one with at most as many `calls`
    /// and as many [`DeviceWindows::passes`] where this is recorded.
    ///
    /// # Errors
    /// [`DeviceError`].
    pub fn give(&mut self, stream: &Stream, calls: usize) -> Result<(), DeviceError> {
        let count = self.tables.len();
        let windows = self.tables.iter().map(|table| table.layout.windows.len());
        let reads = windows.max().unwrap_or(0) * calls;
        stream.upload((&mut self.arguments, 0), (&mut self.arguments_here, 0), count)?;
        let tables = (self.arguments.address(), count);
        DeviceWindows::launch(stream, tables, (calls, reads), self.arranging())?;
        stream.download((&mut self.standings_here, 0), (&self.standings, 0), count)
    }

    /// Writes how the tables stand to where the kernels read it; waits.
    fn tell_standings(&mut self, stream: &Stream) -> Result<(), DeviceError> {
        let standings: Vec<Standing> = self.tables.iter().map(|table| table.standing).collect();
        stream.write(&mut self.standings, &standings)
    }

    /// Waits for what was given, and looks whether all of it had room.
    ///
    /// # Errors
    /// [`DeviceError`].
    pub fn settle(&mut self, stream: &Stream) -> Result<(), DeviceError> {
        let count = self.tables.len();
        stream.download((&mut self.standings_here, 0), (&self.standings, 0), count)?;
        stream.wait()?;
        self.look()
    }

    /// Looks whether all that was given, and waited for, had room.
    ///
    /// # Errors
    /// [`DeviceError::Kernel`] for a bug.
    pub fn look(&mut self) -> Result<(), DeviceError> {
        for (table, &standing) in self.tables.iter_mut().zip(self.standings_here.iter()) {
            table.standing = standing;
            table.room.has_settled();
            if standing.failures != 0 {
                return Err(DeviceError::Kernel { kernel: "window_enter" });
            }
        }
        Ok(())
    }

    /// What was unusual so far, as known when it was last settled.
    #[must_use]
    pub fn counts(&self, index: usize) -> WindowCounts {
        let table = &self.tables[index];
        let [keys, values, saturated, late] = table.standing.counts;
        let [evicted_keys, evicted_entries] = table.evicted;
        WindowCounts::from_words([keys, values, saturated, late, evicted_keys, evicted_entries])
    }

    /// Keys held, here and there, idle ones included, as known when it was last settled.
    #[must_use]
    pub fn keys_held(&self, index: usize) -> usize {
        self.tables[index].standing.keys() + self.tables[index].cold.len()
    }

    /// Bytes of device memory of a table.
    #[must_use]
    pub fn bytes(&self, index: usize) -> usize {
        self.tables[index].room.bytes()
    }

    /// Gives the batch of `count` tables at an address.
    fn launch(
        stream: &Stream,
        (tables, count): (u64, usize),
        (calls, reads): (usize, usize),
        (arranging, slot_bits): (Arranging, u32),
    ) -> Result<(), DeviceError> {
        if count == 0 || calls == 0 {
            return Ok(());
        }
        arranging.give(stream, (tables, count), (calls, slot_bits))?;
        let warps = small(calls.div_ceil(WARPS));
        let readers = small(reads.div_ceil(READING as usize).max(1));
        let over = |kernel, blocks: u32, threads| Launch {
            kernel,
            blocks: blocks * small(count),
            threads,
            shared_bytes: 0,
        };
        let by_key = small(WARPS * 32);
        let launches = [
            (over("window_enter", warps, by_key), warps),
            (over("window_read", readers, READING), readers),
            (over("window_leave", warps, by_key), warps),
        ];
        launches.into_iter().try_for_each(|(launch, blocks)| {
            let arguments = [Argument::of(&tables), Argument::of(&blocks)];
            // SAFETY: the kernels take these arguments; what the tables point at has the sizes that
            // are said there, and lives as long as this does.
            unsafe { stream.launch(launch, &arguments) }
        })
    }

    /// Forgets keys that no window can reach any more, and makes the index anew; waits.
    fn forget(&mut self, stream: &Stream, index: usize) -> Result<(), DeviceError> {
        self.settle(stream)?;
        let argument = self.argument(stream, index)?;
        let table = &mut self.tables[index];
        let horizon_ms = table.layout.plan.horizon_ms(table.standing.watermark_ms);
        table.cold.forget(horizon_ms);
        table.room.forget(stream, (argument.address(), table.standing.slots))?;
        self.settle(stream)?;
        let table = &mut self.tables[index];
        table.room.has_forgotten(table.standing.keys());
        Ok(())
    }

    fn argument(&self, stream: &Stream, index: usize) -> Result<Buffer<TableArgued>, DeviceError> {
        stream.buffer_of(&[self.tables[index].argument(self.standings.address(), index)])
    }
}

impl std::fmt::Debug for DeviceWindows {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("DeviceWindows").field("tables", &self.tables.len()).finish_non_exhaustive()
    }
}
