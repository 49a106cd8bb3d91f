//! What the sums of leaves mean, by the objective of the training, and where they begin.

use pelton_kernels::math;

use super::file::short;
use super::{FORMAT, malformed};
use crate::ensemble::Link;
use crate::{ExchangeError, Predicts};

/// What becomes of the sums, and what that is.
pub(super) fn link(objective: &str) -> Result<(Link, Predicts), ExchangeError> {
    Ok(match objective {
        "binary:logistic" | "reg:logistic" => (Link::Sigmoid, Predicts::Probability),
        "multi:softprob" | "multi:softmax" => (Link::Softmax, Predicts::Probabilities),
        "binary:logitraw"
        | "reg:squarederror"
        | "reg:linear"
        | "reg:squaredlogerror"
        | "reg:absoluteerror"
        | "reg:pseudohubererror"
        | "reg:quantileerror" => (Link::Identity, Predicts::Value),
        "count:poisson" | "reg:gamma" | "reg:tweedie" => (Link::Exponential, Predicts::Value),
        _ if objective.starts_with("rank:") => (Link::Identity, Predicts::Value),
        _ => {
            let instead = "train with binary:logistic, multi:softprob, reg:squarederror, \
                           count:poisson or a rank objective";
            let what = format!("the objective `{}`; {instead}", short(objective));
            return Err(ExchangeError::unsupported(FORMAT, what));
        }
    })
}

/// How a base score becomes the beginning of sums.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Begin {
    /// It is one.
    Itself,
    /// `ln(p / (1 - p))`.
    Logit,
    /// `ln(x)`.
    Logarithm,
}

/// How, by the objective and the first two numbers of the release. Up to 1.2 the base score of
/// `binary:logitraw` was a probability, since 1.3 it is a sum as the predictions are.
pub(super) fn begin(objective: &str, link: Link, release: Option<(u32, u32)>) -> Begin {
    let is_old = release.is_some_and(|release| release < (1, 3));
    match link {
        Link::Sigmoid => Begin::Logit,
        Link::Exponential => Begin::Logarithm,
        _ if objective == "binary:logitraw" && is_old => Begin::Logit,
        _ => Begin::Itself,
    }
}

/// Where the sums begin, from `base_score` as the file spells it: a number, text of one, a list of
/// numbers in a text, one for each class or one for all.
pub(super) fn base(spelled: &str, begin: Begin, classes: usize) -> Result<Vec<f64>, ExchangeError> {
    let wrong = |reason: &str| malformed(format!("`base_score` {}: {reason}", short(spelled)));
    let text = spelled.trim_matches('"');
    let list = text.strip_prefix('[').map_or(Some(text), |rest| rest.strip_suffix(']'));
    let list = list.ok_or_else(|| wrong("its bracket is not closed"))?;
    let sum = |number: &str| {
        let number: f32 = number.trim().parse().map_err(|_| wrong("it is no number"))?;
        let value = f64::from(number);
        let own = match begin {
            Begin::Itself => value,
            Begin::Logit => math::logit(value),
            Begin::Logarithm => math::ln(value),
        };
        if own.is_finite() { Ok(own) } else { Err(wrong("nothing is predicted so")) }
    };
    let all = list.split(',').map(sum).collect::<Result<Vec<f64>, _>>()?;
    match all.as_slice() {
        [one] => Ok(vec![*one; classes]),
        all if all.len() == classes => Ok(all.to_vec()),
        _ => Err(wrong(&format!("not 1 and not {classes} numbers"))),
    }
}
