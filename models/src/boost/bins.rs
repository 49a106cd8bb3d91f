//! Features as bytes: which of 255 bins of a column a value lies in.

/// Bins of a column; a code fits a byte.
pub(super) const BINS: usize = 255;

/// The upper edges of each column's bins, increasing: a value lies in the first bin whose edge it
/// does not exceed, in the last one beyond all.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Bins {
    edges: Vec<Vec<f32>>,
}

impl Bins {
    /// Bins of about as many of these rows each.
    ///
    /// # Shapes
    /// `rows: [rows, width]`, without NaN.
    pub fn of(rows: &[f32], width: usize) -> Bins {
        let count = rows.len().checked_div(width).unwrap_or(0);
        let mut column = vec![0.0; count];
        let edges = |offset: usize| {
            for (value, row) in column.iter_mut().zip(rows.chunks_exact(width)) {
                *value = row[offset];
            }
            column.sort_unstable_by(f32::total_cmp);
            let mut edges: Vec<f32> = match count {
                0 => Vec::new(),
                _ => (1..BINS).map(|bin| column[bin * (count - 1) / BINS]).collect(),
            };
            // A column of few values has few bins.
            edges.dedup();
            edges
        };
        Bins { edges: (0..width).map(edges).collect() }
    }

    /// The bins with these edges.
    pub fn with_edges(edges: Vec<Vec<f32>>) -> Bins {
        Bins { edges }
    }

    /// The edges by column.
    pub fn edges(&self) -> &[Vec<f32>] {
        &self.edges
    }

    /// The codes of a row.
    #[inline]
    pub fn encode(&self, row: &[f32], codes: &mut [u8]) {
        for ((code, value), edges) in codes.iter_mut().zip(row).zip(&self.edges) {
            *code = edges.partition_point(|edge| edge < value) as u8;
        }
    }
}
