//! One node of a file with its inputs and settings.

use pelton_models::graph::Tensor;

use super::super::proto::{AttributeProto, NodeProto};
use super::build::{Build, Item};
use super::tensors;

/// A node that is to be lowered.
pub(super) struct Call<'a> {
    pub(super) build: &'a mut Build,
    pub(super) node: &'a NodeProto,
    /// What it takes; none where an input is left out.
    pub(super) inputs: Vec<Option<Item>>,
    /// The version of its set of operators.
    pub(super) version: i64,
}

impl Call<'_> {
    pub(super) fn attribute(&self, name: &str) -> Option<&AttributeProto> {
        self.node.attribute.iter().find(|own| own.name == name)
    }

    pub(super) fn int(&self, name: &str, usual: i64) -> i64 {
        self.attribute(name).and_then(|own| own.i).unwrap_or(usual)
    }

    pub(super) fn float(&self, name: &str, usual: f32) -> f32 {
        self.attribute(name).and_then(|own| own.f).unwrap_or(usual)
    }

    pub(super) fn ints(&self, name: &str) -> Option<&[i64]> {
        self.attribute(name).map(|own| own.ints.as_slice())
    }

    pub(super) fn floats(&self, name: &str) -> &[f32] {
        self.attribute(name).map_or(&[], |own| own.floats.as_slice())
    }

    pub(super) fn text(&self, name: &str) -> String {
        let own = self.attribute(name).and_then(|own| own.s.as_deref()).unwrap_or_default();
        String::from_utf8_lossy(own).into_owned()
    }

    pub(super) fn tensor(&self, name: &str) -> Option<Result<Tensor, String>> {
        self.attribute(name).and_then(|own| own.t.as_ref()).map(tensors::tensor)
    }

    /// An input that must be there.
    pub(super) fn input(&self, place: usize) -> Result<Item, String> {
        self.optional(place).ok_or_else(|| format!("has no input {place}"))
    }

    /// An input that may be left out.
    pub(super) fn optional(&self, place: usize) -> Option<Item> {
        self.inputs.get(place).cloned().flatten()
    }

    /// All inputs, of which there is one at least.
    pub(super) fn all(&self) -> Result<Vec<Item>, String> {
        let all: Vec<Item> = self.inputs.iter().flatten().cloned().collect();
        if all.is_empty() { Err("has no input".to_owned()) } else { Ok(all) }
    }

    /// Integers as an attribute, or, since a later version, as an input.
    pub(super) fn listed(&self, name: &str, place: usize) -> Result<Option<Vec<i64>>, String> {
        if let Some(own) = self.ints(name) {
            return Ok(Some(own.to_vec()));
        }
        self.optional(place).map(|item| item.same_integers()).transpose()
    }
}
