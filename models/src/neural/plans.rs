//! What a network on a GPU is to do next, planned here in the order of the stream: rows to score,
//! mini-batches to learn, and which index begins with which row of the table.

use pelton_kernels::network::Walk;

use super::Neural;
use super::replay::Row;
use crate::Task;
use crate::linear::link::Link;

/// What is to be done there next.
#[derive(Default)]
pub(super) struct Walking {
    pub walk: Walk,
    /// Rows of the table of the rows that are scored.
    pub places: Vec<u32>,
    /// What was known of targets when each of them was scored (regression).
    pub links: Vec<Link>,
    /// The row that is learned: its rows of the table, and those that begin.
    pub own: Vec<u32>,
    pub begins: Vec<[u32; 2]>,
}

impl Walking {
    /// Nothing is to be done any more.
    pub fn clear(&mut self) {
        self.walk.clear();
        self.places.clear();
        self.links.clear();
    }

    /// Plans that a row is scored, as the model is now.
    pub fn score(&mut self, row: usize, indices: &[u32], model: &Neural) {
        self.walk.score(row);
        self.places.extend(indices.iter().map(|index| model.embeddings.find(*index)));
        if model.config.task == Task::Regression {
            self.links.push(model.link.clone());
        }
    }

    /// Finds the rows of the table of a row that is learned, which may begin with it.
    pub fn seat(&mut self, row: Row<'_>, model: &mut Neural) {
        self.own.clear();
        self.begins.clear();
        for index in row.sparse {
            if let Some(place) = model.embeddings.seat(*index, model.learned) {
                // Where all rows are taken one may be given away as soon as it was begun.
                self.begins.retain(|[own, _]| *own != place);
                self.begins.push([place, *index]);
            }
        }
        self.own.extend(row.sparse.iter().map(|index| model.embeddings.find(*index)));
    }
}
