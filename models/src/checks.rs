//! Whether rows and labels are of the shape a model was made for.

use pelton_kernels::KernelError;

use crate::{ABSENT, FeatureShape, Features, LabeledBatch};

fn expect(
    kernel: &'static str,
    argument: &'static str,
    expected: usize,
    given: usize,
) -> Result<(), KernelError> {
    match expected == given {
        true => Ok(()),
        false => Err(KernelError::Shape { kernel, argument, expected, given }),
    }
}

impl FeatureShape {
    /// Refuses features of another shape, and room for scores of another length.
    pub(crate) fn check(
        &self,
        kernel: &'static str,
        features: &Features<'_>,
        scores: Option<(usize, usize)>,
    ) -> Result<(), KernelError> {
        let rows = features.rows;
        expect(kernel, "features.dense", rows * self.dense_width, features.dense.len())?;
        expect(kernel, "features.sparse", rows * self.sparse_width, features.sparse.len())?;
        if let Some((outputs, given)) = scores {
            expect(kernel, "out", rows * outputs, given)?;
        }
        let limit = 1_u64 << self.sparse_bits;
        let is_inside = |index: &u32| u64::from(*index) < limit || *index == ABSENT;
        // Without a short cut, so that the loop vectorises.
        if !features.sparse.iter().fold(true, |all, index| all & is_inside(index)) {
            let reason = "has an index at or above 2^sparse_bits";
            return Err(KernelError::Value { kernel, argument: "features.sparse", reason });
        }
        Ok(())
    }

    /// Refuses notes of another width.
    pub(crate) fn check_notes(
        &self,
        kernel: &'static str,
        features: &Features<'_>,
        notes_width: usize,
    ) -> Result<(), KernelError> {
        expect(kernel, "features.notes", features.rows * notes_width, features.notes.len())
    }

    /// The same of labelled rows.
    pub(crate) fn check_batch(
        &self,
        kernel: &'static str,
        batch: &LabeledBatch<'_>,
    ) -> Result<(), KernelError> {
        self.check(kernel, &batch.features, None)?;
        expect(kernel, "labels", batch.features.rows, batch.labels.len())?;
        expect(kernel, "weights", batch.features.rows, batch.weights.len())
    }
}
