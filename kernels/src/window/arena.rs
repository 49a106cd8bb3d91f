//! The entries of all keys: one ring per key, in pools of equal blocks, each entry a few words.
//!
//! A ring's capacity is one of 1, 2, 3, 4, 6, 8, 12, ... entries; blocks of one capacity share a
//! pool and a free list. A full ring moves to the next capacity, one that is three quarters empty
//! moves two capacities down, so a key never holds more than four times what it needs.

use crate::prefetch::prefetch;

/// Where a key's entries lie; position 0 is the oldest.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ring {
    block: u32,
    start: u32,
    len: u32,
    class: u8,
}

/// A ring without entries owns no block.
const NO_CLASS: u8 = u8::MAX;

impl Ring {
    pub(super) const EMPTY: Self = Self { block: 0, start: 0, len: 0, class: NO_CLASS };

    pub(super) fn len(&self) -> u32 {
        self.len
    }
}

/// The pools.
#[derive(Debug)]
pub(super) struct Arena {
    words_per_entry: usize,
    pools: Vec<Pool>,
}

#[derive(Debug, Default)]
struct Pool {
    words: Vec<u32>,
    free: Vec<u32>,
}

/// One key's entries, for reading.
#[derive(Clone, Copy)]
pub(super) struct View<'a> {
    block: &'a [u32],
    words_per_entry: usize,
    start: usize,
    capacity: usize,
    len: u32,
}

impl<'a> View<'a> {
    #[inline]
    pub(super) fn len(&self) -> u32 {
        self.len
    }

    /// The words of the entry at `position`.
    #[inline]
    pub(super) fn entry(&self, position: u32) -> &'a [u32] {
        &self.block[self.word_of(position)..][..self.words_per_entry]
    }

    /// The words of all entries, oldest first, in the two pieces in which they lie.
    pub(super) fn pieces(&self) -> [&'a [u32]; 2] {
        let from = self.start * self.words_per_entry;
        let words = self.len as usize * self.words_per_entry;
        let before_end = words.min(self.block.len() - from);
        [&self.block[from..from + before_end], &self.block[..words - before_end]]
    }

    /// Asks for the entry at `position`.
    #[inline]
    pub(super) fn prefetch(&self, position: u32) {
        prefetch(self.block, self.word_of(position));
    }

    /// The time of the entry at `position`: its first two words.
    #[inline]
    pub(super) fn time_ms(&self, position: u32) -> i64 {
        let at = self.word_of(position);
        read_i64(&self.block[at..at + 2])
    }

    #[inline]
    fn word_of(&self, position: u32) -> usize {
        let slot = self.start + position as usize;
        let wrapped = if slot >= self.capacity { slot - self.capacity } else { slot };
        wrapped * self.words_per_entry
    }
}

impl Arena {
    pub(super) fn new(words_per_entry: usize) -> Self {
        Self { words_per_entry, pools: Vec::new() }
    }

    #[inline]
    pub(super) fn view(&self, ring: &Ring) -> View<'_> {
        if ring.class == NO_CLASS {
            return View { block: &[], words_per_entry: 0, start: 0, capacity: 0, len: 0 };
        }
        let capacity = capacity_of(ring.class);
        let block_words = capacity * self.words_per_entry;
        let pool = &self.pools[usize::from(ring.class)];
        View {
            block: &pool.words[ring.block as usize * block_words..][..block_words],
            words_per_entry: self.words_per_entry,
            start: ring.start as usize,
            capacity,
            len: ring.len,
        }
    }

    /// Puts an entry at `position`; later ones move up by one.
    pub(super) fn insert(&mut self, ring: &mut Ring, position: u32, entry: &[u32]) {
        debug_assert!(position <= ring.len && entry.len() == self.words_per_entry);
        if ring.class == NO_CLASS {
            let block = self.allocate(0);
            *ring = Ring { block, start: 0, len: 0, class: 0 };
        } else if ring.len as usize == capacity_of(ring.class) {
            self.resize(ring, ring.class + 1);
        }
        for later in (position..ring.len).rev() {
            let (from, to) = (self.word_of(ring, later), self.word_of(ring, later + 1));
            let words = &mut self.pools[usize::from(ring.class)].words;
            words.copy_within(from..from + self.words_per_entry, to);
        }
        let at = self.word_of(ring, position);
        let words = &mut self.pools[usize::from(ring.class)].words;
        words[at..at + entry.len()].copy_from_slice(entry);
        ring.len += 1;
    }

    /// The words of an entry, for merging into it.
    pub(super) fn entry_mut(&mut self, ring: &Ring, position: u32) -> &mut [u32] {
        let at = self.word_of(ring, position);
        &mut self.pools[usize::from(ring.class)].words[at..at + self.words_per_entry]
    }

    /// Forgets the `count` oldest entries.
    pub(super) fn drop_oldest(&mut self, ring: &mut Ring, count: u32) {
        debug_assert!(count <= ring.len);
        if count == ring.len {
            self.release(ring);
            return;
        }
        let capacity = capacity_of(ring.class);
        ring.start = ((ring.start as usize + count as usize) % capacity) as u32;
        ring.len -= count;
        if capacity >= 8 && ring.len as usize * 4 <= capacity {
            self.resize(ring, ring.class - 2);
        }
    }

    /// Gives the ring's block back.
    pub(super) fn release(&mut self, ring: &mut Ring) {
        if ring.class != NO_CLASS {
            self.pools[usize::from(ring.class)].free.push(ring.block);
            *ring = Ring::EMPTY;
        }
    }

    /// Memory held, free blocks and reserves included.
    pub(super) fn bytes(&self) -> usize {
        let pools = self.pools.iter();
        pools.map(|pool| 4 * (pool.words.capacity() + pool.free.capacity())).sum()
    }

    fn word_of(&self, ring: &Ring, position: u32) -> usize {
        let capacity = capacity_of(ring.class);
        let mut slot = ring.start as usize + position as usize;
        if slot >= capacity {
            slot -= capacity;
        }
        (ring.block as usize * capacity + slot) * self.words_per_entry
    }

    fn allocate(&mut self, class: u8) -> u32 {
        let index = usize::from(class);
        if self.pools.len() <= index {
            self.pools.resize_with(index + 1, Pool::default);
        }
        let pool = &mut self.pools[index];
        if let Some(block) = pool.free.pop() {
            return block;
        }
        let block_words = capacity_of(class) * self.words_per_entry;
        let block = (pool.words.len() / block_words) as u32;
        extend(&mut pool.words, block_words, 0);
        block
    }

    fn resize(&mut self, ring: &mut Ring, class: u8) {
        let block = self.allocate(class);
        let mut moved = Ring { block, start: 0, len: ring.len, class };
        let (old, new) = (usize::from(ring.class), usize::from(class));
        // The entries lie in one run, or in two where the ring wraps around.
        let capacity = capacity_of(ring.class);
        let first = (ring.len as usize).min(capacity - ring.start as usize);
        let at = [self.word_of(ring, 0), ring.block as usize * capacity * self.words_per_entry];
        let to = self.word_of(&moved, 0);
        let counts = [first, ring.len as usize - first].map(|len| len * self.words_per_entry);
        let [from, into] =
            self.pools.get_disjoint_mut([old, new]).expect("a resize changes the class");
        into.words[to..to + counts[0]].copy_from_slice(&from.words[at[0]..at[0] + counts[0]]);
        let rest = &from.words[at[1]..at[1] + counts[1]];
        into.words[to + counts[0]..to + counts[0] + counts[1]].copy_from_slice(rest);
        std::mem::swap(ring, &mut moved);
        self.release(&mut moved);
    }
}

/// Lengthens a store by `count`, growing by a quarter where doubling would waste memory.
pub(super) fn extend<T: Clone>(store: &mut Vec<T>, count: usize, fill: T) {
    let len = store.len() + count;
    if len > store.capacity() {
        store.reserve_exact(count.max(store.len() / 4).max(16));
    }
    store.resize(len, fill);
}

#[inline]
pub(super) fn read_i64(words: &[u32]) -> i64 {
    (u64::from(words[0]) | (u64::from(words[1]) << 32)).cast_signed()
}

/// Capacities 1, 2, 3, 4, 6, 8, 12, 16, 24, ...
#[inline]
fn capacity_of(class: u8) -> usize {
    // Without branches, which would be foretold wrongly for every other key.
    ((3 + usize::from(class & 1)) << (class >> 1)) >> 1
}
