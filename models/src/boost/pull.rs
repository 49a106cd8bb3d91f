//! What rows ask of a tree, as fixed-point numbers whose sums are exact.
//!
//! First and second derivative lie in the two halves of an integer, scaled so that the sum over all
//! rows fits a half: about nine decimal digits, far finer than the rows' own noise. Sums of
//! integers are the same in any order: of rows, of threads, on any device (Shi, Li, Ke, Liu 2022,
//! "Quantized training of gradient boosting decision trees", goes further, to a few bits).

use super::tree::Growth;

/// What a row asks of the tree: first and second derivative of its loss, with its weight.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pull {
    /// The row.
    pub row: u32,
    /// Both derivatives, in units of a [`Scale`].
    pub packed: i64,
}

/// Units of the first and the second derivative.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Scale {
    per: [f64; 2],
    of: [f64; 2],
}

/// The most that a half holds.
const HALF_MAX: f64 = 2_147_483_647.0;

impl Scale {
    /// For sums of absolute values as large as these.
    pub fn new(sums: [f64; 2]) -> Scale {
        let usable = |sum: f64| if sum > 1e-280 { sum } else { 1.0 };
        // A hair less, for what rounding of the sums themselves does.
        let limit = HALF_MAX * (1.0 - 1e-9);
        Scale { per: sums.map(|sum| limit / usable(sum)), of: sums.map(|sum| usable(sum) / limit) }
    }

    /// Two derivatives in one; the second is not below 0. Towards 0, so that sums stay in range.
    #[inline]
    pub fn pack(self, [gradient, hessian]: [f32; 2]) -> i64 {
        let [gradient, hessian] =
            [f64::from(gradient) * self.per[0], f64::from(hessian) * self.per[1]];
        ((gradient as i64) << 32).wrapping_add(hessian as i64)
    }

    /// The sums of both that a sum of packed ones stands for.
    #[inline]
    pub fn sums(self, packed: i64) -> [f64; 2] {
        let [gradient, hessian] = [(packed >> 32) as i32, packed as i32];
        [f64::from(gradient) * self.of[0], f64::from(hessian) * self.of[1]]
    }

    /// What a leaf of such a sum adds to a margin.
    pub fn value(self, packed: i64, growth: &Growth) -> f32 {
        let [gradient, hessian] = self.sums(packed);
        (-gradient / (hessian + growth.lambda)) as f32 * growth.rate
    }
}
