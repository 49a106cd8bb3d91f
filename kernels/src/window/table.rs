//! The table of one key column: rows in, window features out.

use std::ops::Range;

use super::arena::Arena;
use super::checks::{check_rows, check_target, expect, is_usable};
use super::keys::Keys;
use super::lane::Current;
use super::lanes::Lanes;
use super::plan::{Plan, Reading};
use super::{Over, Rows, TableSpec, Target, WindowCounts};
use crate::{KernelError, fixed};

/// Sliding windows over the entries of every key of one key column.
#[derive(Debug)]
pub struct WindowTable {
    pub(super) plan: Plan,
    pub(super) keys: Keys,
    pub(super) arena: Arena,
    pub(super) lanes: Lanes,
    pub(super) watermark_ms: i64,
    pub(super) entries: usize,
    pub(super) counts: WindowCounts,
    keys_max: usize,
    bytes_max: usize,
    width: usize,
    key_bytes: usize,
    entry_bytes: usize,
    /// The row's admitted values and its encoded entry.
    admitted: Vec<f32>,
    encoded: Vec<u32>,
}

/// What comes next when rows and labels are walked together.
#[derive(Clone, Copy)]
enum Call {
    Row(usize),
    Label(usize),
}

/// Idle keys forgotten per row at most.
const EXPIRED_PER_ROW: usize = 2;

impl WindowTable {
    /// An empty table.
    ///
    /// # Errors
    /// `Value` names the first setting that is out of its range.
    pub fn new(spec: &TableSpec) -> Result<Self, KernelError> {
        let plan = Plan::new(spec)?;
        let words = plan.layout.words();
        let (key_bytes, entry_bytes) = plan.accounted();
        Ok(Self {
            keys: Keys::new(),
            arena: Arena::new(words),
            lanes: Lanes::new(),
            watermark_ms: i64::MIN,
            entries: 0,
            counts: WindowCounts::default(),
            keys_max: spec.keys_max,
            bytes_max: spec.bytes_max,
            width: spec.features.len(),
            key_bytes,
            entry_bytes,
            admitted: vec![0.0; spec.values],
            encoded: vec![0; words],
            plan,
        })
    }

    /// Output columns per row.
    pub fn width(&self) -> usize {
        self.width
    }

    /// Answers the rows of `range` in order and enters each after (or, with `include_self`, before)
    /// its answer. For tables over events.
    ///
    /// # Shapes
    /// Row r of the columns writes `out[r * stride + offset ..][..width]`.
    ///
    /// # Errors
    /// `Shape` or `Value`, before anything is changed.
    pub fn process(
        &mut self,
        rows: &Rows<'_>,
        range: Range<usize>,
        target: &mut Target<'_>,
    ) -> Result<(), KernelError> {
        check_rows(&self.plan, rows, &range, Over::Events, true)?;
        check_target(self.width, &range, target)?;
        let calls = range.map(|row| (rows.keys[row], row));
        self.ahead(calls, |table, row, hint| {
            table.event(rows, row, hint, target.row(row, table.width));
        });
        Ok(())
    }

    /// Answers the rows of `range` in order. For tables over labels; reads keys and times only.
    ///
    /// # Shapes
    /// As [`WindowTable::process`].
    ///
    /// # Errors
    /// `Shape` or `Value`, before anything is changed.
    pub fn query(
        &mut self,
        rows: &Rows<'_>,
        range: Range<usize>,
        target: &mut Target<'_>,
    ) -> Result<(), KernelError> {
        check_rows(&self.plan, rows, &range, Over::Labels, false)?;
        check_target(self.width, &range, target)?;
        let calls = range.map(|row| (rows.keys[row], row));
        self.ahead(calls, |table, row, hint| {
            table.ask(rows, row, hint, target.row(row, table.width));
        });
        Ok(())
    }

    /// Enters the rows of `range` in order: labels at their arrival. For tables over labels.
    ///
    /// # Errors
    /// `Shape` or `Value`, before anything is changed.
    pub fn insert(&mut self, rows: &Rows<'_>, range: Range<usize>) -> Result<(), KernelError> {
        check_rows(&self.plan, rows, &range, Over::Labels, true)?;
        let calls = range.map(|row| (rows.keys[row], row));
        self.ahead(calls, |table, row, hint| table.enter_label(rows, row, hint));
        Ok(())
    }

    /// Answers all rows and enters all labels, each label before its row of `before_rows`; labels
    /// of one row, and of the end, in their order. What [`WindowTable::insert`] and
    /// [`WindowTable::query`] do in turns, but looking ahead over both.
    ///
    /// # Shapes
    /// `before_rows`: `[labels]`, not decreasing; the number of rows means after the last. Outputs
    /// as [`WindowTable::process`].
    ///
    /// # Errors
    /// `Shape` or `Value`, before anything is changed.
    pub fn follow(
        &mut self,
        rows: &Rows<'_>,
        labels: &Rows<'_>,
        before_rows: &[u32],
        target: &mut Target<'_>,
    ) -> Result<(), KernelError> {
        let (row_count, label_count) = (rows.keys.len(), labels.keys.len());
        check_rows(&self.plan, rows, &(0..row_count), Over::Labels, false)?;
        check_rows(&self.plan, labels, &(0..label_count), Over::Labels, true)?;
        check_target(self.width, &(0..row_count), target)?;
        expect("before_rows", label_count, before_rows.len())?;
        let (mut row, mut label) = (0, 0);
        let calls = std::iter::from_fn(|| {
            let is_before = before_rows.get(label).is_some_and(|&before| before as usize <= row);
            if is_before || (row == row_count && label < label_count) {
                label += 1;
                return Some((labels.keys[label - 1], Call::Label(label - 1)));
            }
            let key = rows.keys.get(row)?;
            row += 1;
            Some((*key, Call::Row(row - 1)))
        });
        self.ahead(calls, |table, call, hint| match call {
            Call::Row(row) => table.ask(rows, row, hint, target.row(row, table.width)),
            Call::Label(label) => table.enter_label(labels, label, hint),
        });
        Ok(())
    }

    /// What was unusual so far.
    pub fn counts(&self) -> WindowCounts {
        self.counts
    }

    /// Keys held, idle ones that have not been forgotten yet included.
    pub fn keys_held(&self) -> usize {
        self.keys.held()
    }

    /// Entries (in the tiled layout: tiles) held.
    pub fn entries_held(&self) -> usize {
        self.entries
    }

    /// Memory held in bytes, reserves and free blocks included.
    pub fn bytes(&self) -> usize {
        self.keys.bytes() + self.arena.bytes() + self.lanes.bytes() + size_of::<Self>()
    }

    /// What `bytes_max` limits: bytes per key and per entry times how many there are. A function of
    /// the stream alone, which memory with its reserves (at most 4 times as much) is not.
    pub fn accounted_bytes(&self) -> usize {
        self.keys.held() * self.key_bytes + self.entries * self.entry_bytes
    }

    #[inline]
    fn event(&mut self, rows: &Rows<'_>, row: usize, hint: Option<u32>, out: &mut [f32]) {
        let (key, time_ms) = (rows.keys[row], rows.times_ms[row]);
        if !self.accepts(key, time_ms) {
            write_empty(&self.plan.before, out);
            write_empty(&self.plan.after, out);
            return;
        }
        self.encode(rows, row);
        let known = self.keys.find_near(key, hint);
        match known {
            Some(slot) => self.answer(slot, time_ms, out),
            None => write_empty(&self.plan.before, out),
        }
        let slot = self.enter(key, known, time_ms, true);
        if !self.plan.after.is_empty() {
            let view = self.arena.view(self.keys.ring(slot));
            let current = Current { time_ms, values: &self.admitted };
            let mut lane = self.lanes.lane(&self.plan, slot);
            for reading in &self.plan.after {
                out[reading.column] = lane.read(&self.plan, view, reading, current);
            }
        }
        self.keep_limits();
    }

    #[inline]
    fn ask(&mut self, rows: &Rows<'_>, row: usize, hint: Option<u32>, out: &mut [f32]) {
        let (key, time_ms) = (rows.keys[row], rows.times_ms[row]);
        let slot = match self.accepts(key, time_ms) {
            true => self.keys.find_near(key, hint),
            false => None,
        };
        match slot {
            Some(slot) => self.answer(slot, time_ms, out),
            None => write_empty(&self.plan.before, out),
        }
        self.expire();
    }

    fn enter_label(&mut self, rows: &Rows<'_>, row: usize, hint: Option<u32>) {
        let (key, time_ms) = (rows.keys[row], rows.times_ms[row]);
        if key == 0 {
            self.counts.missing_keys += 1;
            return;
        }
        let horizon_ms = self.plan.horizon_ms(self.watermark_ms);
        if !is_usable(time_ms) || self.plan.layout.place_ms(time_ms) <= horizon_ms {
            self.counts.too_late += 1;
            return;
        }
        self.encode(rows, row);
        let known = self.keys.find_near(key, hint);
        self.enter(key, known, time_ms, false);
        self.keep_limits();
    }

    /// Whether a row can be answered; moves the watermark.
    #[inline]
    fn accepts(&mut self, key: u64, time_ms: i64) -> bool {
        if !is_usable(time_ms) {
            self.counts.too_late += 1;
            return false;
        }
        self.watermark_ms = self.watermark_ms.max(time_ms);
        if time_ms < self.watermark_ms - self.plan.lateness_ms {
            self.counts.too_late += 1;
            return false;
        }
        self.counts.missing_keys += u64::from(key == 0);
        key != 0
    }

    /// Moves a key's windows to a time and writes what is read before the row's own entry.
    #[inline]
    fn answer(&mut self, slot: u32, time_ms: i64, out: &mut [f32]) {
        let view = self.arena.view(self.keys.ring(slot));
        let mut lane = self.lanes.lane(&self.plan, slot);
        lane.move_to(&self.plan, view, time_ms);
        let current = Current { time_ms, values: &self.admitted };
        for reading in &self.plan.before {
            out[reading.column] = lane.read(&self.plan, view, reading, current);
        }
    }

    /// Admits and encodes the row's entry into the scratch.
    #[inline]
    fn encode(&mut self, rows: &Rows<'_>, row: usize) {
        for (admitted, column) in self.admitted.iter_mut().zip(rows.values) {
            let (value, is_saturated) = fixed::admit(column[row]);
            *admitted = value;
            self.counts.saturated_values += u64::from(is_saturated);
            self.counts.missing_values += u64::from(value.is_nan());
        }
        let (values, codes) = (self.admitted.iter().copied(), rows.codes.iter().map(|c| c[row]));
        self.plan.layout.encode(rows.times_ms[row], values, codes, &mut self.encoded);
    }

    /// Enters the encoded entry after those of its time; what no window can reach any more goes.
    #[inline]
    fn enter(&mut self, key: u64, known: Option<u32>, time_ms: i64, is_event: bool) -> u32 {
        let place_ms = self.plan.layout.place_ms(time_ms);
        let slot = known.unwrap_or_else(|| {
            let (slot, is_new) = self.keys.create(key, place_ms);
            if is_new {
                self.lanes.push_slot(&self.plan);
            }
            slot
        });
        self.drop_unreachable(slot);
        let view = self.arena.view(self.keys.ring(slot));
        let mut position = view.len();
        while position > 0 && view.time_ms(position - 1) > place_ms {
            position -= 1;
        }
        let joins_tile =
            self.plan.layout.is_tiled() && position > 0 && view.time_ms(position - 1) == place_ms;
        if joins_tile {
            let tile = self.arena.entry_mut(self.keys.ring(slot), position - 1);
            self.plan.layout.merge(tile, &self.encoded);
            let mut lane = self.lanes.lane(&self.plan, slot);
            lane.enter_merged(&self.plan, position - 1, &self.encoded);
        } else {
            self.arena.insert(self.keys.ring_mut(slot), position, &self.encoded);
            self.entries += 1;
            let mut lane = self.lanes.lane(&self.plan, slot);
            lane.enter(&self.plan, position, is_event, &self.encoded);
        }
        slot
    }

    #[inline]
    fn drop_unreachable(&mut self, slot: u32) {
        let horizon_ms = self.plan.horizon_ms(self.watermark_ms);
        let view = self.arena.view(self.keys.ring(slot));
        let mut count = 0;
        while count < view.len() && view.time_ms(count) <= horizon_ms {
            count += 1;
        }
        if count > 0 {
            self.lanes.lane(&self.plan, slot).pass(&self.plan, view, count);
            self.arena.drop_oldest(self.keys.ring_mut(slot), count);
            self.entries -= count as usize;
        }
    }

    #[inline]
    fn keep_limits(&mut self) {
        self.expire();
        while self.keys.held() > self.keys_max || self.accounted_bytes() > self.bytes_max {
            let Some((newest_ms, slot)) = self.keys.longest_idle(&self.arena) else {
                return;
            };
            if newest_ms > self.plan.horizon_ms(self.watermark_ms) {
                self.counts.evicted_keys += 1;
                self.counts.evicted_entries += u64::from(self.keys.ring(slot).len());
            }
            self.forget(slot);
        }
    }

    /// Forgets keys whose newest entry no window can reach any more, a few per row.
    #[inline]
    fn expire(&mut self) {
        let horizon_ms = self.plan.horizon_ms(self.watermark_ms);
        for _ in 0..EXPIRED_PER_ROW {
            match self.keys.idle_since(&self.arena, horizon_ms) {
                Some((newest_ms, slot)) if newest_ms <= horizon_ms => self.forget(slot),
                _ => return,
            }
        }
    }

    fn forget(&mut self, slot: u32) {
        let view = self.arena.view(self.keys.ring(slot));
        self.lanes.lane(&self.plan, slot).clear(&self.plan, view);
        self.entries -= view.len() as usize;
        self.arena.release(self.keys.ring_mut(slot));
        self.keys.remove_longest_idle(slot);
    }
}

fn write_empty(readings: &[Reading], out: &mut [f32]) {
    for reading in readings {
        out[reading.column] = reading.formula.empty();
    }
}
