//! An ensemble of trees, and the one that grows over the sample.

use pelton_kernels::math;

use super::bins::Bins;
use super::config::BoostConfig;
use super::pull::{Pull, Scale};
use super::sample::Sample;
use super::tree::{Room, Split, Tree, leaf_of};
use crate::Task;

/// Trees over the same bins; the margin of an output is its base and what its trees add.
#[derive(Clone, Debug, Default)]
pub(super) struct Generation {
    pub bins: Bins,
    /// Margins before the first tree, `[outputs]`.
    pub base: Vec<f32>,
    /// What a margin is in units of the target: mean and deviation (0 and 1 for classes).
    pub scale: [f32; 2],
    /// Splits from a root to a leaf.
    pub depth: usize,
    /// `[rounds, outputs, 2^depth - 1]`.
    pub splits: Vec<Split>,
    /// `[rounds, outputs, 2^depth]`.
    pub leaves: Vec<f32>,
    /// What the inner nodes would add, `[rounds, outputs, 2^depth - 1]`.
    pub inner: Vec<f32>,
}

/// A generation that is not whole, with what growing needs of the sample.
#[derive(Clone, Debug)]
pub(super) struct Growing {
    pub generation: Generation,
    /// Labels learned when it began, and in how many more it is whole.
    pub began: u64,
    pub period: u64,
    /// `[rows, width]` and `[rows, outputs]`, of the sample.
    codes: Vec<u8>,
    margins: Vec<f32>,
    pulls: Vec<Pull>,
    room: Room,
}

impl Generation {
    /// Adds this generation's margins of a row to `out`, in units of the target.
    pub fn add(&self, row: &[f32], codes: &mut [u8], out: &mut [f32]) {
        self.bins.encode(row, codes);
        for (output, out) in out.iter_mut().enumerate() {
            *out += self.scale[0] + self.scale[1] * self.margin(codes, output);
        }
    }

    /// Trees of all rounds.
    pub fn trees(&self) -> usize {
        self.leaves.len() >> self.depth
    }

    fn margin(&self, codes: &[u8], output: usize) -> f32 {
        let outputs = self.base.len();
        let (inner, outer) = ((1 << self.depth) - 1, 1 << self.depth);
        let splits = self.splits.chunks_exact(inner).skip(output).step_by(outputs);
        let leaves = self.leaves.chunks_exact(outer).skip(output).step_by(outputs);
        splits.zip(leaves).fold(self.base[output], |margin, (splits, leaves)| {
            margin + leaves[leaf_of(splits, self.depth, codes)]
        })
    }

    fn push(&mut self, tree: &Tree) {
        let (inner, leaves) = tree.values.split_at(tree.splits.len());
        self.splits.extend_from_slice(&tree.splits);
        self.leaves.extend_from_slice(leaves);
        self.inner.extend_from_slice(inner);
    }
}

/// What is predicted, from the margins of all outputs, in place.
pub(super) fn predict(task: Task, margins: &mut [f32]) {
    match task {
        Task::Binary => margins[0] = math::sigmoid_f32(margins[0]),
        Task::MultiClass { .. } => math::softmax_f32(margins),
        Task::Regression => {}
    }
}

/// The base of each output, and the scale of margins, by the rows seen.
pub(super) fn start(task: Task, sample: &Sample) -> (Vec<f32>, [f32; 2]) {
    let seen = |kind: usize| sample.strata[kind].mass + 0.5;
    match task {
        Task::Binary => (vec![math::ln(seen(1) / seen(0)) as f32], [0.0, 1.0]),
        Task::MultiClass { classes } => {
            ((0..classes as usize).map(|class| math::ln(seen(class)) as f32).collect(), [0.0, 1.0])
        }
        Task::Regression => {
            let rows = sample.len().max(1) as f64;
            let labels = || sample.labels.iter().map(|label| f64::from(*label));
            let mean = labels().sum::<f64>() / rows;
            let spread = labels().map(|label| (label - mean) * (label - mean)).sum::<f64>() / rows;
            let deviation = if spread > 1e-30 { spread.sqrt() } else { 1.0 };
            (vec![0.0], [mean as f32, deviation as f32])
        }
    }
}

impl Growing {
    /// Begins over the sample as it is.
    pub fn new(config: &BoostConfig, sample: &Sample, width: usize, began: u64) -> Growing {
        let (base, scale) = start(config.task, sample);
        let bins = Bins::of(&sample.rows, width);
        let generation =
            Generation { bins, base, scale, depth: config.depth, ..Generation::default() };
        let period = began.clamp(1, config.period_labels);
        Growing::of(generation, sample, width, (began, period))
    }

    /// Goes on with a generation that was begun.
    pub fn of(
        generation: Generation,
        sample: &Sample,
        width: usize,
        (began, period): (u64, u64),
    ) -> Growing {
        let (codes, margins, pulls) = (Vec::new(), Vec::new(), Vec::new());
        let room = Room::default();
        let mut growing = Growing { generation, began, period, codes, margins, pulls, room };
        (0..sample.len()).for_each(|place| growing.place(sample, place, width));
        growing
    }

    /// Takes in a row that the sample has put in a place, the one behind the last or an earlier.
    pub fn place(&mut self, sample: &Sample, place: usize, width: usize) {
        let outputs = self.generation.base.len();
        if self.codes.len() < (place + 1) * width || self.margins.len() < (place + 1) * outputs {
            self.codes.resize((place + 1) * width, 0);
            self.margins.resize((place + 1) * outputs, 0.0);
        }
        let codes = &mut self.codes[place * width..][..width];
        self.generation.bins.encode(sample.row(place), codes);
        for output in 0..outputs {
            self.margins[place * outputs + output] = self.generation.margin(codes, output);
        }
    }

    /// Rounds that should be there at so many labels.
    pub fn rounds_due(&self, config: &BoostConfig, labels: u64) -> usize {
        let share = (labels - self.began) as f64 / self.period as f64;
        ((share * config.rounds as f64) as usize).min(config.rounds)
    }

    /// Rounds there are.
    pub fn rounds(&self) -> usize {
        self.generation.trees() / self.generation.base.len()
    }

    /// Grows one tree for each output, all by the margins before the round.
    pub fn round(&mut self, config: &BoostConfig, sample: &Sample, width: usize) {
        let outputs = self.generation.base.len();
        let weights = sample.weights_by_kind();
        let mut before = self.margins.clone();
        before.chunks_exact_mut(outputs).for_each(|margins| predict(config.task, margins));
        let [mean, deviation] = self.generation.scale;
        for output in 0..outputs {
            let asks = |row: usize| {
                let weight = weights[sample.kinds[row] as usize] * sample.weights[row];
                let label = (sample.labels[row] - mean) / deviation;
                let predicted = before[row * outputs + output];
                derivatives(config.task, predicted, output, label).map(|value| weight * value)
            };
            let sums = (0..sample.len()).fold([0.0; 2], |[gradient, hessian], row| {
                let own = asks(row);
                [gradient + f64::from(own[0].abs()), hessian + f64::from(own[1])]
            });
            let scale = Scale::new(sums);
            let pull = |row: usize| Pull { row: row as u32, packed: scale.pack(asks(row)) };
            self.pulls.clear();
            self.pulls.extend((0..sample.len()).map(pull));
            let (codes, margins) = ((&self.codes[..], width), &mut self.margins);
            let pulls = (&mut self.pulls[..], scale);
            let tree = Tree::grow(&config.growth(), codes, pulls, &mut self.room, |value, rows| {
                for pull in rows {
                    margins[pull.row as usize * outputs + output] += value;
                }
            });
            self.generation.push(&tree);
        }
    }
}

/// First and second derivative of the loss by the margin of an output, by what it predicts.
pub(super) fn derivatives(task: Task, predicted: f32, output: usize, label: f32) -> [f32; 2] {
    let is_it = match task {
        Task::Binary => label == 1.0,
        Task::MultiClass { .. } => label as usize == output,
        Task::Regression => return [predicted - label, 1.0],
    };
    [predicted - f32::from(u8::from(is_it)), predicted * (1.0 - predicted)]
}
