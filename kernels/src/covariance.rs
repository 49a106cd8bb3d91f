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

/// A symmetric positive matrix, `size x size`, rows padded with zeros.
#[derive(Debug, Clone, PartialEq)]
pub struct Covariance {
    size: usize,
    stride: usize,
    limit: f64,
    values: Vec<f64>,
    shrinks: Vec<f64>,
}

impl Covariance {
    /// Independent weights, each with the variance `prior`, which also bounds it for good.
    pub fn new(size: usize, prior: f64) -> Self {
        let stride = size.next_multiple_of(PAD);
        let mut values = vec![0.0; size * stride];
        for index in 0..size {
            values[index * stride + index] = prior;
        }
        Self { size, stride, limit: prior, values, shrinks: vec![1.0; stride] }
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
        // A block of columns at a time, so that its sums stay in registers.
        for (block, sums) in projected.as_chunks_mut::<PAD>().0.iter_mut().enumerate() {
            *sums = [0.0; PAD];
            for (row, value) in self.values.chunks_exact(self.stride).zip(x) {
                let entries = &row.as_chunks::<PAD>().0[block];
                for lane in 0..PAD {
                    sums[lane] += entries[lane] * value;
                }
            }
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
        let mut is_over = false;
        let diagonal = self.values.iter().step_by(self.stride + 1);
        for ((variance, moved), shrink) in diagonal.zip(projected).zip(&mut self.shrinks) {
            let next = (variance - reduction * (moved * moved)) * inflation;
            is_over |= next > self.limit;
            *shrink = if next > self.limit { (self.limit / next).sqrt() } else { 1.0 };
        }
        if is_over {
            self.subtract_bounded(projected, reduction, inflation);
        } else {
            self.subtract(projected, reduction, inflation);
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

    fn subtract(&mut self, projected: &[f64], reduction: f64, inflation: f64) {
        for (row, left) in self.values.chunks_exact_mut(self.stride).zip(projected) {
            for (entry, right) in row.iter_mut().zip(projected) {
                *entry = (*entry - reduction * (left * right)) * inflation;
            }
        }
    }

    fn subtract_bounded(&mut self, projected: &[f64], reduction: f64, inflation: f64) {
        let rows = self.values.chunks_exact_mut(self.stride);
        for ((row, left), shrink) in rows.zip(projected).zip(&self.shrinks) {
            for ((entry, right), other) in row.iter_mut().zip(projected).zip(&self.shrinks) {
                let bounded = inflation * (shrink * other);
                *entry = (*entry - reduction * (left * right)) * bounded;
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
