// The stack of each class over pool and experts: the twin of stack.rs, and of covariance.rs for it.
// A warp has a class, a lane a column of its covariance.
#pragma once
#include "shape.cuh"

NUMBERS double stack_input(const float* mixture, const float* scores, unsigned i) {
  if (i > EXPERTS) return i == EXPERTS + 1 ? 1.0 : 0.0;
  const float score = i == 0 ? pool(mixture, scores) : scores[i - 1];
  return static_cast<double>(clamped(score, -15.0f, 15.0f));
}

NUMBERS float stack_score(const FactorModel& m, unsigned cls, const float* mixture,
                          const float* scores) {
  const double* weights = m.stacks + cls * STACKED;
  double score = weights[0] * stack_input(mixture, scores, 0);
  for (unsigned i = 1; i <= EXPERTS; ++i) score += weights[i] * stack_input(mixture, scores, i);
  return static_cast<float>(score + weights[EXPERTS + 1]);
}

// The pull and the information of an example whose spread is known.
NUMBERS void stack_pull(const FactorModel& m, unsigned cls, float stacked, float label, float reach,
                        float& pull, float& information) {
  const LinearModel& base = m.blend.base;
  if (base.task == REGRESSION) {
    const Running& r = *base.running;
    pull = limited(r, target_of(r, label) - stacked) / (1.0f + reach);
    information = 1.0f;
    return;
  }
  const unsigned wanted = base.task == BINARY ? 1 : cls;
  const float sign = static_cast<unsigned>(label) == wanted ? 1.0f : -1.0f;
  const float score = base.task == BINARY ? stacked : class_log_odds(stacked);
  const float size = single_pull(sign * score, reach);
  pull = sign * size;
  information = at_least(size * (1.0f - size), 1e-7f);
}

// Learns a class; all lanes of a warp call it. `scratch`: [4, LANES] of the warp.
NUMBERS void learn_stack(const FactorModel& m, unsigned cls, const FactorRoom& room,
                         const float* scores, float label, float importance, double* scratch) {
  const unsigned lane = threadIdx.x % 32;
  const bool is_mine = lane < LANES;
  double *inputs = scratch, *projected = scratch + LANES, *scaled = scratch + 2 * LANES;
  double* growths = scratch + 3 * LANES;
  double* weights = m.stacks + cls * STACKED;
  double* values = m.covariances + static_cast<unsigned long long>(cls) * STACKED * LANES;
  if (is_mine) inputs[lane] = stack_input(room.mixture, scores, lane);
  __syncwarp();
  if (is_mine) {
    double sum = 0.0;
    for (unsigned i = 0; i < STACKED; ++i) sum = fma(values[i * LANES + lane], inputs[i], sum);
    projected[lane] = sum;
  }
  __syncwarp();
  double sums[LANES];
  for (unsigned i = 0; i < LANES; ++i) sums[i] = 0.0 + inputs[i] * projected[i];
  const float spread = static_cast<float>(at_least(fold_lanes(sums), 0.0));
  float pull, information;
  stack_pull(m, cls, room.stacked[cls], label, spread * importance, pull, information);
  const double weight = static_cast<double>(importance);
  const double seen = static_cast<double>(information) * weight;
  const double forgotten = at_most(5e-4 * 4.0 * seen, 0.5);
  const double reduction = seen / (1.0 + seen * static_cast<double>(spread));
  // As observe_input of the blend, of six weights.
  const double limit = 0.02, root = sqrt(reduction), growth = sqrt(1.0 + forgotten);
  const double inflation = growth * growth;
  double variance = 0.0;
  unsigned is_over = 0, is_lost = 0;
  if (lane < STACKED) {
    weights[lane] += static_cast<double>(pull) * weight * projected[lane];
    const double own = root * projected[lane];
    variance = fma(-own, own, values[lane * LANES + lane]);
    const double next = variance * inflation;
    is_over = next > limit ? 1 : 0;
    is_lost = next > 0.0 ? 0 : 1;
    growths[lane] = next > limit ? sqrt(limit / next) * growth : growth;
    scaled[lane] = own;
  } else if (is_mine) {
    growths[lane] = growth;
    scaled[lane] = 0.0;
  }
  is_over = __ballot_sync(0xffffffffu, static_cast<int>(is_over));
  is_lost = __ballot_sync(0xffffffffu, static_cast<int>(is_lost));
  __syncwarp();
  if (!is_mine) return;
  for (unsigned i = 0; i < STACKED; ++i) {
    double& entry = values[i * LANES + lane];
    if (is_lost != 0)
      entry = i == lane ? limit : 0.0;
    else if (is_over != 0)
      entry = fma(-scaled[i], scaled[lane], entry) * (growths[i] * growths[lane]);
    else
      entry = fma(-scaled[i], scaled[lane], entry) * inflation;
  }
}
