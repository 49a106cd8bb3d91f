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

use std::borrow::Cow;
use std::ops::{Deref, DerefMut};

/// Rows are padded to this many values: a cache line.
const PAD: usize = 8;
/// Lines of a row that are walked at once where there are as many: their sums stay in registers.
const WIDE: usize = 2;

/// A symmetric positive matrix, `size x size`, rows padded with zeros.
///
/// What an observation takes away is left to the next projection, which has to read every entry
/// anyway: an entry is loaded and stored once per example then.
#[derive(Debug, Clone)]
pub struct Covariance {
    size: usize,
    stride: usize,
    limit: f64,
    /// The entries, without the `pending` change.
    values: Lines,
    pending: Pending,
    /// The variances, after it.
    variances: Lines,
    /// `P x` of the last projection, `[stride]`, as the following.
    projected: Lines,
    /// The same times the root of the reduction: what is to be taken away.
    scaled: Lines,
    /// What a weight's deviation grows by: the root of the inflation, less where it is bounded.
    growths: Lines,
}

/// What is still to be done to the entries.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Pending {
    Nothing,
    /// Take `scaled scaled'` away and multiply by this.
    Inflate(f64),
    /// Take `scaled scaled'` away and multiply by `growths growths'`.
    Grow,
}

impl Covariance {
    /// Independent weights, each with the variance `prior`, which also bounds it for good.
    pub fn new(size: usize, prior: f64) -> Self {
        let stride = size.next_multiple_of(PAD);
        let values = Lines::new(size * stride);
        let [variances, projected, scaled, growths] = [(); 4].map(|()| Lines::new(stride));
        let (limit, pending) = (prior, Pending::Nothing);
        let mut covariance =
            Self { size, stride, limit, values, pending, variances, projected, scaled, growths };
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
        let pending = std::mem::replace(&mut self.pending, Pending::Nothing);
        pending.walk(&mut self.values, [&self.scaled, &self.growths], x, &mut self.projected);
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
        let moves = self.projected.iter().zip(self.scaled.iter_mut());
        // Behind the last weight there are zeros, which stay.
        for ((moved, scaled), variance) in moves.zip(&mut self.variances[..self.size]) {
            *scaled = root * moved;
            *variance = (-*scaled).mul_add(*scaled, *variance);
            let next = *variance * inflation;
            is_over |= next > self.limit;
            is_lost |= next <= 0.0 || next.is_nan();
        }
        if is_lost {
            self.forget_all();
        } else if is_over {
            bound(&mut self.variances, &mut self.growths, self.limit, growth);
            self.pending = Pending::Grow;
        } else {
            self.variances.iter_mut().for_each(|variance| *variance *= inflation);
            self.pending = Pending::Inflate(inflation);
        }
    }

    /// The variance of one weight.
    #[inline]
    pub fn variance(&self, index: usize) -> f64 {
        self.variances[index]
    }

    /// The variances of all weights, then zeros up to the length of a row of
    /// [`Covariance::values`].
    pub fn variances(&self) -> &[f64] {
        &self.variances
    }

    /// The entries, row by row with their padding, for saving.
    pub fn values(&self) -> Cow<'_, [f64]> {
        if self.pending == Pending::Nothing {
            return Cow::Borrowed(&self.values);
        }
        let (mut values, mut out) = (self.values.to_vec(), self.projected.clone());
        let nowhere = vec![0.0; self.stride];
        self.pending.walk(&mut values, [&self.scaled, &self.growths], &nowhere, &mut out);
        Cow::Owned(values)
    }

    /// Restores what [`Covariance::values`] gave; `fill` writes it.
    ///
    /// # Errors
    /// Those of `fill`.
    pub fn restore<E>(&mut self, fill: impl FnOnce(&mut [f64]) -> Result<(), E>) -> Result<(), E> {
        fill(&mut self.values)?;
        self.pending = Pending::Nothing;
        for index in 0..self.size {
            self.variances[index] = self.values[index * self.stride + index];
        }
        Ok(())
    }

    /// Independent weights of the prior's variance, as at first.
    fn forget_all(&mut self) {
        self.pending = Pending::Nothing;
        self.values.fill(0.0);
        for index in 0..self.size {
            self.values[index * self.stride + index] = self.limit;
            self.variances[index] = self.limit;
        }
    }
}

impl Pending {
    /// Changes every entry and multiplies the new matrix by `x`: `out = P x`.
    fn walk(self, values: &mut [f64], changes: [&[f64]; 2], x: &[f64], out: &mut [f64]) {
        match self {
            Pending::Nothing => walk(values, changes, x, out, |entry, _, _| entry),
            Pending::Inflate(inflation) => {
                walk(values, changes, x, out, |entry, [left, _], [right, _]| {
                    (-left).mul_add(right, entry) * inflation
                });
            }
            Pending::Grow => walk(values, changes, x, out, |entry, [left, own], [right, other]| {
                (-left).mul_add(right, entry) * (own * other)
            }),
        }
    }
}

// Functions of their own, whose arguments the compiler knows to lie apart.

#[inline(never)]
fn walk(
    values: &mut [f64],
    changes: [&[f64]; 2],
    x: &[f64],
    out: &mut [f64],
    change: impl Fn(f64, [f64; 2], [f64; 2]) -> f64,
) {
    let stride = out.len();
    let mut column = 0;
    while column + WIDE * PAD <= stride {
        walk_columns::<WIDE>(values, changes, x, &mut out[column..], (column, stride), &change);
        column += WIDE * PAD;
    }
    while column < stride {
        walk_columns::<1>(values, changes, x, &mut out[column..], (column, stride), &change);
        column += PAD;
    }
}

/// Some columns at a time, so that their sums stay in registers.
#[inline(always)]
fn walk_columns<const LINES: usize>(
    values: &mut [f64],
    changes: [&[f64]; 2],
    x: &[f64],
    out: &mut [f64],
    (column, stride): (usize, usize),
    change: &impl Fn(f64, [f64; 2], [f64; 2]) -> f64,
) {
    let [rights, others] = changes.map(|change| *lines::<LINES>(&change[column..]));
    let mut sums = [[0.0; PAD]; LINES];
    let lefts = changes[0].iter().zip(changes[1]);
    for ((row, value), (left, own)) in values.chunks_exact_mut(stride).zip(x).zip(lefts) {
        let row = row[column..].as_chunks_mut::<PAD>().0.first_chunk_mut::<LINES>();
        let row = row.expect("a row has as many columns");
        for line in 0..LINES {
            for lane in 0..PAD {
                let with = [rights[line][lane], others[line][lane]];
                let entry = change(row[line][lane], [*left, *own], with);
                row[line][lane] = entry;
                sums[line][lane] = entry.mul_add(*value, sums[line][lane]);
            }
        }
    }
    out[..LINES * PAD].copy_from_slice(sums.as_flattened());
}

#[inline(always)]
fn lines<const LINES: usize>(values: &[f64]) -> &[[f64; PAD]; LINES] {
    let lines = values.as_chunks::<PAD>().0.first_chunk::<LINES>();
    lines.expect("a row has as many columns")
}

/// What brings every variance to its limit. Roots for all, in vectors: often half of them are over.
#[inline(never)]
fn bound(variances: &mut [f64], growths: &mut [f64], limit: f64, growth: f64) {
    for (variance, bounded) in variances.iter_mut().zip(growths) {
        let next = *variance * (growth * growth);
        *bounded = if next > limit { (limit / next).sqrt() * growth } else { growth };
        *variance *= *bounded * *bounded;
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
        let values = covariance.values();
        for (i, row) in information.iter().enumerate() {
            for j in 0..size {
                let column = values[j..].iter().step_by(covariance.stride);
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
        let (values, stride) = (covariance.values(), covariance.stride);
        for i in 0..size {
            assert!((0.0..=1.0 + 1e-12).contains(&values[i * stride + i]));
            assert_eq!(covariance.variance(i).to_bits(), values[i * stride + i].to_bits());
            for j in 0..size {
                let mirrored = values[j * stride + i];
                assert_eq!(values[i * stride + j].to_bits(), mirrored.to_bits());
            }
        }
    }
}
