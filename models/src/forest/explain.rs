//! What each column adds to what the forest says.
//!
//! Every node on a row's way says something: what its parent does, drawn to its own means. What
//! that changes by at a split belongs to the column looked at (Saabas 2014, "Interpreting random
//! forests"), for each tree and memory; trees are averaged by their shares. For values the last
//! layer weights the memories, and the contributions with them. For classes it weights logarithms
//! (log odds) of the averages: the contributions to an average are brought to that scale by the
//! slope of the line from the base to the whole ([`crate::explain::map`]).

#[cfg(test)]
mod tests;

use pelton_kernels::math;

use super::config::{ForestConfig, MEMORIES};
use super::tree::{Tree, trust};
use super::vote::NEAR;
use super::{Forest, NAME};
use crate::explain;
use crate::{Features, Model, ModelError, Task};

/// Room for a row, used again.
#[derive(Default)]
pub(super) struct Room {
    /// `[width]`.
    values: Vec<f32>,
    /// What a tree says at a node, `[MEMORIES, outputs]`.
    said: Vec<f32>,
    /// What columns and, last, roots add to the averages: `[MEMORIES, outputs, width + 1]`.
    parts: Vec<f32>,
}

impl Tree {
    /// Adds what each column adds to what the tree predicts, times `share`.
    fn explain(&self, config: &ForestConfig, share: f32, room: &mut Room) {
        let (outputs, width) = (self.outputs, room.values.len());
        let stride = MEMORIES * outputs;
        room.said.clear();
        room.said.extend_from_slice(&self.means[..stride]);
        let roots = room.parts.iter_mut().skip(width).step_by(width + 1);
        roots.zip(&room.said).for_each(|(base, said)| *base += share * said);
        let mut node = &self.nodes[0];
        while node.left != 0 {
            let (column, at) = (node.column as usize, Tree::next(node, &room.values));
            node = &self.nodes[at];
            let trusts = config.memories.map(|memory| trust(config, node.rows, memory));
            let own = &self.means[at * stride..][..stride];
            let parts = room.parts.iter_mut().skip(column).step_by(width + 1);
            for (place, ((said, own), part)) in room.said.iter_mut().zip(own).zip(parts).enumerate()
            {
                let moved = (own - *said) * trusts[place / outputs];
                *said += moved;
                *part += share * moved;
            }
        }
    }
}

impl Forest {
    /// [`Model::explain`].
    pub(super) fn explain_rows(
        &self,
        features: &Features<'_>,
        out: &mut [f32],
    ) -> Result<(), ModelError> {
        let (outputs, width) = (self.outputs(), self.shape.explained_width(self.notes_width()));
        self.shape.check(NAME, features, Some((outputs * width, out.len())))?;
        self.shape.check_notes(NAME, features, self.notes_width())?;
        out.fill(0.0);
        let mut room = self.explaining.take();
        let columns = self.bins.width();
        for (row, out) in out.chunks_exact_mut(outputs * width).enumerate() {
            self.lay_row(features, row, &mut room.values);
            room.parts.clear();
            room.parts.resize(MEMORIES * outputs * (columns + 1), 0.0);
            for (member, share) in self.members.iter().zip(&self.shares) {
                member.tree.explain(&self.config, *share, &mut room);
            }
            let lists = room.parts.chunks_exact_mut(columns + 1);
            for (place, parts) in lists.enumerate() {
                let (memory, output) = (place / outputs, place % outputs);
                self.open_up(parts);
                let weight = self.vote.weights[memory];
                let out = &mut out[output * width..][..width];
                out[width - 1] += weight * parts[columns];
                for (column, part) in parts[..columns].iter().enumerate() {
                    // A row without columns is one of a constant, which adds nothing.
                    let place = self.shape.explained_column(column).min(width - 1);
                    out[place] += weight * part;
                }
            }
            if self.config.task == Task::Binary {
                out[width - 1] += self.vote.weights[MEMORIES];
            }
        }
        self.explaining.set(room);
        Ok(())
    }

    /// Contributions to an average as ones to what the last layer takes of it.
    fn open_up(&self, parts: &mut [f32]) {
        let whole: f32 = parts.iter().sum();
        let base = parts.last().copied().unwrap_or(0.0);
        match self.config.task {
            Task::Binary => {
                let [base, whole] = [base, whole].map(|share| share.clamp(NEAR, 1.0 - NEAR));
                let ends = [base, whole].map(math::logit_f32);
                explain::map(parts, ends, 1.0 / (whole * (1.0 - whole)));
            }
            Task::MultiClass { .. } => {
                let [base, whole] = [base, whole].map(|share| share.max(NEAR));
                explain::map(parts, [base, whole].map(math::ln_f32), 1.0 / whole);
            }
            Task::Regression => {}
        }
    }
}
