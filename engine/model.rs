//! The model a configuration asks for.

use pelton_models::boost::{Boost, BoostConfig};
use pelton_models::forest::{Forest, ForestConfig};
use pelton_models::linear::{Linear, LinearConfig, Optimizer as Rule};
use pelton_models::{FeatureShape, Model};

use crate::config::learn::{Kind, ModelConfig, Optimizer};
use crate::device::Device;
use crate::error::Error;

/// An untrained model.
///
/// # Errors
/// [`Error::Model`] when the shape is not possible.
pub fn build(
    config: &ModelConfig,
    shape: FeatureShape,
    device: &Device,
) -> Result<Box<dyn Model>, Error> {
    match config.kind {
        Kind::Linear => {}
        Kind::Boost => return Ok(Box::new(Boost::new(BoostConfig::new(config.task), shape)?)),
        Kind::Forest => return Ok(Box::new(Forest::new(ForestConfig::new(config.task), shape)?)),
    }
    let rule = match config.optimizer {
        Optimizer::Auto => Rule::AUTO,
        Optimizer::Ftrl => Rule::FTRL,
        Optimizer::AdaGrad => Rule::ADAGRAD,
        Optimizer::Sgd => Rule::SGD,
    };
    let linear = LinearConfig {
        optimizer: config.rate.map_or(rule, |rate| rule.with_rate(rate as f32)),
        fold: config.fold,
        l1: config.l1 as f32,
        l2: config.l2 as f32,
        positive_weight: config.positive_weight as f32,
        ..LinearConfig::new(config.task)
    };
    Ok(Box::new(Linear::on(device, linear, shape)?))
}
