// The blend of four linear experts: scores, and rows learned one after another. The twin of
// blend.rs of the models and of covariance.rs: the same operations in the same order, hence the
// same bits.
//
// A row changes the covariances that the next one is learned with, so rows are learned in turn.
#include "blend/learn.cuh"

// Predictions of all rows, LANES threads a row.
extern "C" __global__ void blend_score(const BlendModel m, const LinearRows rows,
                                       float* predictions) {
  const unsigned thread = blockIdx.x * blockDim.x + threadIdx.x;
  const unsigned row = thread / LANES, lane = thread % LANES;
  const unsigned own = row < rows.rows ? row : rows.rows - 1;
  const float* dense = rows.dense + static_cast<unsigned long long>(own) * m.base.dense_width;
  const unsigned* sparse =
      rows.sparse + static_cast<unsigned long long>(own) * m.base.sparse_width;
  float* out = predictions + static_cast<unsigned long long>(own) * m.base.classes;
  bool is_finite = true;
  for (unsigned cls = 0; cls < m.base.classes; ++cls) {
    const float score = expert_score(m, dense, sparse, cls, lane);
    float scores[EXPERTS];
    for (unsigned e = 0; e < EXPERTS; ++e) {
      scores[e] = __shfl_sync(0xffffffffu, score, static_cast<int>(e), LANES);
      is_finite = is_finite && absolute(scores[e]) < SCORE_MAX;
    }
    if (lane == 0 && row < rows.rows) out[cls] = pool(m.mixture, scores);
  }
  if (lane != 0 || row >= rows.rows) return;
  for (unsigned cls = 0; !is_finite && cls < m.base.classes; ++cls) out[cls] = empty_pool(m, cls);
  predict(m.base, out, out);
}

// Rows scored and learned one after another: see blend_rows. Dynamic shared memory: its room, then
// its scores and probabilities.
extern "C" __global__ void blend_each(const BlendModel m, const LinearRows rows, float* predictions,
                                      unsigned* outcome) {
  DYN_SHARED(double, room);
  float* scores = reinterpret_cast<float*>(room + (m.has_covariances != 0 ? 7 * m.base.stride : 0));
  NoAddend addend;
  blend_rows(m, rows, predictions, outcome, room, scores, addend);
}
