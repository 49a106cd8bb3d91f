//! Four linear experts, weighted by how well they have predicted: the optimiser without a knob.
//!
//! No single rate serves a stream that stands still and one that runs. So four models with
//! different memories learn side by side and are pooled by fixed share over exponential weights
//! ([`pelton_kernels::mixture`]): two extended Kalman filters, exact second order on the dense
//! block (up to [`FULL_MAX`] inputs, diagonal beyond and on sparse coordinates), that forget in
//! proportion to the information they gain, and two descents at constant rates. All take implicit
//! steps ([`pelton_kernels::implicit`]), so none overshoots. The settings below were chosen on
//! synthetic streams with and without drift and recorded ones, where they matter little: see
//! `docs/linear.md`.

use std::io;

use pelton_kernels::blend::{BlendCell, BlendStep, EXPERTS, FILTERS};
use pelton_kernels::coordinate::length_squared;
use pelton_kernels::covariance::Covariance;
use pelton_kernels::math::softmax_f32;
use pelton_kernels::mixture::Mixture;
use pelton_kernels::prefetch::prefetch;
use pelton_kernels::state::{StateReader, StateWriter};

use super::draw::{DrawnRow, settled};
use super::kept::{Beside, Kept, KeptCell};
use super::link::Link;
use super::rows::{Row, RowLearner, is_finite, padded};
use crate::graph::{Graph, Value};
use crate::{ABSENT, FeatureShape};

mod draw;
mod explain;
mod step;
mod twin;

pub(crate) use explain::limited_shares;
pub(crate) use step::{Addend, Example};

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
pub(crate) struct Blend {
    pub(crate) link: Link,
    classes: usize,
    width: usize,
    dense_priors: [f32; EXPERTS],
    sparse_priors: [f32; EXPERTS],
    penalties: [f32; 2],
    dense: Vec<BlendCell>,
    covariances: Vec<Covariance>,
    sparse: Vec<BlendCell>,
    kept: Kept<BlendCell>,
    pub(crate) mixture: [f32; EXPERTS],
    inputs: Vec<f64>,
    probabilities: Vec<f32>,
}

impl Blend {
    pub(crate) fn new(
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
        let [first, second] =
            SPARSE_PRIORS.map(|(all, most)| (all / shape.sparse_width.max(1) as f32).min(most));
        Blend {
            classes,
            width,
            dense_priors: [PRIORS[0], PRIORS[1], rate, rate * RATE_RATIO],
            sparse_priors: [first, second, rate, rate * RATE_RATIO],
            penalties,
            dense: vec![BlendCell::default(); classes * width],
            covariances,
            sparse: vec![BlendCell::default(); classes * buckets],
            kept: Kept::default(),
            mixture: [1.0 / EXPERTS as f32; EXPERTS],
            inputs: vec![0.0; stride],
            probabilities: vec![0.0; classes * EXPERTS],
            link,
        }
    }

    #[inline]
    fn class_score(&self, row: Row<'_>, class: usize) -> [f32; EXPERTS] {
        let mut sums = [0.0; EXPERTS];
        let dense = &self.dense[class * self.width..(class + 1) * self.width];
        let (pairs, last) = dense.as_chunks::<2>();
        let (values, _) = row.values.as_chunks::<2>();
        // Two sums at once: one would wait for itself.
        let mut others = [0.0; EXPERTS];
        for ([cell, other], [value, behind]) in pairs.iter().zip(values) {
            for lane in 0..EXPERTS {
                sums[lane] += cell.weights[lane] * value;
                others[lane] += other.weights[lane] * behind;
            }
        }
        if let [cell] = last {
            let value = row.values[dense.len() - 1];
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
        std::array::from_fn(|lane| (sums[lane] + others[lane]) + sparse[lane])
    }

    /// How far a full pull moves each expert's score: `x' P x`, or the rate times `x' x`.
    fn spreads(&mut self, row: Row<'_>, class: usize, squares: f32) -> [f32; EXPERTS] {
        let mut spreads = self.dense_priors.map(|rate| rate * squares);
        if self.covariances.is_empty() {
            spreads = [0.0; EXPERTS];
            let dense = &self.dense[class * self.width..(class + 1) * self.width];
            for (cell, value) in dense.iter().zip(row.values) {
                let variances = cell.variances(&self.dense_priors);
                for (spread, variance) in spreads.iter_mut().zip(variances) {
                    *spread += variance * (value * value);
                }
            }
        } else {
            let covariances = &mut self.covariances[class * FILTERS..(class + 1) * FILTERS];
            for (spread, covariance) in spreads.iter_mut().zip(covariances) {
                *spread = covariance.project(&self.inputs) as f32;
            }
        }
        let mut sparse = [0.0; EXPERTS];
        for index in row.sparse.iter().filter(|index| **index != ABSENT) {
            let cell = &self.sparse[*index as usize * self.classes + class];
            for (sum, variance) in sparse.iter_mut().zip(cell.variances(&self.sparse_priors)) {
                *sum += variance;
            }
        }
        std::array::from_fn(|lane| spreads[lane] + sparse[lane])
    }

    /// What an example counts for; nothing when it is to be refused.
    pub(crate) fn importance(
        &self,
        row: Row<'_>,
        scores: &[f32],
        (label, weight): (f32, f32),
    ) -> Option<f32> {
        let present = row.sparse.iter().filter(|index| **index != ABSENT).count();
        let length = length_squared(row.values) + present as f32;
        let importance = self.link.importance(label, weight)?;
        (is_finite(scores) && length < LENGTH_MAX).then_some(importance)
    }

    /// Learns a row at the scores it was given, with what `addend` has added to them.
    pub(crate) fn learn_with(
        &mut self,
        row: Row<'_>,
        scores: &[f32],
        example: &Example,
        addend: &mut impl Addend,
    ) {
        let label = example.label;
        let squares = length_squared(row.values);
        self.note_changes(row);
        self.link.observe(label);
        for (input, value) in self.inputs.iter_mut().zip(row.values) {
            *input = f64::from(*value);
        }
        let losses = self.losses(scores, label);
        let (scores, _) = scores.as_chunks::<EXPERTS>();
        let pooled = Mixture::pool(&self.mixture, &scores[0]);
        MIXTURE.observe(&mut self.mixture, losses, example.weight);
        for (class, scores) in scores.iter().enumerate() {
            let own = self.spreads(row, class, squares);
            let spreads = addend.spreads(class, own);
            let step = self.step(scores, class, example, spreads);
            self.learn_dense(row, class, &step);
            for index in row.sparse.iter().filter(|index| **index != ABSENT) {
                self.sparse[*index as usize * self.classes + class].learn(&step, 1.0);
            }
            addend.learn(class, &step);
        }
        self.link.follow(pooled, label);
    }

    fn learn_dense(&mut self, row: Row<'_>, class: usize, step: &BlendStep) {
        let dense = &mut self.dense[class * self.width..(class + 1) * self.width];
        let bias = self.width - 1;
        let rates = [self.dense_priors[2], self.dense_priors[3]];
        if self.covariances.is_empty() {
            let penalized = BlendStep { priors: self.dense_priors, ..*step };
            let plain = BlendStep { l1: 0.0, l2: 0.0, ..penalized };
            for (index, (cell, value)) in dense.iter_mut().zip(row.values).enumerate() {
                cell.learn(if index == bias { &plain } else { &penalized }, *value);
            }
            return;
        }
        let covariances = &mut self.covariances[class * FILTERS..(class + 1) * FILTERS];
        if step.is_penalized() {
            for (index, cell) in dense[..bias].iter_mut().enumerate() {
                let variance = |filter: usize| covariances[filter].variance(index) as f32;
                step.penalize(&mut cell.weights, [variance(0), variance(1), rates[0], rates[1]]);
            }
        }
        let moves = row.values.iter().zip(covariances[0].projected());
        let moves = moves.zip(covariances[1].projected());
        for (cell, ((value, first), second)) in dense.iter_mut().zip(moves) {
            let moved = [*first as f32, *second as f32, rates[0] * value, rates[1] * value];
            for ((weight, pull), moved) in cell.weights.iter_mut().zip(step.pulls).zip(moved) {
                *weight += pull * moved;
            }
        }
        for (filter, covariance) in covariances.iter_mut().enumerate() {
            let (reduction, inflation) = (step.reductions[filter], step.inflations[filter]);
            covariance.observe(f64::from(reduction), f64::from(inflation));
        }
    }

    /// Notes the cells that a row is about to change, where earlier states are kept.
    #[inline]
    fn note_changes(&mut self, row: Row<'_>) {
        let Some(changes) = self.kept.changes() else { return };
        for index in row.sparse.iter().filter(|index| **index != ABSENT) {
            let first = *index as usize * self.classes;
            let cells = self.sparse[first..first + self.classes].iter();
            changes.extend((first as u64..).zip(cells.copied()));
        }
    }

    /// Each expert's loss, for the mixture; fills the probabilities that margins need.
    fn losses(&mut self, scores: &[f32], label: f32) -> [f32; EXPERTS] {
        let mut losses = [0.0; EXPERTS];
        if self.classes == 1 {
            let own: &[f32; EXPERTS] = scores.first_chunk().unwrap_or(&losses);
            return self.link.single_losses(own, label);
        }
        for (lane, loss) in losses.iter_mut().enumerate() {
            let own = &mut self.probabilities[lane * self.classes..(lane + 1) * self.classes];
            for (slot, scores) in own.iter_mut().zip(scores.as_chunks::<EXPERTS>().0) {
                *slot = scores[lane];
            }
            *loss = self.link.loss(own, label);
            softmax_f32(own);
        }
        losses
    }
}

impl Beside for Blend {}

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

    fn explain(
        &self,
        row: Row<'_>,
        (scores, class): (&[f32], usize),
        weights: &mut [f32],
        out: &mut [f32],
    ) {
        let limited = limited_shares(&scores.as_chunks::<EXPERTS>().0[class]);
        let shares = std::array::from_fn(|at| self.mixture[at] * limited[at]);
        let from = out.len() - 1 - row.sparse.len();
        let last = out.len() - 1;
        self.explain_with((row, class), &shares, weights, &mut out[from..last]);
    }

    fn draw(&self, graph: &mut Graph, row: &DrawnRow<'_>) -> Option<Value> {
        let scores = self.draw_scores(graph, row)?;
        let scores = settled(graph, scores, self.empty_scores());
        let [_, pool] = self.draw_pool(graph, scores);
        Some(self.link.draw(graph, pool))
    }

    fn link(&self) -> &Link {
        &self.link
    }

    fn learn(&mut self, row: Row<'_>, scores: &[f32], label: f32, weight: f32) -> bool {
        let Some(importance) = self.importance(row, scores, (label, weight)) else { return false };
        self.learn_with(row, scores, &Example { label, weight, importance }, &mut ());
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

    type Cell = BlendCell;

    fn table(&mut self) -> &mut [BlendCell] {
        &mut self.sparse
    }

    fn table_ref(&self) -> &[BlendCell] {
        &self.sparse
    }

    fn kept(&mut self) -> &mut Kept<BlendCell> {
        &mut self.kept
    }

    fn kept_ref(&self) -> &Kept<BlendCell> {
        &self.kept
    }

    fn write_small(&self, state: &mut StateWriter<'_>) -> io::Result<()> {
        self.link.write(state)?;
        state.blocks(&[self.mixture], |weights| *weights)?;
        for covariance in &self.covariances {
            state.slice(&covariance.values())?;
        }
        state.blocks(&self.dense, |cell| cell.numbers())
    }

    fn read_small(&mut self, state: &mut StateReader<'_>) -> io::Result<()> {
        self.link.read(state)?;
        state.blocks(std::slice::from_mut(&mut self.mixture), |weights| weights)?;
        for covariance in &mut self.covariances {
            covariance.restore(|values| state.fill(values))?;
        }
        // Where a state is gone back to the cells have learned already.
        self.dense.fill(BlendCell::default());
        state.blocks(&mut self.dense, BlendCell::of)
    }

    fn write_table(&self, state: &mut StateWriter<'_>) -> io::Result<()> {
        state.blocks(&self.sparse, |cell| cell.numbers())
    }

    fn read_table(&mut self, state: &mut StateReader<'_>) -> io::Result<()> {
        state.blocks(&mut self.sparse, BlendCell::of)
    }
}
