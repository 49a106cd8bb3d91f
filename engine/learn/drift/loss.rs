//! The loss of the model, as labels judge the scores their events were given.
//!
//! In `0..=1`, as ADWIN asks for: of classes it is 1 less the probability given to what came true;
//! of a regression `e / (e + s)` of the error `e`, where `s` is the mean error of the labels of the
//! warm-up. Detectors take means of [`BLOCK`] labels: it makes them an eighth as dear, and what is
//! rare and large (a fraud) more like what their bounds were made for. Only a rise is a drift: that
//! the model gets better is what it is for.

use std::io;

use pelton_kernels::state::{StateReader, StateWriter, invalid};
use pelton_models::Task;
use pelton_models::drift::{Adwin, PageHinkley};

use super::alerts::Detector;
use crate::config::drift::DriftConfig;

/// Labels whose mean loss is one value of a detector.
pub const BLOCK: u64 = 8;

/// The loss has risen.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LossDrift {
    /// What has found it.
    pub detector: Detector,
    /// The mean loss before.
    pub before: f64,
    /// The mean loss since.
    pub after: f64,
}

/// The detectors of the loss.
#[derive(Clone, Debug)]
pub struct LossWatch {
    task: Task,
    warm_up_labels: u64,
    /// Labels that have judged; those that are no number are not among them.
    judged: u64,
    /// Sum of the errors of a regression's warm-up.
    errors: f64,
    block: f64,
    adwin: Adwin,
    page_hinkley: PageHinkley,
    /// For each of the two: the least mean since its last alert, infinite before any.
    usual: [f64; 2],
}

impl LossWatch {
    /// Before the first label.
    pub fn new(config: &DriftConfig, task: Task) -> LossWatch {
        LossWatch {
            task,
            warm_up_labels: config.warm_up_labels,
            judged: 0,
            errors: 0.0,
            block: 0.0,
            adwin: Adwin::new(config.delta),
            page_hinkley: PageHinkley::new(config.tolerance, config.threshold),
            usual: [f64::INFINITY; 2],
        }
    }

    /// Mean loss in the window of ADWIN, NaN before there is one, and the labels that is of.
    pub fn mean(&self) -> (f64, u64) {
        let labels = self.adwin.width() * BLOCK;
        (if labels == 0 { f64::NAN } else { self.adwin.mean() }, labels)
    }

    /// Takes in the score an event was given and its label.
    pub fn observe(&mut self, scores: &[f32], label: f32) -> [Option<LossDrift>; 2] {
        let error = match self.task {
            Task::Binary | Task::Regression => (f64::from(scores[0]) - f64::from(label)).abs(),
            Task::MultiClass { .. } => {
                let score = scores.get(label as usize).copied().unwrap_or(f32::NAN);
                1.0 - f64::from(score)
            }
        };
        if !error.is_finite() {
            return [None; 2];
        }
        self.judged += 1;
        if self.judged <= self.warm_up_labels {
            self.errors += error;
            return [None; 2];
        }
        self.block += match self.task {
            Task::Binary | Task::MultiClass { .. } => error.clamp(0.0, 1.0),
            // Where the warm-up had no error, any is as large as can be.
            Task::Regression if error == 0.0 => 0.0,
            Task::Regression => error / (error + self.scale()),
        };
        if !(self.judged - self.warm_up_labels).is_multiple_of(BLOCK) {
            return [None; 2];
        }
        let loss = self.block / BLOCK as f64;
        self.block = 0.0;
        [self.adwin(loss), self.page_hinkley(loss)]
    }

    fn scale(&self) -> f64 {
        self.errors / self.warm_up_labels.max(1) as f64
    }

    fn adwin(&mut self, loss: f64) -> Option<LossDrift> {
        let before = self.adwin.mean();
        let is_cut = self.adwin.update(loss);
        let after = self.adwin.mean();
        let detector = Detector::Adwin;
        if is_cut {
            let least = &mut self.usual[detector as usize];
            *least = least.min(after);
        }
        (is_cut && after > before).then_some(LossDrift { detector, before, after })
    }

    fn page_hinkley(&mut self, loss: f64) -> Option<LossDrift> {
        let rise = self.page_hinkley.update(loss)?;
        let detector = Detector::PageHinkley;
        Some(LossDrift { detector, before: rise.before, after: rise.after })
    }

    /// What the loss was before this drift and those before it that gave no alert, if it has risen
    /// by more than a part of that. A window that drops its old part bit by bit, and sums that
    /// begin anew, see each rise as several small ones.
    pub fn usual_before(&mut self, drift: &LossDrift, rise: f64) -> Option<f64> {
        let least = &mut self.usual[drift.detector as usize];
        *least = least.min(drift.before);
        (drift.after >= *least * (1.0 + rise)).then_some(*least)
    }

    /// After an alert the loss is usual as it is now.
    pub fn set_usual(&mut self, drift: &LossDrift, is_given: bool) {
        if is_given {
            self.usual[drift.detector as usize] = drift.after;
        }
    }

    /// Writes what labels have changed.
    pub fn write(&self, state: &mut StateWriter<'_>) -> io::Result<()> {
        state.put(self.judged)?;
        state.slice(&[self.errors, self.block])?;
        state.slice(&self.usual)?;
        self.adwin.write(state)?;
        self.page_hinkley.write(state)
    }

    /// Reads what [`LossWatch::write`] wrote under the same settings.
    pub fn read(&mut self, state: &mut StateReader<'_>) -> io::Result<()> {
        self.judged = state.get()?;
        [self.errors, self.block] = state.get()?;
        self.usual = state.get()?;
        let is_whole = (0.0..=f64::MAX).contains(&self.errors)
            && (0.0..=BLOCK as f64).contains(&self.block)
            && self.usual.iter().all(|least| *least >= 0.0)
            && self.judged < 1 << 60;
        if !is_whole {
            return Err(invalid("losses do not add up"));
        }
        self.adwin.read(state)?;
        self.page_hinkley.read(state)
    }
}
