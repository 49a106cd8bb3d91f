//! The mixture as a graph: the graphs of its members, of the stack over them, and their pool.

use super::predict::SURE;
use super::{Auto, Sees};
use crate::graph::{Graph, Inputs, Operation, Unary, Value};
use crate::standardized::draw_moments;
use crate::{ModelError, Task};

/// What cannot be part of a graph.
const STRANGENESS: ModelError = ModelError::NotDrawn("a mixture that notes strangeness");

impl Auto {
    /// What is noted of rows, as of now.
    pub(super) fn draw_memory(
        &self,
        graph: &mut Graph,
        inputs: &Inputs,
    ) -> Result<Option<Value>, ModelError> {
        if self.strangeness.is_some() {
            return Err(STRANGENESS);
        }
        let overall = self.memory.draw_overall(graph, inputs);
        let categories = self.memory.draw_categories(graph, inputs);
        let parts: Vec<Value> = [overall, categories].into_iter().flatten().collect();
        Ok((!parts.is_empty()).then(|| graph.beside(&parts)))
    }

    /// The prediction: `[rows, outputs]`.
    pub(super) fn draw_mixture(
        &self,
        graph: &mut Graph,
        inputs: &Inputs,
    ) -> Result<Value, ModelError> {
        if self.strangeness.is_some() {
            return Err(STRANGENESS);
        }
        let scaled = inputs.dense.map(|dense| match self.config.standardize {
            true => graph.within("scale", |graph| draw_moments(graph, &self.moments, dense)),
            false => {
                let is_missing = graph.node(Operation::Unary(Unary::IsNaN), &[dense]);
                let zero = graph.number(0.0);
                let known = graph.choose(is_missing, zero, dense);
                graph.clamp(known, [-1e12, 1e12])
            }
        });
        let (overall, width) = (self.memory.overall_width(), self.memory.categories_width());
        let categories = inputs.notes.filter(|_| width > 0);
        let categories = categories.map(|notes| graph.columns(notes, overall, overall + width));
        let noted: Vec<Value> = [inputs.dense, categories].into_iter().flatten().collect();
        let noted = (!noted.is_empty()).then(|| graph.beside(&noted));
        let mut predicted = Vec::new();
        for member in &self.members {
            let seen = match member.sees {
                Sees::Scaled => Inputs { dense: scaled, notes: None, ..*inputs },
                Sees::Noted => Inputs { dense: noted, notes: None, sparse: None, ..*inputs },
                Sees::Given => Inputs { notes: None, ..*inputs },
            };
            let own = graph.within(member.name, |graph| member.model.draw(graph, &seen))?;
            predicted.push(self.draw_opened(graph, own));
        }
        let stacked = graph.within("stack", |graph| self.draw_stack(graph, inputs, &predicted))?;
        predicted.push(stacked);
        let mut pool = None;
        for (own, weight) in predicted.into_iter().zip(&self.shares.weights) {
            let weight = graph.number(*weight as f32);
            let part = graph.mul(own, weight);
            pool = Some(pool.map_or(part, |sum| graph.add(sum, part)));
        }
        let pool = pool.ok_or(ModelError::NotDrawn("a mixture of nothing"))?;
        Ok(match self.config.task {
            Task::Binary => graph.sigmoid(pool),
            Task::MultiClass { .. } => graph.softmax(pool),
            Task::Regression => pool,
        })
    }

    /// What the stack makes of predictions and notes, opened up.
    fn draw_stack(
        &self,
        graph: &mut Graph,
        inputs: &Inputs,
        predicted: &[Value],
    ) -> Result<Value, ModelError> {
        let notes = inputs.notes.filter(|_| self.stack_notes > 0);
        let notes = notes.map(|notes| graph.columns(notes, 0, self.stack_notes));
        let seen: Vec<Value> = predicted.iter().copied().chain(notes).collect();
        let seen = graph.beside(&seen);
        let scaled = draw_moments(graph, &self.inputs, seen);
        let inputs = Inputs { dense: Some(scaled), sparse: None, notes: None, ..*inputs };
        let own = crate::Model::draw(&self.stack, graph, &inputs)?;
        Ok(self.draw_opened(graph, own))
    }

    /// Probabilities as log odds, shares as their logarithms.
    fn draw_opened(&self, graph: &mut Graph, own: Value) -> Value {
        match self.config.task {
            Task::Binary => graph.log_odds(own, SURE),
            Task::MultiClass { .. } => {
                let least = graph.number(SURE);
                let shares = graph.max(own, least);
                graph.ln(shares)
            }
            Task::Regression => own,
        }
    }
}
