//! Names of a graph's constants, the same in every format: each once, the second of a name as
//! `name_2`.

use std::collections::BTreeMap;

use pelton_models::graph::{Graph, Step};

/// Names that are taken, each with the number tried last behind it.
#[derive(Debug, Default)]
pub(crate) struct Names {
    taken: BTreeMap<String, u32>,
}

impl Names {
    /// Takes a name, with a number behind it where it is taken.
    pub(crate) fn take(&mut self, name: &str) -> String {
        let Some(last) = self.taken.get(name) else {
            self.taken.insert(name.to_owned(), 1);
            return name.to_owned();
        };
        let mut number = *last;
        let free = loop {
            number += 1;
            let free = format!("{name}_{number}");
            if !self.taken.contains_key(&free) {
                break free;
            }
        };
        self.taken.insert(name.to_owned(), number);
        self.taken.insert(free.clone(), 1);
        free
    }

    /// Whether a name was free, and is taken now.
    pub(crate) fn take_exactly(&mut self, name: &str) -> bool {
        !name.is_empty() && self.taken.insert(name.to_owned(), 1).is_none()
    }

    /// Takes those of a graph's inputs and outputs, then those of its constants: these by step.
    /// None where two inputs or outputs have one name.
    pub(crate) fn of(graph: &Graph) -> Option<(Names, Vec<Option<String>>)> {
        let mut names = Names::default();
        let mut ends = graph.inputs().map(|(_, name, ..)| name).collect::<Vec<&str>>();
        ends.extend(graph.outputs().iter().map(|(name, _)| name.as_str()));
        if !ends.into_iter().all(|name| names.take_exactly(name)) {
            return None;
        }
        let constant = |step: &Step| match step {
            Step::Constant { name, .. } => Some(names.take(name)),
            _ => None,
        };
        let constants = graph.steps().iter().map(constant).collect();
        Some((names, constants))
    }
}
