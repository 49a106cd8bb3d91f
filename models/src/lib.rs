//! Models.

/// What a model cannot do.
#[derive(Debug, thiserror::Error)]
pub enum ModelError {}
