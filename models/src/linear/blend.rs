//! Four linear experts, weighted by how well they have predicted: the optimiser without a knob.
//!
//! No single rate serves a stream that stands still and one that runs. So four models with
//! different memories learn side by side and are pooled by fixed share over exponential weights
//! ([`pelton_kernels::mixture`]): two extended Kalman filters, exact second order on the dense block
//! (up to [`FULL_MAX`] inputs, diagonal beyond and on sparse coordinates), that forget in proportion
//! to the information they gain, and two descents at constant rates. All take implicit steps
//! ([`pelton_kernels::implicit`]), so none overshoots. The settings below were chosen on synthetic
//! streams with and without drift and recorded ones, where they matter little: see
//! `docs/linear.md`.

use std::io::{self, Read, Write};

use pelton_kernels::blend::{BlendCell, BlendStep, EXPERTS, FILTERS};
use pelton_kernels::covariance::Covariance;
use pelton_kernels::implicit::pulls;
use pelton_kernels::mixture::Mixture;
use pelton_kernels::prefetch::prefetch;

use super::link::{Link, class_log_odds, softmax};
use super::rows::{Row, RowLearner, is_finite, padded};
use super::state;
use crate::{ABSENT, FeatureShape, Task};

/// Dense inputs, with the bias, up to which the filters keep full covariances.
const FULL_MAX: usize = 65;
/// Forgetting of the filters per example of full uncertainty (information 1/4).
const FORGETTING: [f32; FILTERS] = [5e-4, 8e-3];
/// Prior variances of dense weights.
const PRIORS: [f32; FILTERS] = [1.0, 0.1];
/// Prior variances of sparse weights: this much for all the categories of a row together, so that
/// a row of many columns does not start out noisier than one of few; then the most for one.
const SPARSE_PRIORS: [(f32, f32); FILTERS] = [(2.0, 1.0), (0.7, 0.1)];
/// The second descent's rate over the first's.
const RATE_RATIO: f32 = 10.0;
const MIXTURE: Mixture = Mixture { rate: 0.5, share: 1e-5 };
/// Inputs longer than this (squared) are refused: products of two stay finite.
const LENGTH_MAX: f32 = 1e30;

/// The experts and their weights.
pub(super) struct Blend {
    link: Link,
    classes: usize,
    width: usize,
    rates: [f32; EXPERTS],
    sparse_priors: [f32; FILTERS],
    penalties: [f32; 2],
    dense: Vec<BlendCell>,
    covariances: Vec<Covariance>,
    sparse: Vec<BlendCell>,
    mixture: [f32; EXPERTS],
    inputs: Vec<f64>,
    projected: [Vec<f64>; FILTERS],
    probabilities: Vec<f32>,
}

impl Blend {
    pub fn new(
        link: Link,
        shape: FeatureShape,
        width: usize,
        rate: f32,
        penalties: [f32; 2],
    ) -> Blend {
        let classes = link.outputs;
        let width = width + 1;
        let filters = if width <= FULL_MAX { classes } else { 0 };
        let covariances = (0..filters)
            .flat_map(|_| PRIORS.map(|prior| Covariance::new(width, f64::from(prior))))
            .collect();
        let buckets = if shape.sparse_width == 0 { 0 } else { 1_usize << shape.sparse_bits };
        let stride = padded(width);
        Blend {
            classes,
            width,
            rates: [0.0, 0.0, rate, rate * RATE_RATIO],
            sparse_priors: SPARSE_PRIORS
                .map(|(all, most)| (all / shape.sparse_width.max(1) as f32).min(most)),
            penalties,
            dense: vec![BlendCell::default(); classes * width],
            covariances,
            sparse: vec![BlendCell::default(); classes * buckets],
            mixture: [1.0 / EXPERTS as f32; EXPERTS],
            inputs: vec![0.0; stride],
            projected: [vec![0.0; stride], vec![0.0; stride]],
            probabilities: vec![0.0; classes * EXPERTS],
            link,
        }
    }

    #[inline]
    fn class_score(&self, row: Row<'_>, class: usize) -> [f32; EXPERTS] {
        let mut sums = [0.0; EXPERTS];
        let dense = &self.dense[class * self.width..(class + 1) * self.width];
        for (cell, value) in dense.iter().zip(row.values) {
            for (sum, weight) in sums.iter_mut().zip(cell.weights) {
                *sum += weight * value;
            }
        }
        let mut sparse = [0.0; EXPERTS];
        for index in row.sparse.iter().filter(|index| **index != ABSENT) {
            let cell = &self.sparse[*index as usize * self.classes + class];
            for (sum, weight) in sparse.iter_mut().zip(cell.weights) {
                *sum += weight;
            }
        }
        std::array::from_fn(|lane| sums[lane] + sparse[lane])
    }

    /// `x' P x` of each filter.
    fn spreads(&mut self, row: Row<'_>, class: usize) -> [f32; FILTERS] {
        let mut spreads = [0.0; FILTERS];
        if self.covariances.is_empty() {
            let dense = &self.dense[class * self.width..(class + 1) * self.width];
            for (cell, value) in dense.iter().zip(row.values) {
                for filter in 0..FILTERS {
                    spreads[filter] += cell.variance(filter, PRIORS[filter]) * value * value;
                }
            }
        } else {
            let covariances = &self.covariances[class * FILTERS..(class + 1) * FILTERS];
            for ((spread, covariance), projected) in
                spreads.iter_mut().zip(covariances).zip(&mut self.projected)
            {
                let stride = covariance.stride();
                let projected = &mut projected[..stride];
                *spread = covariance.project(&self.inputs[..stride], projected) as f32;
            }
        }
        for index in row.sparse.iter().filter(|index| **index != ABSENT) {
            let cell = &self.sparse[*index as usize * self.classes + class];
            for (filter, spread) in spreads.iter_mut().enumerate() {
                *spread += cell.variance(filter, self.sparse_priors[filter]);
            }
        }
        spreads
    }

    /// What the example does to the coordinates of one class.
    fn step(
        &mut self,
        scores: &[f32],
        class: usize,
        example: &Example,
        spreads: [f32; FILTERS],
    ) -> BlendStep {
        let Example { label, importance, length } = *example;
        let [first, second] = spreads;
        let spread = [first, second, self.rates[2] * length, self.rates[3] * length];
        let reaches = spread.map(|spread| spread * importance);
        let mut signed = [0.0; EXPERTS];
        let mut information = [1.0; EXPERTS];
        let mut certainty = [0.25; EXPERTS];
        if self.link.task == Task::Regression {
            let target = self.link.target(label);
            for lane in 0..EXPERTS {
                let residual = self.link.limited(target - scores[lane]);
                signed[lane] = importance * residual / (1.0 + reaches[lane]);
            }
        } else {
            let is_positive = match self.link.task {
                Task::Binary => label == 1.0,
                _ => class == label as usize,
            };
            let sign = if is_positive { 1.0 } else { -1.0 };
            let margins = std::array::from_fn(|lane| sign * self.margin(scores, class, lane));
            let pulls = pulls(margins, reaches);
            for lane in 0..EXPERTS {
                signed[lane] = sign * importance * pulls[lane];
                certainty[lane] = (pulls[lane] * (1.0 - pulls[lane])).max(1e-7);
            }
            information = certainty;
        }
        let mut step = BlendStep {
            pulls: signed,
            reductions: [0.0; FILTERS],
            inflations: [1.0; FILTERS],
            priors: self.sparse_priors,
            rates: self.rates,
            l1: self.penalties[0],
            l2: self.penalties[1],
        };
        for lane in FILTERS..EXPERTS {
            step.pulls[lane] *= self.rates[lane];
        }
        for filter in 0..FILTERS {
            let seen = information[filter] * importance;
            step.reductions[filter] = seen / (1.0 + seen * spreads[filter]);
            let forgotten = FORGETTING[filter] * 4.0 * certainty[filter] * importance;
            step.inflations[filter] = 1.0 + forgotten.min(0.5);
        }
        step
    }

    #[inline]
    fn margin(&self, scores: &[f32], class: usize, lane: usize) -> f32 {
        match self.link.task {
            Task::MultiClass { .. } => {
                class_log_odds(self.probabilities[lane * self.classes + class])
            }
            _ => scores[class * EXPERTS + lane],
        }
    }

    fn learn_dense(&mut self, row: Row<'_>, class: usize, step: &BlendStep) {
        let dense = &mut self.dense[class * self.width..(class + 1) * self.width];
        let bias = self.width - 1;
        if self.covariances.is_empty() {
            let penalized = BlendStep { priors: PRIORS, ..*step };
            let plain = BlendStep { l1: 0.0, l2: 0.0, ..penalized };
            for (index, (cell, value)) in dense.iter_mut().zip(row.values).enumerate() {
                cell.learn(if index == bias { &plain } else { &penalized }, *value);
            }
            return;
        }
        if step.l1 > 0.0 || step.l2 > 0.0 {
            let [first, second] = [0, 1].map(|filter| &self.covariances[class * FILTERS + filter]);
            for (index, cell) in dense[..bias].iter_mut().enumerate() {
                let variances = [first, second].map(|filter| filter.variance(index) as f32);
                let rates = [variances[0], variances[1], step.rates[2], step.rates[3]];
                for (weight, rate) in cell.weights.iter_mut().zip(rates) {
                    *weight = step.penalize(*weight, rate);
                }
            }
        }
        let [first, second] = &self.projected;
        for (index, (cell, value)) in dense.iter_mut().zip(row.values).enumerate() {
            let moves = [first[index] as f32, second[index] as f32, *value, *value];
            for ((weight, pull), moved) in cell.weights.iter_mut().zip(step.pulls).zip(moves) {
                *weight += pull * moved;
            }
        }
        for filter in 0..FILTERS {
            let covariance = &mut self.covariances[class * FILTERS + filter];
            let projected = &self.projected[filter][..covariance.stride()];
            let (reduction, inflation) = (step.reductions[filter], step.inflations[filter]);
            covariance.observe(projected, f64::from(reduction), f64::from(inflation));
        }
    }

    /// Each expert's loss, for the mixture; fills the probabilities that margins need.
    fn losses(&mut self, scores: &[f32], label: f32) -> [f32; EXPERTS] {
        std::array::from_fn(|lane| {
            let own = &mut self.probabilities[lane * self.classes..(lane + 1) * self.classes];
            for (class, slot) in own.iter_mut().enumerate() {
                *slot = scores[class * EXPERTS + lane];
            }
            let loss = self.link.loss(own, label);
            if self.link.task != Task::Binary {
                softmax(own);
            }
            loss
        })
    }
}

/// An example as the experts see it.
struct Example {
    label: f32,
    importance: f32,
    length: f32,
}

impl RowLearner for Blend {
    fn scores_width(&self) -> usize {
        self.classes * EXPERTS
    }

    #[inline]
    fn score(&self, row: Row<'_>, scores: &mut [f32]) {
        for (class, scores) in scores.as_chunks_mut::<EXPERTS>().0.iter_mut().enumerate() {
            *scores = self.class_score(row, class);
        }
    }

    #[inline]
    fn predict(&self, scores: &[f32], out: &mut [f32]) {
        for (out, scores) in out.iter_mut().zip(scores.as_chunks::<EXPERTS>().0) {
            *out = Mixture::pool(&self.mixture, scores);
        }
        self.link.predict(out);
    }

    fn learn(&mut self, row: Row<'_>, scores: &[f32], label: f32, weight: f32) -> bool {
        let Some(importance) = self.link.importance(label, weight) else { return false };
        let squares = row.values.iter().fold(0.0, |sum, value| sum + value * value);
        let present = row.sparse.iter().filter(|index| **index != ABSENT).count();
        let length = squares + present as f32;
        if !(is_finite(scores) && length < LENGTH_MAX) {
            return false;
        }
        self.link.observe(label);
        for (input, value) in self.inputs.iter_mut().zip(row.values) {
            *input = f64::from(*value);
        }
        let losses = self.losses(scores, label);
        let pooled = Mixture::pool(&self.mixture, scores.first_chunk().unwrap_or(&[0.0; EXPERTS]));
        MIXTURE.observe(&mut self.mixture, losses, weight);
        let example = Example { label, importance, length };
        for class in 0..self.classes {
            let spreads = self.spreads(row, class);
            let step = self.step(scores, class, &example, spreads);
            self.learn_dense(row, class, &step);
            for index in row.sparse.iter().filter(|index| **index != ABSENT) {
                self.sparse[*index as usize * self.classes + class].learn(&step, 1.0);
            }
        }
        if self.link.task == Task::Regression {
            let residual = pooled - self.link.target(label);
            self.link.bounded_residual(residual);
        }
        true
    }

    #[inline]
    fn prefetch(&self, sparse: &[u32]) {
        for index in sparse {
            prefetch(&self.sparse, *index as usize * self.classes);
        }
    }

    fn expert_weights(&self) -> Option<[f32; 4]> {
        Some(self.mixture)
    }

    fn write(&self, out: &mut dyn Write) -> io::Result<()> {
        self.link.write(out)?;
        state::write_cells(out, &[self.mixture], |weights| *weights)?;
        for covariance in &self.covariances {
            state::write_f64s(out, covariance.values())?;
        }
        state::write_cells(out, &self.dense, numbers)?;
        state::write_cells(out, &self.sparse, numbers)
    }

    fn read(&mut self, from: &mut dyn Read) -> io::Result<()> {
        self.link.read(from)?;
        state::read_cells(from, std::slice::from_mut(&mut self.mixture), |weights| weights)?;
        for covariance in &mut self.covariances {
            state::read_f64s(from, covariance.values_mut())?;
        }
        state::read_cells(from, &mut self.dense, cell)?;
        state::read_cells(from, &mut self.sparse, cell)
    }
}

fn numbers(cell: &BlendCell) -> [f32; 6] {
    let ([a, b, c, d], [e, f, ..]) = (cell.weights, cell.variances);
    [a, b, c, d, e, f]
}

fn cell([a, b, c, d, e, f]: [f32; 6]) -> BlendCell {
    BlendCell { weights: [a, b, c, d], variances: [e, f, 0.0, 0.0] }
}
