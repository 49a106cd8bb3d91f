//! The window tables of the feature stage: which columns of a slot they read, and when.

use pelton_kernels::KernelError;
use pelton_kernels::window::{Rows, Target, WindowCounts, WindowTable};
use smallvec::SmallVec;

use crate::join::{Kind, Resolved};
use crate::ring::Slot;

use super::key_of;
use super::plan::TablePlan;

/// How a table stands.
#[derive(Clone, Copy, Debug)]
pub struct Gauge<'a> {
    /// Its key's columns, by name.
    pub name: &'a str,
    /// Keys held.
    pub keys: usize,
    /// Bytes held.
    pub bytes: usize,
    /// What was unusual.
    pub counts: WindowCounts,
}

/// Windows over the events of a key.
pub struct EventTable {
    pub(super) plan: TablePlan,
    pub(super) table: WindowTable,
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
    /// An empty table.
    pub fn new(plan: &TablePlan) -> Result<EventTable, KernelError> {
        let table = WindowTable::new(&plan.spec)?;
        Ok(EventTable { plan: plan.clone(), table, keys: Vec::new() })
    }

    /// Enters every row and writes its features.
    pub fn run(&mut self, slot: &Slot, out: &mut [f32], stride: usize) -> Result<(), KernelError> {
        // Seldom more than these: no memory is asked for.
        let values: SmallVec<[&[f32]; 8]> =
            self.plan.values.iter().map(|&c| slot.number(c)).collect();
        let codes: SmallVec<[&[u64]; 8]> =
            self.plan.codes.iter().map(|&c| slot.category(c)).collect();
        let keys = keys(&self.plan.key, slot, &mut self.keys);
        let times_ms = &slot.times_ms[..slot.rows];
        let rows = Rows { keys, times_ms, values: &values, codes: &codes };
        let mut target = Target { out, stride, offset: self.plan.offset };
        self.table.process(&rows, 0..slot.rows, &mut target)
    }

    /// How the table stands.
    pub fn gauge(&self) -> Gauge<'_> {
        Gauge {
            name: &self.plan.name,
            keys: self.table.keys_held(),
            bytes: self.table.bytes(),
            counts: self.table.counts(),
        }
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

    /// Walks rows and labels in stream order: labels enter, rows ask.
    pub fn run(
        &mut self,
        slot: &Slot,
        resolved: &[Resolved],
        key: impl Fn(&Resolved) -> u64,
        (out, stride): (&mut [f32], usize),
    ) -> Result<(), KernelError> {
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
        let EventTable { plan, table, keys: buffer } = &mut self.inner;
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

    /// How the table stands.
    pub fn gauge(&self) -> Gauge<'_> {
        self.inner.gauge()
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
