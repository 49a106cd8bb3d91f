//! Per-coordinate optimisers: what one example does to one weight and its accumulator.
//!
//! A cell is two floats side by side, the weight (or what stands for it) and its accumulator, so
//! that a coordinate costs one touch of one cache line. A [`CoordinateRule`] reads a weight from a
//! cell and says how an example *changes* the cell; changes are added, in row order. Within a row
//! every change is computed from the cell as it was before the row, so that rows vectorise and a
//! coordinate named twice in a row gets both changes. Many rows learned as one step change a cell
//! once, by sums over them ([`Gathered`]). Invariant: a change of a finite cell by a finite
//! gradient is finite. What this does not do: find the cells.

mod adagrad;
pub mod device;
mod ftrl;
mod gathered;
mod sgd;
#[cfg(test)]
mod tests;

pub use adagrad::AdaGrad;
pub use ftrl::FtrlProximal;
pub use gathered::{Gathered, Quantum, TILE, TreeSums, tree_sum};
pub use sgd::NormalizedSgd;

/// Weight and accumulator of one coordinate; all zero before the first example.
pub type Cell = [f32; 2];

/// Lanes of the vector loops; sums are kept per lane and folded in a fixed order.
pub const LANES: usize = 8;

/// Accumulators stop growing here, far from overflow.
pub(crate) const ACCUMULATOR_MAX: f32 = 1e36;

/// One example's effect on one coordinate.
#[derive(Debug, Clone, Copy)]
pub struct Pull {
    /// The derivative of the example's loss by the score, times the example's weight.
    pub gradient: f32,
    /// The coordinate's input value.
    pub value: f32,
    /// 1 where L1 and L2 apply, 0 for the bias.
    pub penalty: f32,
}

/// A per-coordinate optimiser.
pub trait CoordinateRule: Copy {
    /// The weight a cell stands for.
    fn weight(&self, cell: Cell) -> f32;

    /// What to add to a cell for one example.
    fn change(&self, cell: Cell, pull: Pull) -> Cell;

    /// The cell after a step of many rows, all scored at the weights before it.
    fn step(&self, cell: Cell, gathered: &Gathered) -> Cell;
}

/// The weights of a run of cells times their values, added to a sum per lane.
///
/// # Shapes
/// `cells`, `values`: equal lengths, a multiple of [`LANES`].
#[inline]
pub fn accumulate<R: CoordinateRule>(
    rule: &R,
    cells: &[Cell],
    values: &[f32],
    sums: &mut [f32; LANES],
) {
    let (cells, _) = cells.as_chunks::<LANES>();
    let (values, _) = values.as_chunks::<LANES>();
    for (cells, values) in cells.iter().zip(values) {
        for lane in 0..LANES {
            sums[lane] += rule.weight(cells[lane]) * values[lane];
        }
    }
}

/// Replaces each cell by its change under one example.
///
/// # Shapes
/// `cells`, `values`, `penalties`: equal lengths, a multiple of [`LANES`].
#[inline]
pub fn changes<R: CoordinateRule>(
    rule: &R,
    cells: &mut [Cell],
    values: &[f32],
    penalties: &[f32],
    gradient: f32,
) {
    let (cells, _) = cells.as_chunks_mut::<LANES>();
    let (values, _) = values.as_chunks::<LANES>();
    let (penalties, _) = penalties.as_chunks::<LANES>();
    for ((cells, values), penalties) in cells.iter_mut().zip(values).zip(penalties) {
        for lane in 0..LANES {
            let pull = Pull { gradient, value: values[lane], penalty: penalties[lane] };
            cells[lane] = rule.change(cells[lane], pull);
        }
    }
}

/// The sum over lanes, in a fixed order.
#[inline]
pub fn fold_lanes(sums: &[f32; LANES]) -> f32 {
    let [a, b, c, d, e, f, g, h] = *sums;
    ((a + e) + (c + g)) + ((b + f) + (d + h))
}

/// The sum of squares.
///
/// # Shapes
/// `values`: a multiple of [`LANES`], padded with zeros.
#[inline]
pub fn length_squared(values: &[f32]) -> f32 {
    let mut sums = [0.0; LANES];
    for values in values.as_chunks::<LANES>().0 {
        for (sum, value) in sums.iter_mut().zip(values) {
            *sum += value * value;
        }
    }
    fold_lanes(&sums)
}

/// By how much the squared gradients `n` of a coordinate grow in a step, with a step of `rate`
/// over the root of them.
#[inline]
pub(crate) fn growth(n: f32, sum: f32, squares: f32, newton: f32) -> f32 {
    let together = sum * sum;
    let most = if together > squares { together } else { squares };
    let wanted = newton * newton - n;
    let wanted = if wanted > squares { wanted } else { squares };
    if wanted < most { wanted } else { most }
}

/// The weight moved toward zero by `amount`, stopping there: the proximal step of L1.
#[inline]
pub(crate) fn shrink(weight: f32, amount: f32) -> f32 {
    let size = weight.abs() - amount;
    (if size > 0.0 { size } else { 0.0 }).copysign(weight)
}
