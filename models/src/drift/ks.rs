//! The test of Kolmogorov and Smirnov: how far two distributions are apart at most, and how likely
//! that is by chance.
//!
//! # Formula
//! `D = max |F(x) - G(x)|` over the edges of the bins (Smirnov, 1948). With `e = n m / (n + m)` and
//! `t = (sqrt(e) + .12 + .11 / sqrt(e)) D`, the chance of so large a distance or a larger one is
//! `2 sum over k >= 1 of (-1)^(k-1) exp(-2 k^2 t^2)` (Stephens, 1970).
//!
//! # Bins, not samples
//! At the edges both shares are exact, so that `D` of bins is at most that of the samples, and less
//! than it by no more than the largest share of a bin: a fortieth of the reference, unless a value
//! has more, which then is an edge itself. Samples would have to be kept and sorted at every look:
//! for 1000 values 30 microseconds and 4 KB per feature, where 40 counts take a tenth of either and
//! serve [`psi`](super::psi) as well. That values are tied in bins makes the test stricter, not
//! looser: the chance it gives is an upper bound (Conover, 1972).

use pelton_kernels::math::exp;

/// Below this the chance is 1, to twelve digits.
const SURE: f64 = 0.2;
/// Terms that are ever needed, from [`SURE`] on.
const TERMS: i32 = 30;

/// The largest distance of the shares below an edge.
///
/// # Shapes
/// `reference, current: [bins]`; counts, which may be parts of one.
#[must_use]
pub fn distance(reference: &[f64], current: &[f64]) -> f64 {
    let (n, m) = (reference.iter().sum::<f64>(), current.iter().sum::<f64>());
    if n <= 0.0 || m <= 0.0 {
        return 0.0;
    }
    let (mut below, mut largest) = ([0.0; 2], 0.0_f64);
    for (before, now) in reference.iter().zip(current) {
        below = [below[0] + before, below[1] + now];
        largest = largest.max((below[0] / n - below[1] / m).abs());
    }
    largest
}

/// The chance of such a distance between samples of `n` and `m` values of one distribution.
#[must_use]
pub fn significance(distance: f64, n: f64, m: f64) -> f64 {
    let root = (n * m / (n + m)).sqrt();
    let scaled = (root + 0.12 + 0.11 / root) * distance;
    if scaled.is_nan() || scaled < SURE {
        return 1.0;
    }
    let term = |k: i32| {
        let k = f64::from(k);
        exp(-2.0 * k * k * scaled * scaled)
    };
    let sum =
        (1..=TERMS).fold(0.0, |sum, k| if k % 2 == 1 { sum + term(k) } else { sum - term(k) });
    (2.0 * sum).clamp(0.0, 1.0)
}

#[cfg(test)]
mod tests;
