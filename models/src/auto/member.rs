//! The members: what each sees of a row, and the one that learns every label at once.

use std::sync::Arc;

use crate::factor::{Factor, FactorConfig, Interaction};
use crate::frozen::{Drawing, Frozen};
use crate::linear::{Linear, LinearConfig};
use crate::neural::{Form, Neural, NeuralConfig};
use crate::{FeatureShape, Model, ModelError, Task};

/// Pairs of columns, each way and for each class, up to which each field has embeddings of its own.
const PAIRS_MAX: usize = 1024;
/// Bytes of embeddings of categories.
const EMBEDDINGS_BYTES: usize = 64 << 20;

/// A model of the family.
pub(super) struct Member {
    pub name: &'static str,
    pub sees: Sees,
    pub model: Box<dyn Model>,
}

impl Member {
    /// The member that learns every label at once: with embeddings by field where there are
    /// categories and the work of a row allows, else with one a feature (which says as much of
    /// numbers, for less), else (where memory holds too few of them) without any.
    pub fn at_once(task: Task, shape: FeatureShape) -> Result<Member, ModelError> {
        let columns = shape.dense_width + shape.sparse_width;
        let is_narrow = columns * columns * task.outputs() <= PAIRS_MAX;
        let is_by_field = shape.sparse_width > 0 && is_narrow;
        let machine = |interaction| {
            let memory_bytes = EMBEDDINGS_BYTES;
            Factor::new(
                FactorConfig { memory_bytes, ..FactorConfig::new(task, interaction) },
                shape,
            )
        };
        let interaction = if is_by_field { Interaction::ByField } else { Interaction::Shared };
        let (name, model): (_, Box<dyn Model>) = match machine(interaction) {
            Ok(machine) if is_by_field => ("ffm", Box::new(machine)),
            Ok(machine) => ("fm", Box::new(machine)),
            Err(_) => ("linear", Box::new(Linear::new(LinearConfig::new(task), shape)?)),
        };
        Ok(Member { name, sees: Sees::Scaled, model })
    }

    /// The member that was trained elsewhere.
    pub fn imported(
        task: Task,
        shape: FeatureShape,
        drawing: Arc<Drawing>,
    ) -> Result<Member, ModelError> {
        let model = Box::new(Frozen::new(task, shape, drawing)?);
        Ok(Member { name: "imported", sees: Sees::Given, model })
    }

    /// The member for borders between classes that are neither products of two nor steps. Of two
    /// classes it costs more than it brings (`docs/auto.md`).
    pub fn network(task: Task, shape: FeatureShape) -> Result<Member, ModelError> {
        let model = Box::new(Neural::new(NeuralConfig::new(task, Form::Mlp), shape)?);
        Ok(Member { name: "mlp", sees: Sees::Scaled, model })
    }
}

/// What a member sees of a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sees {
    /// Standardised numbers, and categories.
    Scaled,
    /// Numbers as they are, and notes on the categories.
    Noted,
    /// Numbers and categories as they are.
    Given,
}
