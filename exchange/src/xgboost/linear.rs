//! The linear booster: a weight for each column and class, then one for each class alone. What is
//! missing adds nothing. Where `base_score` is one for each class, XGBoost (3.2) begins with the
//! first for all of them, in training too: so does this.

use pelton_models::graph::{Binary, Data, Operation, Tensor, Unary};

use super::file::Linear;
use super::{FORMAT, malformed};
use crate::ensemble::{Link, begun, finished};
use crate::{ExchangeError, Imported, Predicts};

/// The model.
pub(super) fn imported(
    model: Linear,
    (columns, names): (usize, Vec<String>),
    base: Vec<f64>,
    does: (Link, Predicts),
) -> Result<Imported, ExchangeError> {
    let classes = base.len();
    let numbers: Vec<f32> = model.weights.iter().map(|own| own.0).collect();
    if numbers.len() != (columns + 1) * classes {
        let given = numbers.len();
        let reason = format!("{given} weights for {columns} columns and {classes} classes");
        return Err(malformed(reason));
    }
    if !numbers.iter().all(|own| own.is_finite()) {
        return Err(malformed("a weight is no finite number"));
    }
    let (weights, own) = numbers.split_at(columns * classes);
    let begin = own.iter().map(|own| (f64::from(*own) + base[0]) as f32);
    let begin = Tensor::new(vec![1, classes], Data::F32(begin.collect()));
    let (Some(begin), weights) = (begin, Tensor::matrix(weights.to_vec(), classes)) else {
        return Err(malformed("its weights are no table"));
    };
    let (mut graph, features) = begun(columns);
    let is_missing = graph.node(Operation::Unary(Unary::IsNaN), &[features]);
    let nothing = graph.constant("nothing", Tensor::matrix(vec![0.0], 1));
    let known = graph.node(Operation::Where, &[is_missing, nothing, features]);
    let weights = graph.constant("weights", weights);
    let products = graph.node(Operation::MatMul, &[known, weights]);
    let begin = graph.constant("begin", begin);
    let sums = graph.node(Operation::Binary(Binary::Add), &[products, begin]);
    finished(FORMAT, graph, sums, (columns, names), does)
}
