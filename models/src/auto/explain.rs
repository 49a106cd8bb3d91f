//! Why the mixture's score is what it is: the explanations of its members, chained.
//!
//! A member counts by its weight and by what the stack makes of it. The stack's contribution of a
//! member's prediction `l`, whose mean is `m`, is divided as the member divides `l`: each input
//! gets its contribution to `l` times the slope of the line from the mean, `c / (l - m)`, and the
//! base the rest. The stack's contributions of notes are the notes' own, against their means. What
//! trees see of categories are notes. Probabilities are limited where members are pooled; what that
//! takes off goes to the base, as do the constants that classes share.

use super::predict::Room;
use super::{Auto, Sees};
use crate::explain::complete;
use crate::{Features, Model, ModelError};

/// Deviations from the mean below which a prediction tells no slope.
const DEVIATION_MIN: f64 = 1e-4;

/// Explanations of all rows, used again.
#[derive(Debug, Default)]
pub(super) struct Explaining {
    /// `[rows, outputs, inputs of the member + 1]`, by member.
    members: Vec<Vec<f32>>,
    /// `[rows, outputs, inputs of the stack + 1]`.
    stack: Vec<f32>,
}

impl Auto {
    /// Explains the rows that the room has the predictions of.
    pub(super) fn explain_rows(
        &self,
        features: &Features<'_>,
        (room, explaining): (&Room, &mut Explaining),
        out: &mut [f32],
    ) -> Result<(), ModelError> {
        let (rows, outputs) = (features.rows, self.outputs());
        explaining.members.resize_with(self.members.len(), Vec::new);
        for (member, parts) in self.members.iter().zip(&mut explaining.members) {
            parts.resize(rows * outputs * self.member_width(member.sees), 0.0);
            member.model.explain(&room.seen(member.sees, features), parts)?;
        }
        explaining.stack.resize(rows * outputs * (room.unscaled(0).len() + 1), 0.0);
        self.stack.explain(&room.inputs(rows), &mut explaining.stack)?;
        let width = self.shape.explained_width(self.notes_width());
        out.fill(0.0);
        for (row, out) in out.chunks_exact_mut(outputs * width).enumerate() {
            self.complete_members(room, row, explaining);
            for (output, out) in out.chunks_exact_mut(width).enumerate() {
                self.explain_output((room, &*explaining), (row, output), out);
            }
        }
        Ok(())
    }

    /// Numbers of a member's explanation of a row and output.
    fn member_width(&self, sees: Sees) -> usize {
        self.shape.dense_width
            + 1
            + match sees {
                Sees::Scaled | Sees::Given => self.shape.sparse_width,
                Sees::Noted => self.notes_width() - self.memory.overall_width(),
            }
    }

    /// Lets explanations of members and stack sum to what is pooled of them.
    fn complete_members(&self, room: &Room, row: usize, explaining: &mut Explaining) {
        let outputs = self.outputs();
        let all = explaining.members.iter_mut().chain([&mut explaining.stack]);
        for (member, parts) in all.enumerate() {
            let predicted = room.of(member, row, outputs);
            let width = parts.len() / (room.rows() * outputs);
            let own = parts[row * outputs * width..].chunks_exact_mut(width);
            own.zip(predicted).for_each(|(parts, whole)| complete(parts, *whole));
        }
    }

    /// What each input adds to an output of a row.
    fn explain_output(
        &self,
        (room, explaining): (&Room, &Explaining),
        (row, output): (usize, usize),
        out: &mut [f32],
    ) {
        let (outputs, base) = (self.outputs(), out.len() - 1);
        let unscaled = room.unscaled(row);
        let stack_width = unscaled.len() + 1;
        let stack = &explaining.stack[(row * outputs + output) * stack_width..][..stack_width];
        let weights = &self.shares.weights;
        let stack_weight = weights[self.members.len()] as f32;
        for (at, (member, parts)) in self.members.iter().zip(&explaining.members).enumerate() {
            let width = self.member_width(member.sees);
            let own = &parts[row * outputs * width..][..outputs * width];
            for (other, parts) in own.chunks_exact(width).enumerate() {
                // The stack sees what members predict of all classes.
                let input = at * outputs + other;
                let (mean, deviation) = self.inputs.column(input);
                let off = f64::from(unscaled[input]) - mean;
                let tells = off.abs() > DEVIATION_MIN * deviation && deviation > 0.0;
                let slope = if tells { (f64::from(stack[input]) / off) as f32 } else { 0.0 };
                let through = stack_weight * slope;
                let share = if other == output { weights[at] as f32 } else { 0.0 };
                self.add_parts(member.sees, parts, share + through, out);
                out[base] += stack_weight * stack[input] - through * unscaled[input];
            }
        }
        let first_note = self.shape.dense_width + self.shape.sparse_width;
        let notes = &stack[self.members.len() * outputs..];
        for (note, part) in notes[..self.stack_notes].iter().enumerate() {
            out[first_note + note] += stack_weight * part;
        }
        out[base] += stack_weight * stack[stack_width - 1];
    }

    /// Adds a member's contributions, times a factor, to the inputs they are of.
    fn add_parts(&self, sees: Sees, parts: &[f32], factor: f32, out: &mut [f32]) {
        let dense = self.shape.dense_width;
        let behind = match sees {
            Sees::Scaled | Sees::Given => dense,
            Sees::Noted => dense + self.shape.sparse_width + self.memory.overall_width(),
        };
        let (inputs, base) = (parts.len() - 1, out.len() - 1);
        let add = |out: &mut [f32], parts: &[f32]| {
            out.iter_mut().zip(parts).for_each(|(out, part)| *out += factor * part);
        };
        add(&mut out[..dense], &parts[..dense]);
        add(&mut out[behind..base], &parts[dense..inputs]);
        out[base] += factor * parts[inputs];
    }
}
