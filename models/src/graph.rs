//! A trained model as a graph of operations on tensors: what leaves pelton for other tools, and
//! what comes from them.
//!
//! Every family draws what it does at scoring time as a [`Graph`] ([`crate::Model::draw`]); an
//! imported model is one ([`crate::frozen`]). The operations are a small part of ONNX's (operator
//! set 17, and the tree ensembles of ai.onnx.ml 3), with the same meaning, so that writing a file
//! is a matter of spelling. Values come in the order in which they can be worked out.
//!
//! [`Graph::run`] works them out here, with this project's own exponentials and sums in a fixed
//! order: the same bits on every machine, and, as long as no operation mixes rows
//! ([`Graph::mixes_rows`]), whatever rows come together. A library for inference promises neither,
//! see docs/exchange.md. What this does not do: control flow, text, or speed of its own: a graph
//! is for what does not learn here.

mod arrange;
mod build;
#[cfg(test)]
pub(crate) mod drawn_tests;
mod elementwise;
mod operation;
mod reduce;
mod run;
mod tensor;
#[cfg(test)]
mod tests;
mod trees;

pub use build::Inputs;
pub use operation::{Binary, Operation, Reduction, Unary};
pub use tensor::{Data, Kind, Tensor};
pub use trees::{Grown, Leaf, Rule, TreeNode, Trees};

use pelton_kernels::moments::Moments;

use crate::standardized::draw_moments;
use crate::{FeatureShape, Model, ModelError};

/// Bits of sparse indices, at most.
const BITS_MAX: u32 = 26;

/// A tensor of a graph, by its place among the steps.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Value(u32);

impl Value {
    /// Its place among the steps.
    #[must_use]
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

/// Where a tensor comes from.
#[derive(Clone, Debug, PartialEq)]
pub enum Step {
    /// It is given, one row for each row to score.
    Input {
        /// Its name.
        name: String,
        /// Of what its numbers are.
        kind: Kind,
        /// Numbers of a row.
        columns: usize,
    },
    /// It is always the same.
    Constant {
        /// Its name.
        name: String,
        /// The tensor.
        tensor: Tensor,
    },
    /// It is worked out.
    Node {
        /// How.
        operation: Operation,
        /// From what.
        inputs: Vec<Value>,
    },
}

/// A model as operations on tensors.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Graph {
    steps: Vec<Step>,
    outputs: Vec<(String, Value)>,
    /// Names in front of those of constants.
    scopes: Vec<String>,
}

impl Graph {
    /// A graph of nothing.
    #[must_use]
    pub fn new() -> Graph {
        Graph::default()
    }

    /// All steps, each after those it needs.
    #[must_use]
    pub fn steps(&self) -> &[Step] {
        &self.steps
    }

    /// What is worked out for, by name.
    #[must_use]
    pub fn outputs(&self) -> &[(String, Value)] {
        &self.outputs
    }

    /// The inputs: value, name, kind, and numbers of a row.
    pub fn inputs(&self) -> impl Iterator<Item = (Value, &str, Kind, usize)> {
        self.steps.iter().enumerate().filter_map(|(place, step)| match step {
            Step::Input { name, kind, columns } => {
                Some((Value(place as u32), name.as_str(), *kind, *columns))
            }
            _ => None,
        })
    }

    /// Adds an input `[rows, columns]`.
    pub fn input(&mut self, name: &str, kind: Kind, columns: usize) -> Value {
        self.push(Step::Input { name: name.to_owned(), kind, columns })
    }

    /// Adds a constant, named within the scopes it is in.
    pub fn constant(&mut self, name: &str, tensor: Tensor) -> Value {
        let mut full = self.scopes.join(".");
        if !full.is_empty() {
            full.push('.');
        }
        full.push_str(name);
        self.push(Step::Constant { name: full, tensor })
    }

    /// Adds an operation.
    pub fn node(&mut self, operation: Operation, inputs: &[Value]) -> Value {
        self.push(Step::Node { operation, inputs: inputs.to_vec() })
    }

    /// Names a value that is worked out for.
    pub fn output(&mut self, name: &str, value: Value) {
        self.outputs.push((name.to_owned(), value));
    }

    /// Draws a part under a name of its own.
    pub fn within<T>(&mut self, scope: &str, draw: impl FnOnce(&mut Graph) -> T) -> T {
        self.scopes.push(scope.to_owned());
        let drawn = draw(self);
        self.scopes.pop();
        drawn
    }

    /// Adds another graph, whose inputs are these values; what its first output is here.
    pub fn embed(&mut self, other: &Graph, inputs: &[Value]) -> Value {
        let mut given = inputs.iter();
        let mut places = Vec::with_capacity(other.steps.len());
        for step in &other.steps {
            places.push(match step {
                Step::Input { .. } => given.next().copied().unwrap_or(Value(0)),
                Step::Constant { name, tensor } => self.constant(name, tensor.clone()),
                Step::Node { operation, inputs } => {
                    let inputs: Vec<Value> = inputs.iter().map(|own| places[own.index()]).collect();
                    self.node(operation.clone(), &inputs)
                }
            });
        }
        other.outputs.first().map_or(Value(0), |(_, value)| places[value.index()])
    }

    /// What a model does with the features of a row: inputs `dense` and `sparse` as far as there
    /// are any, output `scores`, `[rows, outputs]`.
    ///
    /// # Errors
    /// As [`Model::draw`].
    pub fn of(model: &dyn Model, shape: FeatureShape) -> Result<Graph, ModelError> {
        Graph::of_scaled(model, shape, None)
    }

    /// The same for dense features that are standardised before the model sees them, by moments as
    /// they are.
    ///
    /// # Errors
    /// As [`Model::draw`].
    pub fn of_scaled(
        model: &dyn Model,
        shape: FeatureShape,
        moments: Option<&Moments>,
    ) -> Result<Graph, ModelError> {
        // Tables by sparse index have a place for each there can be.
        if shape.sparse_width > 0 && shape.sparse_bits > BITS_MAX {
            return Err(ModelError::NotDrawn("a model of more than 2^26 sparse indices"));
        }
        let mut graph = Graph::new();
        let mut inputs = Inputs::of(shape, &mut graph);
        if let (Some(moments), Some(dense)) = (moments, inputs.dense) {
            let scaled = graph.within("scale", |graph| draw_moments(graph, moments, dense));
            inputs.dense = Some(scaled);
        }
        let notes = graph.within("notes", |graph| model.draw_notes(graph, &inputs))?;
        let scores = model.draw(&mut graph, &Inputs { notes, ..inputs })?;
        graph.output("scores", scores);
        Ok(graph)
    }

    fn push(&mut self, step: Step) -> Value {
        self.steps.push(step);
        Value(self.steps.len() as u32 - 1)
    }
}

/// What cannot be worked out.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{operation}: {reason}")]
pub struct GraphError {
    /// The operation.
    pub operation: String,
    /// Why not.
    pub reason: String,
}

impl GraphError {
    fn new(operation: &Operation, reason: impl Into<String>) -> GraphError {
        GraphError { operation: operation.name().to_owned(), reason: reason.into() }
    }
}
