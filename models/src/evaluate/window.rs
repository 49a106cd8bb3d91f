//! The rows judged last, kept so that the same measures can be had of recent rows alone.
//!
//! A ring of the last `rows_max` judged rows, oldest first. Recent measures are computed from it
//! with the very code of the overall ones, whenever somebody asks. Invariant: a row enters when it
//! is judged; a correction changes the newest equal row still here and moves nothing.

use std::io;

use pelton_kernels::state::{StateReader, StateWriter, invalid};

use super::row::JudgedRow;
use crate::Task;

/// The last judged rows.
#[derive(Clone, Debug)]
pub(super) struct Window {
    rows_max: usize,
    rows: Vec<JudgedRow>,
    /// Where the next row goes once the ring is full: the place of the oldest.
    next: usize,
}

impl Window {
    pub(super) fn new(rows_max: usize) -> Window {
        Window { rows_max, rows: Vec::new(), next: 0 }
    }

    /// Takes a row in; the one that leaves for it, be it the row itself.
    #[inline]
    pub(super) fn push(&mut self, row: JudgedRow) -> Option<JudgedRow> {
        if self.rows.len() < self.rows_max {
            self.rows.push(row);
            return None;
        }
        if self.rows_max == 0 {
            return Some(row);
        }
        let oldest = std::mem::replace(&mut self.rows[self.next], row);
        self.next = if self.next + 1 == self.rows_max { 0 } else { self.next + 1 };
        Some(oldest)
    }

    /// Replaces the newest row equal to `was`, if it is still here.
    pub(super) fn replace(&mut self, was: JudgedRow, now: JudgedRow) -> bool {
        let (newer, older) = self.rows.split_at_mut(self.next);
        let mut newest_first = newer.iter_mut().rev().chain(older.iter_mut().rev());
        let found = newest_first.find(|row| **row == was);
        let is_here = found.is_some();
        found.into_iter().for_each(|row| *row = now);
        is_here
    }

    /// Rows it holds at most.
    pub(super) fn rows_max(&self) -> usize {
        self.rows_max
    }

    /// The rows, oldest first.
    pub(super) fn iter(&self) -> impl Iterator<Item = &JudgedRow> {
        self.rows[self.next..].iter().chain(&self.rows[..self.next])
    }

    pub(super) fn write(&self, state: &mut StateWriter<'_>) -> io::Result<()> {
        state.length(self.rows.len())?;
        state.each(self.iter().map(|row| {
            [row.score.to_bits(), row.predicted, row.label.to_bits(), row.confidence.to_bits()]
        }))
    }

    pub(super) fn read(
        rows_max: usize,
        task: Task,
        state: &mut StateReader<'_>,
    ) -> io::Result<Window> {
        let mut window = Window::new(rows_max);
        for [score, predicted, label, confidence] in state.list::<[u32; 4]>(rows_max)? {
            let [score, label, confidence] = [score, label, confidence].map(f32::from_bits);
            window.rows.push(JudgedRow { score, predicted, label, confidence });
        }
        match window.rows.iter().all(|row| row.fits(task)) {
            true => Ok(window),
            false => Err(invalid("a judged row is of another task")),
        }
    }
}
