//! Per-coordinate optimisers over a linear model: FTRL-Proximal, AdaGrad, normalised descent.
//!
//! One cell per coordinate and class; dense cells in a row's own order, sparse cells in one table
//! with a last group that stands for every absent coordinate and is always zero. Within a row all
//! changes are computed from the cells as they were, then added in the row's order. Rows that are
//! learned together are one step of sums: see `coordinates/step.rs`.

mod step;
mod twin;

use std::io;

use pelton_kernels::coordinate::{
    Cell, CoordinateRule, LANES, NormalizedSgd, accumulate, changes, fold_lanes, length_squared,
};
use pelton_kernels::implicit::{PROBLEMS, pulls};
use pelton_kernels::math::softmax_f32;
use pelton_kernels::prefetch::prefetch;
use pelton_kernels::state::{StateReader, StateWriter};

use super::draw::{DrawnRow, Weights, settled};
use super::kept::{Beside, Kept};
use super::link::{Link, class_log_odds};
use super::rows::{Row, RowLearner, StepRows, is_finite, learn_in_order, padded};
use crate::graph::{Graph, Value};
use crate::{FeatureShape, LearnOutcome, Task};
use step::Step;

/// Inputs longer than this (squared) are refused: products of two stay finite.
const LENGTH_MAX: f32 = 1e30;
const ONES: [f32; LANES] = [1.0; LANES];

/// Cells and the rule that moves them.
pub(super) struct Coordinates<R> {
    rule: R,
    link: Link,
    classes: usize,
    stride: usize,
    penalties: Vec<f32>,
    dense: Vec<Cell>,
    sparse: Vec<Cell>,
    kept: Kept<Cell>,
    absent: usize,
    gathered: Vec<Cell>,
    gradients: Vec<f32>,
    rate: Option<f32>,
    lengths: Lengths,
    step: Step,
}

/// The average normalised length of rows, the `N / t` of normalised descent.
#[derive(Clone, Copy, Default)]
struct Lengths {
    rows: u64,
    sum: f64,
}

impl<R: CoordinateRule> Coordinates<R> {
    /// `rate` is that of normalised descent with implicit steps; none for plain gradients.
    pub fn new(rule: R, link: Link, shape: FeatureShape, width: usize, rate: Option<f32>) -> Self {
        let classes = link.outputs;
        let stride = padded(width);
        let absent = if shape.sparse_width == 0 { 0 } else { 1 << shape.sparse_bits };
        let mut penalties = vec![0.0; stride];
        penalties[..width].fill(1.0);
        let gathered = shape.sparse_width.next_multiple_of(LANES);
        Coordinates {
            rule,
            classes,
            stride,
            penalties,
            dense: vec![[0.0; 2]; classes * stride],
            sparse: vec![[0.0; 2]; classes * (absent + 1)],
            kept: Kept::default(),
            absent,
            gathered: vec![[0.0; 2]; gathered.max(stride)],
            gradients: vec![0.0; classes],
            rate,
            link,
            lengths: Lengths::default(),
            step: Step::default(),
        }
    }

    /// Where the cell of a sparse index and class is; absent ones share a cell of zeros.
    #[inline]
    fn place(&self, index: u32, class: usize) -> usize {
        (index as usize).min(self.absent) * self.classes + class
    }

    #[inline]
    fn class_score(&self, row: Row<'_>, class: usize) -> f32 {
        let mut sums = [0.0; LANES];
        let dense = &self.dense[class * self.stride..(class + 1) * self.stride];
        accumulate(&self.rule, dense, row.values, &mut sums);
        let (groups, rest) = row.sparse.as_chunks::<LANES>();
        for group in groups {
            let cells = group.map(|index| self.sparse[self.place(index, class)]);
            accumulate(&self.rule, &cells, &ONES, &mut sums);
        }
        if !rest.is_empty() {
            let mut cells = [[0.0; 2]; LANES];
            for (cell, index) in cells.iter_mut().zip(rest) {
                *cell = self.sparse[self.place(*index, class)];
            }
            accumulate(&self.rule, &cells, &ONES, &mut sums);
        }
        fold_lanes(&sums)
    }

    /// The derivative of the loss by each class's score, times the importance.
    fn plain_gradients(&mut self, scores: &[f32], label: f32, importance: f32) {
        self.gradients.copy_from_slice(scores);
        match self.link.task {
            Task::Binary => {
                let probability = pelton_kernels::math::sigmoid_f32(scores[0]);
                self.gradients[0] = importance * (probability - label);
            }
            Task::MultiClass { .. } => {
                softmax_f32(&mut self.gradients);
                self.gradients[label as usize] -= 1.0;
                self.gradients.iter_mut().for_each(|gradient| *gradient *= importance);
            }
            Task::Regression => {
                let residual = scores[0] - self.link.target(label);
                self.gradients[0] = importance * self.link.limited(residual);
            }
        }
    }

    /// Minus the implicit pull of each class, times the rate.
    fn implicit_gradients(&mut self, scores: &[f32], label: f32, importance: f32, length: f32) {
        let average = self.lengths.sum / self.lengths.rows as f64;
        let rate = self.rate.unwrap_or(0.0) / average as f32 * importance;
        let reach = rate * length;
        match self.link.task {
            Task::Binary => {
                let sign = if label == 1.0 { 1.0 } else { -1.0 };
                let [pull, ..] = pulls([sign * scores[0]; PROBLEMS], [reach; PROBLEMS]);
                self.gradients[0] = -sign * rate * pull;
            }
            Task::MultiClass { .. } => {
                self.gradients.copy_from_slice(scores);
                softmax_f32(&mut self.gradients);
                for (class, gradient) in self.gradients.iter_mut().enumerate() {
                    let sign = if class == label as usize { 1.0 } else { -1.0 };
                    let margin = sign * class_log_odds(*gradient);
                    let [pull, ..] = pulls([margin; PROBLEMS], [reach; PROBLEMS]);
                    *gradient = -sign * rate * pull;
                }
            }
            Task::Regression => {
                let residual = scores[0] - self.link.target(label);
                self.gradients[0] = rate * self.link.limited(residual) / (1.0 + reach);
            }
        }
    }

    /// The row's squared length, in the units of its coordinates where the rule measures them.
    fn length(&self, row: Row<'_>) -> f32 {
        let mut length = 0.0;
        for (value, cell) in row.values.iter().zip(&self.dense) {
            let share = NormalizedSgd::share(cell[1], *value);
            length += if self.rate.is_some() { share } else { value * value };
        }
        let present = row.sparse.iter().filter(|index| **index != crate::ABSENT).count();
        length + present as f32
    }

    /// Notes the cells that a row is about to change, where earlier states are kept.
    #[inline]
    fn note_changes(&mut self, row: Row<'_>) {
        let Some(changes) = self.kept.changes() else { return };
        for index in row.sparse.iter().filter(|index| **index != crate::ABSENT) {
            let first = *index as usize * self.classes;
            let cells = self.sparse[first..first + self.classes].iter();
            changes.extend((first as u64..).zip(cells.copied()));
        }
    }

    fn apply(&mut self, row: Row<'_>, class: usize) {
        let gradient = self.gradients[class];
        let dense = &mut self.dense[class * self.stride..(class + 1) * self.stride];
        let moved = &mut self.gathered[..self.stride];
        moved.copy_from_slice(dense);
        changes(&self.rule, moved, row.values, &self.penalties, gradient);
        for (cell, change) in dense.iter_mut().zip(moved) {
            *cell = [cell[0] + change[0], cell[1] + change[1]];
        }
        for slot in 0..row.sparse.len() {
            self.gathered[slot] = self.sparse[self.place(row.sparse[slot], class)];
        }
        let used = row.sparse.len().next_multiple_of(LANES);
        for cells in self.gathered[..used].as_chunks_mut::<LANES>().0 {
            changes(&self.rule, cells, &ONES, &ONES, gradient);
        }
        for slot in 0..row.sparse.len() {
            let place = self.place(row.sparse[slot], class);
            let (cell, change) = (&mut self.sparse[place], self.gathered[slot]);
            *cell = [cell[0] + change[0], cell[1] + change[1]];
        }
        self.sparse[self.absent * self.classes + class] = [0.0; 2];
    }
}

impl<R> Beside for Coordinates<R> {}

impl<R: CoordinateRule + Send> RowLearner for Coordinates<R> {
    fn scores_width(&self) -> usize {
        self.classes
    }

    #[inline]
    fn score(&self, row: Row<'_>, scores: &mut [f32]) {
        for (class, score) in scores.iter_mut().enumerate() {
            *score = self.class_score(row, class);
        }
    }

    #[inline]
    fn predict(&self, scores: &[f32], out: &mut [f32]) {
        out.copy_from_slice(scores);
        self.link.predict(out);
    }

    fn explain(
        &self,
        row: Row<'_>,
        (_, class): (&[f32], usize),
        weights: &mut [f32],
        out: &mut [f32],
    ) {
        let dense = &self.dense[class * self.stride..(class + 1) * self.stride];
        for (weight, cell) in weights.iter_mut().zip(dense) {
            *weight = self.rule.weight(*cell);
        }
        let from = out.len() - 1 - row.sparse.len();
        for (out, index) in out[from..].iter_mut().zip(row.sparse) {
            *out += self.rule.weight(self.sparse[self.place(*index, class)]);
        }
    }

    fn draw(&self, graph: &mut Graph, row: &DrawnRow<'_>) -> Option<Value> {
        let outputs = self.classes;
        let mut weights = Weights { outputs, ..Weights::default() };
        let weight = |cell: &Cell| self.rule.weight(*cell);
        // What is padded is no input.
        let width = self.penalties.iter().filter(|own| **own != 0.0).count();
        for at in 0..=width {
            let cells = (0..outputs).map(|class| &self.dense[class * self.stride + at]);
            weights.dense.extend(cells.map(weight));
        }
        let empty = weights.dense[width * outputs..].to_vec();
        let (table, _) = self.sparse.split_at(self.absent * outputs);
        for (key, cells) in table.chunks_exact(outputs).enumerate() {
            weights.add(key, cells.iter().map(weight));
        }
        let scores = weights.draw(graph, row)?;
        let scores = settled(graph, scores, empty);
        Some(self.link.draw(graph, scores))
    }

    fn link(&self) -> &Link {
        &self.link
    }

    #[inline]
    fn learn(&mut self, row: Row<'_>, scores: &[f32], label: f32, weight: f32) -> bool {
        let Some(importance) = self.link.importance(label, weight) else { return false };
        let squares = length_squared(row.values);
        if !(is_finite(scores) && squares < LENGTH_MAX) {
            return false;
        }
        self.note_changes(row);
        self.link.observe(label);
        if self.rate.is_some() {
            let length = self.length(row);
            self.lengths.rows += 1;
            self.lengths.sum += f64::from(length);
            self.implicit_gradients(scores, label, importance, length);
        } else {
            self.plain_gradients(scores, label, importance);
        }
        self.link.follow(scores[0], label);
        for class in 0..self.classes {
            self.apply(row, class);
        }
        true
    }

    fn learn_step(&mut self, rows: &StepRows<'_>, scores: &mut Vec<f32>) -> LearnOutcome {
        match rows.len() {
            0 | 1 => learn_in_order(self, rows, scores),
            _ => self.learn_together(rows, scores),
        }
    }

    #[inline]
    fn prefetch(&self, sparse: &[u32]) {
        for index in sparse {
            prefetch(&self.sparse, self.place(*index, 0));
        }
    }

    type Cell = Cell;

    fn table(&mut self) -> &mut [Cell] {
        &mut self.sparse
    }

    fn table_ref(&self) -> &[Cell] {
        &self.sparse
    }

    fn kept(&mut self) -> &mut Kept<Cell> {
        &mut self.kept
    }

    fn kept_ref(&self) -> &Kept<Cell> {
        &self.kept
    }

    fn write_small(&self, state: &mut StateWriter<'_>) -> io::Result<()> {
        self.link.write(state)?;
        state.put(self.lengths.rows)?;
        state.put(self.lengths.sum)?;
        state.blocks(&self.dense, |cell| *cell)
    }

    fn read_small(&mut self, state: &mut StateReader<'_>) -> io::Result<()> {
        self.link.read(state)?;
        self.lengths = Lengths { rows: state.get()?, sum: state.get()? };
        // Where a state is gone back to the cells have learned already.
        self.dense.fill([0.0; 2]);
        state.blocks(&mut self.dense, |cell| cell)
    }

    fn write_table(&self, state: &mut StateWriter<'_>) -> io::Result<()> {
        state.blocks(&self.sparse, |cell| *cell)
    }

    fn read_table(&mut self, state: &mut StateReader<'_>) -> io::Result<()> {
        state.blocks(&mut self.sparse, |cell| cell)
    }
}

#[cfg(test)]
impl<R: CoordinateRule> Coordinates<R> {
    /// The derivative of the loss by each class's score.
    pub fn gradients_at(&mut self, scores: &[f32], label: f32) -> Vec<f32> {
        self.plain_gradients(scores, label, 1.0);
        self.gradients.clone()
    }
}
