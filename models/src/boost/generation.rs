//! An ensemble of trees, and the one that grows over the sample.

use pelton_kernels::hash::mix64;
use pelton_kernels::math;

use super::bins::Bins;
use super::config::BoostConfig;
use super::pull::{Pull, Scale};
use super::sample::Sample;
use super::tree::{Codes, Room, Split, Tree, leaf_of};
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
    /// `[rounds, outputs, 2^depth]`.
    pub splits: Vec<Split>,
    /// `[rounds, outputs, 2^depth]`.
    pub leaves: Vec<f32>,
    /// What the inner nodes would add, `[rounds, outputs, 2^depth]`.
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
    /// What is predicted for each, before a round.
    pub before: Vec<f32>,
    asks: Vec<[f32; 2]>,
    pub pulls: Vec<Pull>,
    left_out: Vec<u32>,
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
        // The depth as a constant where it is a usual one: the walk is unrolled.
        match self.depth {
            3 => self.margin_of::<8>(3, codes, output),
            4 => self.margin_of::<16>(4, codes, output),
            5 => self.margin_of::<32>(5, codes, output),
            6 => self.margin_of::<64>(6, codes, output),
            depth => {
                let size = 1 << depth;
                let trees = self.splits.chunks_exact(size).zip(self.leaves.chunks_exact(size));
                let own = trees.skip(output).step_by(self.base.len());
                own.fold(self.base[output], |margin, (splits, leaves)| {
                    margin + leaves[leaf_of(splits, depth, codes)]
                })
            }
        }
    }

    #[inline]
    fn margin_of<const SIZE: usize>(&self, depth: usize, codes: &[u8], output: usize) -> f32 {
        let (splits, _) = self.splits.as_chunks::<SIZE>();
        let (leaves, _) = self.leaves.as_chunks::<SIZE>();
        let add = |margin: f32, (splits, leaves): (&[Split; SIZE], &[f32; SIZE])| {
            margin + leaves[leaf_of(splits, depth, codes) & (SIZE - 1)]
        };
        match self.base.len() {
            1 => splits.iter().zip(leaves).fold(self.base[0], add),
            outputs => {
                let splits = splits.iter().skip(output).step_by(outputs);
                let leaves = leaves.iter().skip(output).step_by(outputs);
                splits.zip(leaves).fold(self.base[output], add)
            }
        }
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
    let seen = |class: usize| sample.strata[class].seen as f64 + 0.5;
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
        let mut growing = Growing {
            generation,
            began,
            period,
            codes: Vec::new(),
            margins: Vec::new(),
            before: Vec::new(),
            asks: Vec::new(),
            pulls: Vec::new(),
            left_out: Vec::new(),
            room: Room::default(),
        };
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
        self.before.clone_from(&self.margins);
        predict_all(config.task, outputs, &mut self.before);
        for output in 0..outputs {
            self.ask(config.task, sample, (output, outputs));
            let seed = mix64(
                self.began.wrapping_mul(1 << 20).wrapping_add(self.generation.trees() as u64),
            );
            let scale = self.draw_rows(config.rows_share, seed);
            let codes = Codes { codes: &self.codes, width };
            let margins = &mut self.margins;
            let pulls = (&mut self.pulls[..], scale);
            let tree = Tree::grow(&config.growth(), codes, pulls, &mut self.room, |value, rows| {
                for pull in rows {
                    margins[pull.row as usize * outputs + output] += value;
                }
            });
            let leaves = &tree.values[tree.splits.len()..];
            for row in &self.left_out {
                let row = *row as usize;
                let codes = &self.codes[row * width..][..width];
                let leaf = leaf_of(&tree.splits, config.depth, codes);
                self.margins[row * outputs + output] += leaves[leaf];
            }
            self.generation.push(&tree);
        }
    }

    /// What each row asks of the tree of an output, with its weight.
    pub fn ask(&mut self, task: Task, sample: &Sample, (output, outputs): (usize, usize)) {
        let weights = sample.weights_by_kind();
        let [mean, deviation] = self.generation.scale;
        let own = self.before.iter().skip(output).step_by(outputs).zip(&sample.labels);
        let own = own.zip(sample.weights.iter().zip(&sample.kinds));
        self.asks.clear();
        self.asks.extend(own.map(|((predicted, label), (weight, kind))| {
            let weight = weights[*kind as usize] * weight;
            let label = (label - mean) / deviation;
            derivatives(task, *predicted, output, label).map(|value| weight * value)
        }));
    }

    /// Draws the rows that a tree is grown from, each about as likely as it is wrong, and counting
    /// for as much more as it is less likely (Ibragimov, Gusev 2019, "Minimal variance sampling in
    /// stochastic gradient boosting").
    pub fn draw_rows(&mut self, share: f32, seed: u64) -> Scale {
        self.pulls.clear();
        self.left_out.clear();
        let size =
            |[gradient, hessian]: [f32; 2]| (gradient * gradient + 0.1 * hessian * hessian).sqrt();
        if share < 1.0 {
            let total: f64 = self.asks.iter().map(|ask| f64::from(size(*ask))).sum();
            let likely = (f64::from(share) * self.asks.len() as f64 / total) as f32;
            for (row, ask) in self.asks.iter_mut().enumerate() {
                let probability = size(*ask) * likely;
                if probability >= 1.0 {
                    continue;
                }
                let drawn = (mix64(seed ^ row as u64) >> 40) as f32 / 16_777_216.0;
                let factor = if drawn < probability { 1.0 / probability } else { 0.0 };
                *ask = ask.map(|value| value * factor);
                if factor == 0.0 {
                    self.left_out.push(row as u32);
                }
            }
        }
        let sums = self.asks.iter().fold([0.0; 2], |[gradient, hessian], ask| {
            [gradient + f64::from(ask[0].abs()), hessian + f64::from(ask[1])]
        });
        let scale = Scale::new(sums);
        let mut out = self.left_out.iter().peekable();
        for (row, ask) in self.asks.iter().enumerate() {
            if out.next_if(|left_out| **left_out == row as u32).is_none() {
                self.pulls.push(Pull { row: row as u32, packed: scale.pack(*ask) });
            }
        }
        scale
    }
}

/// [`predict`] of many rows.
fn predict_all(task: Task, outputs: usize, margins: &mut [f32]) {
    match task {
        // One loop over all, which is one of vectors.
        Task::Binary => margins.iter_mut().for_each(|margin| *margin = math::sigmoid_f32(*margin)),
        _ => margins.chunks_exact_mut(outputs).for_each(|margins| predict(task, margins)),
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
