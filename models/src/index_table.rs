//! Which row of the embeddings a sparse index has: rows appear as indices come, and idle ones are
//! given away when there is no more room.
//!
//! Keys lie in an open-addressed index (linear probing, at most half full, a power of two, grown by
//! doubling); rows lie one after another in the order in which they were first needed, so that they
//! can be walked by a hand. Where all rows are taken the hand looks at the next [`WATCHED`] and
//! gives away the one that has been idle longest, counted in learned rows: a clock with ages.
//!
//! Invariant: a function of the keys in their order; no key of the row that is being learned is
//! given away. What this does not do: hold the embeddings.

use std::io;

use pelton_kernels::hash::mix64;
use pelton_kernels::state::{StateReader, StateWriter, invalid};

/// Rows the hand looks at before it gives one away.
const WATCHED: usize = 8;
const EMPTY: u32 = u32::MAX;

/// Where a key's row is, and what was there before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    /// The row.
    pub row: usize,
    /// Whether its embedding is to be begun.
    pub is_new: bool,
    /// The key that had the row and when it was last needed; none where there was no such row.
    pub before: Option<(u32, u64)>,
}

/// Keys by row, and rows by key.
#[derive(Clone, Debug)]
pub(crate) struct Table {
    rows_max: usize,
    keys: Vec<u32>,
    /// The learned row in which each was last needed.
    seen: Vec<u64>,
    /// Rows by hash, or [`EMPTY`].
    slots: Vec<u32>,
    hand: usize,
    expired: u64,
}

impl Table {
    /// Of no keys; never more than `rows_max`.
    pub fn new(rows_max: usize) -> Table {
        let slots = vec![EMPTY; 2];
        Table { rows_max, keys: Vec::new(), seen: Vec::new(), slots, hand: 0, expired: 0 }
    }

    /// Rows there are.
    pub fn len(&self) -> usize {
        self.keys.len()
    }

    /// Rows given away so far.
    pub fn expired(&self) -> u64 {
        self.expired
    }

    /// The key of a row.
    pub fn key(&self, row: usize) -> u32 {
        self.keys[row]
    }

    /// When the key of a row was last needed.
    pub fn seen(&self, row: usize) -> u64 {
        self.seen[row]
    }

    /// Keys by row and when each was last needed, as a device has them.
    pub fn rows(&self) -> (&[u32], &[u64]) {
        (&self.keys, &self.seen)
    }

    /// The table of these rows, where the hand is and how many were given away.
    pub fn of(
        rows_max: usize,
        (keys, seen): (Vec<u32>, Vec<u64>),
        [hand, expired]: [u64; 2],
    ) -> io::Result<Table> {
        let mut table = Table::new(rows_max);
        (table.keys, table.seen) = (keys, seen);
        (table.hand, table.expired) = (hand as usize, expired);
        table.index()?;
        Ok(table)
    }

    /// The row of a key, if it has one.
    #[inline]
    pub fn find(&self, key: u32) -> Option<usize> {
        let mask = self.slots.len() - 1;
        let mut slot = self.home(key);
        loop {
            match self.slots[slot] {
                EMPTY => return None,
                row if self.keys[row as usize] == key => return Some(row as usize),
                _ => slot = (slot + 1) & mask,
            }
        }
    }

    /// The row of a key that the learned row `now` needs, made where there is none.
    #[inline]
    pub fn admit(&mut self, key: u32, now: u64) -> Place {
        if let Some(row) = self.find(key) {
            let before = Some((key, self.seen[row]));
            self.seen[row] = now;
            return Place { row, is_new: false, before };
        }
        let mut before = None;
        let row = match self.keys.len() {
            rows if rows < self.rows_max => {
                self.keys.push(key);
                self.seen.push(now);
                if 2 * self.keys.len() > self.slots.len() {
                    self.spread();
                    return Place { row: rows, is_new: true, before };
                }
                rows
            }
            _ => {
                let row = self.longest_idle(now);
                self.remove(row);
                self.expired += 1;
                before = Some((self.keys[row], self.seen[row]));
                (self.keys[row], self.seen[row]) = (key, now);
                row
            }
        };
        self.insert(row);
        Place { row, is_new: true, before }
    }

    /// Where the search for a key begins.
    #[inline]
    fn home(&self, key: u32) -> usize {
        mix64(u64::from(key)) as usize & (self.slots.len() - 1)
    }

    fn insert(&mut self, row: usize) {
        let mask = self.slots.len() - 1;
        let mut slot = self.home(self.keys[row]);
        while self.slots[slot] != EMPTY {
            slot = (slot + 1) & mask;
        }
        self.slots[slot] = row as u32;
    }

    /// Doubles the index until it is at most half full.
    fn spread(&mut self) {
        let slots = (2 * self.keys.len()).next_power_of_two();
        self.slots.clear();
        self.slots.resize(slots, EMPTY);
        (0..self.keys.len()).for_each(|row| self.insert(row));
    }

    /// Takes a row's key out of the index; those behind it that were pushed on move back.
    fn remove(&mut self, row: usize) {
        let mask = self.slots.len() - 1;
        let mut hole = self.home(self.keys[row]);
        while self.slots[hole] != row as u32 {
            hole = (hole + 1) & mask;
        }
        let mut slot = hole;
        loop {
            slot = (slot + 1) & mask;
            let other = self.slots[slot];
            if other == EMPTY {
                break;
            }
            let way = slot.wrapping_sub(self.home(self.keys[other as usize])) & mask;
            if way >= slot.wrapping_sub(hole) & mask {
                (self.slots[hole], hole) = (other, slot);
            }
        }
        self.slots[hole] = EMPTY;
    }

    /// The row idle longest of the next ones the hand meets; one that `now` needs only where there
    /// is no other.
    fn longest_idle(&mut self, now: u64) -> usize {
        let rows = self.keys.len();
        let mut oldest = self.hand;
        for _ in 0..rows.div_ceil(WATCHED) {
            for step in 0..WATCHED.min(rows) {
                let row = (self.hand + step) % rows;
                if self.seen[row] < self.seen[oldest] {
                    oldest = row;
                }
            }
            self.hand = (self.hand + WATCHED) % rows;
            if self.seen[oldest] < now {
                break;
            }
        }
        oldest
    }

    /// Rows, where the hand is, and how many were given away.
    pub fn figures(&self) -> [u64; 3] {
        [self.keys.len() as u64, self.hand as u64, self.expired]
    }

    /// Puts a row back to what it was; the index is wrong until [`Table::go_back`].
    pub fn put(&mut self, row: usize, (key, seen): (u32, u64)) {
        (self.keys[row], self.seen[row]) = (key, seen);
    }

    /// Goes back to fewer rows, with such figures.
    pub fn go_back(&mut self, [rows, hand, expired]: [u64; 3]) -> io::Result<()> {
        self.keys.truncate(rows as usize);
        self.seen.truncate(rows as usize);
        (self.hand, self.expired) = (hand as usize, expired);
        self.index()
    }

    pub fn write(&self, state: &mut StateWriter<'_>) -> io::Result<()> {
        state.list(&self.keys)?;
        state.slice(&self.seen)?;
        state.slice(&[self.hand as u64, self.expired])
    }

    /// Reads into an empty table.
    pub fn read(&mut self, state: &mut StateReader<'_>) -> io::Result<()> {
        self.keys = state.list(self.rows_max)?;
        let rows = self.keys.len();
        self.seen = state.numbers(rows)?;
        let [hand, expired] = state.get()?;
        if hand as usize >= rows.max(1) {
            return Err(invalid("the hand is on no row"));
        }
        (self.hand, self.expired) = (hand as usize, expired);
        self.index()
    }

    /// Makes the index of the keys.
    fn index(&mut self) -> io::Result<()> {
        let rows = self.keys.len();
        self.slots = vec![EMPTY; (2 * rows).next_power_of_two().max(2)];
        for row in 0..rows {
            if self.find(self.keys[row]).is_some() {
                return Err(invalid("an index has two embeddings"));
            }
            self.insert(row);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
