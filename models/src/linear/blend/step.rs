//! From an example to what it does to the coordinates of a class: pulls, certainty, forgetting.

use pelton_kernels::blend::{BlendStep, EXPERTS, FILTERS};
use pelton_kernels::implicit::pulls;

use super::super::link::class_log_odds;
use super::{Blend, FORGETTING};
use crate::Task;

/// An example as the experts see it.
pub(crate) struct Example {
    pub label: f32,
    pub weight: f32,
    /// The weight times what the label's kind counts for.
    pub importance: f32,
}

/// What a model puts on top of the experts' linear scores; the linear model itself nothing.
pub(crate) trait Addend {
    /// How far a full pull moves each expert's score of a class, with the linear part's `own`.
    fn spreads(&mut self, class: usize, own: [f32; EXPERTS]) -> [f32; EXPERTS];
    /// Learns its part of a class.
    fn learn(&mut self, class: usize, step: &BlendStep);
}

impl Addend for () {
    #[inline]
    fn spreads(&mut self, _: usize, own: [f32; EXPERTS]) -> [f32; EXPERTS] {
        own
    }

    #[inline]
    fn learn(&mut self, _: usize, _: &BlendStep) {}
}

impl Blend {
    /// Signed pulls of a class, and how uncertain the experts are after them.
    #[inline]
    fn pulls(
        &self,
        scores: &[f32; EXPERTS],
        class: usize,
        example: &Example,
        reaches: [f32; EXPERTS],
    ) -> ([f32; EXPERTS], [f32; EXPERTS]) {
        let mut signed = [0.0; EXPERTS];
        if self.link.task == Task::Regression {
            let target = self.link.target(example.label);
            for lane in 0..EXPERTS {
                let residual = self.link.limited(target - scores[lane]);
                signed[lane] = residual / (1.0 + reaches[lane]);
            }
            return (signed, [0.25; EXPERTS]);
        }
        let is_binary = self.link.task == Task::Binary;
        let is_positive = example.label as usize == if is_binary { 1 } else { class };
        let sign = if is_positive { 1.0 } else { -1.0 };
        let margins = match is_binary {
            true => scores.map(|score| sign * score),
            false => std::array::from_fn(|lane| sign * self.class_margin(class, lane)),
        };
        let pulls = pulls(margins, reaches);
        let mut uncertain = [0.0; EXPERTS];
        for lane in 0..EXPERTS {
            signed[lane] = sign * pulls[lane];
            let information = pulls[lane] * (1.0 - pulls[lane]);
            uncertain[lane] = if information > 1e-7 { information } else { 1e-7 };
        }
        (signed, uncertain)
    }

    /// What the example does to the coordinates of one class.
    #[inline]
    pub(super) fn step(
        &self,
        scores: &[f32; EXPERTS],
        class: usize,
        example: &Example,
        spreads: [f32; EXPERTS],
    ) -> BlendStep {
        let importance = example.importance;
        let reaches = spreads.map(|spread| spread * importance);
        let (pulls, uncertain) = self.pulls(scores, class, example, reaches);
        let is_regression = self.link.task == Task::Regression;
        let mut step = BlendStep {
            pulls: pulls.map(|pull| pull * importance),
            reductions: [0.0; EXPERTS],
            inflations: [1.0; EXPERTS],
            priors: self.sparse_priors,
            l1: self.penalties[0],
            l2: self.penalties[1],
        };
        for filter in 0..FILTERS {
            let information = if is_regression { 1.0 } else { uncertain[filter] };
            let seen = information * importance;
            step.reductions[filter] = seen / (1.0 + seen * spreads[filter]);
            let forgotten = FORGETTING[filter] * 4.0 * uncertain[filter] * importance;
            step.inflations[filter] = 1.0 + forgotten.min(0.5);
        }
        step
    }

    #[inline]
    fn class_margin(&self, class: usize, lane: usize) -> f32 {
        class_log_odds(self.probabilities[lane * self.classes + class])
    }
}
