// How the blend learns rows, one after another, by one block: a thread has a column of a
// covariance, or a coordinate, or an expert. What a model puts on top of the experts' linear scores
// is an addend. The twin of blend.rs and blend/step.rs of the models.
#pragma once
#include "experts.cuh"

// What thread 0 finds out about a row, for all.
struct BlendRow {
  float importance, squares;
  unsigned is_good, is_over[FILTERS], is_lost[FILTERS];
  BlendStep step;
};

// Each expert's loss; fills the probabilities that margins need: `[EXPERTS, classes]`.
NUMBERS void losses_of(const BlendModel& m, const float* scores, float label, float* probabilities,
                       float* losses) {
  const LinearModel& base = m.base;
  for (unsigned e = 0; e < EXPERTS; ++e) {
    if (base.task == REGRESSION) {
      const float target = target_of(*base.running, label);
      losses[e] = at_most(absolute(scores[e] - target) / usual_residual(*base.running), 8.0f);
    } else if (base.task == BINARY) {
      const float sign = label == 1.0f ? -1.0f : 1.0f;
      losses[e] = softplus(sign * (scores[e] - base.shift));
    } else {
      float* own = probabilities + e * base.classes;
      float largest = -3.40282347e+38f, total = 0.0f;
      for (unsigned c = 0; c < base.classes; ++c) own[c] = scores[c * EXPERTS + e];
      for (unsigned c = 0; c < base.classes; ++c) largest = own[c] > largest ? own[c] : largest;
      for (unsigned c = 0; c < base.classes; ++c) total = total + exponential(own[c] - largest);
      losses[e] = logarithm(total) - (own[static_cast<unsigned>(label)] - largest);
      softmax(own, base.classes);
    }
  }
}

// What the example does to the coordinates of a class whose spreads are known.
NUMBERS void step_of(const BlendModel& m, const float* scores, const float* probabilities,
                     unsigned cls, float label, float importance, BlendStep& step) {
  const LinearModel& base = m.base;
  float reaches[EXPERTS], signed_pulls[EXPERTS], uncertain[EXPERTS];
  for (unsigned e = 0; e < EXPERTS; ++e) reaches[e] = step.spreads[e] * importance;
  if (base.task == REGRESSION) {
    const float target = target_of(*base.running, label);
    for (unsigned e = 0; e < EXPERTS; ++e) {
      signed_pulls[e] = limited(*base.running, target - scores[e]) / (1.0f + reaches[e]);
      uncertain[e] = 0.25f;
    }
  } else {
    const unsigned wanted = base.task == BINARY ? 1 : cls;
    const float sign = static_cast<unsigned>(label) == wanted ? 1.0f : -1.0f;
    float margins[EXPERTS], pulls[EXPERTS];
    for (unsigned e = 0; e < EXPERTS; ++e)
      margins[e] = sign * (base.task == BINARY
                               ? scores[e]
                               : class_log_odds(probabilities[e * base.classes + cls]));
    four_pulls(margins, reaches, pulls);
    for (unsigned e = 0; e < EXPERTS; ++e) {
      signed_pulls[e] = sign * pulls[e];
      const float information = pulls[e] * (1.0f - pulls[e]);
      uncertain[e] = information > 1e-7f ? information : 1e-7f;
    }
  }
  for (unsigned e = 0; e < EXPERTS; ++e) {
    step.pulls[e] = signed_pulls[e] * importance;
    step.reductions[e] = 0.0f;
    step.inflations[e] = 1.0f;
  }
  for (unsigned f = 0; f < FILTERS; ++f) {
    const float information = base.task == REGRESSION ? 1.0f : uncertain[f];
    const float seen = information * importance;
    step.reductions[f] = seen / (1.0f + seen * step.spreads[f]);
    const float forgotten = m.forgetting[f] * 4.0f * uncertain[f] * importance;
    step.inflations[f] = 1.0f + at_most(forgotten, 0.5f);
  }
}

// How far a full pull moves an expert's score, by the expert's thread.
NUMBERS float spread_of(const BlendModel& m, const float* dense, const unsigned* sparse,
                        unsigned cls, unsigned expert, float squares, const double* inputs,
                        const double* projected) {
  const unsigned width = m.base.inputs + 1, stride = m.base.stride;
  float spread = m.dense_priors[expert] * squares;
  if (m.has_covariances == 0) {
    spread = 0.0f;
    for (unsigned i = 0; i < width; ++i) {
      const float value = input_of(m.base, dense, i);
      spread += variance_of(m.dense[cls * width + i], m.dense_priors, expert) * (value * value);
    }
  } else if (expert < FILTERS) {
    double sums[LANES] = {};
    const double* own = projected + expert * stride;
    for (unsigned i = 0; i < stride; ++i) sums[i % LANES] += inputs[i] * own[i];
    spread = static_cast<float>(at_least(fold_lanes(sums), 0.0));
  }
  float of_sparse = 0.0f;
  for (unsigned slot = 0; slot < m.base.sparse_width; ++slot)
    if (sparse[slot] != ABSENT)
      of_sparse += variance_of(sparse_cell(m, sparse[slot], cls), m.sparse_priors, expert);
  return spread + of_sparse;
}

// The covariances of a class learn from the input last projected. A thread has a column of one of
// them; all threads of the block call it.
NUMBERS void observe_input(const BlendModel& m, unsigned cls, BlendRow& row,
                           const double* projected, double* scaled, double* growths) {
  const unsigned size = m.base.inputs + 1, stride = m.base.stride, thread = threadIdx.x;
  const unsigned filter = thread / stride, column = thread % stride;
  const bool is_mine = filter < FILTERS;
  const unsigned long long of = static_cast<unsigned long long>(cls) * FILTERS + filter;
  double* variances = m.variances + of * stride;
  double* values = m.covariances + of * size * stride;
  const double limit = is_mine ? static_cast<double>(m.dense_priors[filter]) : 0.0;
  double growth = 1.0, inflation = 1.0, variance = 0.0;
  if (is_mine) {
    growth = sqrt(static_cast<double>(row.step.inflations[filter]));
    inflation = growth * growth;
    const double root = sqrt(static_cast<double>(row.step.reductions[filter]));
    double* own = scaled + filter * stride;
    own[column] = 0.0;
    if (column < size) {
      own[column] = root * projected[filter * stride + column];
      variance = fma(-own[column], own[column], variances[column]);
      const double next = variance * inflation;
      if (next > limit) atomicOr(&row.is_over[filter], 1u);
      if (!(next > 0.0)) atomicOr(&row.is_lost[filter], 1u);
    }
  }
  __syncthreads();
  if (is_mine) {
    double grown = growth;
    if (row.is_over[filter] != 0) {
      const double next = variance * inflation;
      grown = next > limit ? sqrt(limit / next) * growth : growth;
    }
    growths[filter * stride + column] = grown;
    if (row.is_lost[filter] != 0)
      variances[column] = column < size ? limit : 0.0;
    else
      variances[column] = variance * (row.is_over[filter] != 0 ? grown * grown : inflation);
  }
  __syncthreads();
  if (!is_mine) return;
  const double *left = scaled + filter * stride, *grows = growths + filter * stride;
  for (unsigned i = 0; i < size; ++i) {
    double& entry = values[i * stride + column];
    if (row.is_lost[filter] != 0)
      entry = i == column ? limit : 0.0;
    else if (row.is_over[filter] != 0)
      entry = fma(-left[i], left[column], entry) * (grows[i] * grows[column]);
    else
      entry = fma(-left[i], left[column], entry) * inflation;
  }
}

// The linear model puts nothing on top.
struct NoAddend {
  // All threads of the block call these, and wait before and behind.
  NUMBERS void score(const float*, const unsigned*, float*) const {}
  NUMBERS void admit(const float*, const unsigned*, float*) const {}
  NUMBERS void add_spreads(unsigned, float*) const {}
  NUMBERS void learn(unsigned, const BlendStep&) const {}
  // The importance by reference: who does not look at it reads nothing that the next row writes.
  NUMBERS void finish(const BlendModel&, const float*, float, const float&) const {}
  // One thread calls these.
  NUMBERS float pooled(const BlendModel& m, const float* scores, unsigned) const {
    return pool(m.mixture, scores);
  }
  NUMBERS float empty(const BlendModel& m, unsigned cls) const { return empty_pool(m, cls); }
  NUMBERS void observe(const BlendModel&, const float*) const {}
};

// Rows scored and learned one after another, by one block of at least FILTERS * stride threads.
// `predictions` may be missing. Room in shared memory: `room` has seven times `stride` doubles
// where covariances are kept; `scores` and, behind it, probabilities have EXPERTS a class.
template <class Addend>
NUMBERS void blend_rows(const BlendModel& m, const LinearRows& rows, float* predictions,
                        unsigned* outcome, double* room, float* scores, Addend& addend) {
  __shared__ BlendRow row;
  const LinearModel& base = m.base;
  const unsigned width = base.inputs + 1, stride = base.stride, thread = threadIdx.x;
  double *inputs = room, *projected = room + stride, *scaled = room + 3 * stride;
  double* growths = room + 5 * stride;
  float* probabilities = scores + EXPERTS * base.classes;
  const bool is_penalized = base.l1 > 0.0f || base.l2 > 0.0f;
  for (unsigned index = 0; index < rows.rows; ++index) {
    const float* dense = rows.dense + static_cast<unsigned long long>(index) * base.dense_width;
    const unsigned* sparse =
        rows.sparse + static_cast<unsigned long long>(index) * base.sparse_width;
    const float label = rows.labels[index], weight = rows.weights[index];
    for (unsigned i = thread; m.has_covariances != 0 && i < stride; i += blockDim.x)
      inputs[i] = static_cast<double>(input_of(base, dense, i));
    if (thread < 32) {
      for (unsigned cls = 0; cls < base.classes; ++cls) {
        const float score = expert_score(m, dense, sparse, cls, thread % LANES);
        if (thread < EXPERTS) scores[cls * EXPERTS + thread] = score;
      }
      const float squares = squared_length(base, dense, thread % LANES);
      if (thread == 0) row.squares = squares;
      __syncwarp();
    }
    addend.score(dense, sparse, scores);
    if (thread == 0) {
      bool is_finite = true;
      for (unsigned i = 0; i < EXPERTS * base.classes; ++i)
        is_finite = is_finite && absolute(scores[i]) < SCORE_MAX;
      unsigned present = 0;
      for (unsigned slot = 0; slot < base.sparse_width; ++slot)
        present += sparse[slot] != ABSENT ? 1 : 0;
      row.importance = importance_of(base, label, weight);
      const float length = row.squares + static_cast<float>(present);
      row.is_good = is_finite && length < LENGTH_MAX && row.importance >= 0.0f ? 1 : 0;
      if (predictions != nullptr) {
        float* out = predictions + static_cast<unsigned long long>(index) * base.classes;
        for (unsigned cls = 0; cls < base.classes; ++cls)
          out[cls] = is_finite ? addend.pooled(m, scores + cls * EXPERTS, cls)
                               : addend.empty(m, cls);
        predict(base, out, out);
      }
      outcome[row.is_good != 0 ? 0 : 1] += 1;
    }
    __syncthreads();
    if (row.is_good == 0) {
      // All have seen it before the next row says otherwise.
      __syncthreads();
      continue;
    }
    addend.admit(dense, sparse, scores);
    float pooled = 0.0f;
    if (thread == 0) {
      if (base.task == REGRESSION) observe_target(*base.running, label);
      float losses[EXPERTS];
      losses_of(m, scores, label, probabilities, losses);
      pooled = pool(m.mixture, scores);
      addend.observe(m, scores);
      observe_losses(m, losses, weight);
    }
    for (unsigned cls = 0; cls < base.classes; ++cls) {
      const unsigned filter = thread / stride, column = thread % stride;
      if (m.has_covariances != 0 && filter < FILTERS) {
        const double* values =
            m.covariances +
            (static_cast<unsigned long long>(cls) * FILTERS + filter) * width * stride;
        double sum = 0.0;
        for (unsigned i = 0; i < width; ++i) sum = fma(values[i * stride + column], inputs[i], sum);
        projected[filter * stride + column] = sum;
      }
      __syncthreads();
      if (thread < EXPERTS)
        row.step.spreads[thread] =
            spread_of(m, dense, sparse, cls, thread, row.squares, inputs, projected);
      __syncthreads();
      addend.add_spreads(cls, row.step.spreads);
      if (thread == 0) {
        step_of(m, scores + cls * EXPERTS, probabilities, cls, label, row.importance, row.step);
        for (unsigned f = 0; f < FILTERS; ++f) row.is_over[f] = row.is_lost[f] = 0;
      }
      __syncthreads();
      for (unsigned i = thread; i < width; i += blockDim.x) {
        BlendCell& cell = m.dense[cls * width + i];
        const float value = input_of(base, dense, i);
        const bool shrinks = is_penalized && i != base.inputs;
        for (unsigned e = 0; e < EXPERTS; ++e) {
          if (m.has_covariances == 0) {
            learn_cell(base, cell, row.step, m.dense_priors, e, value, shrinks);
            continue;
          }
          const unsigned long long of = static_cast<unsigned long long>(cls) * FILTERS + e;
          if (shrinks) {
            const float rate = e < FILTERS ? static_cast<float>(m.variances[of * stride + i])
                                           : m.dense_priors[e];
            cell.weights[e] = penalized(base, cell.weights[e], rate);
          }
          const float moved = e < FILTERS ? static_cast<float>(projected[e * stride + i])
                                          : m.dense_priors[e] * value;
          cell.weights[e] += row.step.pulls[e] * moved;
        }
      }
      // In order, since a coordinate may be named twice; an expert has its own numbers.
      for (unsigned slot = 0; thread < EXPERTS && slot < base.sparse_width; ++slot) {
        if (sparse[slot] == ABSENT) continue;
        BlendCell& cell = sparse_cell(m, sparse[slot], cls);
        learn_cell(base, cell, row.step, m.sparse_priors, thread, 1.0f, is_penalized);
      }
      addend.learn(cls, row.step);
      if (m.has_covariances != 0) observe_input(m, cls, row, projected, scaled, growths);
      __syncthreads();
    }
    if (thread == 0 && base.task == REGRESSION) follow_residual(*base.running, pooled, label);
    __syncthreads();
    addend.finish(m, scores, label, row.importance);
  }
}
