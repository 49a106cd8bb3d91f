//! Trained models from and to the files of other tools, all by way of one [`Graph`]: what is read
//! becomes a graph, what is written is one.
//!
//! A file is bytes here: who calls this opens and writes files. Bytes of any kind are an error that
//! says what is wrong with them, never a panic.

mod ensemble;
mod error;
#[cfg(test)]
mod fixtures;
pub mod lightgbm;
pub mod onnx;
pub mod safetensors;
pub mod xgboost;

pub use error::ExchangeError;

use pelton_models::graph::Graph;

/// A model that was read.
#[derive(Clone, Debug, PartialEq)]
pub struct Imported {
    /// What it does: inputs by name, one output.
    pub graph: Graph,
    /// What its output is.
    pub predicts: Predicts,
    /// The names of the columns of each input of the graph, as far as the file tells them.
    pub columns: Vec<Option<Vec<String>>>,
    /// What else the file says of itself, by key.
    pub about: Vec<(String, String)>,
}

/// What the output of a model is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Predicts {
    /// The probability of label 1: `[rows, 1]`.
    Probability,
    /// The probability of each class: `[rows, classes]`.
    Probabilities,
    /// A value: `[rows, 1]`.
    Value,
    /// The file does not tell.
    Unknown,
}
