//! Labels that are learned together: those of `learn.step_rows` rows of the stream.

use pelton_models::{FeatureShape, Features, LabeledBatch};

/// Labels that wait for the end of a step, with their features.
pub(super) struct Step {
    pub shape: FeatureShape,
    pub dense: Vec<f32>,
    pub sparse: Vec<u32>,
    pub notes: Vec<f32>,
    pub labels: Vec<f32>,
    pub weights: Vec<f32>,
}

impl Step {
    /// No labels.
    pub fn new(shape: FeatureShape) -> Step {
        Step {
            shape,
            dense: Vec::new(),
            sparse: Vec::new(),
            notes: Vec::new(),
            labels: Vec::new(),
            weights: Vec::new(),
        }
    }

    pub fn push(&mut self, features: &Features<'_>, label: f32) {
        self.dense.extend_from_slice(features.dense);
        self.sparse.extend_from_slice(features.sparse);
        self.notes.extend_from_slice(features.notes);
        self.labels.push(label);
        self.weights.push(1.0);
    }

    pub fn batch(&self) -> LabeledBatch<'_> {
        debug_assert_eq!(self.dense.len(), self.labels.len() * self.shape.dense_width);
        let (dense, sparse, notes) = (&self.dense[..], &self.sparse[..], &self.notes[..]);
        let features = Features { rows: self.labels.len(), dense, sparse, notes };
        LabeledBatch { features, labels: &self.labels, weights: &self.weights }
    }

    pub fn clear(&mut self) {
        self.dense.clear();
        self.sparse.clear();
        self.notes.clear();
        self.labels.clear();
        self.weights.clear();
    }
}
