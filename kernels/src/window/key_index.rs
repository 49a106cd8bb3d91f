//! From a key to its slot: open addressing with linear probing over a fixed mixer.
//!
//! A bucket is one word: the upper half of the hash (where the key wants to be) and the slot; the
//! key itself lies with the slot and is compared only when the halves agree. Deleting shifts back,
//! so there are no tombstones.

use crate::prefetch::prefetch;

/// Buckets of `hash half << 32 | slot + 1`; 0 is empty.
#[derive(Debug)]
pub(super) struct KeyIndex {
    buckets: Vec<u64>,
    bits: u32,
    len: usize,
}

const BITS_MIN: u32 = 4;

impl KeyIndex {
    pub(super) fn new() -> Self {
        Self { buckets: vec![0; 1 << BITS_MIN], bits: BITS_MIN, len: 0 }
    }

    /// The slot whose hash is `hash` and for which `is_key` holds.
    #[inline]
    pub(super) fn find(&self, hash: u64, is_key: impl Fn(u32) -> bool) -> Option<u32> {
        let mask = self.buckets.len() - 1;
        let mut at = self.home(hash);
        loop {
            let bucket = self.buckets[at];
            if bucket == 0 {
                return None;
            }
            let slot = (bucket as u32).wrapping_sub(1);
            if bucket >> 32 == hash >> 32 && is_key(slot) {
                return Some(slot);
            }
            at = (at + 1) & mask;
        }
    }

    /// Asks for the bucket where a hash is looked up first.
    #[inline]
    pub(super) fn prefetch(&self, hash: u64) {
        prefetch(&self.buckets, self.home(hash));
    }

    /// Adds a slot that is not there yet.
    pub(super) fn insert(&mut self, hash: u64, slot: u32) {
        if (self.len + 1) * 4 > self.buckets.len() * 3 {
            self.grow();
        }
        self.len += 1;
        self.place((hash >> 32 << 32) | u64::from(slot + 1));
    }

    /// Removes a slot that is there.
    pub(super) fn remove(&mut self, hash: u64, slot: u32) {
        let mask = self.buckets.len() - 1;
        let wanted = (hash >> 32 << 32) | u64::from(slot + 1);
        let mut hole = self.home(hash);
        while self.buckets[hole] != wanted {
            debug_assert_ne!(self.buckets[hole], 0, "a removed slot is in the index");
            hole = (hole + 1) & mask;
        }
        self.len -= 1;
        let mut at = hole;
        loop {
            at = (at + 1) & mask;
            let bucket = self.buckets[at];
            if bucket == 0 {
                break;
            }
            let probes = at.wrapping_sub(self.home(bucket)) & mask;
            if probes >= (at.wrapping_sub(hole) & mask) {
                self.buckets[hole] = bucket;
                hole = at;
            }
        }
        self.buckets[hole] = 0;
    }

    pub(super) fn bytes(&self) -> usize {
        self.buckets.capacity() * 8
    }

    #[inline]
    fn home(&self, hash: u64) -> usize {
        (hash >> (64 - self.bits)) as usize
    }

    fn place(&mut self, bucket: u64) {
        let mask = self.buckets.len() - 1;
        let mut at = self.home(bucket);
        while self.buckets[at] != 0 {
            at = (at + 1) & mask;
        }
        self.buckets[at] = bucket;
    }

    fn grow(&mut self) {
        self.bits += 1;
        let old = std::mem::replace(&mut self.buckets, vec![0; 1 << self.bits]);
        for bucket in old.into_iter().filter(|&bucket| bucket != 0) {
            self.place(bucket);
        }
    }
}

/// The fixed mixer: every input bit reaches the upper half.
#[inline]
pub(super) fn mix(key: u64) -> u64 {
    let product = u128::from(key ^ 0x9E37_79B9_7F4A_7C15) * 0xA076_1D64_78BD_642F;
    let folded = (product as u64) ^ ((product >> 64) as u64);
    folded.wrapping_mul(0xE703_7ED1_A0B4_28DB)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    proptest! {
        #[test]
        fn finds_what_a_map_finds(
            steps in prop::collection::vec((0_u64..60, any::<bool>()), 0..400),
        ) {
            let (mut index, mut map) = (KeyIndex::new(), BTreeMap::new());
            // A poor hash on purpose, so that runs of probes wrap around and collide.
            let low = |key: u64| (key % 7).wrapping_mul(0x3333_3333_3333_3333);
            let hash = |key: u64| low(key) | ((key % 2) << 40);
            for (key, add) in steps {
                let slot = key as u32;
                if add && !map.contains_key(&key) {
                    index.insert(hash(key), slot);
                    map.insert(key, slot);
                } else if !add && map.remove(&key).is_some() {
                    index.remove(hash(key), slot);
                }
                for other in 0..60 {
                    let found = index.find(hash(other), |slot| u64::from(slot) == other);
                    prop_assert_eq!(found, map.get(&other).copied());
                }
            }
        }
    }
}
