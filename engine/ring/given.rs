//! The features that the rows of a batch were scored by, where score records repeat them.

use pelton_models::Features;

/// Features by row.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct GivenFeatures {
    rows: usize,
    /// `[rows, dense width]`.
    dense: Vec<f32>,
    /// `[rows, sparse width]`.
    sparse: Vec<u32>,
}

impl GivenFeatures {
    /// Adds those of the next rows.
    pub fn push(&mut self, features: &Features<'_>) {
        self.rows += features.rows;
        self.dense.extend_from_slice(features.dense);
        self.sparse.extend_from_slice(features.sparse);
    }

    /// Dense and sparse features of a row; none where records do not repeat them.
    #[must_use]
    pub fn of(&self, row: usize) -> (&[f32], &[u32]) {
        if row >= self.rows {
            return (&[], &[]);
        }
        let (dense, sparse) = (self.dense.len() / self.rows, self.sparse.len() / self.rows);
        (&self.dense[row * dense..][..dense], &self.sparse[row * sparse..][..sparse])
    }

    /// Forgets all.
    pub fn clear(&mut self) {
        self.rows = 0;
        self.dense.clear();
        self.sparse.clear();
    }
}
