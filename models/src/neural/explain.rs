//! Why a score: integrated gradients (Sundararajan, Taly, Yan 2017).
//!
//! On the straight way from a row of zeros (the mean of every standardised number, no category) to
//! the row, each input's derivative is summed up and multiplied by the input: a dense column's
//! value, or all numbers of a sparse column's embedding together. By the midpoint rule in
//! [`STEPS`] steps; what that leaves goes into the base, so that the parts sum up to the score.

use super::network::Room;
use super::{NAME, Neural};
use crate::{Features, Model, ModelError};

/// Points on the way.
const STEPS: usize = 32;

impl Neural {
    /// Writes what each column adds to each output of each row, in log odds (binary), scores before
    /// the softmax (classes) or the unit of the target, dense columns first; then the base. They
    /// sum up to the output.
    ///
    /// # Shapes
    /// `out: [rows, outputs, dense_width + sparse_width + 1]`, row-major.
    ///
    /// # Errors
    /// [`ModelError::Kernel`] when a shape does not fit.
    pub(super) fn contributions(
        &self,
        features: &Features<'_>,
        out: &mut [f32],
    ) -> Result<(), ModelError> {
        let (dense, sparse) = (self.shape.dense_width, self.shape.sparse_width);
        let (parts, outputs) = (dense + sparse + 1, self.outputs());
        self.shape.check(NAME, features, Some((parts * outputs, out.len())))?;
        let mut room = self.room.take();
        for (row, out) in out.chunks_exact_mut(parts * outputs).enumerate() {
            let own = (
                &features.dense[row * dense..][..dense],
                &features.sparse[row * sparse..][..sparse],
            );
            self.explain_row(own, &mut room, out);
        }
        self.room.set(room);
        Ok(())
    }

    /// The same of a row.
    fn explain_row(&self, row: (&[f32], &[u32]), room: &mut Room, out: &mut [f32]) {
        let (dense, parts) = (row.0.len(), row.0.len() + row.1.len() + 1);
        self.plan.make_room(room);
        self.plan.take(row, &self.embeddings, room);
        let whole = room.inputs.clone();
        let mut sums = vec![0.0; self.outputs() * whole.len()];
        for step in 0..STEPS {
            let way = (step as f32 + 0.5) / STEPS as f32;
            for (input, whole) in room.inputs.iter_mut().zip(&whole) {
                *input = way * whole;
            }
            self.plan.forward(&self.parameters, &self.embeddings, room);
            for (class, sums) in sums.chunks_exact_mut(whole.len().max(1)).enumerate() {
                room.pulls.fill(0.0);
                room.pulls[class] = 1.0;
                self.plan.back_hidden(&self.parameters, room);
                self.plan.back_inputs(&self.parameters, 0, room);
                sums.iter_mut().zip(&room.input_pulls).for_each(|(sum, pull)| *sum += pull);
            }
        }
        room.inputs.copy_from_slice(&whole);
        self.plan.forward(&self.parameters, &self.embeddings, room);
        let (unit, mean) = self.link.unit();
        for (class, out) in out.chunks_exact_mut(parts).enumerate() {
            let sums = &sums[class * whole.len()..][..whole.len()];
            let part = |at: usize| sums[at] / STEPS as f32 * whole[at];
            let mut added = 0.0;
            for (column, out) in out[..parts - 1].iter_mut().enumerate() {
                let own: f32 = match column.checked_sub(dense) {
                    None => part(column),
                    Some(column) => {
                        let linear = self.plan.linear_weight(&self.embeddings, room, column, class);
                        linear + self.plan.vector(column).map(part).sum::<f32>()
                    }
                };
                *out = unit * own;
                added += *out;
            }
            out[parts - 1] = mean + unit * room.outputs[class] - added;
        }
    }
}
