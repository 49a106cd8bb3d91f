//! Why a model that is only known by what it answers gives a score.
//!
//! Inputs go, one after another, from what is usual (the means of the rows whose labels have come;
//! sparse features absent) to what they are; each counts for how far its step moves the log odds
//! or the value. That depends on the order, so the mean of two is taken, first to last and last to
//! first: Shapley values by the smallest antithetic sample of orders (Štrumbelj, Kononenko 2014;
//! Mitchell et al. 2022, "Sampling permutations for Shapley value estimation"), exact where inputs
//! do not interact and always complete. Only inputs that the graph is fed are moved.

use super::{Feed, Frozen};
use crate::explain::complete;
use crate::{ABSENT, Features, ModelError, Task};
use pelton_kernels::math::{ln_f32, logit_f32};

/// Probabilities count as if there were no surer ones.
const SURE: f32 = 1e-7;

/// Rows on the way, used again.
#[derive(Debug, Default)]
pub(super) struct Explaining {
    dense: Vec<f32>,
    sparse: Vec<u32>,
    scores: Vec<f32>,
}

impl Frozen {
    /// Explains rows whose shape has been checked.
    pub(super) fn explain_rows(
        &self,
        features: &Features<'_>,
        out: &mut [f32],
    ) -> Result<(), ModelError> {
        let moved = self.moved();
        let (dense_width, sparse_width) = (self.shape.dense_width, self.shape.sparse_width);
        let (outputs, width) = (self.task.outputs(), self.shape.explained_width(0));
        let room = &mut *self.explaining.borrow_mut();
        out.fill(0.0);
        for (row, out) in out.chunks_exact_mut(outputs * width).enumerate() {
            let dense = &features.dense[row * dense_width..][..dense_width];
            let sparse = &features.sparse[row * sparse_width..][..sparse_width];
            room.dense.clear();
            room.sparse.clear();
            let usual = self.state.means.iter().map(|mean| *mean as f32);
            // The usual row, then one input more of the row each, forth; the same back.
            for is_back in [false, true] {
                let mut own: Vec<f32> = usual.clone().collect();
                let mut categories = vec![ABSENT; sparse_width];
                room.dense.extend_from_slice(&own);
                room.sparse.extend_from_slice(&categories);
                for at in 0..moved.len() {
                    match moved[if is_back { moved.len() - 1 - at } else { at }] {
                        input if input < dense_width => own[input] = dense[input],
                        input => categories[input - dense_width] = sparse[input - dense_width],
                    }
                    room.dense.extend_from_slice(&own);
                    room.sparse.extend_from_slice(&categories);
                }
            }
            let rows = 2 * (moved.len() + 1);
            room.scores.clear();
            room.scores.resize(rows * outputs, 0.0);
            let way = Features { rows, dense: &room.dense, sparse: &room.sparse, notes: &[] };
            self.predict(&way, &mut room.scores)?;
            room.scores.iter_mut().for_each(|score| *score = self.margin(*score));
            for (output, out) in out.chunks_exact_mut(width).enumerate() {
                let at = |place: usize| room.scores[place * outputs + output];
                out[width - 1] = at(0);
                let behind = moved.len() + 1;
                for (place, input) in moved.iter().enumerate() {
                    let back = behind + moved.len() - 1 - place;
                    let steps = (at(place + 1) - at(place)) + (at(back + 1) - at(back));
                    out[*input] += 0.5 * steps;
                }
                complete(out, at(moved.len()));
            }
        }
        Ok(())
    }

    /// The inputs that the graph looks at: dense features, then sparse ones.
    fn moved(&self) -> Vec<usize> {
        let dense_width = self.shape.dense_width;
        let mut moved: Vec<usize> = Vec::new();
        for feed in &self.drawing.feeds {
            match feed {
                Feed::Dense(columns) => moved.extend(columns.iter().map(|own| *own as usize)),
                Feed::Sparse => moved.extend(dense_width..dense_width + self.shape.sparse_width),
            }
        }
        moved.sort_unstable();
        moved.dedup();
        moved
    }

    fn margin(&self, score: f32) -> f32 {
        match self.task {
            Task::Binary => logit_f32(score.clamp(SURE, 1.0 - SURE)),
            Task::MultiClass { .. } => ln_f32(score.max(SURE)),
            Task::Regression => score,
        }
    }
}
