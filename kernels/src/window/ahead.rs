//! Looking keys up some calls ahead, so that their cache misses overlap.
//!
//! A row touches a bucket of the index, the key's head, its cursors and sums, and the entries at
//! its cursors: each names the next, and each may be a miss. So a call waits for a while and takes
//! a step every few calls: it asks for its bucket, then reads that and asks for head and cursors,
//! then reads those and asks for entries, and then it is made. Invariant: what is found on the way
//! is a hint; calls in between may change it, and no result depends on it.

use super::table::WindowTable;

/// Calls between two steps of one: as long as a miss takes, and short enough for the nearest cache.
const STEP: usize = 8;
/// Places for the calls that wait, a power of two above three steps.
const PLACES: usize = 32;

/// A call on its way, with the slot its key seems to have.
#[derive(Clone, Copy)]
struct Waiting<C> {
    key: u64,
    hint: Option<u32>,
    call: Option<C>,
}

impl WindowTable {
    /// Makes the calls, each given with the key it is for, in their order.
    #[inline]
    pub(super) fn ahead<C: Copy>(
        &mut self,
        calls: impl Iterator<Item = (u64, C)>,
        mut each: impl FnMut(&mut Self, C, Option<u32>),
    ) {
        let mut calls = calls.fuse();
        let mut places = [Waiting { key: 0, hint: None, call: None }; PLACES];
        let mut waiting = 0_usize;
        for now in 0_usize.. {
            if let Some((key, call)) = calls.next() {
                self.keys.prefetch(key);
                places[now % PLACES] = Waiting { key, hint: None, call: Some(call) };
                waiting += 1;
            } else if waiting == 0 {
                return;
            }
            let ago = |steps: usize| now.wrapping_sub(steps * STEP) % PLACES;
            let placed = &mut places[ago(1)];
            if placed.call.is_some() {
                placed.hint = self.place(placed.key);
            }
            let ready = &places[ago(2)];
            if let (Some(_), Some(slot)) = (ready.call, ready.hint) {
                let view = self.arena.view(self.keys.ring(slot));
                self.lanes.prefetch_entries(&self.plan, slot, view);
            }
            let made = &mut places[ago(3)];
            if let Some(call) = made.call.take() {
                waiting -= 1;
                each(self, call, made.hint);
            }
        }
    }

    /// The slot that a key seems to have.
    #[inline]
    fn place(&self, key: u64) -> Option<u32> {
        let slot = self.keys.guess(key)?;
        self.lanes.prefetch(&self.plan, slot);
        Some(slot)
    }
}
