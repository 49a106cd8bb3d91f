//! The model a configuration asks for.

use pelton_models::{FeatureShape, Model};

use crate::config::learn::ModelConfig;
use crate::error::Error;

/// An untrained model.
///
/// # Errors
/// [`Error::Model`] when the shape is not possible.
pub fn build(_config: &ModelConfig, shape: FeatureShape) -> Result<Box<dyn Model>, Error> {
    Ok(Box::new(pelton_models::linear::Linear::new(
        pelton_models::linear::LinearConfig::new(pelton_models::Task::Binary),
        shape,
    )?))
}
