//! Models of XGBoost, from the JSON of `save_model("model.json")`, releases 1.x to 3.x.
//!
//! The boosters `gbtree`, `dart` and `gblinear`. What is predicted, by the objective:
//! - a probability: `binary:logistic`, `reg:logistic`;
//! - that of each class: `multi:softprob`, and `multi:softmax` too;
//! - a value: `reg:squarederror`, `reg:linear`, `reg:squaredlogerror`, `reg:absoluteerror`,
//!   `reg:pseudohubererror`, `reg:quantileerror`, `binary:logitraw`, all of `rank:`; and, with an
//!   exponential, `count:poisson`, `reg:gamma`, `reg:tweedie`.
//!
//! Not: leaves of several numbers (`multi_strategy = "multi_output_tree"`), several targets, other
//! objectives. The rules that are easily missed:
//!
//! - A row goes left where its value is less than the threshold, and by `default_left` where it is
//!   NaN; at splits by categories those that are listed go right, all else (negative values and
//!   categories never seen too) left.
//! - Models that were trained with early stopping say so (`best_iteration`); trees behind the best
//!   round are left out, as XGBoost's scikit-learn classes do, but not `Booster.predict`.
//! - `base_score` is in the unit of the prediction: a probability for logistic objectives, a mean
//!   for those with a logarithm; one for all classes, or (3.1 and later) one for each.
//!   For `binary:logitraw` it is a probability up to release 1.2, a sum since.
//! - Where categories were text (pandas), the model counts them from 0 in the order of its own
//!   list; rows are to have those numbers.
//! - An objective of one's own is not in a file: XGBoost writes `reg:squarederror`, and the scores
//!   are the sums.
//!
//! XGBoost sums in 32-bit floats; here leaves are summed in doubles: results differ by roundings.

mod file;
mod linear;
mod objective;
#[cfg(test)]
mod tests;
mod trees;

use crate::ensemble::{CategoryRoom, Ensemble, Link, check_container, check_counts};
use crate::{ExchangeError, Imported, Predicts};
use file::{Booster, Learner, Model, count, mended, parsed};

const FORMAT: &str = "XGBoost";

fn malformed(reason: impl Into<String>) -> ExchangeError {
    ExchangeError::malformed(FORMAT, reason)
}

/// Reads a model: one input `features`, `[rows, columns]`, one output `scores`.
///
/// # Errors
/// [`ExchangeError::Malformed`] for bytes that are no such file,
/// [`ExchangeError::Unsupported`] for one of what is not done here.
pub fn read(bytes: &[u8]) -> Result<Imported, ExchangeError> {
    let instead = "write it with `booster.save_model(\"model.json\")`";
    check_container(FORMAT, bytes, instead)?;
    let mended = mended(bytes);
    let model: Model =
        serde_json::from_slice(&mended).map_err(|error| malformed(error.to_string()))?;
    let learner = model.learner;
    let parameters = &learner.learner_model_param;
    let columns = count("num_feature", &parameters.num_feature)?;
    // 0 where there are no classes.
    let classes = count("num_class", &parameters.num_class)?.max(1);
    let targets = parameters.num_target.as_deref().map_or(Ok(1), |own| count("num_target", own))?;
    if targets > 1 {
        let what = format!("{targets} targets; train a model for each");
        return Err(ExchangeError::unsupported(FORMAT, what));
    }
    check_counts(FORMAT, columns, classes)?;
    let (link, predicts) = objective::link(&learner.objective.name)?;
    if (predicts == Predicts::Probabilities) != (classes > 1) {
        let name = &learner.objective.name;
        return Err(malformed(format!("{classes} classes with the objective `{name}`")));
    }
    let release = match model.version.as_slice() {
        [major, minor, ..] => Some((*major, *minor)),
        _ => None,
    };
    let begin = objective::begin(&learner.objective.name, link, release);
    let base = objective::base(parameters.base_score.get(), begin, classes)?;
    let room = CategoryRoom::of(FORMAT, bytes.len());
    grow(learner, columns, base, (link, predicts), room)
}

/// The model of a booster of one of the three kinds.
fn grow(
    learner: Learner<'_>,
    columns: usize,
    base: Vec<f64>,
    does: (Link, Predicts),
    room: CategoryRoom,
) -> Result<Imported, ExchangeError> {
    let Booster { name, model, gbtree, weight_drop } = learner.gradient_booster;
    let missing = |key: &str| malformed(format!("the booster `{name}` has no `{key}`"));
    let (model, weights) = match name.as_str() {
        "gbtree" => (model.ok_or_else(|| missing("model"))?, None),
        "dart" => {
            let inner = gbtree.ok_or_else(|| missing("gbtree"))?;
            (inner.model, Some(weight_drop.ok_or_else(|| missing("weight_drop"))?))
        }
        "gblinear" => {
            let model = parsed("gradient_booster.model", model.ok_or_else(|| missing("model"))?)?;
            return linear::imported(model, (columns, learner.feature_names), base, does);
        }
        _ => {
            let what = format!("the booster `{name}`; train with gbtree, dart or gblinear");
            return Err(ExchangeError::unsupported(FORMAT, what));
        }
    };
    let best = learner.attributes.get("best_iteration");
    let best = best.map(|own| count("best_iteration", own)).transpose()?;
    let mut ensemble = Ensemble::new(FORMAT, columns, base)?;
    let model = parsed("gradient_booster.model", model)?;
    trees::plant(&mut ensemble, &model, weights.as_deref(), best, room)?;
    let (link, predicts) = does;
    ensemble.imported(learner.feature_names, link, predicts)
}
