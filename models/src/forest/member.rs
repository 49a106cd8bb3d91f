//! A tree of the forest, and the challenger that may replace it.
//!
//! ADWIN (Bifet, Gavalda 2007) watches how much probability the tree gives to what turns out
//! false. When that rises, a challenger begins to grow beside the tree; it replaces the tree when
//! its losses on the same rows are lower by a stated number of standard errors, and is given up
//! when they have not been for some time. In Gomes et al. 2017 a second alarm replaces the tree
//! whatever the other one is worth; here nodes follow drift by themselves, so that a tree is often
//! still the better one (`docs/forest.md` has the figures).

use pelton_kernels::math;

use super::bins::{Bins, Remap};
use super::config::{ForestConfig, MEMORIES};
use super::tree::{Row, Tree};
use crate::Task;
use crate::drift::Adwin;

/// Rows that the trailing loss of a tree lasts.
const LOSS_ROWS: f32 = 500.0;
/// Trials after which a challenger is given up.
const TRIALS_MAX: f32 = 5.0;
/// The share of a trial after which a challenger may win.
const TRIAL_LEAST: f32 = 0.3;
/// A squared error is at most so many variances, so that one label decides nothing.
const ERROR_MAX: f32 = 100.0;

/// The tree that votes, and what watches over it.
#[derive(Clone, Debug)]
pub(super) struct Member {
    pub tree: Tree,
    /// Its trailing loss.
    pub loss: f32,
    pub warning: Adwin,
    pub challenger: Option<Challenger>,
}

/// A younger tree beside it.
#[derive(Clone, Debug)]
pub(super) struct Challenger {
    pub tree: Tree,
    /// Rows it was compared by.
    pub rows: f32,
    /// Mean and variance of what its loss is below that of the tree.
    pub ahead: [f32; 2],
}

/// What became of a member by a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// Nothing.
    Stays,
    /// It asks for a challenger.
    Warned,
    /// The challenger has taken its place.
    Replaced,
}

impl Member {
    /// A member with this tree.
    pub fn new(config: &ForestConfig, tree: Tree) -> Member {
        Member { tree, loss: 0.0, warning: Adwin::new(config.warning), challenger: None }
    }

    /// Learns a row that the tree counts `bag` times; what the tree predicted before.
    ///
    /// # Shapes
    /// `predicted, room: [MEMORIES, outputs]`.
    pub fn predict_and_learn(
        &mut self,
        (row, bag, spread): (&Row<'_>, f32, f32),
        predicted: &mut [f32],
        room: &mut [f32],
    ) -> Fate {
        self.tree.predict_and_learn(row, bag, predicted);
        let [loss, wrong] = losses(row.config.task, predicted, row.label, spread);
        self.loss += (loss - self.loss) / LOSS_ROWS;
        let before = self.warning.mean();
        let is_worse = self.warning.update(f64::from(wrong)) && self.warning.mean() > before;
        let Some(challenger) = &mut self.challenger else {
            return if is_worse { Fate::Warned } else { Fate::Stays };
        };
        challenger.tree.predict_and_learn(row, bag, room);
        let [other, _] = losses(row.config.task, room, row.label, spread);
        challenger.compare(row.config, loss - other);
        if challenger.is_better(row.config) {
            self.loss -= challenger.ahead[0];
            self.warning = Adwin::new(row.config.warning);
            if let Some(challenger) = self.challenger.take() {
                self.tree = challenger.tree;
            }
            return Fate::Replaced;
        }
        if challenger.rows >= TRIALS_MAX * row.config.trial_rows {
            self.challenger = None;
        }
        Fate::Stays
    }

    /// Lets a tree grow beside this one.
    pub fn challenge(&mut self, config: &ForestConfig, bins: &Bins, seed: u64) {
        let tree = Tree::beside(&self.tree, config, bins, seed);
        self.challenger = Some(Challenger { tree, rows: 0.0, ahead: [0.0; 2] });
    }

    /// Carries the histograms over to new bins.
    pub fn remap(&mut self, config: &ForestConfig, bins: &Bins, remap: &Remap) {
        self.tree.remap(config, bins, remap);
        if let Some(challenger) = &mut self.challenger {
            challenger.tree.remap(config, bins, remap);
        }
    }
}

impl Challenger {
    fn compare(&mut self, config: &ForestConfig, ahead: f32) {
        self.rows += 1.0;
        let rate = 1.0 / self.rows.min(config.trial_rows);
        let off = ahead - self.ahead[0];
        self.ahead[0] += off * rate;
        self.ahead[1] += (off * off - self.ahead[1]) * rate;
    }

    fn is_better(&self, config: &ForestConfig) -> bool {
        let [mean, variance] = self.ahead;
        let rows = self.rows.min(config.trial_rows);
        let errors = config.trial_errors * config.trial_errors;
        rows >= TRIAL_LEAST * config.trial_rows
            && mean > 0.0
            && mean * mean * rows > errors * variance
    }
}

/// The loss of what a tree predicts, all memories together, and how wrong it is in `0..=1`.
///
/// `spread` is the variance of labels that are values.
pub(super) fn losses(task: Task, predicted: &[f32], label: f32, spread: f32) -> [f32; 2] {
    let outputs = task.outputs();
    let class = if let Task::MultiClass { .. } = task { label as usize } else { 0 };
    let own = predicted.iter().skip(class).step_by(outputs);
    let mean = own.sum::<f32>() / MEMORIES as f32;
    let right = match task {
        Task::Regression => {
            let loss = ((mean - label) * (mean - label) / spread).min(ERROR_MAX);
            return [loss, loss / (1.0 + loss)];
        }
        Task::Binary if label == 0.0 => 1.0 - mean,
        Task::Binary | Task::MultiClass { .. } => mean,
    };
    [-math::ln_f32(right.clamp(1e-4, 1.0)), (1.0 - right).clamp(0.0, 1.0)]
}
