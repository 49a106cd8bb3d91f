//! Third stage: labels meet their events.
//!
//! Every clean row of a batch becomes a pending event; every label that has arrived finds its
//! pending event by id. The stage runs over the batch in stream order and says for each label
//! *before which row* it takes effect ([`Resolved`]); the later stages use these positions, so that
//! nothing depends on where a batch was cut.
//!
//! Labels come from a topic of their own ([`LabelRecord`]), or are carried by the events of a
//! recorded stream and released once event time has passed their delay. An event waits for its
//! label until its horizon; then it is dropped or learned as negative. Rules, each with a counter:
//! the first label of an event holds, a second one is a duplicate or a contradiction; a label
//! before its event waits for it (orphan); a true label that contradicts an assumed one corrects
//! it; a label that was put aside (see [`learn`](crate::learn)) counts again when it returns.
//!
//! Not here: what is learned from a resolved label ([`learn`](crate::learn)).

mod ahead;
mod counts;
mod held;
mod pending;
mod quarantine;
mod state;
mod timeline;

use std::collections::hash_map::Entry as MapEntry;

use crate::config::stream::{LabelsConfig, Unlabelled};
use crate::ids::IdMap;
use crate::ring::{LabelRecord, QuarantinedLabel, Slot};

pub use counts::JoinCounts;
use held::{Held, Original, OwnOriginal};
pub use pending::{Entry, Pending, PendingShape};
use timeline::Timeline;

/// How a label came to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// It arrived.
    Arrived,
    /// The horizon passed without one, and the event counts as negative.
    Assumed,
    /// It arrived after a negative had been assumed, and says otherwise.
    Corrected,
    /// The event has its label already: it counts only if that was put aside, which is known when
    /// its turn comes ([`Join::returns`]).
    Returned,
}

/// A label that has found its event.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Resolved {
    /// It takes effect before this row of the batch.
    pub before_row: u32,
    /// The pending event.
    pub entry: Entry,
    /// The label.
    pub label: f32,
    /// Event time at which it became known.
    pub time_ms: i64,
    /// How it came to be.
    pub kind: Kind,
    /// The label that judged the event before, where one did.
    pub was: f32,
    /// Where its record is: a label of the batch, one that had waited, or [`NO_RECORD`].
    record: u32,
}

/// Of a label that no record brought.
const NO_RECORD: u32 = u32::MAX;
/// Of a label that had come before its event: its place among those.
const WAITED: u32 = 1 << 31;

/// The state of the label join.
pub struct Join {
    config: LabelsConfig,
    /// Whether labels may be put aside.
    is_guarded: bool,
    pending: Pending,
    by_id: IdMap<Entry>,
    /// Labels of recorded events, by the time they are released.
    future: Timeline<(Entry, f32)>,
    /// Events, by the time their horizon (or the time for corrections) ends.
    deadlines: Timeline<Entry>,
    orphans: IdMap<LabelRecord>,
    orphan_deadlines: Timeline<u128>,
    /// The records of orphans, where records are kept.
    orphan_originals: IdMap<OwnOriginal>,
    /// Those whose event has come in this batch.
    waited: Vec<OwnOriginal>,
    /// Labels that were learned and may yet be taken back.
    held: Held,
    /// Labels put aside in this batch.
    quarantined: Vec<QuarantinedLabel>,
    /// How many of those there have been.
    quarantined_records: u64,
    watermark_ms: i64,
    counts: JoinCounts,
    /// Sum of the times from events to their labels.
    delays_ms: i128,
    /// Admitted entries of the current batch, by row.
    admitted: Vec<Entry>,
    /// Entries that can be forgotten once the batch has been learned.
    leaving: Vec<Entry>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum State {
    Waiting,
    Assumed,
    Labelled(f32),
    /// Judged by this label, which was put aside.
    Quarantined(f32),
}

impl Join {
    /// An empty join.
    #[must_use]
    pub fn new(config: &LabelsConfig, shape: PendingShape) -> Join {
        Join {
            config: config.clone(),
            is_guarded: false,
            pending: Pending::new(shape),
            by_id: IdMap::default(),
            future: Timeline::default(),
            deadlines: Timeline::default(),
            orphans: IdMap::default(),
            orphan_deadlines: Timeline::default(),
            orphan_originals: IdMap::default(),
            waited: Vec::new(),
            held: Held::default(),
            quarantined: Vec::new(),
            quarantined_records: 0,
            watermark_ms: i64::MIN,
            counts: JoinCounts::default(),
            delays_ms: 0,
            admitted: Vec::new(),
            leaving: Vec::new(),
        }
    }

    /// Admits the rows of the batch and resolves the labels among them, in stream order.
    pub fn run(&mut self, slot: &Slot, resolved: &mut Vec<Resolved>) {
        resolved.clear();
        self.admitted.clear();
        self.waited.clear();
        let mut labels = slot.labels.iter().enumerate().peekable();
        for row in 0..slot.rows {
            let before_row = row_number(row);
            self.touch_rows(slot, row);
            while let Some((index, _)) = labels.next_if(|(_, l)| l.before_row <= before_row) {
                self.touch_labels(slot, index);
                self.arrive(slot, index, before_row, resolved);
            }
            self.watermark_ms = self.watermark_ms.max(slot.times_ms[row]);
            self.release(self.watermark_ms, before_row, resolved);
            self.expire(before_row, resolved);
            self.admit(slot, row, resolved);
        }
        for (index, _) in labels {
            self.touch_labels(slot, index);
            self.arrive(slot, index, row_number(slot.rows), resolved);
        }
    }

    /// The recording has ended: every label it still holds arrives, in the order of time.
    pub fn flush(&mut self, resolved: &mut Vec<Resolved>) {
        resolved.clear();
        self.admitted.clear();
        self.release(i64::MAX, 0, resolved);
    }

    /// The entry of each row of the batch last run.
    #[must_use]
    pub fn admitted(&self) -> &[Entry] {
        &self.admitted
    }

    /// What is kept of the events that wait for their label.
    #[must_use]
    pub fn pending(&self) -> &Pending {
        &self.pending
    }

    /// The same, to store features and scores.
    pub fn pending_mut(&mut self) -> &mut Pending {
        &mut self.pending
    }

    /// What has happened to labels so far.
    #[must_use]
    pub fn counts(&self) -> JoinCounts {
        self.counts
    }

    /// Newest event time seen.
    #[must_use]
    pub fn watermark_ms(&self) -> i64 {
        self.watermark_ms
    }

    /// After a batch, no event before this time waits for a label any more, or for a correction.
    #[must_use]
    pub fn settled_before_ms(&self) -> i64 {
        let correct_within_ms = match self.config.unlabelled {
            Unlabelled::Negative => self.config.correct_within_ms,
            Unlabelled::Drop => 0,
        };
        self.watermark_ms.saturating_sub(self.config.horizon_ms.saturating_add(correct_within_ms))
    }

    /// Mean event time from an event to its label, milliseconds; 0 before the first.
    #[must_use]
    pub fn label_delay_ms(&self) -> f64 {
        self.delays_ms as f64 / self.counts.joined.max(1) as f64
    }

    /// Orphans that wait for their event now.
    #[must_use]
    pub fn orphans_waiting(&self) -> usize {
        self.orphans.len()
    }

    fn admit(&mut self, slot: &Slot, row: usize, resolved: &mut Vec<Resolved>) {
        // Not the length of the slab, where an entry stays until its batch ends.
        if self.future.len() + self.deadlines.len() >= self.config.pending_max {
            self.evict();
        }
        let (id, time_ms) = (slot.ids[row], slot.times_ms[row]);
        let entry = self.pending.admit(slot, row);
        self.admitted.push(entry);
        let label = slot.recorded_labels[row];
        if self.config.recorded && !label.is_nan() {
            let due_ms = time_ms.saturating_add(self.config.delay_ms);
            self.future.insert(due_ms, (entry, label));
            return;
        }
        self.deadlines.insert(time_ms.saturating_add(self.config.horizon_ms), entry);
        if self.config.recorded {
            return;
        }
        self.by_id.insert(id, entry);
        if let Some(label) = self.orphans.remove(&id) {
            let record = match self.orphan_originals.remove(&id) {
                Some(original) => {
                    self.waited.push(original);
                    WAITED | row_number(self.waited.len() - 1)
                }
                None => NO_RECORD,
            };
            self.join(entry, label, (row_number(row + 1), record), resolved);
        }
    }

    fn arrive(&mut self, slot: &Slot, index: usize, before_row: u32, out: &mut Vec<Resolved>) {
        let label = slot.labels[index];
        if let Some(&entry) = self.by_id.get(&label.id) {
            // No source reads so many labels into a batch.
            let record = u32::try_from(index).ok().filter(|index| *index < WAITED);
            return self.join(entry, label, (before_row, record.unwrap_or(NO_RECORD)), out);
        }
        match self.orphans.entry(label.id) {
            MapEntry::Occupied(first) if first.get().value == label.value => {
                self.counts.duplicates += 1;
            }
            MapEntry::Occupied(_) => self.counts.contradictions += 1,
            MapEntry::Vacant(place) => {
                place.insert(label);
                if let Some(original) = Original::of_slot(slot, index) {
                    self.orphan_originals.insert(label.id, original.own());
                }
                self.counts.orphans += 1;
                let now_ms = self.watermark_ms.max(label.time_ms);
                let until_ms = now_ms.saturating_add(self.config.orphan_wait_ms);
                self.orphan_deadlines.insert(until_ms, label.id);
            }
        }
    }

    fn join(
        &mut self,
        entry: Entry,
        label: LabelRecord,
        (before_row, record): (u32, u32),
        out: &mut Vec<Resolved>,
    ) {
        let (kind, was) = match self.pending.state(entry) {
            State::Waiting => (Kind::Arrived, f32::NAN),
            State::Labelled(_) | State::Quarantined(_) if self.is_guarded => {
                let (label, time_ms, kind, was) =
                    (label.value, label.time_ms, Kind::Returned, f32::NAN);
                out.push(Resolved { before_row, entry, label, time_ms, kind, was, record });
                return;
            }
            State::Assumed if label.value != 0.0 => (Kind::Corrected, 0.0),
            State::Assumed => {
                self.counts.confirmed += 1;
                self.pending.set_state(entry, State::Labelled(label.value));
                return;
            }
            State::Labelled(first) | State::Quarantined(first) => {
                self.count_second(first, label.value);
                return;
            }
        };
        self.count_joined(entry, label.time_ms);
        self.counts.corrected += u64::from(kind == Kind::Corrected);
        self.pending.set_state(entry, State::Labelled(label.value));
        let (label, time_ms) = (label.value, label.time_ms);
        out.push(Resolved { before_row, entry, label, time_ms, kind, was, record });
    }

    /// Recorded labels whose delay has passed.
    fn release(&mut self, until_ms: i64, before_row: u32, resolved: &mut Vec<Resolved>) {
        while let Some((time_ms, (entry, label))) = self.future.next_until(until_ms) {
            self.count_joined(entry, time_ms);
            self.pending.set_state(entry, State::Labelled(label));
            let (kind, was, record) = (Kind::Arrived, f32::NAN, NO_RECORD);
            resolved.push(Resolved { before_row, entry, label, time_ms, kind, was, record });
        }
    }

    fn count_second(&mut self, first: f32, second: f32) {
        match first == second {
            true => self.counts.duplicates += 1,
            false => self.counts.contradictions += 1,
        }
    }

    fn count_joined(&mut self, entry: Entry, label_time_ms: i64) {
        self.counts.joined += 1;
        self.delays_ms += i128::from(label_time_ms) - i128::from(self.pending.time_ms(entry));
    }

    fn expire(&mut self, before_row: u32, resolved: &mut Vec<Resolved>) {
        while let Some((_, id)) = self.orphan_deadlines.next_until(self.watermark_ms) {
            self.counts.orphans_expired += u64::from(self.orphans.remove(&id).is_some());
            self.orphan_originals.remove(&id);
        }
        while let Some((time_ms, entry)) = self.deadlines.next_until(self.watermark_ms) {
            match self.pending.state(entry) {
                State::Waiting if self.config.unlabelled == Unlabelled::Negative => {
                    self.counts.assumed += 1;
                    self.pending.set_state(entry, State::Assumed);
                    let (label, kind, was, record) = (0.0, Kind::Assumed, f32::NAN, NO_RECORD);
                    let label = Resolved { before_row, entry, label, time_ms, kind, was, record };
                    resolved.push(label);
                    let until_ms = time_ms.saturating_add(self.config.correct_within_ms);
                    self.deadlines.insert(until_ms, entry);
                }
                State::Waiting => {
                    self.counts.unlabelled += 1;
                    self.leave(entry);
                }
                State::Assumed | State::Labelled(_) | State::Quarantined(_) => self.leave(entry),
            }
        }
    }

    /// Too many events wait: the one whose time would be over first is given up.
    fn evict(&mut self) {
        if let Some((_, entry)) = self.deadlines.next_until(i64::MAX) {
            self.counts.evicted += 1;
            self.leave(entry);
        }
    }

    /// No further label finds the entry; it is removed when the batch has been learned, since
    /// labels resolved earlier in the batch may still need its features.
    fn leave(&mut self, entry: Entry) {
        let id = self.pending.id(entry);
        if let MapEntry::Occupied(found) = self.by_id.entry(id)
            && *found.get() == entry
        {
            found.remove();
        }
        self.leaving.push(entry);
    }
}

fn row_number(row: usize) -> u32 {
    u32::try_from(row).expect("a batch has at most 2^20 rows")
}

#[cfg(test)]
mod tests;
