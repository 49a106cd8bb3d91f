//! A contest as operations: the champion's, whose scores are those of the contest.
//!
//! What is noted of challengers, and of scores, is for judging when a label comes; there is none
//! for a graph. So the notes drawn are the champion's alone, and it alone has to be one that can be
//! drawn.

use super::Contest;
use crate::ModelError;
use crate::graph::{Graph, Inputs, Value};

impl Contest {
    /// Draws the champion's scores from the notes of [`Contest::draw_champions_notes`].
    pub(super) fn draw_champion(
        &self,
        graph: &mut Graph,
        inputs: &Inputs,
    ) -> Result<Value, ModelError> {
        self.entrants[self.champion].model.draw(graph, inputs)
    }

    /// Draws what the champion notes: only that part of what [`Contest::note`] notes.
    pub(super) fn draw_champions_notes(
        &self,
        graph: &mut Graph,
        inputs: &Inputs,
    ) -> Result<Option<Value>, ModelError> {
        self.entrants[self.champion].model.draw_notes(graph, inputs)
    }
}
