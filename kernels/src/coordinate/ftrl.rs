//! FTRL-Proximal (McMahan et al. 2013, "Ad click prediction", algorithm 1).
//!
//! `s = (sqrt(n + g^2) - sqrt(n)) / alpha; z += g - s w; n += g^2`, and the weight is
//! `-(z - sign(z) l1) / ((beta + sqrt(n)) / alpha + l2)` where `|z| > l1`, else 0. Cell: `[z, n]`.
//! The bias is a coordinate like the others here: its penalties are part of its closed form.
//! A step of many rows is one `g`, their sum, but `n` grows by [`super::growth`].

use super::{ACCUMULATOR_MAX, Cell, CoordinateRule, Gathered, Pull, growth, shrink};

/// FTRL-Proximal: AdaGrad's steps with weights that L1 makes exactly zero.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct FtrlProximal {
    /// The size of steps.
    pub alpha: f32,
    /// Smooths the first steps.
    pub beta: f32,
    /// L1 penalty: weights whose `|z|` stays below are zero.
    pub l1: f32,
    /// L2 penalty.
    pub l2: f32,
}

impl CoordinateRule for FtrlProximal {
    #[inline]
    fn weight(&self, [z, sum]: Cell) -> f32 {
        let curvature = (self.beta + sum.sqrt()) / self.alpha + self.l2;
        -shrink(z, self.l1) / curvature
    }

    #[inline]
    fn change(&self, cell: Cell, pull: Pull) -> Cell {
        let [_, sum] = cell;
        let gradient = pull.gradient * pull.value;
        let next = (sum + gradient * gradient).min(ACCUMULATOR_MAX);
        let sigma = (next.sqrt() - sum.sqrt()) / self.alpha;
        [gradient - sigma * self.weight(cell), next - sum]
    }

    #[inline]
    fn step(&self, cell: Cell, gathered: &Gathered) -> Cell {
        let [z, sum] = cell;
        let newton = self.alpha * gathered.curvature;
        let grown = growth(sum, gathered.sum, gathered.squares, newton);
        let next = (sum + grown).min(ACCUMULATOR_MAX);
        let sigma = (next.sqrt() - sum.sqrt()) / self.alpha;
        [z + (gathered.sum - sigma * self.weight(cell)), next]
    }
}
