//! The link as operations: from linear scores to probabilities or the value.

use super::Link;
use crate::Task;
use crate::graph::{Graph, Value};

impl Link {
    /// Draws what [`Link::predict`] does.
    ///
    /// # Shapes
    /// `scores: [rows, outputs]` of 32-bit floats, as is what is returned.
    pub fn draw(&self, graph: &mut Graph, scores: Value) -> Value {
        match self.task {
            Task::Binary if self.shift == 0.0 => graph.sigmoid(scores),
            Task::Binary => {
                let shift = graph.number(self.shift);
                let margins = graph.sub(scores, shift);
                graph.sigmoid(margins)
            }
            Task::MultiClass { .. } => graph.softmax(scores),
            Task::Regression => {
                // In doubles: a mean may be large beside the deviation.
                let (scores, mean) = (graph.doubled(scores), graph.double(self.target.mean));
                let deviation = graph.double(self.target.deviation());
                let off = graph.mul(scores, deviation);
                let values = graph.add(off, mean);
                graph.single(values)
            }
        }
    }
}
