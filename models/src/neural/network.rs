//! The network: where its parameters lie, and the passes of a row through it, forth and back.
//!
//! A row's inputs are its dense features, in the deep form the products of its pairs, and the
//! vectors of its sparse features, side by side. Two hidden layers with rectifiers follow and a
//! linear one. In the deep form dense features have vectors as well, scaled by their values, and
//! with `S` the sum of all vectors of a row the products are (He, Chua 2017, "bi-interaction")
//!
//! `p_f = scale / 2 (S_f^2 - sum_i v_if^2)`, so `dp_f / dv_if = scale (S_f - v_if)`;
//!
//! a linear layer of dense features and products, and the linear weights of the sparse ones, are
//! added to the outputs (Guo et al. 2017, "DeepFM").
//!
//! # Shapes
//! All parameters are one flat array: first, second and last layer, then (deep) the linear layer
//! and the vectors of dense features `[dense, factors]`, padded to whole vectors. Outputs are
//! padded with zeros to a multiple of eight; what is padded has no derivative and stays.

mod draw;

use std::ops::Range;

use pelton_kernels::layer::{LANES, Layer, rectify};

use super::config::{Form, NeuralConfig};
use super::embeddings::{Embeddings, NONE, begin};
use crate::FeatureShape;

/// Dense inputs count as no larger.
const INPUT_MAX: f32 = 8.0;
/// Half of the range that the vectors of dense features begin in.
const VECTOR_BEGIN: f32 = 0.1;

/// Where everything is.
#[derive(Clone, Debug)]
pub(super) struct Plan {
    dense: usize,
    sparse: usize,
    factors: usize,
    outputs: usize,
    is_deep: bool,
    /// What the products of a row are multiplied by, so that many columns do not make them large.
    scale: f32,
    first: Layer,
    second: Layer,
    last: Layer,
    /// Dense features and products straight to the outputs.
    linear: Layer,
    /// Ends of the parameters of each part.
    ends: [usize; 5],
}

/// A row on its way; used again.
#[derive(Clone, Debug, Default)]
pub(super) struct Room {
    /// Rows of the table by sparse column.
    places: Vec<u32>,
    pub inputs: Vec<f32>,
    sums: Vec<f32>,
    first: Vec<f32>,
    second: Vec<f32>,
    /// The outputs, padded.
    pub outputs: Vec<f32>,
    /// Derivatives of the loss by the outputs, padded.
    pub pulls: Vec<f32>,
    second_pulls: Vec<f32>,
    first_pulls: Vec<f32>,
    /// By the inputs of the first layer; in the deep form by the vectors behind the products, too.
    pub input_pulls: Vec<f32>,
    linear_pulls: Vec<f32>,
}

impl Plan {
    pub fn new(config: &NeuralConfig, shape: FeatureShape) -> Plan {
        let (dense, sparse) = (shape.dense_width, shape.sparse_width);
        let (factors, is_deep) = (config.embedding, config.form == Form::Deep);
        let products = if is_deep { factors } else { 0 };
        let outputs = config.task.outputs();
        let padded = outputs.next_multiple_of(LANES);
        let [one, two] = config.hidden;
        let first = Layer { inputs: dense + products + sparse * factors, outputs: one };
        let second = Layer { inputs: one, outputs: two };
        let last = Layer { inputs: two, outputs: padded };
        let linear = Layer { inputs: dense + products, outputs: padded };
        let beside = if is_deep { [linear.parameters(), dense * factors] } else { [0; 2] };
        let mut end = 0;
        let layers = [first.parameters(), second.parameters(), last.parameters()];
        let ends = [layers[0], layers[1], layers[2], beside[0], beside[1]].map(|own| {
            end += own;
            end
        });
        let columns = dense + sparse;
        let pairs = (columns * columns.saturating_sub(1) / 2).max(1);
        let scale = 1.0 / (pairs as f32).sqrt();
        Plan { dense, sparse, factors, outputs, is_deep, scale, first, second, last, linear, ends }
    }

    /// Numbers of all parameters.
    pub fn parameters(&self) -> usize {
        self.ends[4].next_multiple_of(LANES)
    }

    /// What the products of a row are multiplied by.
    pub fn scale(&self) -> f32 {
        self.scale
    }

    /// The part of the parameters: layers 0 to 2, the linear layer 3, the vectors of columns 4.
    pub fn part(&self, part: usize) -> Range<usize> {
        let from = part.checked_sub(1).map_or(0, |before| self.ends[before]);
        from..self.ends[part]
    }

    /// The products among the inputs.
    fn products(&self) -> Range<usize> {
        self.dense..self.linear.inputs
    }

    /// The vector of a sparse column among the inputs.
    pub fn vector(&self, column: usize) -> Range<usize> {
        let from = self.linear.inputs + column * self.factors;
        from..from + self.factors
    }

    /// Parameters before anything is learned (He et al. 2015 for the rectified layers); biases and
    /// the linear layer are zero, the last layer is small.
    pub fn begin(&self) -> Vec<f32> {
        let mut parameters = vec![0.0; self.parameters()];
        for (part, layer) in [self.first, self.second, self.last].into_iter().enumerate() {
            let size = if part == 2 { 0.3 } else { 1.0 };
            let most = size * (6.0 / layer.inputs as f32).sqrt();
            let own = &mut parameters[self.part(part)][..layer.inputs * layer.outputs];
            begin(part as u64 + (1 << 40), most, own);
            for row in own.chunks_exact_mut(layer.outputs).filter(|_| part == 2) {
                row[self.outputs..].fill(0.0);
            }
        }
        begin(1 << 41, VECTOR_BEGIN, &mut parameters[self.part(4)]);
        parameters
    }

    /// The biases of the outputs.
    pub fn output_bias(&self) -> Range<usize> {
        let end = self.ends[2];
        end - self.last.outputs..end - self.last.outputs + self.outputs
    }

    /// Gives the room its sizes.
    pub fn make_room(&self, room: &mut Room) {
        if room.inputs.len() == self.first.inputs && room.outputs.len() == self.last.outputs {
            return;
        }
        room.places.resize(self.sparse, NONE);
        for (values, length) in [
            (&mut room.inputs, self.first.inputs),
            (&mut room.input_pulls, self.first.inputs),
            (&mut room.sums, self.factors),
            (&mut room.first, self.first.outputs),
            (&mut room.first_pulls, self.first.outputs),
            (&mut room.second, self.second.outputs),
            (&mut room.second_pulls, self.second.outputs),
            (&mut room.outputs, self.last.outputs),
            (&mut room.pulls, self.last.outputs),
            (&mut room.linear_pulls, self.linear.inputs),
        ] {
            values.resize(length, 0.0);
        }
    }

    /// Takes a row in: its inputs, without the products.
    ///
    /// # Shapes
    /// `dense: [dense]`, `sparse: [sparse]`.
    pub fn take(&self, (dense, sparse): (&[f32], &[u32]), own: &Embeddings, room: &mut Room) {
        for (input, value) in room.inputs.iter_mut().zip(dense) {
            *input = bounded(*value);
        }
        for (column, index) in sparse.iter().enumerate() {
            let place = own.find(*index);
            room.places[column] = place;
            let input = &mut room.inputs[self.vector(column)];
            match place {
                NONE => input.fill(0.0),
                place => input.copy_from_slice(own.row(place).0),
            }
        }
    }

    /// The outputs of the row in the room.
    pub fn forward(&self, parameters: &[f32], own: &Embeddings, room: &mut Room) {
        if self.is_deep {
            self.multiply(&parameters[self.part(4)], room);
        }
        self.first.forward(&parameters[self.part(0)], &room.inputs, &mut room.first);
        rectify(&mut room.first);
        self.second.forward(&parameters[self.part(1)], &room.first, &mut room.second);
        rectify(&mut room.second);
        self.last.forward(&parameters[self.part(2)], &room.second, &mut room.outputs);
        if self.is_deep {
            let inputs = &room.inputs[..self.linear.inputs];
            // The derivatives' place is free until the way back.
            self.linear.forward(&parameters[self.part(3)], inputs, &mut room.pulls);
            for (output, linear) in room.outputs.iter_mut().zip(&room.pulls) {
                *output += linear;
            }
            for place in room.places.iter().filter(|place| **place != NONE) {
                for (output, weight) in room.outputs.iter_mut().zip(own.row(*place).1) {
                    *output += weight;
                }
            }
        }
    }

    /// The products of the row's pairs.
    fn multiply(&self, vectors: &[f32], room: &mut Room) {
        let (sums, squares) = (&mut room.sums, &mut room.input_pulls[..self.factors]);
        sums.fill(0.0);
        squares.fill(0.0);
        let mut add = |value: f32, vector: &[f32]| {
            for ((sum, square), own) in sums.iter_mut().zip(squares.iter_mut()).zip(vector) {
                let part = value * own;
                *sum += part;
                *square += part * part;
            }
        };
        let columns = vectors.chunks_exact(self.factors);
        room.inputs[..self.dense].iter().zip(columns).for_each(|(value, own)| add(*value, own));
        let vectors = room.inputs[self.linear.inputs..].chunks_exact(self.factors);
        vectors.for_each(|own| add(1.0, own));
        let products = room.inputs[self.products()].iter_mut();
        for (product, (sum, square)) in products.zip(room.sums.iter().zip(&room.input_pulls)) {
            *product = 0.5 * self.scale * (sum * sum - square);
        }
    }

    /// Adds the derivatives of the loss by the parameters, from those by the outputs in the room.
    pub fn back(&self, parameters: &[f32], gradient: &mut [f32], room: &mut Room) {
        self.last.add_gradient(&room.second, &room.pulls, &mut gradient[self.part(2)]);
        self.back_hidden(parameters, room);
        self.second.add_gradient(&room.first, &room.second_pulls, &mut gradient[self.part(1)]);
        self.first.add_gradient(&room.inputs, &room.first_pulls, &mut gradient[self.part(0)]);
        if self.is_deep {
            let inputs = &room.inputs[..self.linear.inputs];
            self.linear.add_gradient(inputs, &room.pulls, &mut gradient[self.part(3)]);
        }
        // Nothing needs the derivatives by dense features.
        self.back_inputs(parameters, self.dense, room);
        if self.is_deep {
            let (vectors, own) = (self.part(4), &mut gradient[self.part(4)]);
            let columns = own.chunks_exact_mut(self.factors);
            let vectors = parameters[vectors].chunks_exact(self.factors);
            for ((value, own), vector) in room.inputs.iter().zip(columns).zip(vectors) {
                let products = room.input_pulls[self.products()].iter().zip(&room.sums);
                for ((own, vector), (pull, sum)) in own.iter_mut().zip(vector).zip(products) {
                    *own += self.scale * pull * value * (sum - value * vector);
                }
            }
        }
    }

    /// Derivatives by the hidden layers.
    pub fn back_hidden(&self, parameters: &[f32], room: &mut Room) {
        let last = &parameters[self.part(2)];
        self.last.back_rectified(last, &room.pulls, &room.second, &mut room.second_pulls);
        let second = &parameters[self.part(1)];
        let pulls = &room.second_pulls;
        self.second.back_rectified(second, pulls, &room.first, &mut room.first_pulls);
    }

    /// Derivatives by the inputs from `from` on, those of vectors through the products included;
    /// with `from` 0 those of dense features as well.
    pub fn back_inputs(&self, parameters: &[f32], from: usize, room: &mut Room) {
        let first = &parameters[self.part(0)];
        self.first.back(first, &room.first_pulls, from, &mut room.input_pulls[from..]);
        if !self.is_deep {
            return;
        }
        let linear = &parameters[self.part(3)];
        let pulls = &mut room.linear_pulls[from..];
        self.linear.back(linear, &room.pulls, from, pulls);
        for (pull, linear) in room.input_pulls[from..].iter_mut().zip(pulls) {
            *pull += *linear;
        }
        let (before, behind) = room.input_pulls.split_at_mut(self.linear.inputs);
        let (dense, products) = before.split_at_mut(self.dense);
        let vectors = room.inputs[self.linear.inputs..].chunks_exact(self.factors);
        for (pulls, vector) in behind.chunks_exact_mut(self.factors).zip(vectors) {
            let products = products.iter().zip(&room.sums);
            for ((pull, own), (product, sum)) in pulls.iter_mut().zip(vector).zip(products) {
                *pull += self.scale * product * (sum - own);
            }
        }
        if from == 0 {
            let columns = parameters[self.part(4)].chunks_exact(self.factors);
            for ((pull, value), vector) in dense.iter_mut().zip(&room.inputs).zip(columns) {
                for (own, (product, sum)) in vector.iter().zip(products.iter().zip(&room.sums)) {
                    *pull += self.scale * product * own * (sum - value * own);
                }
            }
        }
    }

    /// What a sparse column of the row in the room adds to an output by itself.
    pub fn linear_weight(&self, own: &Embeddings, room: &Room, column: usize, class: usize) -> f32 {
        match room.places[column] {
            place if self.is_deep && place != NONE => own.row(place).1[class],
            _ => 0.0,
        }
    }

    /// Moves the embeddings of the row in the room, once for each column.
    pub fn step(&self, own: &mut Embeddings, room: &Room) {
        let linear = if self.is_deep { &room.pulls[..self.outputs] } else { &[] };
        for (column, place) in room.places.iter().enumerate().filter(|(_, place)| **place != NONE) {
            own.step(*place, &room.input_pulls[self.vector(column)], linear);
        }
    }
}

#[inline]
fn bounded(value: f32) -> f32 {
    if value.is_finite() { value.clamp(-INPUT_MAX, INPUT_MAX) } else { 0.0 }
}
