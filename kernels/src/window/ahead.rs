//! Looking keys up some calls ahead, so that their cache misses overlap.
//!
//! A row touches a bucket of the index, the key's head, its cursors and sums, and the entries at
//! its cursors: each names the next, and each may be a miss. So calls move through a short
//! pipeline, a run of them at a time: when the first run asks for its buckets, the one before
//! reads its buckets and asks for heads and cursors, the one before that reads those and asks for
//! entries, and the last one is made. Invariant: what is found on the way is a hint; calls in
//! between may change it, and no result depends on it.

use super::table::WindowTable;

/// Calls in a run.
const RUN: usize = 8;
/// Steps of a run: ask for buckets, place, ask for entries, make the calls.
const STEPS: usize = 4;

/// Calls on their way, with the slots their keys seem to have.
#[derive(Clone, Copy)]
struct Run<C> {
    count: usize,
    keys: [u64; RUN],
    hints: [Option<u32>; RUN],
    calls: [Option<C>; RUN],
}

impl<C: Copy> Run<C> {
    const EMPTY: Self = Self { count: 0, keys: [0; RUN], hints: [None; RUN], calls: [None; RUN] };

    #[inline]
    fn fill(&mut self, calls: &mut impl Iterator<Item = (u64, C)>) {
        self.count = 0;
        for (key, call) in calls.take(RUN) {
            self.keys[self.count] = key;
            self.calls[self.count] = Some(call);
            self.count += 1;
        }
    }
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
        let (mut runs, mut newest) = ([Run::EMPTY; STEPS], 0);
        let mut waiting = 0;
        loop {
            newest = (newest + 1) % STEPS;
            let run = |age: usize| (newest + STEPS - age) % STEPS;
            runs[newest].fill(&mut calls);
            waiting += runs[newest].count;
            if waiting == 0 {
                return;
            }
            let asked = &runs[newest];
            asked.keys[..asked.count].iter().for_each(|&key| self.keys.prefetch(key));
            let placed = &mut runs[run(1)];
            self.place(&placed.keys[..placed.count], &mut placed.hints);
            let ready = &runs[run(2)];
            self.prefetch_entries(&ready.hints[..ready.count]);
            let made = &runs[run(3)];
            for (call, hint) in made.calls[..made.count].iter().flatten().zip(made.hints) {
                each(self, *call, hint);
            }
            waiting -= made.count;
        }
    }

    #[inline]
    fn place(&self, keys: &[u64], hints: &mut [Option<u32>; RUN]) {
        for (hint, &key) in hints.iter_mut().zip(keys) {
            *hint = self.keys.guess(key);
            if let Some(slot) = *hint {
                self.lanes.prefetch(&self.plan, slot);
            }
        }
    }

    #[inline]
    fn prefetch_entries(&self, hints: &[Option<u32>]) {
        for &slot in hints.iter().flatten() {
            let view = self.arena.view(self.keys.ring(slot));
            self.lanes.prefetch_entries(&self.plan, slot, view);
        }
    }
}
