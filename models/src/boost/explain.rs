//! What each column adds to a margin: on the way from the root to a leaf, what the prediction
//! changes by at a split belongs to the column looked at (Saabas 2014, "Interpreting random
//! forests"). What a node would add were it a leaf is kept with each tree. The base is the margin
//! before the first tree and what the roots say.

#[cfg(test)]
mod tests;

use super::generation::{self, Generation};
use super::{Boost, NAME};
use crate::{Features, Model, ModelError};

impl Generation {
    /// Adds what each column adds to a margin, in units of the target, times `share`.
    ///
    /// # Shapes
    /// `codes: [width]`; `out: [width + 1]`, the base last.
    fn explain(&self, codes: &[u8], output: usize, share: f32, out: &mut [f32]) {
        let (size, outputs, base) = (1_usize << self.depth, self.base.len(), out.len() - 1);
        let parts = self.inner.chunks_exact(size).zip(self.leaves.chunks_exact(size));
        let trees = self.splits.chunks_exact(size).zip(parts);
        let factor = self.scale[1] * share;
        out[base] += self.scale[0] * share + factor * self.base[output];
        for (splits, (inner, leaves)) in trees.skip(output).step_by(outputs) {
            let mut node = 1;
            let mut value = inner[node & (size - 1)];
            out[base] += factor * value;
            for _ in 0..self.depth {
                let split = splits[node & (size - 1)];
                node = 2 * node + usize::from(split.goes_right(codes));
                let next = if node < size { inner[node] } else { leaves[node - size] };
                out[split.column()] += factor * (next - value);
                value = next;
            }
        }
    }
}

impl Boost {
    /// [`Model::explain`].
    pub(super) fn explain_rows(
        &self,
        features: &Features<'_>,
        out: &mut [f32],
    ) -> Result<(), ModelError> {
        let (outputs, width) = (self.outputs(), self.shape.explained_width(self.notes_width()));
        self.shape.check(NAME, features, Some((outputs * width, out.len())))?;
        self.shape.check_notes(NAME, features, self.notes_width())?;
        out.fill(0.0);
        let (mut values, mut codes) = self.room.take();
        let mut parts = self.explaining.take();
        let share = 1.0 / self.serving.len().max(1) as f32;
        for (row, out) in out.chunks_exact_mut(outputs * width).enumerate() {
            if self.serving.is_empty() {
                let (base, [mean, deviation]) = generation::start(self.config.task, &self.sample);
                for (out, base) in out.chunks_exact_mut(width).zip(base) {
                    out[width - 1] = mean + deviation * base;
                }
                continue;
            }
            features.columns(row, &mut values);
            codes.resize(values.len(), 0);
            parts.clear();
            parts.resize(outputs * (self.width + 1), 0.0);
            for whole in &self.serving {
                whole.bins.encode(&values, &mut codes);
                for (output, parts) in parts.chunks_exact_mut(self.width + 1).enumerate() {
                    whole.explain(&codes, output, share, parts);
                }
            }
            let each = parts.chunks_exact(self.width + 1);
            for (out, parts) in out.chunks_exact_mut(width).zip(each) {
                for (column, part) in parts.iter().enumerate() {
                    out[self.shape.explained_column(column)] = *part;
                }
            }
        }
        self.room.set((values, codes));
        self.explaining.set(parts);
        Ok(())
    }
}
