//! Interactions of pairs of features: factorization machines, four experts at once.
//!
//! Each feature has a short vector (its embedding) for each expert, and each pair of features of a
//! row counts by the product of theirs. Two forms:
//!
//! - [`Form::Shared`], one vector a feature (Rendle 2010, "Factorization machines"):
//!   `sum_{i<j} <v_i, v_j> x_i x_j = 1/2 sum_f ((sum_i v_if x_i)^2 - sum_i (v_if x_i)^2)`, in
//!   `O(k n)`; its derivative by `v_if` is `x_i (S_f - v_if x_i)` with `S_f = sum_j v_jf x_j`.
//! - [`Form::ByField`], a vector a feature and field (Juan et al. 2016, "Field-aware factorization
//!   machines"): `sum_{i<j} <v_i,F(j), v_j,F(i)> x_i x_j`, in `O(k n^2)`; its derivative by
//!   `v_i,F(j)` is `v_j,F(i) x_i x_j`, and no cell is in two pairs of a row.
//!
//! Cells are [`BlendCell`]s: they move by `pull * variance * derivative` and lose variance as the
//! linear weights of a blend do, with the derivative in the place of the input (an extended Kalman
//! filter with a diagonal covariance for the first lanes, a descent for the last).
//!
//! # Shapes
//! `cells` is flat; a feature's own are `[width]` from [`Input::at`] on: `[factors]`, or
//! `[fields, factors]`. A row is a list of inputs: one loop over features, or one over pairs.
//!
//! Invariant: an embedding's number stays within [`LIMIT`], its variance within
//! `VARIANCE_MIN..=prior`. What this does not do: find the cells, or bound the inputs.

use crate::blend::{BlendCell, BlendStep, EXPERTS};

/// A number for each expert.
pub type Lanes = [f32; EXPERTS];

/// No number of an embedding is larger: a product of two and their inputs stays finite.
pub const LIMIT: f32 = 8.0;

const VARIANCE_MIN: f32 = 1e-9;

/// Which vectors of two features are multiplied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// One vector a feature.
    Shared,
    /// One vector a feature and field of the other.
    ByField {
        /// Fields.
        fields: usize,
    },
}

/// How pairs interact.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pairs {
    /// The form.
    pub form: Form,
    /// Length of a vector.
    pub factors: usize,
}

/// A feature of a row.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Input {
    /// Its first cell.
    pub at: usize,
    /// Its field; no two inputs of a row share one (used by [`Form::ByField`] alone).
    pub field: usize,
    /// Its value.
    pub value: f32,
}

impl Pairs {
    /// Cells of a feature.
    #[must_use]
    pub fn width(&self) -> usize {
        match self.form {
            Form::Shared => self.factors,
            Form::ByField { fields } => fields * self.factors,
        }
    }

    /// What the pairs of a row add to each expert's score. All cells lie `shift` behind where the
    /// inputs say; `sums` becomes that of [`Pairs::sum`].
    ///
    /// # Shapes
    /// `sums: [factors]`.
    pub fn score(
        &self,
        cells: &[BlendCell],
        (inputs, shift): (&[Input], usize),
        sums: &mut [Lanes],
    ) -> Lanes {
        let mut score = [0.0; EXPERTS];
        if let Form::ByField { .. } = self.form {
            self.each_pair((inputs, shift), |[a, b], value| {
                let (a, b) = (&cells[a..a + self.factors], &cells[b..b + self.factors]);
                let mut product = [0.0; EXPERTS];
                for (a, b) in a.iter().zip(b) {
                    let both = a.weights.iter().zip(b.weights);
                    for (product, (a, b)) in product.iter_mut().zip(both) {
                        *product += a * b;
                    }
                }
                for lane in 0..EXPERTS {
                    score[lane] += product[lane] * value;
                }
            });
            return score;
        }
        self.sum(cells, (inputs, shift), sums);
        let mut squares = [0.0; EXPERTS];
        for input in inputs {
            for cell in &cells[input.at + shift..][..self.factors] {
                for (square, weight) in squares.iter_mut().zip(cell.weights) {
                    let part = weight * input.value;
                    *square += part * part;
                }
            }
        }
        for sum in sums.iter() {
            for lane in 0..EXPERTS {
                score[lane] += sum[lane] * sum[lane];
            }
        }
        for lane in 0..EXPERTS {
            score[lane] = 0.5 * (score[lane] - squares[lane]);
        }
        score
    }

    /// What [`Pairs::see`] and [`Pairs::learn`] of a row need: the sums of its shared vectors times
    /// their values, by factor; nothing where each field has its own.
    ///
    /// # Shapes
    /// `sums: [factors]`.
    pub fn sum(&self, cells: &[BlendCell], (inputs, shift): (&[Input], usize), sums: &mut [Lanes]) {
        if self.form != Form::Shared {
            return;
        }
        sums.fill([0.0; EXPERTS]);
        for input in inputs {
            let row = &cells[input.at + shift..][..self.factors];
            for (sum, cell) in sums.iter_mut().zip(row) {
                for (sum, weight) in sum.iter_mut().zip(cell.weights) {
                    *sum += weight * input.value;
                }
            }
        }
    }

    /// Shows each cell of a row with the derivative of the score by it.
    pub fn see(
        &self,
        cells: &[BlendCell],
        (inputs, shift): (&[Input], usize),
        sums: &[Lanes],
        mut see: impl FnMut(usize, Lanes),
    ) {
        if let Form::ByField { .. } = self.form {
            return self.each_pair((inputs, shift), |[a, b], value| {
                for factor in 0..self.factors {
                    let (a, b) = (a + factor, b + factor);
                    see(a, times(&cells[b].weights, value));
                    see(b, times(&cells[a].weights, value));
                }
            });
        }
        for input in inputs {
            let at = input.at + shift;
            let row = &cells[at..at + self.factors];
            for (factor, (cell, sum)) in row.iter().zip(sums).enumerate() {
                see(at + factor, derivative(cell, sum, input.value));
            }
        }
    }

    /// How far a full pull moves each expert's score by the pairs alone: `g' P g`.
    pub fn spreads(&self, cells: &[BlendCell], row: (&[Input], usize), sums: &[Lanes]) -> Lanes {
        let mut spreads = [0.0; EXPERTS];
        self.see(cells, row, sums, |at, derivative| {
            let variances = &cells[at].variances;
            for lane in 0..EXPERTS {
                spreads[lane] += variances[lane] * (derivative[lane] * derivative[lane]);
            }
        });
        spreads
    }

    /// Learns a row; `step.priors` are those of embeddings.
    pub fn learn(
        &self,
        cells: &mut [BlendCell],
        (inputs, shift): (&[Input], usize),
        sums: &[Lanes],
        step: &BlendStep,
    ) {
        if let Form::ByField { .. } = self.form {
            return self.each_pair((inputs, shift), |[a, b], value| {
                for factor in 0..self.factors {
                    let (a, b) = (a + factor, b + factor);
                    let (left, right) = (cells[a].weights, cells[b].weights);
                    change(&mut cells[a], step, times(&right, value));
                    change(&mut cells[b], step, times(&left, value));
                }
            });
        }
        for input in inputs {
            let row = &mut cells[input.at + shift..][..self.factors];
            for (cell, sum) in row.iter_mut().zip(sums) {
                let derivative = derivative(cell, sum, input.value);
                change(cell, step, derivative);
            }
        }
    }

    /// The first cells of each pair's two vectors, and the product of its inputs.
    #[inline]
    fn each_pair(&self, (inputs, shift): (&[Input], usize), mut show: impl FnMut([usize; 2], f32)) {
        for (index, one) in inputs.iter().enumerate() {
            for other in &inputs[index + 1..] {
                let first = one.at + shift + other.field * self.factors;
                let second = other.at + shift + one.field * self.factors;
                show([first, second], one.value * other.value);
            }
        }
    }
}

/// The derivative of a score by a number of a shared vector.
#[inline]
fn derivative(cell: &BlendCell, sum: &Lanes, value: f32) -> Lanes {
    let mut derivative = *sum;
    for (derivative, weight) in derivative.iter_mut().zip(cell.weights) {
        *derivative = value * (*derivative - weight * value);
    }
    derivative
}

// A loop: `map` of an array is not always inlined.
#[inline]
fn times(lanes: &Lanes, value: f32) -> Lanes {
    let mut product = *lanes;
    for product in &mut product {
        *product *= value;
    }
    product
}

/// [`BlendCell::learn`] with an input for each expert.
#[inline]
fn change(cell: &mut BlendCell, step: &BlendStep, derivative: Lanes) {
    for (lane, derivative) in derivative.into_iter().enumerate() {
        let variance = cell.variances[lane];
        let moved = variance * derivative;
        let weight = cell.weights[lane] + step.pulls[lane] * moved;
        let weight = if weight < LIMIT { weight } else { LIMIT };
        cell.weights[lane] = if weight > -LIMIT { weight } else { -LIMIT };
        let reduced = variance - step.reductions[lane] * (moved * moved);
        let next = reduced * step.inflations[lane];
        let bounded = if next < step.priors[lane] { next } else { step.priors[lane] };
        cell.variances[lane] = if bounded > VARIANCE_MIN { bounded } else { VARIANCE_MIN };
    }
}

#[cfg(test)]
mod tests;
