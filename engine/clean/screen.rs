//! Which rows of a batch stay: one pass in stream order, then the batch is compacted.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::config::event::{EventConfig, FilterRule, Missing, OutOfRange};
use crate::ids::IdSet;
use crate::ring::{Envelope, Reason, Reject, Slot};

/// Decides which rows stay.
pub struct Screen {
    filter: Vec<FilterRule>,
    /// Number columns whose value must be in a range or present: `(name, column, range, required)`.
    numbers: Vec<NumberGate>,
    /// Category columns that must be present.
    required: Vec<(Arc<str>, usize)>,
    pub(super) clock: Clock,
    pub(super) seen: Seen,
    keep: Vec<bool>,
}

struct NumberGate {
    name: Arc<str>,
    column: usize,
    range: Option<(f32, f32)>,
    required: bool,
}

/// Event time as the stream has shown it, and which times are believed.
pub(super) struct Clock {
    pub(super) watermark_ms: Option<i64>,
    lateness_ms: i64,
    ahead_ms: i64,
    /// Rows in a row that were too far ahead, and the newest time among them.
    pub(super) ahead_rows: u32,
}

/// So many rows in a row must be too far ahead before the clock follows them: one broken clock
/// does not make the rest of the stream late, a real gap in the stream costs a few rows.
const AHEAD_ROWS: u32 = 16;

/// Ids seen within a span of event time: those of `by_time`, which is in the order they came.
pub(super) struct Seen {
    within_ms: i64,
    pub(super) ids: IdSet,
    pub(super) by_time: VecDeque<(i64, u128)>,
}

impl Screen {
    /// The screen for events of this kind.
    pub fn new(config: &EventConfig) -> Screen {
        let numbers = config.numbers.iter().enumerate().map(|(column, rule)| NumberGate {
            name: rule.name.as_str().into(),
            column,
            range: rule.range.filter(|_| rule.out_of_range == OutOfRange::Reject),
            required: rule.missing == Missing::Reject,
        });
        let required = config.categories.iter().enumerate().filter(|(_, rule)| rule.required);
        Screen {
            filter: config.filter.clone(),
            numbers: numbers.filter(|gate| gate.range.is_some() || gate.required).collect(),
            required: required.map(|(i, rule)| (rule.name.as_str().into(), i)).collect(),
            clock: Clock {
                watermark_ms: None,
                lateness_ms: config.lateness_ms,
                ahead_ms: config.ahead_max_ms,
                ahead_rows: 0,
            },
            seen: Seen {
                within_ms: config.duplicates_within_ms,
                ids: IdSet::default(),
                by_time: VecDeque::new(),
            },
            keep: Vec::new(),
        }
    }

    /// Takes the rows out of the batch that cannot be scored.
    pub fn run(&mut self, slot: &mut Slot) {
        self.keep.clear();
        for row in 0..slot.rows {
            if !self.passes_filter(slot, row) {
                slot.filtered += 1;
                self.keep.push(false);
                continue;
            }
            let fault = self.fault(slot, row);
            self.keep.push(fault.is_none());
            if let Some((reason, field)) = fault {
                let has_raw = slot.raw.len() > row;
                let bytes = if has_raw { slot.raw.get(row).to_vec() } else { Vec::new() };
                let has_envelope = slot.envelopes.len() > row;
                let envelope = if has_envelope { slot.envelopes.get(row) } else { &[] };
                slot.rejects.push(Reject {
                    reason,
                    field,
                    position: slot.positions[row],
                    is_label: false,
                    bytes,
                    envelope: Envelope::read(envelope),
                });
            }
        }
        if self.keep.contains(&false) {
            slot.retain_rows(&self.keep);
        }
    }

    fn passes_filter(&self, slot: &Slot, row: usize) -> bool {
        self.filter.iter().all(|rule| match rule {
            FilterRule::Number { column, min, max } => {
                let value = slot.numbers[[*column, row]];
                value.is_nan() || (*min..=*max).contains(&value)
            }
            FilterRule::Category { column, codes, pass } => {
                codes.binary_search(&slot.categories[[*column, row]]).is_ok() == *pass
            }
        })
    }

    /// The values come first: a row that is wrong in itself moves neither clock nor ids.
    fn fault(&mut self, slot: &Slot, row: usize) -> Option<(Reason, Option<Arc<str>>)> {
        for gate in &self.numbers {
            let value = slot.numbers[[gate.column, row]];
            if gate.required && value.is_nan() {
                return Some((Reason::MissingValue, Some(Arc::clone(&gate.name))));
            }
            let outside = |(low, high)| !value.is_nan() && !(low..=high).contains(&value);
            if gate.range.is_some_and(outside) {
                return Some((Reason::OutOfRange, Some(Arc::clone(&gate.name))));
            }
        }
        for (name, column) in &self.required {
            if slot.categories[[*column, row]] == 0 {
                return Some((Reason::MissingValue, Some(Arc::clone(name))));
            }
        }
        let time_ms = slot.times_ms[row];
        if let Some(reason) = self.clock.fault(time_ms) {
            return Some((reason, None));
        }
        let now_ms = self.clock.watermark_ms.unwrap_or(time_ms);
        (!self.seen.insert(slot.ids[row], time_ms, now_ms)).then_some((Reason::Duplicate, None))
    }
}

impl Clock {
    fn fault(&mut self, time_ms: i64) -> Option<Reason> {
        let Some(watermark_ms) = self.watermark_ms else {
            self.watermark_ms = Some(time_ms);
            return None;
        };
        if time_ms < watermark_ms.saturating_sub(self.lateness_ms) {
            return Some(Reason::Late);
        }
        if time_ms > watermark_ms.saturating_add(self.ahead_ms) {
            self.ahead_rows += 1;
            if self.ahead_rows < AHEAD_ROWS {
                return Some(Reason::Ahead);
            }
        }
        self.ahead_rows = 0;
        self.watermark_ms = Some(watermark_ms.max(time_ms));
        None
    }
}

impl Seen {
    /// Remembers the id; false when it was known already.
    fn insert(&mut self, id: u128, time_ms: i64, now_ms: i64) -> bool {
        if self.within_ms == 0 {
            return true;
        }
        while let Some(&(oldest_ms, oldest)) = self.by_time.front()
            && oldest_ms < now_ms.saturating_sub(self.within_ms)
        {
            self.ids.remove(&oldest);
            self.by_time.pop_front();
        }
        let is_new = self.ids.insert(id);
        if is_new {
            self.by_time.push_back((time_ms, id));
        }
        is_new
    }
}
