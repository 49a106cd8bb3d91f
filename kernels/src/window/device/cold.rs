//! The keys of a table on a GPU for which there is no memory there: they lie here, packed as in a
//! table of the CPU, until a batch has them.
//!
//! A key is in one of the two places as a whole. What it says is a function of its entries alone,
//! so where it lies shows in no output and in no saved byte.

use super::super::arena::{Arena, Ring, View, extend};
use super::super::key_index::{KeyIndex, mix};

/// Fewer keys than this are not worth forgetting.
const CROWD: usize = 1024;
/// Calls over which moves are compared with what was done meanwhile.
const STRETCH: u64 = 1 << 14;
/// Entries moved for each call from which on moving them is no gain: one costs tens of nanoseconds
/// here, a call on the CPU some hundreds.
const MOVED_PER_CALL: u64 = 16;

/// What moved between the memory of a GPU and here, and what lies here.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ColdCounts {
    /// Keys that lie here, idle ones included.
    pub keys: usize,
    /// Bytes of host memory they take, reserves included.
    pub bytes: usize,
    /// Keys that were moved out to here so far.
    pub moved_out: u64,
    /// Keys that were brought in for a batch so far.
    pub brought_in: u64,
}

/// The keys that lie here.
pub(super) struct Cold {
    index: KeyIndex,
    heads: Vec<ColdKey>,
    free: Vec<u32>,
    arena: Arena,
    words: usize,
    entries: usize,
    /// Keys that were left when idle ones were last forgotten.
    left: usize,
    counts: [u64; 2],
    /// Entries moved, and calls done, since this was last looked at.
    stretch: [u64; 2],
    is_no_gain: bool,
}

/// A place that is free has key 0.
#[derive(Clone, Copy)]
struct ColdKey {
    key: u64,
    ring: Ring,
}

impl Cold {
    /// Nothing, of entries of so many words.
    pub fn new(words: usize) -> Cold {
        Cold {
            index: KeyIndex::new(),
            heads: Vec::new(),
            free: Vec::new(),
            arena: Arena::new(words),
            words,
            entries: 0,
            left: 0,
            counts: [0; 2],
            stretch: [0; 2],
            is_no_gain: false,
        }
    }

    /// Keys held.
    pub fn len(&self) -> usize {
        self.heads.len() - self.free.len()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Entries held.
    pub fn entries(&self) -> usize {
        self.entries
    }

    pub fn counts(&self) -> ColdCounts {
        let [moved_out, brought_in] = self.counts;
        let lists = self.heads.capacity() * size_of::<ColdKey>() + self.free.capacity() * 4;
        let bytes = self.index.bytes() + self.arena.bytes() + lists;
        ColdCounts { keys: self.len(), bytes, moved_out, brought_in }
    }

    fn find(&self, key: u64) -> Option<u32> {
        self.index.find(mix(key), |place| self.heads[place as usize].key == key)
    }

    pub fn contains(&self, key: u64) -> bool {
        self.find(key).is_some()
    }

    /// The entries of a key; none where it does not lie here.
    pub fn view(&self, key: u64) -> Option<View<'_>> {
        self.find(key).map(|place| self.arena.view(&self.heads[place as usize].ring))
    }

    /// A key that came from the GPU.
    pub fn take_out(&mut self, key: u64, entries: &[u32]) {
        self.insert(key, entries);
        self.counts[0] += 1;
        self.stretch[0] += (entries.len() / self.words) as u64;
    }

    /// A key that is not held, with the words of its entries, oldest first.
    pub fn insert(&mut self, key: u64, entries: &[u32]) {
        let mut ring = Ring::EMPTY;
        for entry in entries.chunks_exact(self.words) {
            let last = ring.len();
            self.arena.insert(&mut ring, last, entry);
        }
        self.entries += ring.len() as usize;
        let place = self.free.pop().unwrap_or_else(|| {
            extend(&mut self.heads, 1, ColdKey { key: 0, ring: Ring::EMPTY });
            (self.heads.len() - 1) as u32
        });
        self.heads[place as usize] = ColdKey { key, ring };
        self.index.insert(mix(key), place);
    }

    /// A key is on the GPU now.
    pub fn has_gone_in(&mut self, key: u64) {
        let Some(place) = self.find(key) else { return };
        self.counts[1] += 1;
        self.stretch[0] += u64::from(self.heads[place as usize].ring.len());
        self.remove(place);
    }

    fn remove(&mut self, place: u32) {
        let head = &mut self.heads[place as usize];
        self.entries -= head.ring.len() as usize;
        self.arena.release(&mut head.ring);
        self.index.remove(mix(head.key), place);
        head.key = 0;
        self.free.push(place);
        if self.is_empty() {
            // What is not needed any more is given back.
            *self = Cold {
                counts: self.counts,
                stretch: self.stretch,
                is_no_gain: self.is_no_gain,
                ..Cold::new(self.words)
            };
        }
    }

    /// Whether there are more keys than when idle ones were last forgotten.
    pub fn has_new(&self) -> bool {
        self.len() > self.left
    }

    /// Whether there are many more.
    pub fn is_crowded(&self) -> bool {
        self.len() > CROWD && self.len() > 2 * self.left
    }

    /// Forgets the keys whose newest entry is not behind `horizon_ms`.
    pub fn forget(&mut self, horizon_ms: i64) {
        let is_idle = |head: &ColdKey| head.key != 0 && self.newest_ms(head) <= horizon_ms;
        let places = (0_u32..).zip(&self.heads);
        let idle: Vec<u32> =
            places.filter(|(_, head)| is_idle(head)).map(|(place, _)| place).collect();
        idle.into_iter().for_each(|place| self.remove(place));
        self.left = self.len();
    }

    fn newest_ms(&self, head: &ColdKey) -> i64 {
        let view = self.arena.view(&head.ring);
        view.time_ms(view.len() - 1)
    }

    /// The keys whose newest entry is behind `horizon_ms`, and how many entries they have.
    pub fn reached(&self, horizon_ms: i64) -> impl Iterator<Item = (u64, u32)> {
        let held = self.heads.iter().filter(|head| head.key != 0);
        let reached = held.filter(move |head| self.newest_ms(head) > horizon_ms);
        reached.map(|head| (head.key, head.ring.len()))
    }

    /// All heads of a GPU were looked at, which costs an eighth of moving as many entries.
    pub fn has_looked_at(&mut self, heads: usize) {
        self.stretch[0] += (heads / 8) as u64;
    }

    /// So many calls are done.
    pub fn has_served(&mut self, calls: usize) {
        self.stretch[1] += calls as u64;
        let [moved, served] = self.stretch;
        if served >= STRETCH {
            self.is_no_gain = moved > served * MOVED_PER_CALL;
            self.stretch = [0; 2];
        }
    }

    /// Whether keys went to and fro so much that the CPU alone is no slower.
    pub fn is_no_gain(&self) -> bool {
        self.is_no_gain
    }
}
