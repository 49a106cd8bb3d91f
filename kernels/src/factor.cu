// Factorization machines: scores, and rows learned one after another. The twin of factor/*.rs of
// the models with pairs.rs and stack.rs: the same operations in the same order, hence the same
// bits.
//
// A machine is the blend with pairs on top of each of its experts, so it learns as the blend does,
// row after row by one block. Scores of different rows have nothing to do with each other.
#include "factor/pairs.cuh"
#include "factor/stack.cuh"

constexpr unsigned FACTOR_WARPS = 8;

// What a machine puts on top of the linear scores.
struct FactorAddend {
  const FactorModel& m;
  const FactorRoom& room;

  NUMBERS void add_pairs(const float* dense, const unsigned* sparse, float* scores) const {
    gather_inputs(m, dense, sparse, room);
    for (unsigned cls = 0; cls < m.blend.base.classes; ++cls) score_pairs(m, cls, room, scores);
  }
  NUMBERS void score(const float* dense, const unsigned* sparse, float* scores) const {
    __syncthreads();
    for (unsigned i = threadIdx.x; i < EXPERTS * m.blend.base.classes; i += blockDim.x)
      room.linear[i] = scores[i];
    add_pairs(dense, sparse, scores);
  }
  // The embeddings that the row needs; it is scored again where some begin with it.
  NUMBERS void admit(const float* dense, const unsigned* sparse, float* scores) const {
    const unsigned long long now = m.figures->learned + 1;
    const unsigned width = m.blend.base.dense_width;
    __syncthreads();
    if (threadIdx.x == 0) m.figures->learned = now;
    if (*room.is_missing == 0) {
      for (unsigned i = threadIdx.x; i < *room.count; i += blockDim.x)
        if (room.columns[i] >= width) m.seen[room.rows[i] - width] = now;
      __syncthreads();
      return;
    }
    if (threadIdx.x == 0) admit_all(m, sparse, now, room);
    __syncthreads();
    begin_all(m, room);
    __syncthreads();
    add_pairs(dense, sparse, scores);
  }
  NUMBERS float pooled(const BlendModel& blend, const float* scores, unsigned cls) const {
    return stack_score(m, cls, blend.mixture, scores);
  }
  NUMBERS float empty(const BlendModel& blend, unsigned cls) const {
    float scores[EXPERTS];
    empty_scores(blend, cls, scores);
    // A row without features has no pairs.
    for (unsigned e = 0; e < EXPERTS; ++e) scores[e] += 0.0f;
    return stack_score(m, cls, blend.mixture, scores);
  }
  NUMBERS void observe(const BlendModel& blend, const float* scores) const {
    const LinearModel& base = blend.base;
    for (unsigned cls = 0; cls < base.classes; ++cls)
      room.stacked[cls] = stack_score(m, cls, blend.mixture, scores + cls * EXPERTS);
    if (base.task == CLASSES) softmax(room.stacked, base.classes);
    for (unsigned e = 0; e < EXPERTS; ++e) room.mixture[e] = blend.mixture[e];
  }
  NUMBERS void add_spreads(unsigned cls, float* spreads) const {
    spread_pairs(m, cls, room, spreads);
  }
  NUMBERS void learn(unsigned cls, const BlendStep& step) const {
    learn_pairs(m, cls, room, step);
  }
  NUMBERS void finish(const BlendModel& blend, const float* scores, float label,
                      const float& importance) const {
    const unsigned warp = threadIdx.x / 32;
    for (unsigned cls = warp; cls < blend.base.classes; cls += blockDim.x / 32)
      learn_stack(m, cls, room, scores + cls * EXPERTS, label, importance,
                  room.scratch + warp * 4 * LANES);
    __syncthreads();
  }
};

// Predictions of all rows, a block for each at a time. Dynamic shared memory: the room of a row,
// then EXPERTS scores a class.
extern "C" __global__ void factor_score(const FactorModel m, const LinearRows rows,
                                        float* predictions) {
  DYN_SHARED(double, shared);
  const LinearModel& base = m.blend.base;
  const FactorRoom room = factor_room(m, shared, 0);
  float* scores = reinterpret_cast<float*>(room.begins + 1);
  const FactorAddend addend = {m, room};
  for (unsigned index = blockIdx.x; index < rows.rows; index += gridDim.x) {
    const float* dense = rows.dense + static_cast<unsigned long long>(index) * base.dense_width;
    const unsigned* sparse =
        rows.sparse + static_cast<unsigned long long>(index) * base.sparse_width;
    for (unsigned cls = 0; threadIdx.x < 32 && cls < base.classes; ++cls) {
      const float score = expert_score(m.blend, dense, sparse, cls, threadIdx.x % LANES);
      if (threadIdx.x < EXPERTS) scores[cls * EXPERTS + threadIdx.x] = score;
    }
    addend.score(dense, sparse, scores);
    if (threadIdx.x == 0) {
      bool is_finite = true;
      for (unsigned i = 0; i < EXPERTS * base.classes; ++i)
        is_finite = is_finite && absolute(scores[i]) < SCORE_MAX;
      float* out = predictions + static_cast<unsigned long long>(index) * base.classes;
      for (unsigned cls = 0; cls < base.classes; ++cls)
        out[cls] = is_finite ? addend.pooled(m.blend, scores + cls * EXPERTS, cls)
                             : addend.empty(m.blend, cls);
      predict(base, out, out);
    }
    __syncthreads();
  }
}

// Rows scored and learned one after another: see blend_rows. Dynamic shared memory: the blend's
// room, its scores and probabilities, padded to whole doubles, the room of a row.
extern "C" __global__ void factor_each(const FactorModel m, const LinearRows rows,
                                       float* predictions, unsigned* outcome) {
  DYN_SHARED(double, shared);
  const LinearModel& base = m.blend.base;
  double* behind = shared + (m.blend.has_covariances != 0 ? 7 * base.stride : 0);
  float* scores = reinterpret_cast<float*>(behind);
  const FactorRoom room = factor_room(m, behind + EXPERTS * base.classes, FACTOR_WARPS);
  FactorAddend addend = {m, room};
  blend_rows(m.blend, rows, predictions, outcome, shared, scores, addend);
}

// Makes the slots, which are empty, of the rows there are.
extern "C" __global__ void factor_index(const FactorModel m) {
  const unsigned row = blockIdx.x * blockDim.x + threadIdx.x;
  if (row < m.figures->rows) factor_insert(m, row);
}
