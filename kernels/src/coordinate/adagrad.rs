//! AdaGrad (Duchi, Hazan, Singer 2011, section 1, diagonal), L1 by its proximal step.
//!
//! `n += g^2; w -= rate * g / (sqrt(n) + epsilon)`, then `w` shrunk by `rate / sqrt(n) * l1`, with
//! `g` including `l2 * w`. L1 and L2 act on the coordinates a row touches. Cell: `[w, n]`.
//! A step of many rows takes their summed gradient, with `l2 * w` for each, and grows `n` by
//! [`super::growth`]; L1 counts once for each row.

use super::{ACCUMULATOR_MAX, Cell, CoordinateRule, Gathered, Pull, growth, shrink};

/// AdaGrad: steps shrink with the square root of the squared gradients seen.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct AdaGrad {
    /// The size of the first step of a coordinate.
    pub rate: f32,
    /// L1 penalty per example.
    pub l1: f32,
    /// L2 penalty per example.
    pub l2: f32,
}

impl CoordinateRule for AdaGrad {
    #[inline]
    fn weight(&self, cell: Cell) -> f32 {
        cell[0]
    }

    #[inline]
    fn change(&self, [weight, sum]: Cell, pull: Pull) -> Cell {
        let gradient = (pull.gradient + self.l2 * pull.penalty * weight * pull.value) * pull.value;
        let next = (sum + gradient * gradient).min(ACCUMULATOR_MAX);
        let step = self.rate / (next.sqrt() + 1e-8);
        let moved = shrink(weight - step * gradient, self.l1_step(step, pull));
        [moved - weight, next - sum]
    }

    #[inline]
    fn step(&self, [weight, sum]: Cell, gathered: &Gathered) -> Cell {
        let decay = self.l2 * gathered.penalty * weight * gathered.values_squared;
        let gradient = gathered.sum + decay;
        let curvature = gathered.curvature + self.l2 * gathered.penalty * gathered.values_squared;
        let grown = growth(sum, gradient, gathered.squares, self.rate * curvature);
        let next = (sum + grown).min(ACCUMULATOR_MAX);
        let step = self.rate / (next.sqrt() + 1e-8);
        let shrunk = step * self.l1 * gathered.penalty * gathered.touches;
        [shrink(weight - step * gradient, shrunk), next]
    }
}

impl AdaGrad {
    /// An untouched coordinate (value 0) is not penalised.
    #[inline]
    fn l1_step(&self, step: f32, pull: Pull) -> f32 {
        if pull.value == 0.0 { 0.0 } else { step * self.l1 * pull.penalty }
    }
}
