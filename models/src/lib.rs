//! Models.

pub mod evaluate;

/// What is learned: decides the outputs of a model and the range of labels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Task {
    /// One probability; labels 0 and 1.
    Binary,
    /// One probability per class; labels are class indices.
    MultiClass {
        /// Number of classes.
        classes: u32,
    },
    /// One value; labels are targets.
    Regression,
}

/// What a model cannot do.
#[derive(Debug, thiserror::Error)]
pub enum ModelError {}
