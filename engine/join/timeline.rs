//! Things that fall due, in the order of time, and among equal times in the order they came.
//!
//! Times come nearly sorted, so a deque with insertion from the back beats a heap: an insertion
//! costs as many steps as there are later entries, and the next one due is at the front.

use std::collections::VecDeque;
use std::io;

use pelton_kernels::state::invalid;

/// A queue by time.
#[derive(Clone, Debug)]
pub struct Timeline<T> {
    entries: VecDeque<(i64, T)>,
}

impl<T> Default for Timeline<T> {
    fn default() -> Timeline<T> {
        Timeline { entries: VecDeque::new() }
    }
}

impl<T> Timeline<T> {
    /// Adds `item`, due at `time_ms`.
    pub fn insert(&mut self, time_ms: i64, item: T) {
        match self.entries.back() {
            Some((last_ms, _)) if *last_ms > time_ms => {
                let at = self.entries.partition_point(|(ms, _)| *ms <= time_ms);
                self.entries.insert(at, (time_ms, item));
            }
            _ => self.entries.push_back((time_ms, item)),
        }
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// All of them with their times, in order.
    pub fn iter(&self) -> std::collections::vec_deque::Iter<'_, (i64, T)> {
        self.entries.iter()
    }

    /// The queue whose [`Timeline::iter`] gives these.
    ///
    /// # Errors
    /// `InvalidData` for times out of order.
    pub fn from_sorted(entries: impl Iterator<Item = (i64, T)>) -> io::Result<Timeline<T>> {
        let entries: VecDeque<(i64, T)> = entries.collect();
        match entries.iter().is_sorted_by_key(|(time_ms, _)| *time_ms) {
            true => Ok(Timeline { entries }),
            false => Err(invalid("what falls due is out of order")),
        }
    }

    /// Takes the first entry if it is due at `until_ms` or before.
    pub fn next_until(&mut self, until_ms: i64) -> Option<(i64, T)> {
        match self.entries.front() {
            Some((time_ms, _)) if *time_ms <= until_ms => self.entries.pop_front(),
            _ => None,
        }
    }
}
