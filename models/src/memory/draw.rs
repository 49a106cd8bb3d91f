//! What is noted of rows, as operations: the means as they are now, which no longer move.

use super::LabelMemory;
use crate::ABSENT;
use crate::graph::{Graph, Inputs, Value};

impl LabelMemory {
    /// Draws what [`LabelMemory::note_overall`] notes: `[rows, overall_width]`, the same in every
    /// row; none where that is 0, or where a row has no features at all.
    pub fn draw_overall(&self, graph: &mut Graph, inputs: &Inputs) -> Option<Value> {
        let mut notes = vec![0.0; self.overall_width()];
        if notes.is_empty() {
            return None;
        }
        self.note_overall(&mut notes);
        inputs.in_every_row(graph, "overall", notes)
    }

    /// Draws what [`LabelMemory::note_categories`] notes: `[rows, categories_width]`; none where
    /// that is 0. Only indices that had a label are in the table.
    pub fn draw_categories(&self, graph: &mut Graph, inputs: &Inputs) -> Option<Value> {
        let width = self.kinds * self.rates;
        if self.categories_width() == 0 {
            return None;
        }
        let counts = (0_u32..).zip(&self.counts);
        let known: Vec<u32> =
            counts.filter(|(_, count)| **count > 0).map(|(index, _)| index).collect();
        let mut table = vec![0.0; (known.len() + 1) * width];
        // The last row is for what is not known.
        let indices = known.iter().copied().chain([ABSENT]);
        for (index, row) in indices.zip(table.chunks_exact_mut(width)) {
            self.note_categories(&[index], row);
        }
        let noted = inputs.look_up(graph, "categories", known, (table, width))?;
        Some(graph.reshape(noted, &[0, self.categories_width() as i64]))
    }
}
