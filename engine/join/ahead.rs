//! Looking ids up some rows ahead, so that the waits for memory overlap.
//!
//! Nothing is kept of what is found: no result depends on it.

use crate::ids::{TOUCHED, touch};
use crate::ring::Slot;

use super::Join;

impl Join {
    /// Every so many labels: where their events are will be asked for soon.
    pub(super) fn touch_labels(&self, slot: &Slot, index: usize) {
        if index.is_multiple_of(TOUCHED) {
            let soon = slot.labels[index..].iter().take(TOUCHED);
            touch(&self.by_id, soon.map(|label| label.id));
        }
    }

    /// The same for rows that will be admitted, and for events whose time will be over.
    pub(super) fn touch_rows(&self, slot: &Slot, row: usize) {
        if row.is_multiple_of(TOUCHED) && !self.config.recorded {
            touch(&self.by_id, slot.ids[row..slot.rows].iter().take(TOUCHED).copied());
            let leaving = self.deadlines.iter().take(TOUCHED);
            touch(&self.by_id, leaving.map(|(_, entry)| self.pending.id(*entry)));
        }
    }
}
