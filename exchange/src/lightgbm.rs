//! Models of LightGBM, from the text of `save_model("model.txt")`, versions v3 and v4, or the JSON
//! of `dump_model()`.
//!
//! All boostings (gbdt, dart, goss, rf). What is predicted, by the objective:
//! - a probability: `binary`, `cross_entropy`;
//! - that of each class: `multiclass`, and `multiclassova`, where they do not sum to 1;
//! - a value: `regression`, `regression_l1`, `huber`, `fair`, `quantile`, `mape` (squared again
//!   where `reg_sqrt` was set), `lambdarank`, `rank_xendcg`; with an exponential, `poisson`,
//!   `gamma`, `tweedie`; `cross_entropy_lambda`;
//! - an objective of one's own is not in a file: the scores are the sums,
//!   [`Predicts::Unknown`](crate::Predicts::Unknown).
//!
//! Not: linear trees. The rules that are easily missed:
//!
//! - A row goes left up to the threshold. Thresholds are doubles and values are 32-bit floats here;
//!   a float is at most a double where it is at most the largest float that is: nothing is lost.
//! - What is missing is told by each split: NaN; or zero and NaN; or nothing, and NaN
//!   is zero.
//! - At splits by categories those that are listed go left, all else (negative values, NaN, and
//!   categories never seen too) right. Where categories came from pandas, rows are to have the
//!   codes.
//! - A file that was written after early stopping ends with the best round.

mod dump;
mod objective;
mod split;
#[cfg(test)]
mod tests;
mod text;

use crate::ensemble::{Branch, Ensemble, check_container, check_counts};
use crate::{ExchangeError, Imported};
use split::Split;

const FORMAT: &str = "LightGBM";

fn malformed(reason: impl Into<String>) -> ExchangeError {
    ExchangeError::malformed(FORMAT, reason)
}

/// What a file says, in text or JSON.
struct Said {
    columns: usize,
    names: Vec<String>,
    /// Outputs: classes, or one.
    outputs: usize,
    /// With its parameters; none where it was one's own.
    objective: Option<String>,
    /// Whether trees are averaged instead of summed.
    is_average: bool,
    trees: Vec<FileTree>,
}

/// A tree; a negative child `c` is leaf `-1 - c`.
struct FileTree {
    splits: Vec<Split>,
    leaves: Vec<f64>,
}

/// Reads a model: one input `features`, `[rows, columns]`, one output `scores`.
///
/// # Errors
/// [`ExchangeError::Malformed`] for bytes that are no such file,
/// [`ExchangeError::Unsupported`] for one of what is not done here.
pub fn read(bytes: &[u8]) -> Result<Imported, ExchangeError> {
    check_container(FORMAT, bytes, "write it with `booster.save_model(\"model.txt\")`")?;
    let text = std::str::from_utf8(bytes).map_err(|error| malformed(error.to_string()))?;
    let is_json = text.trim_start().starts_with('{');
    let said = if is_json { dump::read(text)? } else { text::read(text)? };
    check_counts(FORMAT, said.columns, said.outputs)?;
    let count = said.trees.len();
    if !count.is_multiple_of(said.outputs) {
        return Err(malformed(format!("{count} trees for {} outputs", said.outputs)));
    }
    let means = objective::read(said.objective.as_deref(), said.outputs)?;
    let rounds = if said.is_average { (count / said.outputs).max(1) as f64 } else { 1.0 };
    let mut ensemble = Ensemble::new(FORMAT, said.columns, vec![0.0; said.outputs])?;
    for (place, tree) in said.trees.iter().enumerate() {
        let splits = tree.splits.len();
        let nodes = splits + tree.leaves.len();
        ensemble.plant(place % said.outputs, nodes, |number| match tree.splits.get(number) {
            Some(split) => split.branch(splits),
            None => {
                let value = tree.leaves.get(number - splits).copied();
                let reason = || malformed(format!("tree {place} has no leaves"));
                Ok(Branch::Leaf(value.ok_or_else(reason)? / rounds * means.factor))
            }
        })?;
    }
    ensemble.imported(said.names, means.link, means.predicts)
}
