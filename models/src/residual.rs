//! The usual size of a residual: the unit in which losses of a regression are compared.

/// How fast it follows.
const RATE: f64 = 0.01;
/// A residual counts as so many usual ones at the most.
const RESIDUALS_MAX: f64 = 8.0;
/// Residuals that are all taken as they are: the first ones.
const FIRST: u64 = 30;
/// From then on one moves the estimate as if it were so many usual ones at the most: an outlier
/// stays one.
const OUTLIER: f64 = 5.0;

/// The usual size of a residual; 0 before there was one.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct UsualResidual(pub f64);

impl UsualResidual {
    /// The size itself, 1 where there is none.
    fn size(self) -> f64 {
        if self.0 > 0.0 { self.0 } else { 1.0 }
    }

    /// A residual in usual ones.
    pub fn loss(self, value: f32, target: f32) -> f64 {
        (f64::from((value - target).abs()) / self.size()).min(RESIDUALS_MAX)
    }

    /// Takes in a residual, the `rows`-th.
    pub fn observe(&mut self, value: f32, target: f32, rows: u64) {
        let seen = f64::from((value - target).abs());
        let rate = RATE.max(1.0 / rows as f64);
        let limit = if rows < FIRST { f64::MAX } else { OUTLIER * self.size() };
        self.0 += rate * (seen.min(limit) - self.0);
    }

    /// Whether a damaged state cannot be one.
    pub fn is_sound(self) -> bool {
        (0.0..=f64::MAX).contains(&self.0)
    }
}
