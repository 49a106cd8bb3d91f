//! The windows of one key: their cursors, and what is kept of the entries between them.
//!
//! A window holds the entries in `tail..head`. Cursors move both ways, and whatever an entry adds
//! when a cursor passes it, it takes away exactly when the cursor passes back; only an extreme
//! that leaves is sought anew among the window's entries, when it is next read.

use std::ops::Range;

use super::arena::{View, read_i64};
use super::code_counts::CodeCounts;
use super::plan::{Formula, Plan, PlannedWindow, Reading, SumTerm};
use crate::fixed::{self, U256};

/// What the extremes of an empty window are.
pub(super) const NO_EXTREMES: [f32; 2] = [f32::INFINITY, f32::NEG_INFINITY];
/// An extreme that left its window.
const UNKNOWN: f32 = f32::NAN;

/// The part of every column that belongs to one slot.
pub(super) struct Lane<'a> {
    pub(super) slot: u32,
    /// Heads, tails, (tiled) counts, values present, distinct codes.
    pub(super) marks: &'a mut [u32],
    /// The time the cursors were last moved to.
    pub(super) time_ms: &'a mut i64,
    pub(super) sums: &'a mut [i128],
    pub(super) squares: &'a mut [U256],
    pub(super) extremes: &'a mut [[f32; 2]],
    pub(super) codes: &'a mut CodeCounts,
}

/// The event a reading is for.
#[derive(Clone, Copy)]
pub(super) struct Current<'a> {
    pub(super) time_ms: i64,
    /// Admitted values; empty for rows that only ask.
    pub(super) values: &'a [f32],
}

impl Lane<'_> {
    /// Moves all cursors to where a row of `time_ms` has them.
    #[inline]
    pub(super) fn move_to(&mut self, plan: &Plan, view: View<'_>, time_ms: i64) {
        if time_ms < *self.time_ms {
            self.retreat(plan, view, time_ms);
        }
        *self.time_ms = time_ms;
        for (index, group) in plan.groups.iter().enumerate() {
            let bound_ms = time_ms.saturating_sub(group.delay_ms);
            let windows = &plan.windows[group.windows.clone()];
            self.advance_head(plan, view, index, windows, bound_ms);
            for window in windows {
                self.advance_tail(plan, view, index, window, bound_ms);
            }
        }
    }

    /// Renumbers after the `count` oldest entries, which no window may ever hold again, are gone.
    pub(super) fn pass(&mut self, plan: &Plan, view: View<'_>, count: u32) {
        for (index, group) in plan.groups.iter().enumerate() {
            let head = self.marks[index];
            for window in &plan.windows[group.windows.clone()] {
                let tail = self.marks[plan.tails_at + window.index];
                for position in tail..head.min(count) {
                    self.apply::<false>(plan, window, view.entry(position));
                }
                self.marks[plan.tails_at + window.index] = tail.max(count) - count;
            }
            self.marks[index] = head.max(count) - count;
        }
    }

    /// Takes in an entry that was put at `position`, of an event whose cursors are (`is_event`) or
    /// are not at its time. Windows with the event itself are moved past it.
    #[inline]
    pub(super) fn enter(&mut self, plan: &Plan, position: u32, is_event: bool, entry: &[u32]) {
        if is_event {
            // The first event of a key has moved no cursors yet.
            *self.time_ms = (*self.time_ms).max(read_i64(entry));
        }
        for (index, group) in plan.groups.iter().enumerate() {
            let head = self.marks[index];
            let is_inside = position < head || (is_event && group.with_self);
            if is_inside {
                self.marks[index] = head + 1;
            }
            for window in &plan.windows[group.windows.clone()] {
                let tail = self.marks[plan.tails_at + window.index];
                if position < tail {
                    self.marks[plan.tails_at + window.index] = tail + 1;
                } else if is_inside {
                    self.apply::<true>(plan, window, entry);
                }
            }
        }
    }

    /// Takes in an event that was merged into the tile at `position`.
    pub(super) fn enter_merged(&mut self, plan: &Plan, position: u32, event: &[u32]) {
        for (index, group) in plan.groups.iter().enumerate() {
            for window in &plan.windows[group.windows.clone()] {
                let tail = self.marks[plan.tails_at + window.index];
                if (tail..self.marks[index]).contains(&position) {
                    self.apply::<true>(plan, window, event);
                }
            }
        }
    }

    /// Empties the windows of a key that goes; its entries are still in `view`.
    pub(super) fn clear(&mut self, plan: &Plan, view: View<'_>) {
        if !plan.distincts.is_empty() {
            for (index, group) in plan.groups.iter().enumerate() {
                for window in &plan.windows[group.windows.clone()] {
                    for position in self.marks[plan.tails_at + window.index]..self.marks[index] {
                        self.apply::<false>(plan, window, view.entry(position));
                    }
                }
            }
        }
        self.marks.fill(0);
        *self.time_ms = i64::MIN;
        self.sums.fill(0);
        self.squares.fill(U256::default());
        self.extremes.fill(NO_EXTREMES);
    }

    /// The value of an output column.
    #[inline]
    pub(super) fn read(
        &mut self,
        plan: &Plan,
        view: View<'_>,
        reading: &Reading,
        current: Current<'_>,
    ) -> f32 {
        let marks = &*self.marks;
        let (tail, head) = (marks[plan.tails_at + reading.window], marks[reading.group]);
        let count = match plan.layout.is_tiled() {
            true => marks[plan.counts_at + reading.window],
            false => head - tail,
        };
        let mean = |term: usize| {
            let present = u64::from(marks[plan.present_at + term]);
            (present, self.sums[term])
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
                let squares = self.squares[squares];
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
            Formula::Min { term } => self.extreme(plan, view, term, 0, tail..head),
            Formula::Max { term } => self.extreme(plan, view, term, 1, tail..head),
        }
    }

    /// Moves cursors back, for a late row: tails first, so that no tail is ever past its head.
    #[inline(never)]
    fn retreat(&mut self, plan: &Plan, view: View<'_>, time_ms: i64) {
        for (index, group) in plan.groups.iter().enumerate() {
            let bound_ms = time_ms.saturating_sub(group.delay_ms);
            let windows = &plan.windows[group.windows.clone()];
            for window in windows {
                let start_ms = bound_ms.saturating_sub(window.width_ms);
                let mut tail = self.marks[plan.tails_at + window.index];
                while tail > 0 && view.time_ms(tail - 1) > start_ms {
                    tail -= 1;
                    self.apply::<true>(plan, window, view.entry(tail));
                    self.marks[plan.tails_at + window.index] = tail;
                }
            }
            let mut head = self.marks[index];
            while head > 0 && view.time_ms(head - 1) > bound_ms {
                head -= 1;
                for window in windows {
                    self.apply::<false>(plan, window, view.entry(head));
                }
            }
            self.marks[index] = head;
        }
    }

    #[inline]
    fn advance_head(
        &mut self,
        plan: &Plan,
        view: View<'_>,
        group: usize,
        windows: &[PlannedWindow],
        bound_ms: i64,
    ) {
        let mut head = self.marks[group];
        while head < view.len() && view.time_ms(head) <= bound_ms {
            for window in windows {
                self.apply::<true>(plan, window, view.entry(head));
            }
            head += 1;
        }
        self.marks[group] = head;
    }

    #[inline]
    fn advance_tail(
        &mut self,
        plan: &Plan,
        view: View<'_>,
        group: usize,
        window: &PlannedWindow,
        bound_ms: i64,
    ) {
        let (head, start_ms) = (self.marks[group], bound_ms.saturating_sub(window.width_ms));
        let mut tail = self.marks[plan.tails_at + window.index];
        while tail < head && view.time_ms(tail) <= start_ms {
            self.apply::<false>(plan, window, view.entry(tail));
            tail += 1;
        }
        self.marks[plan.tails_at + window.index] = tail;
    }

    /// Adds an entry to a window's accumulators, or takes it away.
    #[inline]
    fn apply<const ADD: bool>(&mut self, plan: &Plan, window: &PlannedWindow, entry: &[u32]) {
        if window.is_bare {
            return;
        }
        if plan.layout.is_tiled() {
            let count = &mut self.marks[plan.counts_at + window.index];
            *count = step::<ADD>(*count, plan.layout.count(entry));
        }
        for term in window.sums.clone() {
            self.apply_sum::<ADD>(plan, term, entry);
        }
        if window.has_others {
            self.apply_others::<ADD>(plan, window, entry);
        }
    }

    #[inline]
    fn apply_sum<const ADD: bool>(&mut self, plan: &Plan, term: usize, entry: &[u32]) {
        let SumTerm { value, squares } = plan.sums[term];
        let Some(share) = plan.layout.share(entry, value, squares.is_some()) else { return };
        let present = &mut self.marks[plan.present_at + term];
        *present = step::<ADD>(*present, share.count);
        let sum = &mut self.sums[term];
        *sum = match ADD {
            true => sum.wrapping_add(share.sum),
            false => sum.wrapping_sub(share.sum),
        };
        if let Some(place) = squares {
            let total = &mut self.squares[place];
            *total = match ADD {
                true => total.plus(share.squares),
                false => total.minus(share.squares),
            };
        }
    }

    /// Extremes and multisets: out of line, since most windows have none.
    #[inline(never)]
    fn apply_others<const ADD: bool>(
        &mut self,
        plan: &Plan,
        window: &PlannedWindow,
        entry: &[u32],
    ) {
        for term in window.extremes.clone() {
            if let Some(pair) = plan.layout.extremes(entry, plan.extremes[term].column) {
                join_or_leave::<ADD>(&mut self.extremes[term], pair);
            }
        }
        for term in window.distincts.clone() {
            let code = plan.layout.code(entry, plan.distincts[term].column);
            let owner = self.slot * plan.distincts.len() as u32 + term as u32;
            let changes = match ADD {
                true => self.codes.add(owner, code),
                false => self.codes.remove(owner, code),
            };
            let distinct = &mut self.marks[plan.distinct_at + term];
            *distinct = step::<ADD>(*distinct, u32::from(changes));
        }
    }

    /// Reads an extreme, seeking it among the window's entries if it is not known.
    fn extreme(
        &mut self,
        plan: &Plan,
        view: View<'_>,
        term: usize,
        side: usize,
        window: Range<u32>,
    ) -> f32 {
        let known = &mut self.extremes[term];
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
