//! Steps of descent along the gradient of a mini-batch, for the dense parameters of a network.
//!
//! [`Rule::Adam`] (Kingma, Ba 2015, algorithm 1): with `g` the gradient,
//! `m = b1 m + (1 - b1) g`, `v = b2 v + (1 - b2) g^2`, and
//! `w -= rate * (m / (1 - b1^t)) / (sqrt(v / (1 - b2^t)) + 1e-8)`, `b1 = .9`, `b2 = .999`.
//! [`Rule::AdaGrad`] (Duchi, Hazan, Singer 2011): `v += g^2`, `w -= rate * g / (sqrt(v) + 1e-8)`.
//!
//! The gradient is first brought to a norm of [`NORM_MAX`] where it is longer (Pascanu, Mikolov,
//! Bengio 2013). Invariant: a finite gradient leaves finite weights within [`LIMIT`]; a gradient
//! that is not finite changes nothing. What this does not do: sparse parameters, whose moments
//! would have to be brought forward.

use std::io;

use crate::layer::dot;
use crate::state::{StateReader, StateWriter, invalid};

/// A longer gradient counts as this long.
pub const NORM_MAX: f32 = 4.0;
/// No weight is larger.
pub const LIMIT: f32 = 16.0;

const FIRST: f32 = 0.9;
const SECOND: f32 = 0.999;
const SMALL: f32 = 1e-8;

/// How a gradient becomes a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rule {
    /// By running moments of the gradient.
    Adam,
    /// By the sum of its squares.
    AdaGrad,
}

/// A rule with what it remembers of each parameter.
#[derive(Clone, Debug)]
pub struct Descent {
    rule: Rule,
    /// Running means (Adam alone), and running means or sums of squares.
    means: Vec<f32>,
    squares: Vec<f32>,
    /// `b1^t` and `b2^t`.
    powers: [f32; 2],
}

impl Descent {
    /// Of so many parameters, before the first step.
    #[must_use]
    pub fn new(rule: Rule, parameters: usize) -> Descent {
        let means = if rule == Rule::Adam { parameters } else { 0 };
        Descent { rule, means: vec![0.0; means], squares: vec![0.0; parameters], powers: [1.0; 2] }
    }

    /// Moves the weights; the gradient is used up. Whether it was finite.
    ///
    /// # Shapes
    /// `weights`, `gradient`: one number a parameter, a multiple of [`crate::layer::LANES`].
    pub fn step(&mut self, weights: &mut [f32], gradient: &mut [f32], rate: f32) -> bool {
        let norm = dot(gradient, gradient).sqrt();
        if !norm.is_finite() {
            return false;
        }
        if norm > NORM_MAX {
            let shorter = NORM_MAX / norm;
            gradient.iter_mut().for_each(|own| *own *= shorter);
        }
        match self.rule {
            Rule::Adam => self.adam(weights, gradient, rate),
            Rule::AdaGrad => {
                let cells = weights.iter_mut().zip(gradient).zip(&mut self.squares);
                for ((weight, own), square) in cells {
                    *square += *own * *own;
                    *weight = bounded(*weight - rate * (*own / (square.sqrt() + SMALL)));
                }
            }
        }
        true
    }

    fn adam(&mut self, weights: &mut [f32], gradient: &[f32], rate: f32) {
        let [first, second] = [self.powers[0] * FIRST, self.powers[1] * SECOND];
        self.powers = [first, second];
        let (rate, scale) = (rate / (1.0 - first), 1.0 / (1.0 - second));
        let moments = self.means.iter_mut().zip(&mut self.squares);
        for ((weight, own), (mean, square)) in weights.iter_mut().zip(gradient).zip(moments) {
            *mean = FIRST * *mean + (1.0 - FIRST) * own;
            *square = SECOND * *square + (1.0 - SECOND) * (own * own);
            *weight = bounded(*weight - rate * *mean / ((*square * scale).sqrt() + SMALL));
        }
    }

    /// Means, squares and powers.
    pub(crate) fn parts(&self) -> (&[f32], &[f32], [f32; 2]) {
        (&self.means, &self.squares, self.powers)
    }

    /// The same, to be overwritten by those of a device.
    pub(crate) fn parts_mut(&mut self) -> (&mut [f32], &mut [f32], &mut [f32; 2]) {
        (&mut self.means, &mut self.squares, &mut self.powers)
    }

    /// Writes what is remembered.
    ///
    /// # Errors
    /// What the writer reports.
    pub fn write(&self, state: &mut StateWriter<'_>) -> io::Result<()> {
        state.slice(&self.means)?;
        state.slice(&self.squares)?;
        state.put(self.powers)
    }

    /// Takes what was written of as many parameters and the same rule.
    ///
    /// # Errors
    /// Those of the reader; `InvalidData` for what cannot be.
    pub fn read(&mut self, state: &mut StateReader<'_>) -> io::Result<()> {
        state.fill(&mut self.means)?;
        state.fill(&mut self.squares)?;
        self.powers = state.get()?;
        let is_good = self.means.iter().all(|mean| mean.abs() <= NORM_MAX)
            && self.squares.iter().all(|square| (0.0..=f32::MAX).contains(square))
            && self.powers.iter().all(|power| (0.0..=1.0).contains(power));
        if is_good { Ok(()) } else { Err(invalid("a moment of a gradient is outside its range")) }
    }
}

#[inline]
fn bounded(weight: f32) -> f32 {
    let weight = if weight < LIMIT { weight } else { LIMIT };
    if weight > -LIMIT { weight } else { -LIMIT }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cases::Draw;

    /// Both rules against their definitions in doubles, with gradients that are too long at times.
    #[test]
    fn steps_are_those_of_the_definition() {
        for rule in [Rule::Adam, Rule::AdaGrad] {
            let mut draw = Draw::new(3);
            let (mut weights, mut descent) = (vec![0.5_f32; 16], Descent::new(rule, 16));
            let (mut w, mut m, mut v) = ([0.5_f64; 16], [0.0_f64; 16], [0.0_f64; 16]);
            for step in 1..200 {
                let size = if step % 17 == 0 { 50.0 } else { 0.2 };
                let mut gradient: Vec<f32> = (0..16).map(|_| (draw.unit() - 0.4) * size).collect();
                let norm: f64 = gradient.iter().map(|g| f64::from(*g).powi(2)).sum::<f64>().sqrt();
                for at in 0..16 {
                    let g = f64::from(gradient[at]) * (4.0 / norm).min(1.0);
                    if rule == Rule::Adam {
                        m[at] = 0.9 * m[at] + 0.1 * g;
                        v[at] = 0.999 * v[at] + 0.001 * g * g;
                        let mean = m[at] / (1.0 - 0.9_f64.powi(step));
                        let square = v[at] / (1.0 - 0.999_f64.powi(step));
                        w[at] -= 0.01 * mean / (square.sqrt() + 1e-8);
                    } else {
                        v[at] += g * g;
                        w[at] -= 0.01 * g / (v[at].sqrt() + 1e-8);
                    }
                }
                assert!(descent.step(&mut weights, &mut gradient, 0.01));
                for (own, w) in weights.iter().zip(w) {
                    assert!((f64::from(*own) - w).abs() < 2e-4, "{rule:?} {step}: {own} {w}");
                }
            }
        }
    }

    #[test]
    fn what_is_not_finite_changes_nothing_and_weights_are_bounded() {
        for rule in [Rule::Adam, Rule::AdaGrad] {
            let (mut weights, mut descent) = (vec![0.5_f32; 8], Descent::new(rule, 8));
            let before = descent.clone();
            for bad in [f32::NAN, f32::INFINITY, 1e30] {
                assert!(!descent.step(&mut weights, &mut [bad; 8], 0.1));
            }
            assert_eq!((weights[0], &before.squares), (0.5, &descent.squares));
            for _ in 0..3000 {
                assert!(descent.step(&mut weights, &mut [-1.0; 8], 1.0));
            }
            assert_eq!(weights, [LIMIT; 8]);
        }
    }
}
