// The first part of a step in one launch: a row is scored, accepted, measured and differentiated by
// the threads that have it in their registers. What linear_score, linear_accept, linear_measure and
// linear_differentiate do one after the other, with the same bits.
//
// For rules without scales (FTRL, AdaGrad) and tasks without targets (classes): nothing in a row
// depends then on the other rows of its step.
#include "room.cuh"

// The sizes of the inputs, in the order of the CPU, by a group of LANES threads.
NUMBERS float size_of(const LinearModel& m, const float* dense, unsigned lane) {
  float size = 0.0f;
  for (unsigned base = 0; base < m.stride; base += LANES) {
    const float own = absolute(input_of(m, dense, base + lane));
#pragma unroll
    for (int from = 0; from < static_cast<int>(LANES); ++from)
      size += __shfl_sync(0xffffffffu, own, from, LANES);
  }
  return size;
}

// Sparse features that are there, by a group of LANES threads.
NUMBERS unsigned present_of(const LinearModel& m, const unsigned* sparse, unsigned lane) {
  unsigned count = 0;
  for (unsigned slot = lane; slot < m.sparse_width; slot += LANES)
    count += sparse[slot] != ABSENT ? 1 : 0;
  count += __shfl_xor_sync(0xffffffffu, count, 4);
  count += __shfl_xor_sync(0xffffffffu, count, 2);
  return count + __shfl_xor_sync(0xffffffffu, count, 1);
}

// Predictions from the linear scores of a row, by one thread.
NUMBERS void predict_row(const LinearModel& m, const float* scores, bool is_finite, float* out) {
  for (unsigned cls = 0; cls < m.classes; ++cls)
    out[cls] = is_finite ? scores[cls] : empty_score(m, cls);
  predict(m, out, out);
}

// LANES threads a row; predictions where they are asked for. `step.gradients` has the linear scores
// until they are needed no longer.
extern "C" __global__ void linear_begin(const LinearModel m, const LinearRows rows,
                                        const LinearStep step, float* predictions) {
  __shared__ unsigned of_block[4];
  if (threadIdx.x < 4) of_block[threadIdx.x] = 0;
  __syncthreads();
  const unsigned thread = blockIdx.x * blockDim.x + threadIdx.x;
  const unsigned row = thread / LANES, lane = thread % LANES;
  const unsigned own = row < rows.rows ? row : rows.rows - 1;
  const unsigned long long at = static_cast<unsigned long long>(own) * m.classes;
  const float* dense = rows.dense + static_cast<unsigned long long>(own) * m.dense_width;
  const unsigned* sparse = rows.sparse + static_cast<unsigned long long>(own) * m.sparse_width;
  float* gradients = step.gradients + at;
  bool is_finite = true;
  for (unsigned cls = 0; cls < m.classes; ++cls) {
    const float score = class_score(m, dense, sparse, cls, lane);
    is_finite = is_finite && absolute(score) < SCORE_MAX;
    if (lane == 0 && row < rows.rows) gradients[cls] = score;
  }
  const bool is_short = squared_length(m, dense, lane) < LENGTH_MAX;
  const float size =
      size_of(m, dense, lane) + static_cast<float>(present_of(m, sparse, lane));
  if (lane == 0 && row < rows.rows) {
    if (predictions != nullptr) predict_row(m, gradients, is_finite, predictions + at);
    const float label = rows.labels[row];
    const float importance = importance_of(m, label, rows.weights[row]);
    const bool is_good = is_finite && is_short && importance >= 0.0f;
    float most = 0.0f, stiffness = 0.0f;
    if (is_good) {
      plain_gradients(m, gradients, label, importance, gradients);
      stiffness = size * ((m.task == BINARY ? 0.25f : 0.5f) * importance);
    }
    for (unsigned cls = 0; cls < m.classes; ++cls) {
      if (!is_good) gradients[cls] = 0.0f;
      const float of_class = absolute(gradients[cls]);
      most = of_class > most ? of_class : most;
    }
    step.importances[row] = is_good ? importance : -1.0f;
    step.stiffness[row] = stiffness;
    atomicMax(&of_block[0], __float_as_uint(most));
    atomicMax(&of_block[1], __float_as_uint(stiffness));
    atomicAdd(&of_block[is_good ? 2 : 3], 1u);
  }
  __syncthreads();
  // Sizes are not negative, so their bits are in their order.
  if (threadIdx.x < 2) atomicMax(&step.most[threadIdx.x], of_block[threadIdx.x]);
  if (threadIdx.x == 2 || threadIdx.x == 3)
    atomicAdd(&step.most[threadIdx.x], of_block[threadIdx.x]);
}
