//! Many rows learned as one step: sums over the rows, then one change of each cell.
//!
//! All rows are scored at the weights before the step. What the model keeps of the stream (scales,
//! lengths, targets) takes in the whole step first, as a single row's does before it is learned;
//! then every row's gradient is taken with it. The sums are those of
//! [`pelton_kernels::coordinate::Gathered`]: over a fixed tree for dense inputs and the bias, of
//! integers for sparse ones, where the order of rows cannot matter. So a device adds them up as it
//! likes best and has the same bits. A refused row counts for nothing.
//!
//! Memory: four bytes per sparse coordinate once the first step came, and what a step touches.

use pelton_kernels::coordinate::{
    CoordinateRule, Gathered, NormalizedSgd, Quantum, TreeSums, length_squared, tree_sum,
};
use pelton_kernels::prefetch::prefetch;

use super::{Coordinates, LENGTH_MAX};
use crate::linear::rows::{AHEAD, RowLearner, StepRows, is_finite};
use crate::{ABSENT, LearnOutcome};

/// What a step needs on the way.
#[derive(Default)]
pub(super) struct Step {
    /// What each row counts for; nothing when it is refused. `[rows]`
    importances: Vec<Option<f32>>,
    /// The squared length of each row, `[rows]`; only where the rule measures it.
    lengths: Vec<f32>,
    /// The sum of the sizes of each row's values, then its stiffness, `[rows]`.
    stiffness: Vec<f32>,
    /// Largest size that each dense coordinate ever had. `[stride]`
    scales: Vec<f32>,
    /// Derivatives by the scores, `[rows, classes]`; zero for refused rows.
    gradients: Vec<f32>,
    /// Learned rows with a value other than zero, and the largest size; per dense coordinate.
    touches: Vec<u32>,
    largest: Vec<f32>,
    /// Of gradients and of their squares per class, then of squared values and of
    /// sizes times stiffness: `[2 classes + 2, stride]`.
    dense: TreeSums,
    sparse: SparseSums,
    /// What a row adds to each of its sparse coordinates, as [`SparseSums::counts`].
    of_row: Vec<i64>,
}

/// Sums of the sparse coordinates that a step touches.
#[derive(Default)]
struct SparseSums {
    /// One more than a coordinate's place among the touched; zero when it is not.
    slots: Vec<u32>,
    touched: Vec<u32>,
    /// The place of each sparse value of each learned row, one row after another.
    places: Vec<u32>,
    /// Touches and stiffness, then gradients and squares of each class, as counts:
    /// `[touched, 2 + 2 classes]`. One record, so that a touch is one place in memory.
    counts: Vec<i64>,
}

/// Values between a hint and its use.
const SOON: usize = 48;

impl<R: CoordinateRule + Send> Coordinates<R> {
    /// Learns the rows as one step.
    pub fn learn_together(&mut self, rows: &StepRows<'_>, scores: &mut Vec<f32>) -> LearnOutcome {
        scores.resize(rows.len() * self.classes, 0.0);
        for (row, scores) in scores.chunks_exact_mut(self.classes).enumerate() {
            rows.prefetch_behind(self, row);
            self.score(rows.row(row), scores);
        }
        let mut step = std::mem::take(&mut self.step);
        let learned = step.accept(self, rows, scores);
        if learned > 0 {
            step.measure(self, rows);
            self.lengths.rows += if self.rate.is_some() { learned } else { 0 };
            step.differentiate(self, rows, scores);
            step.learn_dense(self, rows);
            step.learn_sparse(self, rows);
        }
        self.step = step;
        LearnOutcome { learned, refused: rows.len() as u64 - learned }
    }
}

impl Step {
    /// Refuses rows as a single one would be; labels, touches and sizes are taken in.
    fn accept<R: CoordinateRule + Send>(
        &mut self,
        learner: &mut Coordinates<R>,
        rows: &StepRows<'_>,
        scores: &[f32],
    ) -> u64 {
        self.importances.clear();
        self.touches.clear();
        self.touches.resize(learner.stride, 0);
        self.largest.clear();
        self.largest.resize(learner.stride, 0.0);
        let mut learned = 0;
        for (row, scores) in scores.chunks_exact(learner.classes).enumerate() {
            let (label, weight) = rows.example(row);
            let values = rows.row(row).values;
            let is_good = is_finite(scores) && length_squared(values) < LENGTH_MAX;
            let importance = learner.link.importance(label, weight).filter(|_| is_good);
            self.importances.push(importance);
            if importance.is_none() {
                continue;
            }
            learned += 1;
            learner.link.observe(label);
            for ((touches, largest), value) in
                self.touches.iter_mut().zip(&mut self.largest).zip(values)
            {
                let size = value.abs();
                *touches += u32::from(size > 0.0);
                *largest = if size > *largest { size } else { *largest };
            }
        }
        learned
    }

    /// The size of each row, and its squared length, in the units that its coordinates have after
    /// the step.
    fn measure<R: CoordinateRule>(&mut self, learner: &mut Coordinates<R>, rows: &StepRows<'_>) {
        let is_scaled = learner.rate.is_some();
        let scale = |(cell, largest): (&[f32; 2], &f32)| match is_scaled {
            true if *largest > cell[1] => *largest,
            true => cell[1],
            false => 1.0,
        };
        self.scales.clear();
        self.scales.extend(learner.dense.iter().zip(&self.largest).map(scale));
        self.lengths.clear();
        self.stiffness.clear();
        for (row, importance) in self.importances.iter().enumerate() {
            let (mut length, mut size) = (0.0, 0.0);
            if importance.is_some() {
                let row = rows.row(row);
                for (scale, value) in self.scales.iter().zip(row.values) {
                    length += NormalizedSgd::share(*scale, *value);
                    size += value.abs() / scale.max(f32::MIN_POSITIVE);
                }
                let present = row.sparse.iter().filter(|index| **index != ABSENT).count() as f32;
                (length, size) = (length + present, size + present);
            }
            self.lengths.push(length);
            self.stiffness.push(size);
        }
        if is_scaled {
            learner.lengths.sum += tree_sum(self.lengths.iter().map(|length| f64::from(*length)));
        }
    }

    /// Every row's gradients; then the usual residual follows, in row order.
    fn differentiate<R: CoordinateRule>(
        &mut self,
        learner: &mut Coordinates<R>,
        rows: &StepRows<'_>,
        scores: &[f32],
    ) {
        let bend = learner.link.curvature_max();
        let average = (learner.lengths.sum / learner.lengths.rows as f64) as f32;
        self.gradients.clear();
        self.gradients.resize(scores.len(), 0.0);
        let each = self.gradients.chunks_exact_mut(learner.classes);
        let each = each.zip(scores.chunks_exact(learner.classes)).zip(&self.importances);
        for (row, ((gradients, scores), importance)) in each.enumerate() {
            let (Some(importance), (label, _)) = (*importance, rows.example(row)) else { continue };
            match learner.rate {
                Some(_) => {
                    learner.implicit_gradients(scores, label, importance, self.lengths[row]);
                }
                None => learner.plain_gradients(scores, label, importance),
            }
            gradients.copy_from_slice(&learner.gradients);
            let rate = learner.rate.map_or(1.0, |rate| rate / average);
            self.stiffness[row] *= rate * bend * importance;
        }
        for (row, scores) in scores.chunks_exact(learner.classes).enumerate() {
            if self.importances[row].is_some() {
                learner.link.follow(scores[0], rows.example(row).0);
            }
        }
    }

    fn learn_dense<R: CoordinateRule>(
        &mut self,
        learner: &mut Coordinates<R>,
        rows: &StepRows<'_>,
    ) {
        let (stride, classes) = (learner.stride, learner.classes);
        self.dense.begin((2 * classes + 2) * stride);
        for row in (0..rows.len()).filter(|row| self.importances[*row].is_some()) {
            let (values, sums) = (rows.row(row).values, self.dense.row(row));
            let (sums, values_squared) = sums.split_at_mut(2 * classes * stride);
            let gradients = &self.gradients[row * classes..(row + 1) * classes];
            for (pair, gradient) in sums.chunks_exact_mut(2 * stride).zip(gradients) {
                let (sums, squares) = pair.split_at_mut(stride);
                for ((sum, square), value) in sums.iter_mut().zip(squares).zip(values) {
                    let product = f64::from(*gradient) * f64::from(*value);
                    *sum += product;
                    *square += product * product;
                }
            }
            let (values_squared, curvatures) = values_squared.split_at_mut(stride);
            let stiffness = f64::from(self.stiffness[row]);
            for ((sum, curvature), value) in values_squared.iter_mut().zip(curvatures).zip(values) {
                *sum += f64::from(*value) * f64::from(*value);
                *curvature += f64::from(value.abs()) * stiffness;
            }
        }
        let sums = self.dense.finish();
        for (place, cell) in learner.dense.iter_mut().enumerate() {
            let (class, input) = (place / stride, place % stride);
            let gathered = Gathered {
                sum: sums[2 * class * stride + input] as f32,
                squares: sums[(2 * class + 1) * stride + input] as f32,
                values_squared: sums[2 * classes * stride + input] as f32,
                touches: self.touches[input] as f32,
                largest: self.largest[input],
                curvature: sums[(2 * classes + 1) * stride + input] as f32,
                penalty: learner.penalties[input],
            };
            *cell = learner.rule.step(*cell, &gathered);
        }
    }

    fn learn_sparse<R: CoordinateRule>(
        &mut self,
        learner: &mut Coordinates<R>,
        rows: &StepRows<'_>,
    ) {
        let largest = self.gradients.iter().fold(0.0, |largest: f32, g| largest.max(g.abs()));
        let terms: usize = (0..rows.len()).map(|row| rows.sparse(row).len()).sum();
        let quantum = Quantum::new(largest, terms);
        let largest = self.stiffness.iter().fold(0.0, |largest: f32, g| largest.max(*g));
        let stiffness_quantum = Quantum::new(largest, terms);
        let (sums, classes) = (&mut self.sparse, learner.classes);
        let width = 2 + 2 * classes;
        sums.slots.resize(learner.absent, 0);
        let is_learned = |row: &usize| self.importances[*row].is_some();
        for row in (0..rows.len()).filter(is_learned) {
            if row + AHEAD < rows.len() {
                let soon = rows.sparse(row + AHEAD).iter();
                soon.for_each(|index| prefetch(&sums.slots, *index as usize));
            }
            rows.sparse(row).iter().filter(|index| **index != ABSENT).for_each(|i| sums.find(*i));
        }
        sums.counts.resize(sums.touched.len() * width, 0);
        self.of_row.resize(width, 0);
        let mut next = 0;
        for row in (0..rows.len()).filter(is_learned) {
            let (of_touch, of_classes) = self.of_row.split_at_mut(2);
            of_touch.copy_from_slice(&[1, stiffness_quantum.counts(self.stiffness[row])[0]]);
            let gradients = &self.gradients[row * classes..(row + 1) * classes];
            for (counts, gradient) in of_classes.as_chunks_mut::<2>().0.iter_mut().zip(gradients) {
                *counts = quantum.counts(*gradient);
            }
            let present = rows.sparse(row).iter().filter(|index| **index != ABSENT).count();
            for at in next..next + present {
                if let Some(soon) = sums.places.get(at + SOON) {
                    prefetch(&sums.counts, *soon as usize * width);
                }
                let place = sums.places[at] as usize;
                let own = &mut sums.counts[place * width..(place + 1) * width];
                own.iter_mut().zip(&self.of_row).for_each(|(own, count)| *own += count);
            }
            next += present;
        }
        for (counts, (at, index)) in
            sums.counts.chunks_exact(width).zip(sums.touched.iter().enumerate())
        {
            if let Some(soon) = sums.touched.get(at + SOON) {
                prefetch(&learner.sparse, *soon as usize * classes);
                prefetch(&sums.slots, *soon as usize);
            }
            sums.slots[*index as usize] = 0;
            let touches = counts[0] as f32;
            let [curvature, _] = stiffness_quantum.sums([counts[1], 0]);
            for (class, counts) in counts[2..].as_chunks::<2>().0.iter().enumerate() {
                let [sum, squares] = quantum.sums(*counts);
                let (values_squared, largest, penalty) = (touches, 1.0, 1.0);
                let gathered =
                    Gathered { sum, squares, values_squared, touches, largest, curvature, penalty };
                let place = *index as usize * classes + class;
                let cell = learner.sparse[place];
                if let Some(changes) = learner.kept.changes() {
                    changes.push((place as u64, cell));
                }
                learner.sparse[place] = learner.rule.step(cell, &gathered);
            }
        }
        sums.clear();
    }
}

impl SparseSums {
    /// Notes the place of a coordinate, a new one if it has none.
    #[inline]
    fn find(&mut self, index: u32) {
        let slot = &mut self.slots[index as usize];
        if *slot == 0 {
            self.touched.push(index);
            *slot = self.touched.len() as u32;
        }
        self.places.push(*slot - 1);
    }

    fn clear(&mut self) {
        self.touched.clear();
        self.places.clear();
        self.counts.clear();
    }
}
