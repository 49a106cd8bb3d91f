//! The last values of a number column by key, for imputation.

use std::collections::HashMap;

/// The last value seen with each key, for about the `keys_max` newest keys.
///
/// Two generations: a full young one becomes the old one, whose keys come back when they are used.
#[derive(Debug)]
pub struct LastSeen {
    keys_max: usize,
    pub(super) young: HashMap<u64, f32>,
    pub(super) old: HashMap<u64, f32>,
}

impl LastSeen {
    /// No key seen.
    pub fn new(keys_max: usize) -> LastSeen {
        LastSeen { keys_max, young: HashMap::new(), old: HashMap::new() }
    }

    /// The last value of the key.
    pub fn get(&self, key: u64) -> Option<f32> {
        self.young.get(&key).or_else(|| self.old.get(&key)).copied()
    }

    /// Remembers a value; the missing key (0) has none.
    pub fn put(&mut self, key: u64, value: f32) {
        if key == 0 {
            return;
        }
        if self.young.len() >= self.keys_max.div_ceil(2) && !self.young.contains_key(&key) {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(key, value);
    }
}
