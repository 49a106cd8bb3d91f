//! The covariance of a run of weights learned by an extended Kalman filter, as a full matrix.
//!
//! An observation `x` with information `h` (the curvature of its loss) takes `h P x x' P / (1 + h
//! s)` off the covariance `P`, where `s = x' P x`; forgetting multiplies what is left by `1 + f`,
//! and no variance exceeds the prior's. (Fahrmeir 1992 for the filter of a generalised linear
//! model; Salgado et al. 1988 for bounded exponential forgetting.) Double precision, because nearly
//! collinear inputs leave variances that differ by six orders of magnitude.
//!
//! Invariant: `P` is symmetric to the bit, because every product is formed from commuting factors;
//! an asymmetry would be inflated by forgetting without ever being observed away.

/// Rows are padded to this many values.
const PAD: usize = 8;
/// Columns that are summed at once where there are as many: their sums fill half the registers.
const WIDE: usize = 32;

/// A symmetric positive matrix, `size x size`, rows padded with zeros.
#[derive(Debug, Clone)]
pub struct Covariance {
    size: usize,
    stride: usize,
    limit: f64,
    values: Vec<f64>,
    scratch: Scratch,
}

/// What an observation is worked out in; nothing of it is kept.
#[derive(Debug, Clone)]
struct Scratch {
    /// The variances after it, before they are bounded.
    nexts: Vec<f64>,
    /// Which of them are over the limit.
    over: Vec<u32>,
    /// What weights are shrunk by for that, 1 for most.
    shrinks: Vec<f64>,
    /// The inflation times the shrinks.
    factors: Vec<f64>,
}

impl Covariance {
    /// Independent weights, each with the variance `prior`, which also bounds it for good.
    pub fn new(size: usize, prior: f64) -> Self {
        let stride = size.next_multiple_of(PAD);
        let mut values = vec![0.0; size * stride];
        for index in 0..size {
            values[index * stride + index] = prior;
        }
        let ones = vec![1.0; stride];
        let (nexts, over) = (ones.clone(), vec![0; stride + 1]);
        let scratch = Scratch { nexts, over, shrinks: ones.clone(), factors: ones };
        Self { size, stride, limit: prior, values, scratch }
    }

    /// Values of a padded vector.
    pub fn stride(&self) -> usize {
        self.stride
    }

    /// `projected = P x`; returns `x' P x`, never negative.
    ///
    /// # Shapes
    /// `x`, `projected`: `[stride]`, the padding of `x` zero.
    #[inline]
    pub fn project(&self, x: &[f64], projected: &mut [f64]) -> f64 {
        let mut column = 0;
        while column + WIDE <= self.stride {
            self.project_columns::<WIDE>(column, x, projected);
            column += WIDE;
        }
        while column < self.stride {
            self.project_columns::<PAD>(column, x, projected);
            column += PAD;
        }
        let mut sums = [0.0; PAD];
        for (x, p) in x.as_chunks::<PAD>().0.iter().zip(projected.as_chunks::<PAD>().0) {
            for lane in 0..PAD {
                sums[lane] += x[lane] * p[lane];
            }
        }
        let [a, b, c, d, e, f, g, h] = sums;
        (((a + e) + (c + g)) + ((b + f) + (d + h))).max(0.0)
    }

    /// Learns from one observation: `reduction = h / (1 + h s)` of it, then forgets by `1 + f`.
    ///
    /// # Shapes
    /// `projected`: `[stride]`, as [`Covariance::project`] gave it.
    #[inline]
    pub fn observe(&mut self, projected: &[f64], reduction: f64, inflation: f64) {
        let (limit, rates) = (self.limit, [reduction, inflation]);
        let (scratch, mut over) = (&mut self.scratch, 0);
        let moves = projected[..self.size].iter().zip(&mut scratch.nexts);
        for (index, (moved, next)) in moves.enumerate() {
            let variance = self.values[index * (self.stride + 1)];
            *next = (variance - reduction * (moved * moved)) * inflation;
            scratch.over[over] = index as u32;
            over += usize::from(*next > limit);
        }
        if over == 0 {
            return subtract(&mut self.values, projected, rates);
        }
        scratch.shrinks.fill(1.0);
        for &index in &scratch.over[..over] {
            scratch.shrinks[index as usize] = (limit / scratch.nexts[index as usize]).sqrt();
        }
        for (factor, shrink) in scratch.factors.iter_mut().zip(&scratch.shrinks) {
            *factor = inflation * shrink;
        }
        subtract_bounded(&mut self.values, projected, &scratch.shrinks, &scratch.factors, rates);
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

    /// A block of columns at a time, so that its sums stay in registers.
    #[inline]
    fn project_columns<const N: usize>(&self, column: usize, x: &[f64], projected: &mut [f64]) {
        let mut sums = [0.0; N];
        for (row, value) in self.values.chunks_exact(self.stride).zip(&x[..self.size]) {
            let entries = row[column..].first_chunk::<N>().expect("a block lies inside a row");
            for lane in 0..N {
                sums[lane] += entries[lane] * value;
            }
        }
        projected[column..column + N].copy_from_slice(&sums);
    }
}

// Functions of their own, whose arguments the compiler knows to lie apart.

#[inline(never)]
fn subtract(values: &mut [f64], projected: &[f64], [reduction, inflation]: [f64; 2]) {
    for (row, left) in values.chunks_exact_mut(projected.len()).zip(projected) {
        for (entry, right) in row.iter_mut().zip(projected) {
            *entry = (*entry - reduction * (left * right)) * inflation;
        }
    }
}

/// `factors` are the inflation times the shrinks: most rows are not shrunk and save two products
/// an entry.
#[inline(never)]
fn subtract_bounded(
    values: &mut [f64],
    projected: &[f64],
    shrinks: &[f64],
    factors: &[f64],
    [reduction, inflation]: [f64; 2],
) {
    let rows = values.chunks_exact_mut(projected.len());
    for ((row, left), shrink) in rows.zip(projected).zip(shrinks) {
        let columns = row.iter_mut().zip(projected);
        if *shrink == 1.0 {
            for ((entry, right), factor) in columns.zip(factors) {
                *entry = (*entry - reduction * (left * right)) * factor;
            }
        } else {
            for ((entry, right), other) in columns.zip(shrinks) {
                *entry = (*entry - reduction * (left * right)) * (inflation * (shrink * other));
            }
        }
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
            let mut projected = vec![0.0; covariance.stride()];
            let spread = covariance.project(&x, &mut projected);
            covariance.observe(&projected, 0.2 / (1.0 + 0.2 * spread), 1.0);
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
            let mut projected = vec![0.0; covariance.stride()];
            let spread = covariance.project(&x, &mut projected);
            assert!(spread >= 0.0 && spread.is_finite());
            covariance.observe(&projected, 0.1 / (1.0 + 0.1 * spread), 1.01);
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
