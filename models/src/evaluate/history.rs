//! How a model did over the course of the stream, in bounded memory: what a page draws.
//!
//! An evaluator that was asked to ([`Evaluator::keep_history`](super::Evaluator::keep_history))
//! shows every judged row to a [`History`]. It notes the running measures now and then, over all
//! rows so far and over the trailing ones; whenever there are too many notes every second goes, so
//! that there are never more than 400, evenly spread. Log loss, accuracy and errors are the
//! report's to the bit; the running area under the ROC curve comes from 8127 bins of scores, each
//! at most 3 % of the distance to the nearer of 0 and 1 wide.
//!
//! Memory: 16 bytes a trailing row, four bytes a judged row up to `exact_rows_max` (8 MB beyond),
//! 130 KB of bins, and 8 bytes for each pair of classes. Not part of the evaluator's state: after a
//! restart it begins anew.

use pelton_kernels::tally::Tally;

use super::curves::{Costs, Curves, curves};
use super::metric::Metric;
use super::multiclass::MultiClassTally;
use super::ranking::{BINS, Ranking, bin};
use super::regression::RegressionTally;
use super::row::JudgedRow;
use super::spec::EvaluateSpec;
use super::window::Window;
use crate::Task;

/// Notes kept at most, the last one apart.
const NOTES_MAX: usize = 399;
/// Rows between the first notes.
const ROWS_BETWEEN: u64 = 128;
/// Measures of a note at most.
const MEASURES_MAX: usize = 3;
/// Bins of the ranking's histogram that count as one here.
const COARSE_SHIFT: u32 = 6;

/// The running measures at one moment.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Note {
    /// Newest event time judged so far, milliseconds since the epoch.
    pub time_ms: i64,
    /// Rows judged so far.
    pub rows: u64,
    /// [`History::measures`] over all of them; NaN where undefined or behind the last measure.
    pub whole: [f64; MEASURES_MAX],
    /// The same over the trailing rows.
    pub trailing: [f64; MEASURES_MAX],
}

/// The course of a model's measures, and all scores with their labels.
#[derive(Clone, Debug)]
pub struct History {
    task: Task,
    whole: Running,
    trailing: Running,
    window: Window,
    /// Scores with their labels, or confidences with whether they were right; none of regression.
    ranking: Option<Ranking>,
    /// `[classes, classes]`: rows by label and prediction.
    confusion: Vec<i64>,
    notes: Vec<Note>,
    rows_between: u64,
    rows: u64,
    newest_ms: i64,
}

/// Sums over one run of rows.
#[derive(Clone, Debug)]
enum Running {
    Binary { tally: Box<Tally>, bins: Vec<[i64; 2]> },
    MultiClass(MultiClassTally),
    Regression(RegressionTally),
}

impl Running {
    fn new(task: Task) -> Running {
        match task {
            Task::Binary => Running::Binary {
                tally: Box::new(Tally::new(true, false)),
                bins: vec![[0; 2]; (BINS >> COARSE_SHIFT) + 1],
            },
            Task::MultiClass { classes } => {
                Running::MultiClass(MultiClassTally::new(classes as usize, &[], 0))
            }
            Task::Regression => Running::Regression(RegressionTally::default()),
        }
    }

    #[inline]
    fn add(&mut self, row: &JudgedRow, sign: i64) {
        match self {
            Running::Binary { tally, bins } => {
                let is_positive = row.label == 1.0;
                tally.add(row.score, is_positive, sign);
                bins[bin(row.score.to_bits()) >> COARSE_SHIFT][usize::from(is_positive)] += sign;
            }
            Running::MultiClass(tally) => tally.add(row, sign),
            Running::Regression(tally) => tally.add(row, sign),
        }
    }

    /// In the order of [`History::measures`].
    fn measures(&self) -> [f64; MEASURES_MAX] {
        match self {
            Running::Binary { tally, bins } => {
                let accuracy = tally.agreed() as f64 / tally.rows() as f64;
                [tally.log_loss().unwrap_or(f64::NAN), area(bins), accuracy]
            }
            Running::MultiClass(tally) => {
                [tally.value(Metric::LogLoss), tally.value(Metric::Accuracy), f64::NAN]
            }
            Running::Regression(tally) => {
                [tally.value(Metric::Mae), tally.value(Metric::Rmse), f64::NAN]
            }
        }
    }
}

/// Area under the ROC curve of (negatives, positives) by ascending score, a bin's pairs one half.
fn area(bins: &[[i64; 2]]) -> f64 {
    let (mut below, mut pairs_twice, mut positives) = (0_i64, 0_i128, 0_i64);
    for &[n, p] in bins {
        pairs_twice += i128::from(2 * below + n) * i128::from(p);
        below += n;
        positives += p;
    }
    pairs_twice as f64 / (2.0 * below as f64 * positives as f64)
}

impl History {
    pub(super) fn new(spec: &EvaluateSpec) -> History {
        let classes = match spec.task {
            Task::Binary => 2,
            Task::MultiClass { classes } => classes as usize,
            Task::Regression => 0,
        };
        History {
            task: spec.task,
            whole: Running::new(spec.task),
            trailing: Running::new(spec.task),
            window: Window::new(spec.trailing_rows),
            ranking: (classes > 0).then(|| Ranking::new(spec.exact_rows_max)),
            confusion: vec![0; classes * classes],
            notes: Vec::new(),
            rows_between: ROWS_BETWEEN,
            rows: 0,
            newest_ms: i64::MIN,
        }
    }

    /// Takes a judged row in.
    pub(super) fn judge(&mut self, time_ms: i64, row: &JudgedRow) {
        self.add(row, 1);
        self.trailing.add(row, 1);
        if let Some(left) = self.window.push(*row) {
            self.trailing.add(&left, -1);
        }
        self.rows += 1;
        self.newest_ms = self.newest_ms.max(time_ms);
        if self.rows.is_multiple_of(self.rows_between) {
            self.notes.push(self.note());
        }
        if self.notes.len() > NOTES_MAX {
            self.rows_between *= 2;
            self.notes.retain(|note| note.rows.is_multiple_of(self.rows_between));
        }
    }

    /// Puts a judged row right: from here on, notes of before stay as they are.
    pub(super) fn correct(&mut self, was: &JudgedRow, now: &JudgedRow) {
        self.add(was, -1);
        self.add(now, 1);
        if self.window.replace(*was, *now) {
            self.trailing.add(was, -1);
            self.trailing.add(now, 1);
        }
    }

    fn add(&mut self, row: &JudgedRow, sign: i64) {
        self.whole.add(row, sign);
        let Some(ranking) = &mut self.ranking else { return };
        let is_right = row.predicted == row.label as u32;
        match self.task {
            Task::Binary => ranking.add(row.score, row.label == 1.0, sign),
            _ => ranking.add(row.confidence, is_right, sign),
        }
        let classes = self.task.outputs().max(2);
        self.confusion[row.label as usize * classes + row.predicted as usize] += sign;
    }

    fn note(&self) -> Note {
        let (whole, trailing) = (self.whole.measures(), self.trailing.measures());
        Note { time_ms: self.newest_ms, rows: self.rows, whole, trailing }
    }

    /// What is measured along the way.
    #[must_use]
    pub fn measures(&self) -> &'static [Metric] {
        match self.task {
            Task::Binary => &[Metric::LogLoss, Metric::Auc, Metric::Accuracy],
            Task::MultiClass { .. } => &[Metric::LogLoss, Metric::Accuracy],
            Task::Regression => &[Metric::Mae, Metric::Rmse],
        }
    }

    /// The course so far, oldest first, at most 400 notes; the last one is of now.
    #[must_use]
    pub fn notes(&self) -> Vec<Note> {
        let mut notes = self.notes.clone();
        if self.rows > 0 && notes.last().is_none_or(|last| last.rows != self.rows) {
            notes.push(self.note());
        } else if let Some(last) = notes.last_mut() {
            // A label may have been corrected since.
            *last = self.note();
        }
        notes
    }

    /// Rows of the trailing measures.
    #[must_use]
    pub fn trailing_rows(&self) -> usize {
        self.window.rows_max()
    }

    /// Negatives and positives (binary), wrong and right predictions (multi-class).
    #[must_use]
    pub fn totals(&self) -> [u64; 2] {
        let totals = self.ranking.as_ref().map_or([0, 0], Ranking::totals);
        totals.map(i64::unsigned_abs)
    }

    /// What can be drawn of all scores, with the cheapest threshold under each of the costs; none
    /// for regression.
    #[must_use]
    pub fn curves(&self, costs: &[Costs]) -> Option<Curves> {
        self.ranking.as_ref().map(|ranking| curves(ranking, costs))
    }

    /// Whether [`History::curves`] knows every score as it was given.
    #[must_use]
    pub fn is_exact(&self) -> bool {
        self.ranking.as_ref().is_none_or(Ranking::is_exact)
    }

    /// `[classes, classes]`: rows by label, then by prediction; empty for regression. A binary
    /// score of one half and more predicts class 1.
    #[must_use]
    pub fn confusion(&self) -> &[i64] {
        &self.confusion
    }
}

#[cfg(test)]
mod tests;
