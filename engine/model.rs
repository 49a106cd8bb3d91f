//! The model a configuration asks for: alone, or a champion with challengers in its shadow.

use pelton_models::anomaly::{Anomaly, AnomalyConfig};
use pelton_models::auto::{Auto, AutoConfig};
use pelton_models::boost::{Boost, BoostConfig};
use pelton_models::calibrate::Calibrated;
use pelton_models::contest::Contest;
use pelton_models::factor::{Factor, FactorConfig, Interaction};
use pelton_models::forest::{Forest, ForestConfig};
use pelton_models::frozen::Frozen;
use pelton_models::linear::{Linear, LinearConfig, Optimizer as Rule};
use pelton_models::neural::{Form, Neural, NeuralConfig};
use pelton_models::standardized::Standardized;
use pelton_models::thinned::Thinned;
use pelton_models::{FeatureShape, Model, ModelError, Task};

use crate::config::Config;
use crate::config::contest::CHAMPION;
use crate::config::family::{FamilyConfig, Kind, Optimizer};
use crate::device::Device;
use crate::error::Error;
use crate::imported;

/// An untrained model.
///
/// # Errors
/// [`Error::Model`] when the shape is not possible.
pub fn build(
    config: &Config,
    shape: FeatureShape,
    device: &Device,
) -> Result<Box<dyn Model>, Error> {
    let champion = one(config, &config.model.family, shape, device)?;
    if !config.contest.is_on() {
        return Ok(champion);
    }
    let mut models = vec![(CHAMPION.to_owned(), champion)];
    for (name, family) in &config.contest.challengers {
        models.push((name.clone(), one(config, family, shape, device)?));
    }
    Ok(Box::new(Contest::new(config.model.task, shape, config.contest.rule, models)?))
}

/// One of the models, calibrated if that is asked for.
fn one(
    config: &Config,
    family: &FamilyConfig,
    shape: FeatureShape,
    device: &Device,
) -> Result<Box<dyn Model>, Error> {
    let mut model = uncalibrated(config, family, shape, device)?;
    let is_scaled = config.features.standardize && !config.scales_rows();
    if is_scaled && family.kind.sees_standardized() {
        let clip = config.features.clip_sigma;
        model = Box::new(Standardized::new(model, config.model.task, shape, clip)?);
    }
    if family.negatives < 1.0 {
        model = Box::new(Thinned::new(model, family.negatives)?);
    }
    Ok(match family.calibrate {
        Some(how) => Box::new(Calibrated::new(model, how)?),
        None => model,
    })
}

fn uncalibrated(
    config: &Config,
    family: &FamilyConfig,
    shape: FeatureShape,
    device: &Device,
) -> Result<Box<dyn Model>, Error> {
    let task = config.model.task;
    let factor = |interaction| Factor::on(device, FactorConfig::new(task, interaction), shape);
    Ok(match family.kind {
        Kind::Auto => {
            let features = &config.features;
            let (standardize, clip) = (features.standardize, features.clip_sigma);
            let strangeness = family.strangeness;
            let settings = AutoConfig { task, standardize, clip, strangeness };
            let imported = family.file.as_ref().map(|file| imported::load(config, file));
            Box::new(Auto::beside(settings, shape, imported.transpose()?)?)
        }
        Kind::Linear => {
            Box::new(Linear::on(device, linear(family, LinearConfig::new(task)), shape)?)
        }
        Kind::Fm => Box::new(factor(Interaction::Shared)?),
        Kind::Ffm => Box::new(factor(Interaction::ByField)?),
        Kind::Boost => Box::new(Boost::new(BoostConfig::new(task), shape)?),
        Kind::Mlp => Box::new(neural(family, (task, Form::Mlp), shape, device)?),
        Kind::Deep => Box::new(neural(family, (task, Form::Deep), shape, device)?),
        Kind::Anomaly => Box::new(Anomaly::new(AnomalyConfig::new(task), shape)?),
        Kind::Imported => {
            let missing = || Error::Usage {
                what: "kind = \"imported\" without a file".to_owned(),
                remedy: "give the model a file".to_owned(),
            };
            let file = family.file.as_ref().ok_or_else(missing)?;
            Box::new(Frozen::new(task, shape, imported::load(config, file)?)?)
        }
        Kind::Forest => Box::new(Forest::new(ForestConfig::new(task), shape)?),
    })
}

fn neural(
    family: &FamilyConfig,
    (task, form): (Task, Form),
    shape: FeatureShape,
    device: &Device,
) -> Result<Neural, ModelError> {
    let replay_rows = family.replay_rows;
    Neural::on(device, NeuralConfig { replay_rows, ..NeuralConfig::new(task, form) }, shape)
}

fn linear(family: &FamilyConfig, defaults: LinearConfig) -> LinearConfig {
    let rule = match family.optimizer {
        Optimizer::Auto => Rule::AUTO,
        Optimizer::Ftrl => Rule::FTRL,
        Optimizer::AdaGrad => Rule::ADAGRAD,
        Optimizer::Sgd => Rule::SGD,
    };
    LinearConfig {
        optimizer: family.rate.map_or(rule, |rate| rule.with_rate(rate as f32)),
        fold: family.fold,
        l1: family.l1 as f32,
        l2: family.l2 as f32,
        positive_weight: family.positive_weight as f32,
        ..defaults
    }
}
