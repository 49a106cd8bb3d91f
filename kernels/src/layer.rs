//! A layer of a multilayer perceptron: `out = bias + W' inputs`, and its derivatives.
//!
//! Forward and backward passes of one row at a time, so that a row's bits do not depend on the rows
//! beside it (a matrix product of a library takes other paths for other numbers of rows and other
//! machines; see docs/neural.md). Derivatives by the chain rule (Rumelhart, Hinton, Williams 1986):
//! with `g` the derivative of the loss by the outputs, that by `W[i][o]` is `inputs[i] g[o]`, that
//! by `inputs[i]` is `sum_o W[i][o] g[o]`.
//!
//! # Shapes
//! Parameters are flat: `W: [inputs, outputs]`, row-major, then `bias: [outputs]`; outputs are a
//! multiple of [`LANES`], so that every inner loop is one of whole vectors.
//!
//! Invariant: sums over inputs go in ascending order; sums over outputs go by lane, then over lanes
//! as a tree. What this does not do: activations other than the rectifier, or steps
//! ([`crate::descent`]).

/// Outputs that are computed side by side; a layer has a multiple of them.
pub const LANES: usize = 8;
/// Sums that fit into the registers of any 64-bit machine.
const WIDE: usize = 32;

/// The shape of a layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Layer {
    /// Inputs.
    pub inputs: usize,
    /// Outputs: a multiple of [`LANES`].
    pub outputs: usize,
}

impl Layer {
    /// Numbers it has: weights, then biases.
    #[must_use]
    pub fn parameters(&self) -> usize {
        (self.inputs + 1) * self.outputs
    }

    /// Writes the outputs of a row.
    ///
    /// # Shapes
    /// `parameters: [parameters]`, `inputs: [inputs]`, `out: [outputs]`.
    pub fn forward(&self, parameters: &[f32], inputs: &[f32], out: &mut [f32]) {
        let (weights, bias) = parameters.split_at(self.inputs * self.outputs);
        out.copy_from_slice(bias);
        let (mut wide, rest) = (0, self.outputs % WIDE);
        while wide + WIDE <= self.outputs {
            self.sums::<WIDE>(weights, inputs, wide, out);
            wide += WIDE;
        }
        for narrow in (self.outputs - rest..self.outputs).step_by(LANES) {
            self.sums::<LANES>(weights, inputs, narrow, out);
        }
    }

    /// Adds the sums of `N` outputs, from `at` on.
    #[inline]
    fn sums<const N: usize>(&self, weights: &[f32], inputs: &[f32], at: usize, out: &mut [f32]) {
        let Some(out) = out[at..].first_chunk_mut::<N>() else { return };
        let mut sums = *out;
        for (input, row) in inputs.iter().zip(weights.chunks_exact(self.outputs)) {
            let Some(row) = row[at..].first_chunk::<N>() else { return };
            for lane in 0..N {
                sums[lane] += *input * row[lane];
            }
        }
        *out = sums;
    }

    /// Adds the derivatives of a row by the parameters.
    ///
    /// # Shapes
    /// `inputs: [inputs]`, `pulls: [outputs]` (the derivatives by the outputs), `gradient:
    /// [parameters]`.
    pub fn add_gradient(&self, inputs: &[f32], pulls: &[f32], gradient: &mut [f32]) {
        let (weights, bias) = gradient.split_at_mut(self.inputs * self.outputs);
        for (bias, pull) in bias.iter_mut().zip(pulls) {
            *bias += pull;
        }
        for (input, row) in inputs.iter().zip(weights.chunks_exact_mut(self.outputs)) {
            if *input != 0.0 {
                for (weight, pull) in row.iter_mut().zip(pulls) {
                    *weight += *input * pull;
                }
            }
        }
    }

    /// Writes the derivatives by the inputs from `from` on, as many as `out` holds.
    ///
    /// # Shapes
    /// `parameters: [parameters]`, `pulls: [outputs]`.
    pub fn back(&self, parameters: &[f32], pulls: &[f32], from: usize, out: &mut [f32]) {
        let rows = parameters[from * self.outputs..].chunks_exact(self.outputs);
        for (out, row) in out.iter_mut().zip(rows) {
            *out = dot(row, pulls);
        }
    }

    /// [`Layer::back`] where the inputs came out of a rectifier: nothing goes back to a 0.
    ///
    /// # Shapes
    /// `inputs: [inputs]`, `out: [inputs]`.
    pub fn back_rectified(
        &self,
        parameters: &[f32],
        pulls: &[f32],
        inputs: &[f32],
        out: &mut [f32],
    ) {
        let rows = parameters.chunks_exact(self.outputs);
        for ((out, row), input) in out.iter_mut().zip(rows).zip(inputs) {
            *out = if *input > 0.0 { dot(row, pulls) } else { 0.0 };
        }
    }
}

/// The rectifier, `max(0, x)`, in place (Nair, Hinton 2010).
pub fn rectify(values: &mut [f32]) {
    for value in values {
        *value = if *value > 0.0 { *value } else { 0.0 };
    }
}

/// The sum of products by lane, then over the lanes as a tree.
///
/// # Shapes
/// Both of one length, a multiple of [`LANES`]; what is more does not count.
#[must_use]
pub fn dot(left: &[f32], right: &[f32]) -> f32 {
    let mut sums = [0.0_f32; LANES];
    let (left, right) = (left.as_chunks::<LANES>().0, right.as_chunks::<LANES>().0);
    for (left, right) in left.iter().zip(right) {
        for lane in 0..LANES {
            sums[lane] += left[lane] * right[lane];
        }
    }
    let [a, b, c, d, e, f, g, h] = sums;
    ((a + e) + (c + g)) + ((b + f) + (d + h))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cases::Draw;

    fn numbers(draw: &mut Draw, count: usize) -> Vec<f32> {
        (0..count).map(|_| draw.unit() * 2.0 - 1.0).collect()
    }

    /// Against the definition in doubles, for widths with and without a wide part.
    #[test]
    fn passes_are_those_of_the_definition() {
        let mut draw = Draw::new(1);
        for (inputs, outputs) in [(1, 8), (15, 64), (7, 40), (64, 32), (3, 72)] {
            let layer = Layer { inputs, outputs };
            let parameters = numbers(&mut draw, layer.parameters());
            let (x, pulls) = (numbers(&mut draw, inputs), numbers(&mut draw, outputs));
            let at = |i: usize, o: usize| f64::from(parameters[i * outputs + o]);
            let mut out = vec![7.0; outputs];
            layer.forward(&parameters, &x, &mut out);
            for (o, out) in out.iter().enumerate() {
                let sum: f64 = (0..inputs).map(|i| at(i, o) * f64::from(x[i])).sum();
                assert!((f64::from(*out) - sum - at(inputs, o)).abs() < 1e-5);
            }
            let (mut back, mut gradient) = (vec![7.0; inputs], vec![1.0; parameters.len()]);
            layer.back(&parameters, &pulls, 0, &mut back);
            layer.add_gradient(&x, &pulls, &mut gradient);
            for i in 0..inputs {
                let sum: f64 = (0..outputs).map(|o| at(i, o) * f64::from(pulls[o])).sum();
                assert!((f64::from(back[i]) - sum).abs() < 1e-5);
                for o in 0..outputs {
                    assert_eq!(gradient[i * outputs + o], 1.0 + x[i] * pulls[o]);
                }
            }
            assert!((0..outputs).all(|o| gradient[inputs * outputs + o] == 1.0 + pulls[o]));
            // Nothing goes back through a closed rectifier; behind the first few it is the same.
            let (mut closed, mut later) = (back.clone(), vec![0.0; inputs - inputs / 2]);
            layer.back_rectified(&parameters, &pulls, &x, &mut closed);
            layer.back(&parameters, &pulls, inputs / 2, &mut later);
            assert_eq!(later, back[inputs / 2..]);
            for i in 0..inputs {
                assert_eq!(closed[i], if x[i] > 0.0 { back[i] } else { 0.0 });
            }
        }
    }

    #[test]
    fn a_rectifier_lets_nothing_else_pass() {
        let mut values = [-1.0, 0.0, 2.5, f32::NAN, -0.0];
        rectify(&mut values);
        assert_eq!(values, [0.0, 0.0, 2.5, 0.0, 0.0]);
    }
}
