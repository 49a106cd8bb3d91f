//! How the experts' weights add up to those of their pool.

use pelton_kernels::blend::{BlendCell, EXPERTS};
use pelton_kernels::mixture::LOG_ODDS_MAX;

use super::Blend;
use crate::ABSENT;
use crate::linear::rows::Row;

impl Blend {
    /// What each value counts, and what each sparse feature adds, in a score that is the sum of the
    /// experts' scores times `shares`.
    ///
    /// # Shapes
    /// `weights: [dense values + 1]`, `sparse: [sparse features]`.
    pub(crate) fn explain_with(
        &self,
        (row, class): (Row<'_>, usize),
        shares: &[f32; EXPERTS],
        weights: &mut [f32],
        sparse: &mut [f32],
    ) {
        let pooled = |cell: &BlendCell| {
            let parts: [f32; EXPERTS] = std::array::from_fn(|at| shares[at] * cell.weights[at]);
            (parts[0] + parts[2]) + (parts[1] + parts[3])
        };
        let dense = &self.dense[class * self.width..(class + 1) * self.width];
        weights.iter_mut().zip(dense).for_each(|(weight, cell)| *weight = pooled(cell));
        for (out, index) in sparse.iter_mut().zip(row.sparse) {
            if *index != ABSENT {
                *out += pooled(&self.sparse[*index as usize * self.classes + class]);
            }
        }
    }
}

/// How much of each expert's score a pool takes, which limits it.
pub(crate) fn limited_shares(scores: &[f32; EXPERTS]) -> [f32; EXPERTS] {
    std::array::from_fn(|at| {
        let size = scores[at].abs();
        if size > LOG_ODDS_MAX { LOG_ODDS_MAX / size } else { 1.0 }
    })
}
