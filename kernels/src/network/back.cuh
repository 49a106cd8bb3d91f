// Derivatives of the loss, from the outputs back to parameters and embeddings. Sums over outputs go
// by lane, then over the lanes as a tree, as in layer.rs; sums over rows go in their order, since a
// parameter belongs to one thread.
#pragma once
#include "forward.cuh"

NUMBERS float lane_dot(const float* left, const float* right, unsigned count) {
  float sums[LANES] = {};
  for (unsigned i = 0; i < count; i += LANES)
    for (unsigned lane = 0; lane < LANES; ++lane) sums[lane] += left[i + lane] * right[i + lane];
  return fold_lanes(sums);
}

// The derivatives of one row by its outputs, times what it counts for in its mini-batch.
NUMBERS void pull_row(const Network& m, float* outputs, float* pulls, float target, float share,
                      float offset, Running& running) {
  for (unsigned o = 0; o < m.padded; ++o) pulls[o] = 0.0f;
  if (m.task == BINARY) {
    pulls[0] = sigmoid(outputs[0] + offset) - target;
  } else if (m.task == CLASSES) {
    for (unsigned o = 0; o < m.outputs; ++o) pulls[o] = outputs[o];
    softmax(pulls, m.outputs);
    pulls[static_cast<unsigned>(target)] -= 1.0f;
  } else {
    // As follow_residual, of a target in the unit of the outputs.
    const float usual = usual_residual(running), residual = outputs[0] - target;
    const float seen = at_most(absolute(residual), 5.0f * usual);
    running.residual = usual + 0.01f * (seen - usual);
    pulls[0] = limited(running, residual);
  }
  for (unsigned o = 0; o < m.padded; ++o) pulls[o] *= share;
}

// Each row moves the usual residual that the next one is held to, so a regression's are in turn.
NUMBERS void pull_rows(const Network& m, const LinearRows& lessons, unsigned first, unsigned count,
                       float offset, const NetworkRoom& room) {
  const bool is_in_turn = m.task == REGRESSION;
  const unsigned by = is_in_turn ? 1 : blockDim.x;
  if (is_in_turn && threadIdx.x > 0) return;
  Running running = {};
  running.residual = m.memory[2];
  for (unsigned row = threadIdx.x; row < count; row += by) {
    float* own = room.row(row);
    pull_row(m, own + room.outputs, own + room.pulls, lessons.labels[first + row],
             lessons.weights[first + row], offset, running);
  }
  if (is_in_turn) m.memory[2] = running.residual;
}

// Adds the derivatives of the rows by a layer's parameters.
NUMBERS void add_gradients(float* gradient, unsigned inputs, unsigned outputs, unsigned from,
                           unsigned pulls, unsigned count, const NetworkRoom& room) {
  for (unsigned item = threadIdx.x; item < (inputs + 1) * outputs; item += blockDim.x) {
    const unsigned input = item / outputs, output = item % outputs;
    float sum = gradient[item];
    for (unsigned row = 0; row < count; ++row) {
      const float* own = room.row(row);
      const float pull = own[pulls + output];
      if (input == inputs)
        sum += pull;
      else if (own[from + input] != 0.0f)
        sum += own[from + input] * pull;
    }
    gradient[item] = sum;
  }
}

// Derivatives by the inputs of a layer that came out of a rectifier.
NUMBERS void back_rectified(const float* layer, unsigned inputs, unsigned outputs, unsigned pulls,
                            unsigned from, unsigned to, unsigned count, const NetworkRoom& room) {
  for (unsigned item = threadIdx.x; item < count * inputs; item += blockDim.x) {
    const unsigned input = item % inputs;
    float* own = room.row(item / inputs);
    const bool is_open = own[from + input] > 0.0f;
    own[to + input] = is_open ? lane_dot(layer + input * outputs, own + pulls, outputs) : 0.0f;
  }
}

// Derivatives by products and vectors, without those of vectors through the products.
NUMBERS void back_inputs(const Network& m, unsigned count, const NetworkRoom& room) {
  const float* linear = m.parameters + m.linear_at;
  const unsigned inputs = inputs_of(m) - m.dense;
  for (unsigned item = threadIdx.x; item < count * inputs; item += blockDim.x) {
    const unsigned input = m.dense + item % inputs;
    float* own = room.row(item / inputs);
    float sum = lane_dot(m.parameters + input * m.first, own + room.first_pulls, m.first);
    if (m.is_deep != 0 && input < straight(m))
      sum += lane_dot(linear + input * m.padded, own + room.pulls, m.padded);
    own[room.input_pulls + input] = sum;
  }
}

// Through the products: to the vectors of sparse columns, and to the parameters that are those of
// dense ones.
NUMBERS void back_products(const Network& m, unsigned count, const NetworkRoom& room) {
  const unsigned numbers = m.sparse * m.factors;
  for (unsigned item = threadIdx.x; item < count * numbers; item += blockDim.x) {
    const unsigned at = straight(m) + item % numbers, f = item % m.factors;
    float* own = room.row(item / numbers);
    const float product = own[room.input_pulls + m.dense + f];
    own[room.input_pulls + at] += m.scale * product * (own[room.sums + f] - own[at]);
  }
  for (unsigned item = threadIdx.x; item < m.dense * m.factors; item += blockDim.x) {
    const unsigned column = item / m.factors, f = item % m.factors;
    const float vector = m.parameters[m.vectors_at + item];
    float sum = m.gradient[m.vectors_at + item];
    for (unsigned row = 0; row < count; ++row) {
      const float* own = room.row(row);
      const float value = own[column], pull = own[room.input_pulls + m.dense + f];
      sum += m.scale * pull * value * (own[room.sums + f] - value * vector);
    }
    m.gradient[m.vectors_at + item] = sum;
  }
}

// Learns rows of a mini-batch that have no embedding in common: adds their derivatives to the
// gradient and moves their embeddings. All threads of the block call it.
NUMBERS void learn_rows(const Network& m, const LinearRows& lessons, unsigned first, unsigned count,
                        float offset, const NetworkRoom& room) {
  take_rows(m, lessons, first, count, room);
  __syncthreads();
  forward_rows(m, count, room);
  __syncthreads();
  pull_rows(m, lessons, first, count, offset, room);
  __syncthreads();
  add_gradients(m.gradient + m.last_at, m.second, m.padded, room.second, room.pulls, count, room);
  if (m.is_deep != 0)
    add_gradients(m.gradient + m.linear_at, straight(m), m.padded, 0, room.pulls, count, room);
  back_rectified(m.parameters + m.last_at, m.second, m.padded, room.pulls, room.second,
                 room.second_pulls, count, room);
  __syncthreads();
  add_gradients(m.gradient + m.second_at, m.first, m.second, room.first, room.second_pulls, count,
                room);
  back_rectified(m.parameters + m.second_at, m.first, m.second, room.second_pulls, room.first,
                 room.first_pulls, count, room);
  __syncthreads();
  add_gradients(m.gradient, inputs_of(m), m.first, 0, room.first_pulls, count, room);
  back_inputs(m, count, room);
  __syncthreads();
  if (m.is_deep != 0) back_products(m, count, room);
  __syncthreads();
  move_rows(m, count, room);
  __syncthreads();
}
