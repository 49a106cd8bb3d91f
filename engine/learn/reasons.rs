//! Why each row has its score: the inputs that add or take the most, and, for the page of a replay,
//! how much each counts on average.
//!
//! A model explains a row as it scores it (`pelton_models::explain`): contributions in log odds, of
//! several classes those to the likeliest. What it notes of a category, such as its last labels, is
//! added to that category's own; notes about all rows are one input of their own. Only rows that
//! are given out are explained, by the model that scored them.

use pelton_models::explain::{Importance, top};
use pelton_models::{FeatureShape, Features, Model};

use crate::config::Config;
use crate::error::Error;
use crate::ring::Reasons as Given;

/// For the average importance one row in so many is explained.
const STRIDE: u64 = 64;

/// Explains rows.
pub(super) struct Reasons {
    /// Reasons a row.
    count: usize,
    /// The name that each input of the model counts under.
    name_of: Vec<u32>,
    names: usize,
    importance: Option<Importance>,
    parts: Vec<f32>,
    by_name: Vec<f32>,
    largest: Vec<u32>,
}

impl Reasons {
    /// As many reasons as the configuration asks for, of this model.
    pub fn new(config: &Config, shape: FeatureShape, model: &dyn Model) -> Reasons {
        let (dense, sparse) = (shape.dense_width, shape.sparse_width);
        let note = |note| dense + model.noted_feature(note).unwrap_or(sparse);
        let inputs = (0..dense + sparse).chain((0..model.notes_width()).map(note));
        let names = dense + sparse + 1;
        Reasons {
            count: config.emit.reasons,
            name_of: inputs.map(|name| name as u32).collect(),
            names,
            importance: None,
            parts: Vec::new(),
            by_name: Vec::new(),
            largest: Vec::new(),
        }
    }

    /// From here on it is measured how much each input counts on average.
    pub fn keep_importance(&mut self) {
        self.importance = Some(Importance::new(self.names));
    }

    /// How much each named input counts on average, where that is measured.
    pub fn importance(&self) -> Option<&[f64]> {
        self.importance.as_ref().filter(|own| own.lists() > 0).map(Importance::values)
    }

    /// Explains rows that are given out, the first of them the `scored`-th of the stream.
    pub fn explain(
        &mut self,
        model: &dyn Model,
        (features, scores): (&Features<'_>, &[f32]),
        scored: u64,
        given: &mut Given,
    ) -> Result<(), Error> {
        let is_due = |row: usize| (scored + row as u64).is_multiple_of(STRIDE);
        let is_measured = self.importance.is_some() && (0..features.rows).any(is_due);
        if self.count == 0 && !is_measured {
            return Ok(());
        }
        let (outputs, width) = (model.outputs(), self.name_of.len() + 1);
        self.parts.resize(features.rows * outputs * width, 0.0);
        model.explain(features, &mut self.parts)?;
        for (row, scores) in scores.chunks_exact(outputs).enumerate() {
            let best =
                (1..outputs).fold(0, |best, at| if scores[at] > scores[best] { at } else { best });
            let parts = &self.parts[(row * outputs + best) * width..][..width];
            self.by_name.clear();
            self.by_name.resize(self.names + 1, 0.0);
            for (part, name) in parts.iter().zip(&self.name_of) {
                self.by_name[*name as usize] += part;
            }
            self.by_name[self.names] = parts[width - 1];
            if let Some(importance) = self.importance.as_mut().filter(|_| is_due(row)) {
                importance.observe(&self.by_name).map_err(pelton_models::ModelError::from)?;
            }
            if self.count > 0 {
                top(&self.by_name, self.count, &mut self.largest);
                given.push(self.largest.iter().map(|name| (*name, self.by_name[*name as usize])));
            }
        }
        Ok(())
    }
}
