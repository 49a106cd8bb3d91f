//! What becomes of an event once its label was learned, put aside, or taken back.

use super::held::{GONE, Original};
use super::pending::{Entry, NO_FEATURES};
use super::{Join, Kind, NO_RECORD, Resolved, State, WAITED};
use crate::ring::{QuarantinedLabel, Slot};

impl Join {
    /// The same join where labels may be put aside.
    #[must_use]
    pub fn guarded(mut self, is_guarded: bool) -> Join {
        self.is_guarded = is_guarded;
        self
    }

    /// What becomes of a label of an event that has one: the same with the label that judged
    /// before, when that was put aside, and nothing when it is only said again.
    pub fn returns(&mut self, resolved: &Resolved) -> Option<Resolved> {
        match self.pending.state(resolved.entry) {
            State::Quarantined(was) => {
                self.counts.returned += 1;
                self.pending.set_state(resolved.entry, State::Labelled(resolved.label));
                Some(Resolved { was, ..*resolved })
            }
            State::Labelled(first) => {
                self.count_second(first, resolved.label);
                None
            }
            State::Waiting | State::Assumed => None,
        }
    }

    /// The label has been learned; `slot` is the batch it came in. The features of its event will
    /// not be asked for again, unless the label may yet be taken back.
    pub fn learned(&mut self, resolved: &Resolved, slot: Option<&Slot>) {
        let entry = resolved.entry;
        let is_held = self.held.is_on();
        match resolved.kind {
            // Recorded labels come once: nothing remains to be recognised.
            Kind::Arrived if self.config.recorded => {
                self.pending.remove(entry);
                self.held.push(GONE, resolved.label, None);
            }
            // A correction will learn them again.
            Kind::Assumed => self.held.push(GONE, resolved.label, None),
            _ if is_held => {
                let original = original(&self.waited, resolved, slot);
                self.held.push(entry, resolved.label, original);
            }
            _ => self.pending.release_features(entry),
        }
    }

    /// The label was judged and is not learned: its record goes to the dead letters, and its event
    /// waits until it comes again, or its time is over. `span` is the guard's trip.
    pub fn put_aside(&mut self, resolved: &Resolved, slot: Option<&Slot>, span: u64) {
        self.counts.quarantined += 1;
        match resolved.kind {
            Kind::Arrived if self.config.recorded => return self.pending.remove(resolved.entry),
            Kind::Assumed => return,
            _ => {}
        }
        self.pending.set_state(resolved.entry, State::Quarantined(resolved.label));
        let original = original(&self.waited, resolved, slot);
        let number = self.quarantined_records;
        self.quarantined.extend(original.map(|original| original.quarantined(span, number)));
        self.quarantined_records += u64::from(original.is_some());
    }

    /// The model is kept as it is: labels learned from now on are held, to be taken back if need
    /// be.
    pub fn hold(&mut self) {
        self.held.begin();
    }

    /// The oldest kept model is forgotten: the labels behind it, up to the next, stay learned.
    pub fn settle_oldest(&mut self) {
        let segment = self.held.settle_oldest();
        for entry in segment.into_iter().flat_map(|segment| segment.entries) {
            if entry != GONE {
                self.pending.release_features(entry);
            }
        }
    }

    /// Nothing can be taken back any more.
    pub fn settle_all(&mut self) {
        while self.held.is_on() {
            self.settle_oldest();
        }
    }

    /// The model has gone back to the oldest kept state: every label behind it is put aside.
    /// Returns how many those are.
    pub fn take_back(&mut self, span: u64) -> u64 {
        let mut count = 0;
        while let Some(segment) = self.held.settle_oldest() {
            for (index, (&entry, &label)) in segment.entries.iter().zip(&segment.labels).enumerate()
            {
                if entry != GONE {
                    self.pending.set_state(entry, State::Quarantined(label));
                }
                if let Some(original) = self.held.original(&segment, index) {
                    let number = self.quarantined_records;
                    self.quarantined.push(original.quarantined(span, number));
                    self.quarantined_records += 1;
                }
            }
            count += segment.entries.len() as u64;
        }
        self.counts.quarantined += count;
        self.held.begin();
        count
    }

    /// The records put aside since this was asked last.
    pub fn drain_quarantined(&mut self) -> std::vec::Drain<'_, QuarantinedLabel> {
        self.quarantined.drain(..)
    }

    /// Ends the batch: entries whose time was over are forgotten.
    pub fn settle(&mut self) {
        let mut leaving = std::mem::take(&mut self.leaving);
        for entry in leaving.drain(..) {
            if self.may_be_held(entry) {
                self.held.forget(entry);
            }
            self.pending.remove(entry);
        }
        self.leaving = leaving;
    }

    fn may_be_held(&self, entry: Entry) -> bool {
        self.pending.features[entry as usize] != NO_FEATURES
            && matches!(self.pending.state(entry), State::Labelled(_))
    }
}

/// The record that brought a label, where records are kept.
fn original<'a>(
    waited: &'a [super::OwnOriginal],
    resolved: &Resolved,
    slot: Option<&'a Slot>,
) -> Option<Original<'a>> {
    match resolved.record {
        NO_RECORD => None,
        record if record & WAITED != 0 => {
            waited.get((record & !WAITED) as usize).map(super::OwnOriginal::as_ref)
        }
        record => Original::of_slot(slot?, record as usize),
    }
}
