//! The running state of every key's windows, in columns by slot: cursors, exact sums, extremes,
//! multisets. What they mean and how they move is told for one key, in `lane.rs`.

use std::ops::Range;

use super::arena::{View, extend};
use super::code_counts::CodeCounts;
use super::lane::{Lane, NO_EXTREMES};
use super::plan::Plan;
use crate::fixed::U256;
use crate::prefetch::prefetch;

/// Columns of marks, sums, squares and extremes, a fixed run of each per slot.
#[derive(Debug)]
pub(super) struct Lanes {
    /// Heads, tails, (tiled) counts, values present, distinct codes.
    marks: Vec<u32>,
    /// The time its cursors were last moved to.
    times_ms: Vec<i64>,
    sums: Vec<i128>,
    squares: Vec<U256>,
    extremes: Vec<[f32; 2]>,
    codes: CodeCounts,
}

impl Lanes {
    pub(super) fn new() -> Self {
        Self {
            marks: Vec::new(),
            times_ms: Vec::new(),
            sums: Vec::new(),
            squares: Vec::new(),
            extremes: Vec::new(),
            codes: CodeCounts::new(),
        }
    }

    /// Adds the lanes of one more slot.
    pub(super) fn push_slot(&mut self, plan: &Plan) {
        extend(&mut self.marks, plan.marks, 0);
        extend(&mut self.times_ms, 1, i64::MIN);
        extend(&mut self.sums, plan.sums.len(), 0);
        extend(&mut self.squares, plan.squares, U256::default());
        extend(&mut self.extremes, plan.extremes.len(), NO_EXTREMES);
    }

    /// What belongs to one slot.
    #[inline(always)]
    pub(super) fn lane(&mut self, plan: &Plan, slot: u32) -> Lane<'_> {
        Lane {
            slot,
            marks: &mut self.marks[lane(slot, plan.marks)],
            time_ms: &mut self.times_ms[slot as usize],
            sums: &mut self.sums[lane(slot, plan.sums.len())],
            squares: &mut self.squares[lane(slot, plan.squares)],
            extremes: &mut self.extremes[lane(slot, plan.extremes.len())],
            codes: &mut self.codes,
        }
    }

    /// Asks for the cursors and sums of a slot that comes soon.
    #[inline]
    pub(super) fn prefetch(&self, plan: &Plan, slot: u32) {
        prefetch_ends(&self.marks, lane(slot, plan.marks));
        prefetch(&self.times_ms, slot as usize);
        prefetch_ends(&self.sums, lane(slot, plan.sums.len()));
    }

    /// Asks for the entries that its cursors will pass: the newest and those behind head and tails.
    #[inline]
    pub(super) fn prefetch_entries(&self, plan: &Plan, slot: u32, view: View<'_>) {
        let Some(last) = view.len().checked_sub(1) else { return };
        view.prefetch(last);
        // A cursor passes about one entry a call and looks at the next, which may lie a line on.
        for &mark in &self.marks[lane(slot, plan.marks)][..plan.counts_at] {
            view.prefetch(mark.min(last));
            view.prefetch((mark + 4).min(last));
        }
    }

    pub(super) fn bytes(&self) -> usize {
        self.marks.capacity() * 4
            + self.times_ms.capacity() * 8
            + self.sums.capacity() * size_of::<i128>()
            + self.squares.capacity() * size_of::<U256>()
            + self.extremes.capacity() * 8
            + self.codes.bytes()
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
