//! Which keys are held, where their entries lie, and which of them has been idle the longest.
//!
//! Idleness is event time: the key whose newest entry is the oldest (ties: the smaller key) goes
//! first. The queue holds each key once, with a time that may lag behind; only when such a key
//! comes up is its time looked up, so that an entry costs the queue nothing.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use super::arena::{Arena, Ring, extend};
use super::key_index::{KeyIndex, mix};
use crate::prefetch::prefetch;

/// The held keys; a slot is a key's place in every column.
#[derive(Debug)]
pub(super) struct Keys {
    index: KeyIndex,
    heads: Vec<KeyHead>,
    free: Vec<u32>,
    idle: BinaryHeap<Reverse<(i64, u64)>>,
}

/// A slot that is free has key 0.
#[derive(Debug, Clone, Copy)]
struct KeyHead {
    key: u64,
    ring: Ring,
}

/// Bytes of a held key in this file's stores: its head, its queue place, its share of the index.
pub(super) const KEY_BYTES: usize = size_of::<KeyHead>() + 16 + 12;

impl Keys {
    pub(super) fn new() -> Self {
        let (heads, free, idle) = (Vec::new(), Vec::new(), BinaryHeap::new());
        Self { index: KeyIndex::new(), heads, free, idle }
    }

    pub(super) fn held(&self) -> usize {
        self.idle.len()
    }

    #[inline]
    pub(super) fn find(&self, key: u64) -> Option<u32> {
        self.index.find(mix(key), |slot| self.heads[slot as usize].key == key)
    }

    /// Asks for where a key will be looked up first.
    #[inline]
    pub(super) fn prefetch(&self, key: u64) {
        self.index.prefetch(mix(key));
    }

    /// Where a key seems to be, without a look at the head, which is asked for.
    #[inline]
    pub(super) fn guess(&self, key: u64) -> Option<u32> {
        let slot = self.index.find(mix(key), |_| true)?;
        prefetch(&self.heads, slot as usize);
        Some(slot)
    }

    /// [`Keys::find`] with an earlier answer, which may be out of date.
    #[inline]
    pub(super) fn find_near(&self, key: u64, hint: Option<u32>) -> Option<u32> {
        match hint {
            Some(slot) if self.heads[slot as usize].key == key => hint,
            _ => self.find(key),
        }
    }

    #[inline]
    pub(super) fn ring(&self, slot: u32) -> &Ring {
        &self.heads[slot as usize].ring
    }

    #[inline]
    pub(super) fn ring_mut(&mut self, slot: u32) -> &mut Ring {
        &mut self.heads[slot as usize].ring
    }

    /// Gives a key that is not held a slot; true when the slot is a new one.
    pub(super) fn create(&mut self, key: u64, newest_ms: i64) -> (u32, bool) {
        let head = KeyHead { key, ring: Ring::EMPTY };
        let reused = self.free.pop();
        let slot = reused.unwrap_or(self.heads.len() as u32);
        match reused {
            Some(slot) => self.heads[slot as usize] = head,
            None => extend(&mut self.heads, 1, head),
        }
        self.index.insert(mix(key), slot);
        self.idle.push(Reverse((newest_ms, key)));
        (slot, reused.is_none())
    }

    /// A time at or before the newest entry of every key; none without keys.
    pub(super) fn newest_at_least_ms(&self) -> Option<i64> {
        self.idle.peek().map(|Reverse((known_ms, _))| *known_ms)
    }

    /// The longest-idle key if its newest entry may be at or before `horizon_ms`.
    #[inline]
    pub(super) fn idle_since(&mut self, arena: &Arena, horizon_ms: i64) -> Option<(i64, u32)> {
        let &Reverse((newest_ms, _)) = self.idle.peek()?;
        if newest_ms > horizon_ms { None } else { self.longest_idle(arena) }
    }

    /// The time of the newest entry and the slot of the longest-idle key.
    pub(super) fn longest_idle(&mut self, arena: &Arena) -> Option<(i64, u32)> {
        loop {
            let &Reverse((known_ms, key)) = self.idle.peek()?;
            let slot = self.find(key).expect("the queue holds exactly the held keys");
            let view = arena.view(&self.heads[slot as usize].ring);
            let newest_ms = view.time_ms(view.len() - 1);
            if newest_ms == known_ms {
                return Some((newest_ms, slot));
            }
            self.idle.pop();
            self.idle.push(Reverse((newest_ms, key)));
        }
    }

    /// Forgets the key that [`Keys::longest_idle`] has just named; its entries are gone already.
    pub(super) fn remove_longest_idle(&mut self, slot: u32) {
        let head = &mut self.heads[slot as usize];
        debug_assert_eq!(self.idle.peek().map(|top| top.0.1), Some(head.key));
        self.idle.pop();
        self.index.remove(mix(head.key), slot);
        head.key = 0;
        self.free.push(slot);
    }

    /// All held keys and their slots, by key.
    pub(super) fn sorted(&self) -> Vec<(u64, u32)> {
        let slots = (0_u32..).zip(&self.heads);
        let held = slots.filter(|(_, head)| head.key != 0);
        let mut sorted: Vec<_> = held.map(|(slot, head)| (head.key, slot)).collect();
        sorted.sort_unstable();
        sorted
    }

    pub(super) fn bytes(&self) -> usize {
        self.index.bytes()
            + self.heads.capacity() * size_of::<KeyHead>()
            + self.free.capacity() * 4
            + self.idle.capacity() * 16
    }
}
