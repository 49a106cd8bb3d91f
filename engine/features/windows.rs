//! The window tables of the feature stage: which columns of a slot they read, and when.
//!
//! A table is kept here or, where its layout is the exact one, on the GPU the engine computes on
//! (`place.rs` has those). One that comes near a limit there comes home and stays; of one that is
//! larger than the GPU's memory the idle keys lie here.

use pelton_kernels::KernelError;
use pelton_kernels::window::device::{ColdCounts, DeviceWindows, TableColumns};
use pelton_kernels::window::{Layout, Over, Rows, TableSpec, Target, WindowCounts, WindowTable};
use smallvec::SmallVec;

use crate::error::Error;
use crate::join::{Kind, Resolved};
use crate::ring::Slot;

use super::key_of;
use super::place::Place;
use super::plan::TablePlan;

/// How a table stands.
#[derive(Clone, Copy, Debug)]
pub struct Gauge<'a> {
    /// Its key's columns, by name.
    pub name: &'a str,
    /// Keys held.
    pub keys: usize,
    /// Bytes held, here and on a GPU.
    pub bytes: usize,
    /// Which of its keys a GPU has no memory for.
    pub cold: ColdCounts,
    /// What was unusual.
    pub counts: WindowCounts,
}

/// Where a table is kept.
pub(super) enum Home {
    /// Here.
    Here(Box<WindowTable>),
    /// On the GPU, as the table of this number there.
    There(usize),
}

/// Windows over the events of a key.
pub struct EventTable {
    pub(super) plan: TablePlan,
    pub(super) home: Home,
    keys: Vec<u64>,
}

/// Windows over the labels of a key's events.
pub struct LabelTable {
    pub(super) inner: EventTable,
    label_keys: Vec<u64>,
    label_times_ms: Vec<i64>,
    labels: Vec<f32>,
    before_rows: Vec<u32>,
}

impl EventTable {
    /// An empty table here.
    pub fn new(plan: &TablePlan) -> Result<EventTable, KernelError> {
        let home = Home::Here(Box::new(WindowTable::new(&plan.spec)?));
        Ok(EventTable { plan: plan.clone(), home, keys: Vec::new() })
    }

    /// Lets the table be kept on a GPU where it can be, as the next of those there.
    pub fn move_there(&mut self, there: &mut Vec<(TableSpec, TableColumns)>) {
        let TablePlan { key, values, codes, offset, spec, .. } = &self.plan;
        if spec.layout != Layout::Exact {
            return;
        }
        let (key, offset) = (key.clone(), *offset);
        let (values, codes) = match spec.over {
            Over::Events => (values.clone(), codes.clone()),
            Over::Labels => (Vec::new(), Vec::new()),
        };
        self.home = Home::There(there.len());
        there.push((spec.clone(), TableColumns { key, values, codes, offset }));
    }

    /// The table of number `gone` has left the GPU: it is `table` now, if it was this one.
    pub fn move_home(&mut self, gone: usize, table: &mut Option<WindowTable>) {
        let Home::There(index) = &mut self.home else { return };
        if *index > gone {
            *index -= 1;
        } else if *index == gone
            && let Some(table) = table.take()
        {
            tracing::warn!(
                key = self.plan.name,
                "windows of this key are kept by the CPU from here on: their limits, or those of \
                 the GPU's memory, are near"
            );
            self.home = Home::Here(Box::new(table));
        }
    }

    /// Enters every row and writes its features, where the table is here.
    pub fn run(&mut self, slot: &Slot, out: &mut [f32], stride: usize) -> Result<(), KernelError> {
        let Home::Here(table) = &mut self.home else { return Ok(()) };
        // Seldom more than these: no memory is asked for.
        let values: SmallVec<[&[f32]; 8]> =
            self.plan.values.iter().map(|&c| slot.number(c)).collect();
        let codes: SmallVec<[&[u64]; 8]> =
            self.plan.codes.iter().map(|&c| slot.category(c)).collect();
        let keys = keys(&self.plan.key, slot, &mut self.keys);
        let times_ms = &slot.times_ms[..slot.rows];
        let rows = Rows { keys, times_ms, values: &values, codes: &codes };
        let mut target = Target { out, stride, offset: self.plan.offset };
        table.process(&rows, 0..slot.rows, &mut target)
    }

    /// How the table stands.
    pub fn gauge<'a>(&'a self, there: Option<&'a DeviceWindows>) -> Gauge<'a> {
        let (keys, bytes, cold, counts) = match (&self.home, there) {
            (Home::Here(table), _) => {
                (table.keys_held(), table.bytes(), ColdCounts::default(), table.counts())
            }
            (&Home::There(index), Some(there)) => {
                let cold = there.cold(index);
                let bytes = there.bytes(index) + cold.bytes;
                (there.keys_held(index), bytes, cold, there.counts(index))
            }
            (Home::There(_), None) => Default::default(),
        };
        Gauge { name: &self.plan.name, keys, bytes, cold, counts }
    }
}

impl LabelTable {
    /// An empty table.
    pub fn new(plan: &TablePlan) -> Result<LabelTable, KernelError> {
        let inner = EventTable::new(plan)?;
        Ok(LabelTable {
            inner,
            label_keys: Vec::new(),
            label_times_ms: Vec::new(),
            labels: Vec::new(),
            before_rows: Vec::new(),
        })
    }

    /// Takes the labels that enter; they go on their way where the table is on a GPU.
    pub fn take(
        &mut self,
        resolved: &[Resolved],
        key: impl Fn(&Resolved) -> u64,
        place: &mut Place,
    ) -> Result<(), Error> {
        // Of an event whose first label is in the windows already.
        let resolved = || resolved.iter().filter(|label| label.kind != Kind::Returned);
        self.label_keys.clear();
        self.label_keys.extend(resolved().map(key));
        self.label_times_ms.clear();
        self.label_times_ms.extend(resolved().map(|r| r.time_ms));
        self.labels.clear();
        self.labels.extend(resolved().map(|r| r.label));
        self.before_rows.clear();
        self.before_rows.extend(resolved().map(|r| r.before_row));
        let Home::There(index) = self.inner.home else { return Ok(()) };
        let count = self.labels.len();
        let Some(there) = place.labels(index, count)? else { return Ok(()) };
        there.keys[..count].copy_from_slice(&self.label_keys);
        there.times_ms[..count].copy_from_slice(&self.label_times_ms);
        there.values[..count].copy_from_slice(&self.labels);
        there.before_rows[..count].copy_from_slice(&self.before_rows);
        Ok(())
    }

    /// Walks rows and labels in stream order, where the table is here: labels enter, rows ask.
    pub fn run(&mut self, slot: &Slot, out: &mut [f32], stride: usize) -> Result<(), KernelError> {
        let EventTable { plan, home, keys: buffer } = &mut self.inner;
        let Home::Here(table) = home else { return Ok(()) };
        let rows = Rows {
            keys: keys(&plan.key, slot, buffer),
            times_ms: &slot.times_ms[..slot.rows],
            values: &[],
            codes: &[],
        };
        let labels = Rows {
            keys: &self.label_keys,
            times_ms: &self.label_times_ms,
            values: &[&self.labels],
            codes: &[],
        };
        let mut target = Target { out, stride, offset: plan.offset };
        table.follow(&rows, &labels, &self.before_rows, &mut target)
    }
}

/// The key of each row: the column itself, or the cross of several in `buffer`.
fn keys<'a>(columns: &[usize], slot: &'a Slot, buffer: &'a mut Vec<u64>) -> &'a [u64] {
    if let [column] = columns {
        return slot.category(*column);
    }
    buffer.clear();
    buffer.extend((0..slot.rows).map(|row| key_of(slot, columns, row)));
    buffer
}
