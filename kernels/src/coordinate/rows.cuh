// The linear score of a row, and its way to predictions, importances and gradients: the twin of
// coordinates.rs and link.rs of the models. A row is worked on by LANES threads where the CPU keeps
// a sum by lane.
#pragma once
#include "cells.cuh"

// Input `i` of a row: dense values, their sizes, 1 for the bias, zeros up to the stride.
NUMBERS float input_of(const LinearModel& m, const float* dense, unsigned i) {
  if (i < m.dense_width) return dense[i];
  if (i < m.inputs) {
    const float magnitude = absolute(dense[i - m.dense_width]);
    return (magnitude > 5.0f ? 5.0f : magnitude) - 0.8f;
  }
  return i == m.inputs ? 1.0f : 0.0f;
}

NUMBERS unsigned long long place_of(const LinearModel& m, unsigned index, unsigned cls) {
  const unsigned bounded = index < m.absent ? index : m.absent;
  return static_cast<unsigned long long>(bounded) * m.classes + cls;
}

// The sum over the lanes of a group of threads, the same in each; all threads of the warp call it.
NUMBERS float fold_group(float sum) {
  sum += __shfl_xor_sync(0xffffffffu, sum, 4);
  sum += __shfl_xor_sync(0xffffffffu, sum, 2);
  return sum + __shfl_xor_sync(0xffffffffu, sum, 1);
}

// The linear score of a class, by a group of LANES threads.
NUMBERS float class_score(const LinearModel& m, const float* dense, const unsigned* sparse,
                          unsigned cls, unsigned lane) {
  float sum = 0.0f;
  for (unsigned i = lane; i < m.stride; i += LANES)
    sum += weight_of(m, m.dense[cls * m.stride + i]) * input_of(m, dense, i);
  const unsigned padded = (m.sparse_width + LANES - 1) / LANES * LANES;
  for (unsigned slot = lane; slot < padded; slot += LANES) {
    Cell cell = {0.0f, 0.0f};
    if (slot < m.sparse_width) cell = m.sparse[place_of(m, sparse[slot], cls)];
    sum += weight_of(m, cell);
  }
  return fold_group(sum);
}

NUMBERS float squared_length(const LinearModel& m, const float* dense, unsigned lane) {
  float sum = 0.0f;
  for (unsigned i = lane; i < m.stride; i += LANES) {
    const float value = input_of(m, dense, i);
    sum += value * value;
  }
  return fold_group(sum);
}

// The score of a row without features, by one thread.
NUMBERS float empty_score(const LinearModel& m, unsigned cls) {
  float sums[LANES] = {};
  for (unsigned i = 0; i < m.stride; ++i) {
    const float value = i == m.inputs ? 1.0f : 0.0f;
    sums[i % LANES] += weight_of(m, m.dense[cls * m.stride + i]) * value;
  }
  return fold_lanes(sums);
}

NUMBERS double deviation(const Running& r) {
  const unsigned long long count = r.target_count > 1 ? r.target_count : 1;
  const double variance = r.target_squares / static_cast<double>(count);
  return variance > 1e-30 ? sqrt(variance) : 1.0;
}
NUMBERS float usual_residual(const Running& r) {
  return r.residual > 0.0f ? at_least(r.residual, 1e-6f) : 1.0f;
}
NUMBERS float target_of(const Running& r, float label) {
  return static_cast<float>((static_cast<double>(label) - r.target_mean) / deviation(r));
}
NUMBERS float limited(const Running& r, float residual) {
  const float limit = 3.0f * usual_residual(r);
  return clamped(residual, -limit, limit);
}
NUMBERS void observe_target(Running& r, float label) {
  const double limit = r.target_count < 30 ? 1.7976931348623157e308 : 5.0 * deviation(r);
  r.target_count += 1;
  const double moved = clamped(static_cast<double>(label) - r.target_mean, -limit, limit);
  const double step = moved / static_cast<double>(r.target_count);
  r.target_mean += step;
  r.target_squares += moved * (moved - step);
}
NUMBERS void follow_residual(Running& r, float score, float label) {
  const float usual = usual_residual(r);
  const float residual = score - target_of(r, label);
  const float seen = at_most(absolute(residual), 5.0f * usual);
  r.residual = usual + 0.01f * (seen - usual);
}

NUMBERS void softmax(float* scores, unsigned classes) {
  float largest = -3.40282347e+38f;
  for (unsigned c = 0; c < classes; ++c) largest = scores[c] > largest ? scores[c] : largest;
  float total = 0.0f;
  for (unsigned c = 0; c < classes; ++c) {
    scores[c] = exponential(scores[c] - largest);
    total += scores[c];
  }
  for (unsigned c = 0; c < classes; ++c) scores[c] /= total;
}

// Probabilities or the value from linear scores; `out` may be `scores`.
NUMBERS void predict(const LinearModel& m, const float* scores, float* out) {
  if (m.task == BINARY) {
    out[0] = sigmoid(scores[0] - m.shift);
  } else if (m.task == CLASSES) {
    for (unsigned c = 0; c < m.classes; ++c) out[c] = scores[c];
    softmax(out, m.classes);
  } else {
    const Running& r = *m.running;
    out[0] = static_cast<float>(r.target_mean + static_cast<double>(scores[0]) * deviation(r));
  }
}

// What a row counts for, below 0 when it cannot be learned.
NUMBERS float importance_of(const LinearModel& m, float label, float weight) {
  bool is_label = absolute(label) <= 1e30f;
  if (m.task == BINARY) is_label = label == 0.0f || label == 1.0f;
  if (m.task == CLASSES)
    is_label = label >= 0.0f && label < static_cast<float>(m.classes) && label == truncf(label);
  const float positive = m.task == BINARY && label == 1.0f ? m.positive_weight : 1.0f;
  const float importance = weight * positive;
  return is_label && importance >= 0.0f && importance <= 1e9f ? importance : -1.0f;
}

// The derivative of the loss by each class's score, times the importance.
NUMBERS void plain_gradients(const LinearModel& m, const float* scores, float label,
                             float importance, float* gradients) {
  if (m.task == BINARY) {
    gradients[0] = importance * (sigmoid(scores[0]) - label);
  } else if (m.task == CLASSES) {
    for (unsigned c = 0; c < m.classes; ++c) gradients[c] = scores[c];
    softmax(gradients, m.classes);
    gradients[static_cast<unsigned>(label)] -= 1.0f;
    for (unsigned c = 0; c < m.classes; ++c) gradients[c] *= importance;
  } else {
    const float residual = scores[0] - target_of(*m.running, label);
    gradients[0] = importance * limited(*m.running, residual);
  }
}

NUMBERS float average_length(const Running& r) {
  return static_cast<float>(r.length_sum / static_cast<double>(r.length_rows));
}

// Minus the implicit pull of each class, times the rate.
NUMBERS void implicit_gradients(const LinearModel& m, const float* scores, float label,
                                float importance, float length, float* gradients) {
  const float rate = m.rate / average_length(*m.running) * importance;
  const float reach = rate * length;
  if (m.task == BINARY) {
    const float sign = label == 1.0f ? 1.0f : -1.0f;
    gradients[0] = -sign * rate * single_pull(sign * scores[0], reach);
  } else if (m.task == CLASSES) {
    for (unsigned c = 0; c < m.classes; ++c) gradients[c] = scores[c];
    softmax(gradients, m.classes);
    for (unsigned c = 0; c < m.classes; ++c) {
      const float sign = c == static_cast<unsigned>(label) ? 1.0f : -1.0f;
      const float margin = sign * class_log_odds(gradients[c]);
      gradients[c] = -sign * rate * single_pull(margin, reach);
    }
  } else {
    const float residual = scores[0] - target_of(*m.running, label);
    gradients[0] = rate * limited(*m.running, residual) / (1.0f + reach);
  }
}
