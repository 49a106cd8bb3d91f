//! One table on a GPU: what it reads, what enters it beside the rows, and its limits.

use std::sync::Arc;

use super::arranging::Arranging;
use super::cold::Cold;
use super::layout::{Layout, Standing, TableArgued, small};
use super::room::{Coming, Room};
use crate::KernelError;
use crate::assemble::Columns;
use crate::assemble::device::ColumnBuffers;
use crate::coordinate::device::TableError;
use crate::device::{Device, DeviceError, Gpu, Pinned, Pinning, Stream};
use crate::window::TableSpec;
use crate::window::checks::expect;

/// Calls of a batch.
const CALLS_MAX: usize = 1 << 24;

/// Which columns of a batch a table reads, and where its outputs go.
#[derive(Clone, Debug, Default)]
pub struct TableColumns {
    /// Category columns of the key; the key of several is their cross.
    pub key: Vec<usize>,
    /// Number columns.
    pub values: Vec<usize>,
    /// Category columns.
    pub codes: Vec<usize>,
    /// Its first column among the given ones.
    pub offset: usize,
}

/// What enters a table over labels, in page-locked memory.
#[derive(Debug)]
pub struct Labels {
    /// Keys.
    pub keys: Pinned<u64>,
    /// Arrival times.
    pub times_ms: Pinned<i64>,
    /// `[values, labels]`.
    pub values: Pinned<f32>,
    /// The row before which each comes, not decreasing; the number of rows means after the last.
    pub before_rows: Pinned<u32>,
    pub(super) count: usize,
}

/// One of them.
pub(super) struct DeviceTable {
    pub layout: Layout,
    pub spec: TableSpec,
    pub columns: TableColumns,
    pub room: Room,
    /// The keys that are not on the GPU.
    pub cold: Cold,
    pub labels: Labels,
    /// As known after the last batch that was waited for.
    pub standing: Standing,
    /// What came home with a state: keys and entries that a limit had evicted.
    pub evicted: [u64; 2],
    /// The number of the batch, modulo 2^32.
    pub batch: u32,
    /// How its batches are brought in order: the same for all tables.
    pub arranging: Arranging,
    /// The number of a new key's first entry, a multiple of eight. Tests let numbers wrap.
    pub first_seq: u32,
}

impl Labels {
    pub(super) fn new() -> Labels {
        let (keys, times_ms) = (Pinned::ordinary(0), Pinned::ordinary(0));
        let (values, before_rows) = (Pinned::ordinary(0), Pinned::ordinary(0));
        Labels { keys, times_ms, values, before_rows, count: 0 }
    }

    /// Makes room for as many labels, whose columns the caller then writes.
    ///
    /// # Errors
    /// [`DeviceError::Memory`].
    pub(super) fn resize(
        &mut self,
        gpu: &Arc<Gpu>,
        count: usize,
        values: usize,
    ) -> Result<(), DeviceError> {
        self.count = count;
        if count > self.keys.len() {
            let (device, room) = (Device::Gpu(Arc::clone(gpu)), count.next_power_of_two());
            self.keys = Pinned::new(&device, room, Pinning::Both)?;
            self.times_ms = Pinned::new(&device, room, Pinning::Both)?;
            self.values = Pinned::new(&device, room * values, Pinning::Both)?;
            self.before_rows = Pinned::new(&device, room, Pinning::Both)?;
        }
        Ok(())
    }
}

impl DeviceTable {
    pub fn new(
        stream: &Stream,
        spec: TableSpec,
        columns: TableColumns,
    ) -> Result<DeviceTable, TableError> {
        let layout = Layout::new(&spec)?;
        expect(
            "columns.values",
            spec.values * usize::from(!layout.is_over_labels()),
            columns.values.len(),
        )?;
        expect(
            "columns.codes",
            spec.codes * usize::from(!layout.is_over_labels()),
            columns.codes.len(),
        )?;
        let room = Room::new(stream, &layout, &columns)?;
        let (labels, standing) = (Labels::new(), Standing::default());
        let cold = Cold::new(layout.entry_words);
        let (evicted, batch, first_seq) = ([0; 2], 0, 0);
        let arranging = Arranging::default();
        Ok(DeviceTable {
            layout,
            spec,
            columns,
            room,
            cold,
            labels,
            standing,
            evicted,
            batch,
            arranging,
            first_seq,
        })
    }

    /// Entries that come with a batch of so many rows and the labels at hand, at most.
    pub fn entering(&self, rows: usize) -> usize {
        let rows = if self.layout.is_over_labels() { 0 } else { rows };
        rows + self.labels.count
    }

    /// Whether forgetting idle keys is likely to help before so many entries come.
    pub fn is_crowded(&self, entering: usize) -> bool {
        let grows = self.room.grows(&self.standing, entering);
        // Near a limit it is tried whenever the keys have become a few more.
        let keys = self.standing.keys();
        let has_new = self.room.has_new(keys) || self.cold.has_new();
        let near = !self.is_within_limits(entering) && has_new;
        near || self.cold.is_crowded() || (grows && self.room.is_crowded(keys))
    }

    /// Whether no limit is reached whatever comes.
    pub fn is_within_limits(&self, entering: usize) -> bool {
        let coming = self.room.given() + entering;
        let keys = self.standing.keys() + self.cold.len() + coming;
        let entries = self.standing.entries as usize + self.cold.entries() + coming;
        let (key_bytes, entry_bytes) = self.layout.plan.accounted();
        keys <= self.spec.keys_max
            && keys * key_bytes + entries * entry_bytes <= self.spec.bytes_max
    }

    /// Whether the keys of a batch can be made here.
    pub fn check_keys(&self, batch: &Columns<'_>) -> Result<(), KernelError> {
        let needed = |&column: &usize| column * batch.stride + batch.rows;
        let needed = self.columns.key.iter().map(needed).max().unwrap_or(0);
        if batch.rows > 0 && needed > batch.categories.len() {
            let reason = "names no column of the batch";
            return Err(KernelError::Value { kernel: "window", argument: "columns.key", reason });
        }
        Ok(())
    }

    pub fn check(&self, columns: &ColumnBuffers) -> Result<(), KernelError> {
        let refuse =
            |argument, reason| Err(KernelError::Value { kernel: "window", argument, reason });
        let [numbers, categories, given] = columns.widths();
        let own = &self.columns;
        if own.values.iter().any(|&column| column >= numbers) {
            return refuse("columns.values", "names no column of the batch");
        }
        if own.key.is_empty() || own.key.iter().chain(&own.codes).any(|&c| c >= categories) {
            return refuse("columns.key", "names no column of the batch");
        }
        if own.offset + self.spec.features.len() > given {
            return refuse("columns.offset", "leaves no room for the outputs");
        }
        let calls = columns.rows() + self.labels.count;
        if calls > CALLS_MAX || calls * self.layout.windows.len() > u32::MAX as usize {
            return refuse("rows", "a batch has at most 2^24 calls, and 2^32 with their windows");
        }
        Ok(())
    }

    /// Room for a batch of `calls` calls that brings so much. Where there is no memory, all that is
    /// kept is as it was.
    pub fn make_room(
        &mut self,
        stream: &Stream,
        standings: u64,
        index: usize,
        (coming, calls): (Coming, usize),
    ) -> Result<(), DeviceError> {
        self.room.labels.reserve(&self.labels)?;
        let stretches = self.arranging.stretches(calls);
        if self.room.make(stream, (&self.standing, coming), (calls, stretches))? {
            let argument = stream.buffer_of(&[self.argument(standings, index)])?;
            let slots = self.standing.slots + small(self.room.given());
            let none = stream.buffer_of(&[0])?;
            self.room.index_anew(stream, (argument.address(), slots), &none)?;
        }
        Ok(())
    }

    /// The table without a batch.
    pub fn argument(&self, standings: u64, index: usize) -> TableArgued {
        let layout = &self.layout;
        let mut argument = TableArgued {
            lateness_ms: layout.plan.lateness_ms,
            reach_ms: layout.plan.reach_ms,
            distinct_ms: layout.distinct_ms,
            chunk_words: small(layout.chunk_words),
            key_columns: small(self.columns.key.len()),
            values: small(self.spec.values),
            codes: small(self.spec.codes),
            windows: small(layout.windows.len()),
            readings: small(layout.readings.len()),
            has_squares: u32::from(layout.has_squares),
            is_over_labels: u32::from(layout.is_over_labels()),
            batch: self.batch,
            has_extremes: u32::from(layout.has_extremes),
            has_distincts: u32::from(layout.has_distincts),
            first_seq: self.first_seq,
            ..TableArgued::default()
        };
        self.room.point(&mut argument);
        argument.kept[7] = standings + (index * size_of::<Standing>()) as u64;
        argument
    }
}
