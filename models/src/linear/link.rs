//! Between linear scores and what is predicted: links, losses, labels, and the unit of a target.

mod draw;

use std::io;

use pelton_kernels::coordinate::device::Running;
use pelton_kernels::math::{exp_f32, ln_f32, logit_f32, sigmoid_f32, softmax_f32, softplus_f32};
use pelton_kernels::state::{StateReader, StateWriter};

use crate::Task;

/// A residual beyond this many typical ones pulls no harder (Huber 1964).
const RESIDUAL_MAX: f32 = 3.0;

/// The link of a task with what it has to remember.
#[derive(Debug, Clone)]
pub(crate) struct Link {
    pub task: Task,
    pub outputs: usize,
    positive_weight: f32,
    shift: f32,
    target: Target,
}

/// Running mean and deviation of a regression's targets, and the usual size of its residuals.
#[derive(Debug, Clone, Copy, Default)]
struct Target {
    count: u64,
    mean: f64,
    squares: f64,
    residual: f32,
}

impl Link {
    pub fn new(task: Task, positive_weight: f32) -> Link {
        let shift = ln_f32(positive_weight);
        Link { task, outputs: task.outputs(), positive_weight, shift, target: Target::default() }
    }

    /// Probabilities or the value from linear scores, in place.
    pub fn predict(&self, scores: &mut [f32]) {
        match self.task {
            Task::Binary => scores[0] = sigmoid_f32(scores[0] - self.shift),
            Task::MultiClass { .. } => softmax_f32(scores),
            Task::Regression => {
                let value = self.target.mean + f64::from(scores[0]) * self.target.deviation();
                scores[0] = value as f32;
            }
        }
    }

    /// Contributions to linear scores as ones to log odds or the value, in place.
    ///
    /// # Shapes
    /// `out: [outputs, width]`, the base last.
    pub fn explain(&self, out: &mut [f32], width: usize) {
        match self.task {
            Task::Binary => out[width - 1] -= self.shift,
            Task::MultiClass { .. } => {}
            Task::Regression => {
                let deviation = self.target.deviation();
                out.iter_mut().for_each(|own| *own = (f64::from(*own) * deviation) as f32);
                out[width - 1] = (f64::from(out[width - 1]) + self.target.mean) as f32;
            }
        }
    }

    /// What the example counts for, or nothing when it cannot be learned.
    pub fn importance(&self, label: f32, weight: f32) -> Option<f32> {
        let is_label = match self.task {
            Task::Binary => label == 0.0 || label == 1.0,
            Task::MultiClass { classes } => {
                label >= 0.0 && label < classes as f32 && label.fract() == 0.0
            }
            Task::Regression => label.abs() <= 1e30,
        };
        let positive =
            if self.task == Task::Binary && label == 1.0 { self.positive_weight } else { 1.0 };
        let importance = weight * positive;
        (is_label && (0.0..=1e9).contains(&importance)).then_some(importance)
    }

    /// The most that the derivative of the loss by a score changes with that score: 1/4 for the
    /// logistic loss, 1/2 for softmax (Böhning 1992), 1 for the squared.
    pub fn curvature_max(&self) -> f32 {
        match self.task {
            Task::Binary => 0.25,
            Task::MultiClass { .. } => 0.5,
            Task::Regression => 1.0,
        }
    }

    /// Takes a label in: after this, targets and residuals are measured with it.
    pub fn observe(&mut self, label: f32) {
        if self.task == Task::Regression {
            self.target.observe(f64::from(label));
        }
    }

    /// The label in the unit of linear scores (regression).
    pub fn target(&self, label: f32) -> f32 {
        ((f64::from(label) - self.target.mean) / self.target.deviation()) as f32
    }

    /// The unit of linear scores and where their zero is, in that of what is predicted: deviation
    /// and mean of the targets (regression), or 1 and 0.
    pub fn unit(&self) -> (f32, f32) {
        match self.task {
            Task::Regression => (self.target.deviation() as f32, self.target.mean as f32),
            _ => (1.0, -self.shift),
        }
    }

    /// `residual`, no larger than three times the usual.
    pub fn limited(&self, residual: f32) -> f32 {
        let limit = RESIDUAL_MAX * self.target.usual();
        residual.clamp(-limit, limit)
    }

    /// Lets the usual residual, over the last hundred or so, follow that of a score (regression).
    pub fn follow(&mut self, score: f32, label: f32) {
        if self.task != Task::Regression {
            return;
        }
        let usual = self.target.usual();
        let residual = score - self.target(label);
        // A residual moves the estimate by at most five times it, so that an outlier stays one.
        let seen = residual.abs().min(5.0 * usual);
        self.target.residual = usual + 0.01 * (seen - usual);
    }

    /// The loss of a set of linear scores.
    pub fn loss(&self, scores: &[f32], label: f32) -> f32 {
        if self.outputs == 1 {
            return self.single_loss(scores[0], label);
        }
        let largest = scores.iter().fold(f32::MIN, |largest, score| largest.max(*score));
        let total = scores.iter().fold(0.0, |total, score| total + exp_f32(score - largest));
        ln_f32(total) - (scores[label as usize] - largest)
    }

    /// The loss of a linear score, for tasks with one output.
    #[inline]
    pub fn single_loss(&self, score: f32, label: f32) -> f32 {
        if self.task == Task::Regression {
            let relative = (score - self.target(label)).abs() / self.target.usual();
            return relative.min(8.0);
        }
        let margin = score - self.shift;
        softplus_f32(if label == 1.0 { -margin } else { margin })
    }

    /// [`Link::single_loss`] of several scores at once: the loop is one of vectors.
    #[inline]
    pub fn single_losses<const N: usize>(&self, scores: &[f32; N], label: f32) -> [f32; N] {
        let mut losses = [0.0; N];
        if self.task == Task::Regression {
            for lane in 0..N {
                losses[lane] = self.single_loss(scores[lane], label);
            }
            return losses;
        }
        let sign = if label == 1.0 { -1.0 } else { 1.0 };
        for lane in 0..N {
            losses[lane] = softplus_f32(sign * (scores[lane] - self.shift));
        }
        losses
    }

    /// Mean and deviation of targets: what [`Link::predict`] makes of a score (regression).
    pub fn target_unit(&self) -> [f64; 2] {
        [self.target.mean, self.target.deviation()]
    }

    /// What is remembered of targets and residuals, as a device has it.
    pub fn target_state(&self) -> Running {
        let Target { count, mean, squares, residual } = self.target;
        let (target_count, target_mean, target_squares) = (count, mean, squares);
        Running { target_count, target_mean, target_squares, residual, ..Running::default() }
    }

    /// Takes it.
    pub fn set_target_state(&mut self, running: &Running) {
        let Running { target_count, target_mean, target_squares, residual, .. } = *running;
        let (count, mean, squares) = (target_count, target_mean, target_squares);
        self.target = Target { count, mean, squares, residual };
    }

    /// What is taken off the log odds before they become a probability.
    pub fn shift(&self) -> f32 {
        self.shift
    }

    pub fn write(&self, state: &mut StateWriter<'_>) -> io::Result<()> {
        let Target { count, mean, squares, residual } = self.target;
        state.put(count)?;
        state.slice(&[mean, squares])?;
        state.put(residual)
    }

    pub fn read(&mut self, state: &mut StateReader<'_>) -> io::Result<()> {
        let count = state.get()?;
        let [mean, squares] = state.get()?;
        self.target = Target { count, mean, squares, residual: state.get()? };
        Ok(())
    }
}

impl Target {
    /// Welford 1962; once there is a deviation to speak of, a target counts as at most five of it
    /// away, so that a few outliers do not become the unit everything is measured in.
    fn observe(&mut self, label: f64) {
        let limit = if self.count < 30 { f64::MAX } else { 5.0 * self.deviation() };
        self.count += 1;
        let moved = (label - self.mean).clamp(-limit, limit);
        let step = moved / self.count as f64;
        self.mean += step;
        self.squares += moved * (moved - step);
    }

    fn deviation(&self) -> f64 {
        let variance = self.squares / self.count.max(1) as f64;
        if variance > 1e-30 { variance.sqrt() } else { 1.0 }
    }

    fn usual(&self) -> f32 {
        if self.residual > 0.0 { self.residual.max(1e-6) } else { 1.0 }
    }
}

/// The log odds of a probability of a softmax, finite.
pub(crate) fn class_log_odds(probability: f32) -> f32 {
    logit_f32(probability.clamp(1e-7, 1.0 - 1e-7))
}
