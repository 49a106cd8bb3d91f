//! How often each code lies in each window: the exact multiset behind `distinct`.
//!
//! One table of 16-byte buckets for all keys and windows (open addressing, deleted by shifting
//! back), so a key with few codes costs little.

use super::key_index::mix;

/// Counts by (owner, code); an owner is one window of one key.
#[derive(Debug)]
pub(super) struct CodeCounts {
    buckets: Vec<Bucket>,
    len: usize,
}

#[derive(Debug, Clone, Copy, Default)]
struct Bucket {
    code: u64,
    owner: u32,
    /// 0 is an empty bucket.
    count: u32,
}

impl CodeCounts {
    pub(super) fn new() -> Self {
        Self { buckets: Vec::new(), len: 0 }
    }

    /// Counts one more; true when it is the first.
    pub(super) fn add(&mut self, owner: u32, code: u64) -> bool {
        if (self.len + 1) * 4 > self.buckets.len() * 3 {
            self.grow();
        }
        let at = self.locate(owner, code);
        let bucket = &mut self.buckets[at];
        let is_first = bucket.count == 0;
        *bucket = Bucket { code, owner, count: bucket.count + 1 };
        self.len += usize::from(is_first);
        is_first
    }

    /// Counts one less; true when it was the last.
    pub(super) fn remove(&mut self, owner: u32, code: u64) -> bool {
        let at = self.locate(owner, code);
        debug_assert_ne!(self.buckets[at].count, 0, "what leaves a window has entered it");
        self.buckets[at].count -= 1;
        if self.buckets[at].count > 0 {
            return false;
        }
        self.len -= 1;
        self.close(at);
        true
    }

    pub(super) fn bytes(&self) -> usize {
        self.buckets.capacity() * size_of::<Bucket>()
    }

    /// The bucket of (owner, code), or the empty one where it belongs.
    fn locate(&self, owner: u32, code: u64) -> usize {
        let mask = self.buckets.len() - 1;
        let mut at = self.home(owner, code);
        loop {
            let bucket = &self.buckets[at];
            if bucket.count == 0 || (bucket.code == code && bucket.owner == owner) {
                return at;
            }
            at = (at + 1) & mask;
        }
    }

    fn home(&self, owner: u32, code: u64) -> usize {
        let hash = mix(code ^ mix(u64::from(owner)));
        (hash >> 32) as usize & (self.buckets.len() - 1)
    }

    fn close(&mut self, mut hole: usize) {
        let mask = self.buckets.len() - 1;
        let mut at = hole;
        loop {
            at = (at + 1) & mask;
            let bucket = self.buckets[at];
            if bucket.count == 0 {
                break;
            }
            let probes = at.wrapping_sub(self.home(bucket.owner, bucket.code)) & mask;
            if probes >= (at.wrapping_sub(hole) & mask) {
                self.buckets[hole] = bucket;
                hole = at;
            }
        }
        self.buckets[hole] = Bucket::default();
    }

    fn grow(&mut self) {
        let doubled = vec![Bucket::default(); (self.buckets.len() * 2).max(16)];
        let old = std::mem::replace(&mut self.buckets, doubled);
        for bucket in old.into_iter().filter(|bucket| bucket.count > 0) {
            let at = self.locate(bucket.owner, bucket.code);
            self.buckets[at] = bucket;
        }
    }
}
