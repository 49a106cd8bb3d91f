//! The covariance of a run of weights learned by an extended Kalman filter, as a full matrix.
//!
//! An observation `x` with information `h` (the curvature of its loss) takes `h P x x' P / (1 + h
//! s)` off the covariance `P`, where `s = x' P x`; forgetting multiplies what is left by `1 + f`,
//! and no variance exceeds the prior's. (Fahrmeir 1992 for the filter of a generalised linear
//! model; Salgado et al. 1988 for bounded exponential forgetting.) Double precision, because nearly
//! collinear inputs leave variances that differ by six orders of magnitude.
//!
//! Invariant: `P` is symmetric to the bit, because every product is formed from commuting factors
//! (roots of the rates are shared out to them); an asymmetry would be inflated by forgetting
//! without ever being observed away. Multiply-adds are fused explicitly: the same bits everywhere.

use std::ops::{Deref, DerefMut};

/// Rows are padded to this many values: a cache line.
const PAD: usize = 8;
/// Lines of a row that are summed at once where there are as many: half the registers.
const WIDE: usize = 4;

/// A symmetric positive matrix, `size x size`, rows padded with zeros.
#[derive(Debug, Clone)]
pub struct Covariance {
    size: usize,
    stride: usize,
    limit: f64,
    values: Lines,
    /// `P x` of the last projection, `[stride]`, as the following.
    projected: Lines,
    /// The same times the root of the reduction.
    scaled: Lines,
    /// The variances after an observation, before they are bounded.
    nexts: Lines,
    /// What a weight's deviation grows by: the root of the inflation, less where it is bounded.
    growths: Lines,
    /// The growths times the unbounded growth: the factors of a row that is not bounded.
    factors: Lines,
}

impl Covariance {
    /// Independent weights, each with the variance `prior`, which also bounds it for good.
    pub fn new(size: usize, prior: f64) -> Self {
        let stride = size.next_multiple_of(PAD);
        let values = Lines::new(size * stride);
        let [projected, scaled, nexts, growths, factors] = [(); 5].map(|()| Lines::new(stride));
        let limit = prior;
        let mut covariance =
            Self { size, stride, limit, values, projected, scaled, nexts, growths, factors };
        covariance.forget_all();
        covariance
    }

    /// Takes in an input: `P x` can be read from [`Covariance::projected`]; returns `x' P x`, never
    /// negative.
    ///
    /// # Shapes
    /// `x`: `[size]`, or longer with zeros behind.
    #[inline]
    pub fn project(&mut self, x: &[f64]) -> f64 {
        let mut column = 0;
        while column + WIDE * PAD <= self.stride {
            self.project_columns::<WIDE>(column, x);
            column += WIDE * PAD;
        }
        while column < self.stride {
            self.project_columns::<1>(column, x);
            column += PAD;
        }
        let mut sums = [0.0; PAD];
        for (x, p) in x.as_chunks::<PAD>().0.iter().zip(self.projected.as_chunks::<PAD>().0) {
            for lane in 0..PAD {
                sums[lane] += x[lane] * p[lane];
            }
        }
        let [a, b, c, d, e, f, g, h] = sums;
        (((a + e) + (c + g)) + ((b + f) + (d + h))).max(0.0)
    }

    /// `P x` of the input last projected, `[size]`.
    #[inline]
    pub fn projected(&self) -> &[f64] {
        &self.projected[..self.size]
    }

    /// Learns from the input last projected: `reduction = h / (1 + h s)` of it, then forgets by
    /// `inflation = 1 + f`.
    ///
    /// An input so large that a variance is lost in its rounding (`h s` beyond some 10^15) leaves
    /// nothing to go on with: all weights are as uncertain as at first then. A variance below 0
    /// would grow without bound.
    #[inline]
    pub fn observe(&mut self, reduction: f64, inflation: f64) {
        let [root, growth] = [reduction.sqrt(), inflation.sqrt()];
        let inflation = growth * growth;
        let (mut is_over, mut is_lost) = (false, false);
        let rows = self.values.chunks_exact(self.stride).enumerate();
        let moves = self.projected.iter().zip(self.scaled.iter_mut()).zip(self.nexts.iter_mut());
        for ((index, row), ((moved, scaled), next)) in rows.zip(moves) {
            *scaled = root * moved;
            *next = (-*scaled).mul_add(*scaled, row[index]) * inflation;
            is_over |= *next > self.limit;
            is_lost |= *next <= 0.0 || next.is_nan();
        }
        if is_lost {
            self.forget_all();
        } else if is_over {
            bound(&self.nexts, &mut self.growths, &mut self.factors, self.limit, growth);
            let (growths, factors) = (&self.growths, &self.factors);
            subtract_bounded(&mut self.values, &self.scaled, growths, factors, growth);
        } else {
            subtract(&mut self.values, &self.scaled, inflation);
        }
    }

    /// The variance of one weight.
    #[inline]
    pub fn variance(&self, index: usize) -> f64 {
        self.values[index * self.stride + index]
    }

    /// The entries, row by row with their padding, for saving.
    pub fn values(&self) -> &[f64] {
        &self.values
    }

    /// The same to restore them.
    pub fn values_mut(&mut self) -> &mut [f64] {
        &mut self.values
    }

    /// Independent weights of the prior's variance, as at first.
    fn forget_all(&mut self) {
        self.values.fill(0.0);
        for index in 0..self.size {
            self.values[index * self.stride + index] = self.limit;
        }
    }

    /// Some columns at a time, so that their sums stay in registers.
    #[inline]
    fn project_columns<const LINES: usize>(&mut self, column: usize, x: &[f64]) {
        let mut sums = [[0.0; PAD]; LINES];
        for (row, value) in self.values.chunks_exact(self.stride).zip(x) {
            let lines = row[column..].as_chunks::<PAD>().0.first_chunk::<LINES>();
            let lines = lines.expect("a row has as many columns");
            for line in 0..LINES {
                for lane in 0..PAD {
                    sums[line][lane] = lines[line][lane].mul_add(*value, sums[line][lane]);
                }
            }
        }
        self.projected[column..column + LINES * PAD].copy_from_slice(sums.as_flattened());
    }
}

// Functions of their own, whose arguments the compiler knows to lie apart.

#[inline(never)]
fn subtract(values: &mut [f64], scaled: &[f64], inflation: f64) {
    for (row, left) in values.chunks_exact_mut(scaled.len()).zip(scaled) {
        for (entry, right) in row.iter_mut().zip(scaled) {
            *entry = (-left).mul_add(*right, *entry) * inflation;
        }
    }
}

/// What brings every variance to its limit. Roots for all, in vectors: often half of them are over.
#[inline(never)]
fn bound(nexts: &[f64], growths: &mut [f64], factors: &mut [f64], limit: f64, growth: f64) {
    for ((next, bounded), factor) in nexts.iter().zip(growths).zip(factors) {
        *bounded = if *next > limit { (limit / next).sqrt() * growth } else { growth };
        *factor = growth * *bounded;
    }
}

/// Most rows are not bounded and save a product an entry by the `factors`.
#[inline(never)]
fn subtract_bounded(
    values: &mut [f64],
    scaled: &[f64],
    growths: &[f64],
    factors: &[f64],
    growth: f64,
) {
    let rows = values.chunks_exact_mut(scaled.len());
    for ((row, left), own) in rows.zip(scaled).zip(growths) {
        let columns = row.iter_mut().zip(scaled);
        if *own == growth {
            for ((entry, right), factor) in columns.zip(factors) {
                *entry = (-left).mul_add(*right, *entry) * factor;
            }
        } else {
            for ((entry, right), other) in columns.zip(growths) {
                *entry = (-left).mul_add(*right, *entry) * (own * other);
            }
        }
    }
}

/// Whole cache lines of values: a vector that lies across two costs twice (of an observation of 31
/// inputs it was a seventh, measured 2026-11-25 on an AMD EPYC).
#[derive(Debug, Clone)]
struct Lines(Vec<Line>);

#[derive(Debug, Clone, Copy)]
#[repr(C, align(64))]
struct Line([f64; PAD]);

impl Lines {
    fn new(values: usize) -> Self {
        Self(vec![Line([0.0; PAD]); values / PAD])
    }
}

impl Deref for Lines {
    type Target = [f64];

    #[inline]
    fn deref(&self) -> &[f64] {
        // SAFETY: by its layout in C a line is its values, without anything before or between.
        unsafe { std::slice::from_raw_parts(self.0.as_ptr().cast(), self.0.len() * PAD) }
    }
}

impl DerefMut for Lines {
    #[inline]
    fn deref_mut(&mut self) -> &mut [f64] {
        // SAFETY: by its layout in C a line is its values, without anything before or between.
        unsafe { std::slice::from_raw_parts_mut(self.0.as_mut_ptr().cast(), self.0.len() * PAD) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn inputs(count: usize, size: usize) -> Vec<Vec<f64>> {
        let mut state = 7_u64;
        let mut draw = || {
            state = crate::hash::mix64(state.wrapping_add(0x9e37_79b9_7f4a_7c15));
            (state >> 11) as f64 / (1_u64 << 53) as f64 - 0.5
        };
        let stride = size.next_multiple_of(PAD);
        let row = |draw: &mut dyn FnMut() -> f64| {
            (0..stride).map(|i| if i < size { draw() } else { 0.0 }).collect()
        };
        (0..count).map(|_| row(&mut draw)).collect()
    }

    /// Without forgetting `P` is the inverse of `I / prior + sum h x x'`.
    #[test]
    fn is_the_inverse_of_the_information() {
        let size = 5;
        let mut covariance = Covariance::new(size, 2.0);
        let mut information = vec![vec![0.0; size]; size];
        for (index, row) in information.iter_mut().enumerate() {
            row[index] = 0.5;
        }
        for x in inputs(200, size) {
            let spread = covariance.project(&x);
            covariance.observe(0.2 / (1.0 + 0.2 * spread), 1.0);
            for (i, row) in information.iter_mut().enumerate() {
                for (j, entry) in row.iter_mut().enumerate() {
                    *entry += 0.2 * x[i] * x[j];
                }
            }
        }
        for (i, row) in information.iter().enumerate() {
            for j in 0..size {
                let column = covariance.values[j..].iter().step_by(covariance.stride);
                let product: f64 = row.iter().zip(column).map(|(a, b)| a * b).sum();
                let expected = if i == j { 1.0 } else { 0.0 };
                assert!((product - expected).abs() < 1e-9, "{i} {j}: {product}");
            }
        }
    }

    /// A thousand times more forgetting than information: symmetric, bounded, positive for ever.
    #[test]
    fn stays_symmetric_and_bounded_under_forgetting() {
        let size = 6;
        let mut covariance = Covariance::new(size, 1.0);
        for mut x in inputs(20_000, size) {
            x[5] = x[0] + x[1];
            x[4] = 0.0;
            let spread = covariance.project(&x);
            assert!(spread >= 0.0 && spread.is_finite());
            covariance.observe(0.1 / (1.0 + 0.1 * spread), 1.01);
        }
        for i in 0..size {
            let stride = covariance.stride;
            assert!((0.0..=1.0 + 1e-12).contains(&covariance.values[i * stride + i]));
            for j in 0..size {
                let mirrored = covariance.values[j * stride + i];
                assert_eq!(covariance.values[i * stride + j].to_bits(), mirrored.to_bits());
            }
        }
    }
}
