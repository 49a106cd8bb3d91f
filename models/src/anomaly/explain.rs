//! Why a row is strange: how much less it were so if a column had a usual value.
//!
//! Each column in turn takes the median of a few rows of the window; what the row then lies deeper
//! in the trees is the column's part (occlusion, as in Zeiler, Fergus 2014). The parts are mapped
//! to the log odds of the rank in proportion ([`crate::explain`]); the base is a row in the middle,
//! at even odds. It costs a walk of all trees a column.

use pelton_kernels::math::logit_f32;

use super::Strangeness;
use super::tree::depth_of;
use crate::explain::map;

/// Rows of the window that a usual value is the median of.
const USUAL_ROWS: usize = 65;
/// Ranks are explained as if there were no surer ones.
const SURE: f32 = 1e-6;

impl Strangeness {
    /// The value of each column that is neither high nor low among the rows of the window.
    pub(super) fn usual(&self) -> Vec<f32> {
        let rows = self.window.len() / self.width;
        let step = rows.div_ceil(USUAL_ROWS).max(1);
        let median = |column: usize| {
            let values = (0..rows).step_by(step).map(|row| self.window[row * self.width + column]);
            let mut values: Vec<f32> = values.collect();
            values.sort_unstable_by(f32::total_cmp);
            values.get(values.len() / 2).copied().unwrap_or(0.0)
        };
        (0..self.width).map(median).collect()
    }

    /// What each column adds to the log odds of the rank of a row.
    ///
    /// # Shapes
    /// `usual: [columns]`; `out: [columns + 1]`, the base last.
    pub(super) fn explain(
        &self,
        (dense, sparse): (&[f32], &[u32]),
        usual: &[f32],
        out: &mut [f32],
    ) {
        out.fill(0.0);
        let rank = self.rank(dense, sparse).clamp(SURE, 1.0 - SURE);
        if !self.trees.is_empty() {
            let mut row = Vec::new();
            self.columns(dense, sparse, &mut row);
            let depth = depth_of(&self.trees, &row);
            let columns = out.len() - 1;
            for ((part, usual), column) in out.iter_mut().zip(usual).zip(0..columns) {
                let own = std::mem::replace(&mut row[column], *usual);
                *part = depth_of(&self.trees, &row) - depth;
                row[column] = own;
            }
        }
        map(out, [0.0, logit_f32(rank)], 1.0);
    }
}
