//! The model a configuration asks for.

use pelton_models::auto::{Auto, AutoConfig};
use pelton_models::boost::{Boost, BoostConfig};
use pelton_models::calibrate::Calibrated;
use pelton_models::factor::{Factor, FactorConfig, Interaction};
use pelton_models::forest::{Forest, ForestConfig};
use pelton_models::linear::{Linear, LinearConfig, Optimizer as Rule};
use pelton_models::{FeatureShape, Model};

use crate::config::Config;
use crate::config::learn::{Kind, ModelConfig, Optimizer};
use crate::device::Device;
use crate::error::Error;

/// An untrained model.
///
/// # Errors
/// [`Error::Model`] when the shape is not possible.
pub fn build(
    config: &Config,
    shape: FeatureShape,
    device: &Device,
) -> Result<Box<dyn Model>, Error> {
    let model = uncalibrated(config, shape, device)?;
    Ok(match config.model.calibrate {
        Some(how) => Box::new(Calibrated::new(model, how)?),
        None => model,
    })
}

fn uncalibrated(
    config: &Config,
    shape: FeatureShape,
    device: &Device,
) -> Result<Box<dyn Model>, Error> {
    let task = config.model.task;
    let factor = |interaction| Factor::new(FactorConfig::new(task, interaction), shape);
    Ok(match config.model.kind {
        Kind::Auto => {
            let features = &config.features;
            let (standardize, clip) = (features.standardize, features.clip_sigma);
            Box::new(Auto::new(AutoConfig { task, standardize, clip }, shape)?)
        }
        Kind::Linear => Box::new(Linear::on(device, linear(&config.model), shape)?),
        Kind::Fm => Box::new(factor(Interaction::Shared)?),
        Kind::Ffm => Box::new(factor(Interaction::ByField)?),
        Kind::Boost => Box::new(Boost::new(BoostConfig::new(task), shape)?),
        Kind::Forest => Box::new(Forest::new(ForestConfig::new(task), shape)?),
    })
}

fn linear(config: &ModelConfig) -> LinearConfig {
    let rule = match config.optimizer {
        Optimizer::Auto => Rule::AUTO,
        Optimizer::Ftrl => Rule::FTRL,
        Optimizer::AdaGrad => Rule::ADAGRAD,
        Optimizer::Sgd => Rule::SGD,
    };
    LinearConfig {
        optimizer: config.rate.map_or(rule, |rate| rule.with_rate(rate as f32)),
        fold: config.fold,
        l1: config.l1 as f32,
        l2: config.l2 as f32,
        positive_weight: config.positive_weight as f32,
        ..LinearConfig::new(config.task)
    }
}
