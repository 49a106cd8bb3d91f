//! The running state of every key's windows: cursors, exact sums, extremes, multisets.
//!
//! A window holds the entries in `tail..head`. Cursors move both ways, and whatever an entry adds
//! when a cursor passes it, it takes away exactly when the cursor passes back; only an extreme
//! that leaves is sought anew among the window's entries, when it is next read.

use std::ops::Range;

use super::arena::{View, extend};
use super::code_counts::CodeCounts;
use super::plan::{Formula, Group, Plan, PlannedWindow, Reading, SumTerm};
use crate::fixed::{self, U256};
use crate::prefetch::prefetch;

/// Columns of marks, sums, squares and extremes, a fixed run of each per slot.
#[derive(Debug)]
pub(super) struct Lanes {
    /// Heads, tails, (tiled) counts, values present, distinct codes.
    marks: Vec<u32>,
    sums: Vec<i128>,
    squares: Vec<U256>,
    extremes: Vec<[f32; 2]>,
    codes: CodeCounts,
}

/// What the extremes of an empty window are.
const NO_EXTREMES: [f32; 2] = [f32::INFINITY, f32::NEG_INFINITY];
/// An extreme that left its window.
const UNKNOWN: f32 = f32::NAN;

/// The event a reading is for.
#[derive(Clone, Copy)]
pub(super) struct Current<'a> {
    pub(super) time_ms: i64,
    /// Admitted values; empty for rows that only ask.
    pub(super) values: &'a [f32],
}

impl Lanes {
    pub(super) fn new() -> Self {
        Self {
            marks: Vec::new(),
            sums: Vec::new(),
            squares: Vec::new(),
            extremes: Vec::new(),
            codes: CodeCounts::new(),
        }
    }

    /// Adds the lanes of one more slot.
    pub(super) fn push_slot(&mut self, plan: &Plan) {
        extend(&mut self.marks, plan.marks, 0);
        extend(&mut self.sums, plan.sums.len(), 0);
        extend(&mut self.squares, plan.squares, U256::default());
        extend(&mut self.extremes, plan.extremes.len(), NO_EXTREMES);
    }

    /// Empties the lanes of a slot whose key goes.
    pub(super) fn clear_slot(&mut self, plan: &Plan, slot: u32, view: View<'_>) {
        if !plan.distincts.is_empty() {
            for group in 0..plan.groups.len() {
                for window in plan.groups[group].windows.clone() {
                    let tail = self.marks(plan, slot)[plan.tails_at + window];
                    for position in tail..self.marks(plan, slot)[group] {
                        let entry = view.entry(position);
                        self.apply::<false>(plan, &plan.windows[window], slot, entry);
                    }
                }
            }
        }
        self.marks_mut(plan, slot).fill(0);
        self.sums[lane(slot, plan.sums.len())].fill(0);
        self.squares[lane(slot, plan.squares)].fill(U256::default());
        self.extremes[lane(slot, plan.extremes.len())].fill(NO_EXTREMES);
    }

    /// Asks for the cursors and sums of a slot that comes soon.
    #[inline]
    pub(super) fn prefetch(&self, plan: &Plan, slot: u32) {
        prefetch_ends(&self.marks, lane(slot, plan.marks));
        prefetch_ends(&self.sums, lane(slot, plan.sums.len()));
    }

    /// Asks for the entries that its cursors will pass: the newest and those behind head and tails.
    #[inline]
    pub(super) fn prefetch_entries(&self, plan: &Plan, slot: u32, view: View<'_>) {
        let Some(last) = view.len().checked_sub(1) else { return };
        view.prefetch(last);
        for &mark in &self.marks(plan, slot)[..plan.counts_at] {
            if mark < last {
                view.prefetch(mark);
            }
        }
    }

    /// Moves all cursors of a slot to where a row of `time_ms` has them.
    #[inline]
    pub(super) fn move_to(&mut self, plan: &Plan, slot: u32, view: View<'_>, time_ms: i64) {
        for (index, group) in plan.groups.iter().enumerate() {
            let bound_ms = time_ms.saturating_sub(group.delay_ms);
            self.retreat_tails(plan, slot, view, group, bound_ms);
            self.move_head(plan, slot, view, index, bound_ms);
            self.advance_tails(plan, slot, view, index, bound_ms);
        }
    }

    /// Renumbers after the `count` oldest entries, which no window may ever hold again, are gone.
    pub(super) fn pass(&mut self, plan: &Plan, slot: u32, view: View<'_>, count: u32) {
        for (index, group) in plan.groups.iter().enumerate() {
            let head = self.marks(plan, slot)[index];
            for window in group.windows.clone() {
                let tail = self.marks(plan, slot)[plan.tails_at + window];
                for position in tail..head.min(count) {
                    let entry = view.entry(position);
                    self.apply::<false>(plan, &plan.windows[window], slot, entry);
                }
                self.marks_mut(plan, slot)[plan.tails_at + window] = tail.max(count) - count;
            }
            self.marks_mut(plan, slot)[index] = head.max(count) - count;
        }
    }

    /// Takes in an entry that was put at `position`, of an event whose cursors are (`is_event`) or
    /// are not at its time. Windows with the event itself are moved past it.
    pub(super) fn enter(
        &mut self,
        plan: &Plan,
        slot: u32,
        position: u32,
        is_event: bool,
        entry: &[u32],
    ) {
        for (index, group) in plan.groups.iter().enumerate() {
            let head = self.marks(plan, slot)[index];
            let is_inside = position < head || (is_event && group.with_self);
            if is_inside {
                self.marks_mut(plan, slot)[index] = head + 1;
            }
            for window in group.windows.clone() {
                let tail = self.marks(plan, slot)[plan.tails_at + window];
                if position < tail {
                    self.marks_mut(plan, slot)[plan.tails_at + window] = tail + 1;
                } else if is_inside {
                    self.apply::<true>(plan, &plan.windows[window], slot, entry);
                }
            }
        }
    }

    /// Takes in an event that was merged into the tile at `position`.
    pub(super) fn enter_merged(&mut self, plan: &Plan, slot: u32, position: u32, event: &[u32]) {
        for (index, group) in plan.groups.iter().enumerate() {
            for window in group.windows.clone() {
                let marks = self.marks(plan, slot);
                if (marks[plan.tails_at + window]..marks[index]).contains(&position) {
                    self.apply::<true>(plan, &plan.windows[window], slot, event);
                }
            }
        }
    }

    /// The value of an output column.
    #[inline]
    pub(super) fn read(
        &mut self,
        plan: &Plan,
        slot: u32,
        view: View<'_>,
        reading: &Reading,
        current: Current<'_>,
    ) -> f32 {
        let marks = self.marks(plan, slot);
        let (tail, head) = (marks[plan.tails_at + reading.window], marks[reading.group]);
        let count = match plan.layout.is_tiled() {
            true => marks[plan.counts_at + reading.window],
            false => head - tail,
        };
        let mean = |term: usize| {
            let present = u64::from(marks[plan.present_at + term]);
            (present, self.sums[slot as usize * plan.sums.len() + term])
        };
        match reading.formula {
            Formula::Count => count as f32,
            Formula::Rate { width_s } => (f64::from(count) / width_s) as f32,
            Formula::Distinct { term } => marks[plan.distinct_at + term] as f32,
            Formula::Sum { term } => fixed::unscale(mean(term).1) as f32,
            Formula::Mean { term } => {
                let (present, sum) = mean(term);
                fixed::mean(present, sum) as f32
            }
            Formula::Std { term, squares } => {
                let (present, sum) = mean(term);
                let squares = self.squares[slot as usize * plan.squares + squares];
                fixed::deviation(present, sum, squares) as f32
            }
            Formula::Ratio { term, value } => {
                let (present, sum) = mean(term);
                ratio(current.values[value], fixed::mean(present, sum))
            }
            Formula::Since { empty_s } if tail == head => empty_s,
            Formula::Since { .. } => {
                let newest_ms = plan.layout.newest_ms(view.entry(head - 1));
                ((current.time_ms - newest_ms).max(0) as f64 / 1000.0) as f32
            }
            Formula::Last { value } => {
                let entries = (tail..head).rev().map(|position| view.entry(position));
                entries.filter_map(|entry| plan.layout.last(entry, value)).next().unwrap_or(0.0)
            }
            Formula::Min { term } => self.extreme(plan, slot, view, term, 0, tail..head),
            Formula::Max { term } => self.extreme(plan, slot, view, term, 1, tail..head),
        }
    }

    pub(super) fn bytes(&self) -> usize {
        self.marks.capacity() * 4
            + self.sums.capacity() * size_of::<i128>()
            + self.squares.capacity() * size_of::<U256>()
            + self.extremes.capacity() * 8
            + self.codes.bytes()
    }

    #[inline]
    fn marks(&self, plan: &Plan, slot: u32) -> &[u32] {
        &self.marks[lane(slot, plan.marks)]
    }

    #[inline]
    fn marks_mut(&mut self, plan: &Plan, slot: u32) -> &mut [u32] {
        &mut self.marks[lane(slot, plan.marks)]
    }

    /// Tails go back first and forward last, so that no tail is ever past its head.
    #[inline]
    fn retreat_tails(
        &mut self,
        plan: &Plan,
        slot: u32,
        view: View<'_>,
        group: &Group,
        bound_ms: i64,
    ) {
        for window in group.windows.clone() {
            let planned = &plan.windows[window];
            let start_ms = bound_ms.saturating_sub(planned.width_ms);
            let mut tail = self.marks(plan, slot)[plan.tails_at + window];
            while tail > 0 && view.time_ms(tail - 1) > start_ms {
                tail -= 1;
                self.apply::<true>(plan, planned, slot, view.entry(tail));
                self.marks_mut(plan, slot)[plan.tails_at + window] = tail;
            }
        }
    }

    #[inline]
    fn move_head(&mut self, plan: &Plan, slot: u32, view: View<'_>, group: usize, bound_ms: i64) {
        let windows = plan.groups[group].windows.clone();
        let mut head = self.marks(plan, slot)[group];
        while head < view.len() && view.time_ms(head) <= bound_ms {
            for planned in &plan.windows[windows.clone()] {
                self.apply::<true>(plan, planned, slot, view.entry(head));
            }
            head += 1;
        }
        while head > 0 && view.time_ms(head - 1) > bound_ms {
            head -= 1;
            for planned in &plan.windows[windows.clone()] {
                self.apply::<false>(plan, planned, slot, view.entry(head));
            }
        }
        self.marks_mut(plan, slot)[group] = head;
    }

    #[inline]
    fn advance_tails(
        &mut self,
        plan: &Plan,
        slot: u32,
        view: View<'_>,
        group: usize,
        bound_ms: i64,
    ) {
        let head = self.marks(plan, slot)[group];
        for window in plan.groups[group].windows.clone() {
            let planned = &plan.windows[window];
            let start_ms = bound_ms.saturating_sub(planned.width_ms);
            let mut tail = self.marks(plan, slot)[plan.tails_at + window];
            while tail < head && view.time_ms(tail) <= start_ms {
                self.apply::<false>(plan, planned, slot, view.entry(tail));
                tail += 1;
            }
            self.marks_mut(plan, slot)[plan.tails_at + window] = tail;
        }
    }

    /// Adds an entry to a window's accumulators, or takes it away.
    #[inline]
    fn apply<const ADD: bool>(
        &mut self,
        plan: &Plan,
        window: &PlannedWindow,
        slot: u32,
        entry: &[u32],
    ) {
        let layout = &plan.layout;
        let marks_at = slot as usize * plan.marks;
        if layout.is_tiled() {
            let count = &mut self.marks[marks_at + plan.counts_at + window.index];
            *count = step::<ADD>(*count, layout.count(entry));
        }
        for term in window.sums.clone() {
            let SumTerm { value, squares } = plan.sums[term];
            let Some(share) = layout.share(entry, value, squares.is_some()) else {
                continue;
            };
            let present = &mut self.marks[marks_at + plan.present_at + term];
            *present = step::<ADD>(*present, share.count);
            let sum = &mut self.sums[slot as usize * plan.sums.len() + term];
            *sum = match ADD {
                true => sum.wrapping_add(share.sum),
                false => sum.wrapping_sub(share.sum),
            };
            if let Some(place) = squares {
                let total = &mut self.squares[slot as usize * plan.squares + place];
                *total = match ADD {
                    true => total.plus(share.squares),
                    false => total.minus(share.squares),
                };
            }
        }
        for term in window.extremes.clone() {
            let Some(pair) = layout.extremes(entry, plan.extremes[term].column) else {
                continue;
            };
            let known = &mut self.extremes[slot as usize * plan.extremes.len() + term];
            join_or_leave::<ADD>(known, pair);
        }
        for term in window.distincts.clone() {
            let code = layout.code(entry, plan.distincts[term].column);
            let owner = slot * plan.distincts.len() as u32 + term as u32;
            let changes = match ADD {
                true => self.codes.add(owner, code),
                false => self.codes.remove(owner, code),
            };
            let distinct = &mut self.marks[marks_at + plan.distinct_at + term];
            *distinct = step::<ADD>(*distinct, u32::from(changes));
        }
    }

    /// Reads an extreme, seeking it among the window's entries if it is not known.
    fn extreme(
        &mut self,
        plan: &Plan,
        slot: u32,
        view: View<'_>,
        term: usize,
        side: usize,
        window: Range<u32>,
    ) -> f32 {
        let known = &mut self.extremes[slot as usize * plan.extremes.len() + term];
        if known[side].is_nan() {
            let column = plan.extremes[term].column;
            let mut found = NO_EXTREMES;
            for position in window {
                if let Some(pair) = plan.layout.extremes(view.entry(position), column) {
                    join_or_leave::<true>(&mut found, pair);
                }
            }
            *known = found;
        }
        if known[side].is_infinite() { 0.0 } else { known[side] }
    }
}

/// A lane may lie across two cache lines.
#[inline]
fn prefetch_ends<T>(store: &[T], lane: Range<usize>) {
    if !lane.is_empty() {
        prefetch(store, lane.start);
        prefetch(store, lane.end - 1);
    }
}

#[inline]
fn lane(slot: u32, width: usize) -> Range<usize> {
    slot as usize * width..(slot as usize + 1) * width
}

#[inline]
fn step<const ADD: bool>(total: u32, count: u32) -> u32 {
    if ADD { total.wrapping_add(count) } else { total.wrapping_sub(count) }
}

/// An unknown extreme stays unknown: what joins may be less extreme than what is left.
#[inline]
fn join_or_leave<const ADD: bool>(known: &mut [f32; 2], pair: [f32; 2]) {
    if ADD {
        if pair[0] < known[0] {
            known[0] = pair[0];
        }
        if pair[1] > known[1] {
            known[1] = pair[1];
        }
        return;
    }
    if pair[0] <= known[0] {
        known[0] = UNKNOWN;
    }
    if pair[1] >= known[1] {
        known[1] = UNKNOWN;
    }
}

/// `value / mean`, finite; 0 where either is missing or the mean is 0.
fn ratio(value: f32, mean: f64) -> f32 {
    if value.is_nan() || mean == 0.0 {
        return 0.0;
    }
    let limit = f64::from(fixed::VALUE_MAX);
    (f64::from(value) / mean).clamp(-limit, limit) as f32
}
