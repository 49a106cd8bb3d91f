// The blend's experts: what a cell is, how a coordinate is read and learned, how they are pooled.
// The twin of blend.rs and mixture.rs.
#pragma once

#include "../coordinate/rows.cuh"

constexpr unsigned EXPERTS = 4;
constexpr unsigned FILTERS = 2;
constexpr float VARIANCE_MIN = 1e-9f;
constexpr float LOG_ODDS_MAX = 15.0f;

struct BlendCell {
  float weights[EXPERTS];
  float variances[EXPERTS];  // 0 for the prior
};

struct BlendModel {
  LinearModel base;     // shape, link and penalties; its cells are not used
  BlendCell* dense;     // [classes, inputs + 1]
  BlendCell* sparse;    // [coordinates, classes]
  double* covariances;  // [classes, FILTERS, inputs + 1, stride], where they are kept
  double* variances;    // [classes, FILTERS, stride], their diagonals
  float* mixture;       // [EXPERTS]
  unsigned has_covariances, unused;
  float dense_priors[EXPERTS], sparse_priors[EXPERTS], forgetting[FILTERS];
  float mixture_rate, mixture_share;
};

// What an example does to the coordinates of one class.
struct BlendStep {
  float pulls[EXPERTS], reductions[EXPERTS], inflations[EXPERTS], spreads[EXPERTS];
};

NUMBERS BlendCell& sparse_cell(const BlendModel& m, unsigned index, unsigned cls) {
  return m.sparse[static_cast<unsigned long long>(index) * m.base.classes + cls];
}

NUMBERS float sum_of_experts(const float* parts) {
  return (parts[0] + parts[2]) + (parts[1] + parts[3]);
}

NUMBERS float pool(const float* mixture, const float* scores) {
  float parts[EXPERTS];
  for (unsigned e = 0; e < EXPERTS; ++e)
    parts[e] = mixture[e] * clamped(scores[e], -LOG_ODDS_MAX, LOG_ODDS_MAX);
  return sum_of_experts(parts);
}

NUMBERS void observe_losses(const BlendModel& m, const float* losses, float importance) {
  float least = 3.40282347e+38f;
  for (unsigned e = 0; e < EXPERTS; ++e) least = losses[e] < least ? losses[e] : least;
  float kept[EXPERTS];
  for (unsigned e = 0; e < EXPERTS; ++e) {
    const float worse = (losses[e] - least) * m.mixture_rate * importance;
    const float bounded = worse < 80.0f ? worse : 80.0f;
    kept[e] = m.mixture[e] * exponential(-bounded);
  }
  const float total = sum_of_experts(kept);
  const float even = m.mixture_share / 4.0f;
  for (unsigned e = 0; e < EXPERTS; ++e)
    m.mixture[e] = (1.0f - m.mixture_share) * (kept[e] / total) + even;
}

NUMBERS float variance_of(const BlendCell& cell, const float* priors, unsigned expert) {
  return cell.variances[expert] == 0.0f ? priors[expert] : cell.variances[expert];
}

NUMBERS float penalized(const LinearModel& m, float weight, float rate) {
  const float kept = weight * (1.0f - at_most(rate * m.l2, 1.0f));
  return shrink(kept, rate * m.l1);
}

// One expert learns one example in which the coordinate has this value.
NUMBERS void learn_cell(const LinearModel& m, BlendCell& cell, const BlendStep& step,
                        const float* priors, unsigned expert, float value, bool is_penalized) {
  const float variance = variance_of(cell, priors, expert);
  float weight = cell.weights[expert];
  if (is_penalized) weight = penalized(m, weight, variance);
  const float moved = variance * value;
  cell.weights[expert] = weight + step.pulls[expert] * moved;
  const float reduced = variance - step.reductions[expert] * (moved * moved);
  const float next = reduced * step.inflations[expert];
  const float bounded = next < priors[expert] ? next : priors[expert];
  cell.variances[expert] = bounded > VARIANCE_MIN ? bounded : VARIANCE_MIN;
}

// One expert's score of a class, by a pair of threads `EXPERTS` apart, the same in both: one has
// the even inputs and the sparse ones, one the odd. All threads of the warp call it.
NUMBERS float expert_score(const BlendModel& m, const float* dense, const unsigned* sparse,
                           unsigned cls, unsigned lane) {
  const unsigned expert = lane % EXPERTS, parity = lane / EXPERTS, width = m.base.inputs + 1;
  float sum = 0.0f, of_sparse = 0.0f;
  for (unsigned i = parity; i < width; i += 2)
    sum += m.dense[cls * width + i].weights[expert] * input_of(m.base, dense, i);
  for (unsigned slot = 0; slot < m.base.sparse_width; ++slot)
    if (sparse[slot] != ABSENT) of_sparse += sparse_cell(m, sparse[slot], cls).weights[expert];
  const float other = __shfl_xor_sync(0xffffffffu, sum, EXPERTS);
  return (sum + other) + of_sparse;
}

// The scores of a row without features, by one thread.
NUMBERS void empty_scores(const BlendModel& m, unsigned cls, float* scores) {
  const unsigned width = m.base.inputs + 1;
  for (unsigned e = 0; e < EXPERTS; ++e) {
    float sums[2] = {0.0f, 0.0f};
    for (unsigned i = 0; i < width; ++i) {
      const float value = i == m.base.inputs ? 1.0f : 0.0f;
      sums[i % 2] += m.dense[cls * width + i].weights[e] * value;
    }
    scores[e] = (sums[0] + sums[1]) + 0.0f;
  }
}

NUMBERS float empty_pool(const BlendModel& m, unsigned cls) {
  float scores[EXPERTS];
  empty_scores(m, cls, scores);
  return pool(m.mixture, scores);
}
