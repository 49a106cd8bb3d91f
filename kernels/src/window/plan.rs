//! A checked specification, laid out for the loops: who moves together, which sum lies where.

use super::entry::EntryLayout;
use super::keys::KEY_BYTES;
use super::{Aggregate, Layout, Over, TableSpec, WindowSpec};
use crate::KernelError;

/// What one table does for each row, with every offset settled.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) layout: EntryLayout,
    pub(super) over: Over,
    /// The longest `width + delay`.
    pub(super) reach_ms: i64,
    pub(super) lateness_ms: i64,
    pub(super) groups: Vec<Group>,
    pub(super) windows: Vec<PlannedWindow>,
    pub(super) sums: Vec<SumTerm>,
    pub(super) extremes: Vec<ValueTerm>,
    pub(super) distincts: Vec<ValueTerm>,
    pub(super) squares: usize,
    /// Written before the row's own entry is there.
    pub(super) before: Vec<Reading>,
    /// Written after it.
    pub(super) after: Vec<Reading>,
    /// Offsets in a key's marks: heads are first.
    pub(super) tails_at: usize,
    pub(super) counts_at: usize,
    pub(super) present_at: usize,
    pub(super) distinct_at: usize,
    pub(super) marks: usize,
}

/// Windows that end at the same entry and so share a head.
#[derive(Debug)]
pub(super) struct Group {
    pub(super) delay_ms: i64,
    pub(super) with_self: bool,
    /// Indices into `Plan::windows`, which is sorted by group.
    pub(super) windows: std::ops::Range<usize>,
}

/// A window with the ranges of its terms.
#[derive(Debug)]
pub(super) struct PlannedWindow {
    pub(super) index: usize,
    pub(super) width_ms: i64,
    pub(super) sums: std::ops::Range<usize>,
    pub(super) extremes: std::ops::Range<usize>,
    pub(super) distincts: std::ops::Range<usize>,
    /// It keeps nothing but its cursors, whose distance is its count.
    pub(super) is_bare: bool,
    /// It keeps extremes or multisets.
    pub(super) has_others: bool,
}

/// A sum that is kept for a window; its index is its place.
#[derive(Debug, Clone, Copy)]
pub(super) struct SumTerm {
    pub(super) value: usize,
    /// The place of its sum of squares, if that is kept.
    pub(super) squares: Option<usize>,
}

/// An extreme (of a value) or a multiset (of a code) that is kept; its index is its place.
#[derive(Debug)]
pub(super) struct ValueTerm {
    pub(super) column: usize,
}

/// One output column.
#[derive(Debug)]
pub(super) struct Reading {
    pub(super) column: usize,
    pub(super) group: usize,
    pub(super) window: usize,
    pub(super) formula: Formula,
}

/// How an output is read off the marks and sums.
#[derive(Debug, Clone, Copy)]
pub(super) enum Formula {
    Count,
    Rate { width_s: f64 },
    Since { empty_s: f32 },
    Distinct { term: usize },
    Sum { term: usize },
    Mean { term: usize },
    Std { term: usize, squares: usize },
    Min { term: usize },
    Max { term: usize },
    Last { value: usize },
    Ratio { term: usize, value: usize },
}

impl Formula {
    /// The output of a window without entries.
    pub(super) fn empty(&self) -> f32 {
        if let Self::Since { empty_s } = self { *empty_s } else { 0.0 }
    }
}

/// Times and durations beyond this are refused, so that no difference overflows.
pub(super) const TIME_MAX_MS: i64 = 1 << 60;

impl Plan {
    pub(super) fn new(spec: &TableSpec) -> Result<Self, KernelError> {
        check(spec)?;
        let tile_ms = if let Layout::Tiled { tile_ms } = spec.layout { tile_ms } else { 0 };
        let layout = EntryLayout { values: spec.values, codes: spec.codes, tile_ms };
        let reach = spec.windows.iter().map(|window| window.width_ms + window.delay_ms).max();
        let mut plan = Self {
            layout,
            over: spec.over,
            reach_ms: reach.unwrap_or(0),
            lateness_ms: spec.lateness_ms,
            groups: Vec::new(),
            windows: Vec::new(),
            sums: Vec::new(),
            extremes: Vec::new(),
            distincts: Vec::new(),
            squares: 0,
            before: Vec::new(),
            after: Vec::new(),
            tails_at: 0,
            counts_at: 0,
            present_at: 0,
            distinct_at: 0,
            marks: 0,
        };
        let group_of = |window: &WindowSpec| {
            let is_own = window.include_self && window.delay_ms == 0 && spec.over == Over::Events;
            (window.delay_ms, is_own)
        };
        let mut keys: Vec<_> = spec.windows.iter().map(group_of).collect();
        keys.sort_unstable();
        keys.dedup();
        for key in keys {
            let first = plan.windows.len();
            for (index, window) in spec.windows.iter().enumerate() {
                if group_of(window) == key {
                    plan.add_window(spec, index, key.1);
                }
            }
            let windows = first..plan.windows.len();
            plan.groups.push(Group { delay_ms: key.0, with_self: key.1, windows });
        }
        plan.place_marks();
        Ok(plan)
    }

    /// The time up to which no window of a row at `watermark_ms` or within lateness reaches.
    #[inline]
    pub(super) fn horizon_ms(&self, watermark_ms: i64) -> i64 {
        watermark_ms.saturating_sub(self.lateness_ms + self.reach_ms)
    }

    /// What limits count for a key, and for an entry, in bytes.
    pub(super) fn accounted(&self) -> (usize, usize) {
        let (marks, sums) = (self.marks * 4 + 8, self.sums.len() * 16);
        let others = self.squares * 32 + self.extremes.len() * 8;
        let entry = self.layout.words() * 4 + self.distincts.len() * 24;
        (KEY_BYTES + marks + sums + others, entry)
    }

    /// Plans one window with its readings; equal sums of a window are kept once.
    fn add_window(&mut self, spec: &TableSpec, index: usize, with_self: bool) {
        let window = &spec.windows[index];
        let firsts = (self.sums.len(), self.extremes.len(), self.distincts.len());
        let (planned, group) = (self.windows.len(), self.groups.len());
        for (column, feature) in spec.features.iter().enumerate() {
            if feature.window != index {
                continue;
            }
            let formula = self.formula(feature.aggregate, window, firsts);
            let reading = Reading { column, group, window: planned, formula };
            // The event before this one is sought before this one is there.
            let is_after = with_self && !matches!(formula, Formula::Since { .. });
            if is_after { self.after.push(reading) } else { self.before.push(reading) }
        }
        let sums = firsts.0..self.sums.len();
        let (extremes, distincts) = (firsts.1..self.extremes.len(), firsts.2..self.distincts.len());
        let has_others = !(extremes.is_empty() && distincts.is_empty());
        self.windows.push(PlannedWindow {
            index: planned,
            width_ms: window.width_ms,
            is_bare: sums.is_empty() && !has_others && !self.layout.is_tiled(),
            has_others,
            sums,
            extremes,
            distincts,
        });
    }

    fn formula(
        &mut self,
        aggregate: Aggregate,
        window: &WindowSpec,
        firsts: (usize, usize, usize),
    ) -> Formula {
        match aggregate {
            Aggregate::Count => Formula::Count,
            Aggregate::Rate => Formula::Rate { width_s: window.width_ms as f64 / 1000.0 },
            Aggregate::Since => {
                let empty_s = (window.width_ms + window.delay_ms) as f64 / 1000.0;
                Formula::Since { empty_s: empty_s as f32 }
            }
            Aggregate::Distinct { code } => {
                Formula::Distinct { term: term_of(&mut self.distincts, firsts.2, code) }
            }
            Aggregate::Sum { value } => Formula::Sum { term: self.sum(firsts.0, value) },
            Aggregate::Mean { value } => Formula::Mean { term: self.sum(firsts.0, value) },
            Aggregate::Ratio { value } => Formula::Ratio { term: self.sum(firsts.0, value), value },
            Aggregate::Std { value } => {
                let term = self.sum(firsts.0, value);
                let squares = *self.sums[term].squares.get_or_insert_with(|| {
                    self.squares += 1;
                    self.squares - 1
                });
                Formula::Std { term, squares }
            }
            Aggregate::Min { value } => {
                Formula::Min { term: term_of(&mut self.extremes, firsts.1, value) }
            }
            Aggregate::Max { value } => {
                Formula::Max { term: term_of(&mut self.extremes, firsts.1, value) }
            }
            Aggregate::Last { value } => Formula::Last { value },
        }
    }

    fn sum(&mut self, first: usize, value: usize) -> usize {
        let known = self.sums[first..].iter().position(|term| term.value == value);
        known.map_or_else(
            || {
                self.sums.push(SumTerm { value, squares: None });
                self.sums.len() - 1
            },
            |offset| first + offset,
        )
    }

    fn place_marks(&mut self) {
        self.tails_at = self.groups.len();
        self.counts_at = self.tails_at + self.windows.len();
        let counts = if self.layout.is_tiled() { self.windows.len() } else { 0 };
        self.present_at = self.counts_at + counts;
        self.distinct_at = self.present_at + self.sums.len();
        self.marks = self.distinct_at + self.distincts.len();
    }
}

fn term_of(terms: &mut Vec<ValueTerm>, first: usize, column: usize) -> usize {
    if let Some(offset) = terms[first..].iter().position(|term| term.column == column) {
        return first + offset;
    }
    terms.push(ValueTerm { column });
    terms.len() - 1
}

fn check(spec: &TableSpec) -> Result<(), KernelError> {
    let refuse = |argument, reason| Err(KernelError::Value { kernel: "window", argument, reason });
    for window in &spec.windows {
        if !(1..=TIME_MAX_MS).contains(&window.width_ms) {
            return refuse("width_ms", "must be at least 1 and at most 2^60");
        }
        if !(0..=TIME_MAX_MS).contains(&window.delay_ms) {
            return refuse("delay_ms", "must be at least 0 and at most 2^60");
        }
    }
    if !(0..=TIME_MAX_MS).contains(&spec.lateness_ms) {
        return refuse("lateness_ms", "must be at least 0 and at most 2^60");
    }
    if spec.keys_max == 0 || spec.keys_max.saturating_mul(spec.features.len().max(1)) > 1 << 31 {
        return refuse("keys_max", "must be at least 1 and, times the features, at most 2^31");
    }
    let is_tiled = matches!(spec.layout, Layout::Tiled { .. });
    if let Layout::Tiled { tile_ms } = spec.layout
        && (tile_ms < 1 || spec.windows.iter().any(|window| window.width_ms < tile_ms))
    {
        return refuse("tile_ms", "must be at least 1 and at most the narrowest width");
    }
    for feature in &spec.features {
        if feature.window >= spec.windows.len() {
            return refuse("window", "names no window of the table");
        }
        if feature.aggregate.value().is_some_and(|value| value >= spec.values) {
            return refuse("value", "names no value column of the table");
        }
        match feature.aggregate {
            Aggregate::Distinct { .. } if is_tiled => {
                return refuse("distinct", "needs the exact layout");
            }
            Aggregate::Distinct { code } if code >= spec.codes => {
                return refuse("code", "names no code column of the table");
            }
            Aggregate::Ratio { .. } if spec.over == Over::Labels => {
                return refuse("ratio", "needs a table over events");
            }
            _ => {}
        }
    }
    Ok(())
}
