//! Gradient descent at a constant rate, each coordinate measured in its own unit.
//!
//! Normalised gradient descent (Ross, Mineiro, Langford 2013, "Normalized online learning",
//! algorithm 1): `s` is the largest `|x|` seen of the coordinate, a step is `g x / s^2`, and a
//! weight is rescaled by `(s_old / s_new)^2` when `s` grows. The rate, and the division by the
//! average of `sum (x/s)^2`, are in the gradient the caller passes. Cell: `[w, s]`.
//! A step of many rows takes the average, over the rows that touch the coordinate, of what each
//! alone would do once `s` is the largest of them all (Zinkevich, Weimer, Li, Smola 2010,
//! "Parallelized stochastic gradient descent").

use super::{Cell, CoordinateRule, Gathered, Pull, shrink};

/// Constant-rate descent with a scale per coordinate; the gradient comes times the rate.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct NormalizedSgd {
    /// The rate that L1 and L2 are multiplied by.
    pub rate: f32,
    /// L1 penalty per example.
    pub l1: f32,
    /// L2 penalty per example.
    pub l2: f32,
}

impl CoordinateRule for NormalizedSgd {
    #[inline]
    fn weight(&self, cell: Cell) -> f32 {
        cell[0]
    }

    #[inline]
    fn change(&self, [weight, scale]: Cell, pull: Pull) -> Cell {
        let size = pull.value.abs();
        let next = if size > scale { size } else { scale };
        let safe = if next > 0.0 { next } else { 1.0 };
        let ratio = if scale > 0.0 { scale / safe } else { 1.0 };
        let unit = pull.value / safe;
        let penalty = if pull.value == 0.0 { 0.0 } else { self.rate * pull.penalty };
        let kept = weight * (ratio * ratio) * (1.0 - (penalty * self.l2).min(1.0));
        let moved = shrink(kept - pull.gradient * (unit / safe), penalty * self.l1);
        [moved - weight, next - scale]
    }

    #[inline]
    fn step(&self, [weight, scale]: Cell, gathered: &Gathered) -> Cell {
        let next = if gathered.largest > scale { gathered.largest } else { scale };
        let safe = if next > 0.0 { next } else { 1.0 };
        let ratio = if scale > 0.0 { scale / safe } else { 1.0 };
        let is_touched = gathered.touches > 0.0;
        let most = if is_touched { gathered.touches } else { 1.0 };
        let shared = gathered.curvature / safe;
        let shared = if shared > 1.0 { shared } else { 1.0 };
        let average = gathered.sum / if shared < most { shared } else { most };
        let penalty = if is_touched { self.rate * gathered.penalty } else { 0.0 };
        let kept = weight * (ratio * ratio) * (1.0 - (penalty * self.l2).min(1.0));
        [shrink(kept - (average / safe) / safe, penalty * self.l1), next]
    }
}

impl NormalizedSgd {
    /// `(x / s)^2` of a coordinate, its share in the row's length.
    #[inline]
    pub fn share(scale: f32, value: f32) -> f32 {
        let size = value.abs();
        let unit = if size > scale { 1.0 } else { size / scale.max(f32::MIN_POSITIVE) };
        if size == 0.0 { 0.0 } else { unit * unit }
    }
}
