//! What the sums of leaves mean, by the objective of the training: a name and parameters, such as
//! `binary sigmoid:1`.

use super::{FORMAT, malformed};
use crate::ensemble::Link;
use crate::{ExchangeError, Predicts};

/// What becomes of the sums.
pub(super) struct Means {
    /// They are first multiplied by this,
    pub(super) factor: f64,
    /// then linked.
    pub(super) link: Link,
    /// What that is.
    pub(super) predicts: Predicts,
}

/// Reads an objective.
///
/// # Errors
/// [`ExchangeError`] for one that is not known, or not for so many outputs.
pub(super) fn read(objective: Option<&str>, outputs: usize) -> Result<Means, ExchangeError> {
    let mut words = objective.unwrap_or("custom").split_whitespace();
    let name = words.next().unwrap_or("custom");
    let parameters: Vec<&str> = words.collect();
    let (link, predicts) = match name {
        "binary" | "cross_entropy" => (Link::Sigmoid, Predicts::Probability),
        "multiclass" => (Link::Softmax, Predicts::Probabilities),
        "multiclassova" => (Link::Sigmoid, Predicts::Probabilities),
        "regression" | "regression_l1" | "huber" | "fair" | "quantile" | "mape" => {
            let is_root = parameters.contains(&"sqrt");
            let link = if is_root { Link::SignedSquare } else { Link::Identity };
            (link, Predicts::Value)
        }
        "poisson" | "gamma" | "tweedie" => (Link::Exponential, Predicts::Value),
        "cross_entropy_lambda" => (Link::Softplus, Predicts::Value),
        "lambdarank" | "rank_xendcg" => (Link::Identity, Predicts::Value),
        "custom" | "none" => (Link::Identity, Predicts::Unknown),
        _ => {
            let name: String = name.chars().take(40).collect();
            let what = format!("the objective `{name}`; train with one of LightGBM's own");
            return Err(ExchangeError::unsupported(FORMAT, what));
        }
    };
    if predicts != Predicts::Unknown && (predicts == Predicts::Probabilities) != (outputs > 1) {
        return Err(malformed(format!("{outputs} outputs with the objective `{name}`")));
    }
    let mut factor = 1.0;
    for parameter in parameters {
        match parameter.split_once(':') {
            Some(("sigmoid", text)) if name != "cross_entropy" => {
                let positive = text.parse().ok().filter(|own: &f64| own.is_finite() && *own > 0.0);
                factor = positive.ok_or_else(|| malformed("`sigmoid` is no positive number"))?;
            }
            Some(("num_class", text)) if text.parse() != Ok(outputs) => {
                return Err(malformed(format!("`num_class` is not its {outputs} outputs")));
            }
            _ => {}
        }
    }
    Ok(Means { factor, link, predicts })
}
