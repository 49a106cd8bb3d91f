//! Maps and sets by event id.
//!
//! An id is either a text's own bytes or a hash of it, so whoever writes events can choose it; the
//! hash is seeded at random for each process, and no order of a map is ever seen: saved states
//! sort. A map of a week's events is larger than the caches, and a lookup waits for memory; a run
//! of lookups that do not need one another waits once ([`touch`]).

use std::collections::{HashMap, HashSet};
use std::hint::black_box;

use foldhash::fast::RandomState;

/// Something by event id.
pub type IdMap<T> = HashMap<u128, T, RandomState>;
/// Event ids.
pub type IdSet = HashSet<u128, RandomState>;

/// So many ids are touched ahead of their use: few enough to stay in the nearest cache.
pub const TOUCHED: usize = 32;

/// Brings where these ids are, or would be, into the cache.
#[inline]
pub fn touch<T>(map: &IdMap<T>, ids: impl Iterator<Item = u128>) {
    black_box(ids.filter(|id| map.contains_key(id)).count());
}
