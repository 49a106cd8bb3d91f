//! What a run of judged labels adds up to, and the figures that tell whether all is well.
//!
//! Sums are of a fixed run of labels in their order, so that no cut of the stream shows in them.
//! For classes the figures are in nats, shares and log odds; for a regression in units of the
//! past's own deviation of labels.

use std::io;

use pelton_kernels::math;
use pelton_kernels::state::{StateReader, StateWriter, invalid};
use pelton_models::Task;

/// What is watched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Measure {
    /// The loss, less that of predicting the window's own base rate.
    Loss,
    /// Mean prediction against mean label.
    Calibration,
    /// The size of the gradients.
    Step,
    /// Where the labels lie: the log odds of each class, or the mean.
    Labels,
    /// Labels per scored event.
    LabelRate,
}

impl Measure {
    /// Every measure.
    pub const ALL: [Measure; 5] =
        [Measure::Loss, Measure::Calibration, Measure::Step, Measure::Labels, Measure::LabelRate];

    /// Its name on the metrics page and in the log.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Measure::Loss => "loss",
            Measure::Calibration => "calibration",
            Measure::Step => "step",
            Measure::Labels => "labels",
            Measure::LabelRate => "label_rate",
        }
    }
}

/// A figure for each measure, in their order.
pub type Figures = [f64; Measure::ALL.len()];

/// A judged label as the guard sees it.
#[derive(Clone, Copy, Debug)]
pub struct Judged<'a> {
    /// What the model says of the event before it learns the label.
    pub scores: &'a [f32],
    /// The label.
    pub label: f32,
    /// Length of the event's features, the bias included.
    pub length: f64,
    /// Events scored before it.
    pub scored: u64,
}

/// Sums over a run of judged labels.
#[derive(Clone, Debug, PartialEq)]
pub struct Tally {
    /// Labels.
    pub rows: u64,
    /// Events scored while they arrived.
    pub events: u64,
    /// Losses: nats, or squared errors.
    loss: f64,
    /// Sizes of gradients.
    steps: f64,
    /// Sum of squared labels, for a regression.
    squares: f64,
    /// Predictions, per output.
    predicted: Vec<f64>,
    /// Labels: rows of each class (of the positive one), or their sum.
    labels: Vec<f64>,
}

/// What labels and errors are measured in, and compared with: the past's.
#[derive(Clone, Debug, PartialEq)]
pub struct Scale {
    /// Mean of labels, per output.
    pub labels: Vec<f64>,
    /// Their variance, for a regression.
    pub variance: f64,
}

/// So little that its logarithm tells nothing.
const TINY: f64 = 1e-9;
/// A loss is believed no further: an error of certainty costs so many nats.
const LOSS_MAX: f64 = 16.0;

impl Tally {
    /// Of nothing.
    pub fn new(task: Task) -> Tally {
        let zeros = vec![0.0; task.outputs()];
        let (predicted, labels) = (zeros.clone(), zeros);
        Tally { rows: 0, events: 0, loss: 0.0, steps: 0.0, squares: 0.0, predicted, labels }
    }

    /// Adds a label; false when something about it is not finite.
    pub fn add(&mut self, task: Task, judged: &Judged<'_>) -> bool {
        let Judged { scores, label, length, .. } = *judged;
        let label = f64::from(label);
        let (loss, error) = match task {
            Task::Binary => {
                let score = f64::from(scores[0]);
                self.labels[0] += label;
                let chance = if label == 1.0 { score } else { 1.0 - score };
                (nats(chance), (score - label).abs())
            }
            Task::MultiClass { .. } => {
                let class = label as usize;
                let Some(score) = scores.get(class) else { return false };
                self.labels[class] += 1.0;
                (nats(f64::from(*score)), 1.0 - f64::from(*score))
            }
            Task::Regression => {
                let error = f64::from(scores[0]) - label;
                self.labels[0] += label;
                self.squares += label * label;
                (error * error, error.abs())
            }
        };
        for (sum, score) in self.predicted.iter_mut().zip(scores) {
            *sum += f64::from(*score);
        }
        self.rows += 1;
        self.loss += loss;
        self.steps += error * length;
        loss.is_finite() && (error * length).is_finite()
    }

    /// Several runs as one, the last of them first.
    pub fn of(runs: &[Tally], task: Task) -> Tally {
        let mut whole = Tally::new(task);
        runs.iter().rev().for_each(|run| whole.append(run));
        whole
    }

    /// Adds a run that followed.
    fn append(&mut self, other: &Tally) {
        self.rows += other.rows;
        self.events += other.events;
        self.loss += other.loss;
        self.steps += other.steps;
        self.squares += other.squares;
        let add = |sums: &mut Vec<f64>, others: &[f64]| {
            sums.iter_mut().zip(others).for_each(|(sum, other)| *sum += other);
        };
        add(&mut self.predicted, &other.predicted);
        add(&mut self.labels, &other.labels);
    }

    /// Mean and variance of the labels.
    pub fn scale(&self) -> Scale {
        let rows = self.rows.max(1) as f64;
        let labels: Vec<f64> = self.labels.iter().map(|sum| sum / rows).collect();
        let variance = (self.squares / rows - labels[0] * labels[0]).max(0.0);
        Scale { labels, variance }
    }

    /// The figures of a window of these runs, beside a past of this scale. Loss and steps are those
    /// of the worst run: a model that learns from wrong labels soon agrees with them.
    pub fn figures(runs: &[Tally], task: Task, past: &Scale) -> Figures {
        let window = Tally::of(runs, task);
        let own = window.scale();
        let worst = |of: &dyn Fn(&Tally) -> f64| {
            let means = runs.iter().filter(|run| run.rows > 0).map(|run| of(run) / run.rows as f64);
            means.fold(0.0, f64::max)
        };
        let (mut loss, mut step) = (worst(&|run| run.loss), worst(&|run| run.steps));
        let rows = window.rows.max(1) as f64;
        let predicted: Vec<f64> = window.predicted.iter().map(|sum| sum / rows).collect();
        let mut calibration = apart(&predicted, &own.labels, |mean| mean);
        let labels = if task == Task::Regression {
            let unit = past.variance.max(TINY).sqrt();
            // A stretch of equal labels is no reason to measure errors in nothing.
            let variance = own.variance.max(0.01 * past.variance).max(TINY);
            loss = math::ln((loss + TINY) / variance);
            (step, calibration) = (step / unit, calibration / unit);
            apart(&own.labels, &past.labels, |mean| mean / unit)
        } else {
            loss -= entropy(task, &own.labels);
            // One label more of each side, so that none is no infinity.
            let odds = |share: f64| math::ln((share * rows + 1.0) / ((1.0 - share) * rows + 1.0));
            apart(&own.labels, &past.labels, odds)
        };
        let per_event = (window.rows as f64 + 1.0) / (window.events as f64 + 1.0);
        [loss, calibration, math::ln(step + 1e-3), labels, math::ln(per_event)]
    }

    /// Writes it.
    pub fn write(&self, state: &mut StateWriter<'_>) -> io::Result<()> {
        state.slice(&[self.rows, self.events])?;
        state.slice(&[self.loss, self.steps, self.squares])?;
        state.slice(&self.predicted)?;
        state.slice(&self.labels)
    }

    /// Reads what [`Tally::write`] wrote.
    pub fn read(task: Task, state: &mut StateReader<'_>) -> io::Result<Tally> {
        let [rows, events] = state.get()?;
        let [loss, steps, squares] = state.get()?;
        let (predicted, labels) = (state.numbers(task.outputs())?, state.numbers(task.outputs())?);
        if events > 1 << 60 || rows > 1 << 60 {
            return Err(invalid("the guard has seen more than there can be"));
        }
        Ok(Tally { rows, events, loss, steps, squares, predicted, labels })
    }
}

/// The largest distance of two lists, both seen through `view`.
fn apart(own: &[f64], other: &[f64], view: impl Fn(f64) -> f64) -> f64 {
    own.iter().zip(other).fold(0.0, |most, (a, b)| most.max((view(*a) - view(*b)).abs()))
}

fn nats(chance: f64) -> f64 {
    if chance <= 0.0 { LOSS_MAX } else { (-math::ln(chance)).clamp(0.0, LOSS_MAX) }
}

/// The loss of predicting these shares.
fn entropy(task: Task, shares: &[f64]) -> f64 {
    let part = |share: f64| if share > 0.0 { -share * math::ln(share) } else { 0.0 };
    match task {
        Task::Binary => part(shares[0]) + part(1.0 - shares[0]),
        _ => shares.iter().fold(0.0, |sum, share| sum + part(*share)),
    }
}
