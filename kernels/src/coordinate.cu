// The linear model with FTRL, AdaGrad or normalised descent: scores, and rows learned one by one.
// The same operations as on the CPU in the same order, hence the same bits.
#include "coordinate/rows.cuh"

// Linear scores of all rows, predictions, or both: one of the two may be missing. LANES threads a
// row.
extern "C" __global__ void linear_score(const LinearModel m, const LinearRows rows, float* scores,
                                        float* predictions) {
  const unsigned thread = blockIdx.x * blockDim.x + threadIdx.x;
  const unsigned row = thread / LANES, lane = thread % LANES;
  // Threads beyond the end help their warp's shuffles along.
  const unsigned own = row < rows.rows ? row : rows.rows - 1;
  const float* dense = rows.dense + static_cast<unsigned long long>(own) * m.dense_width;
  const unsigned* sparse = rows.sparse + static_cast<unsigned long long>(own) * m.sparse_width;
  // Predictions are made where the linear scores are, which are needed no longer.
  float* room = scores != nullptr ? scores : predictions;
  float* out = room + static_cast<unsigned long long>(own) * m.classes;
  bool is_finite = true;
  for (unsigned cls = 0; cls < m.classes; ++cls) {
    const float score = class_score(m, dense, sparse, cls, lane);
    is_finite = is_finite && absolute(score) < SCORE_MAX;
    if (lane == 0 && row < rows.rows) out[cls] = score;
  }
  if (lane != 0 || row >= rows.rows || predictions == nullptr) return;
  float* predicted = predictions + static_cast<unsigned long long>(own) * m.classes;
  if (is_finite) {
    predict(m, out, predicted);
  } else {
    for (unsigned cls = 0; cls < m.classes; ++cls) predicted[cls] = empty_score(m, cls);
    predict(m, predicted, predicted);
  }
}

// Rows scored and learned one after another, by one warp. `predictions` may be missing. Dynamic
// shared memory: scores and gradients of the classes, then a change for each sparse slot.
extern "C" __global__ void linear_each(const LinearModel m, const LinearRows rows,
                                       float* predictions, unsigned* outcome) {
  DYN_SHARED(float, room);
  float *scores = room, *gradients = room + m.classes;
  Cell* changes = reinterpret_cast<Cell*>(room + 2 * m.classes);
  const unsigned thread = threadIdx.x, lane = thread % LANES;
  for (unsigned row = 0; row < rows.rows; ++row) {
    const float* dense = rows.dense + static_cast<unsigned long long>(row) * m.dense_width;
    const unsigned* sparse = rows.sparse + static_cast<unsigned long long>(row) * m.sparse_width;
    const float label = rows.labels[row];
    bool is_finite = true;
    for (unsigned cls = 0; cls < m.classes; ++cls) {
      const float score = class_score(m, dense, sparse, cls, lane);
      is_finite = is_finite && absolute(score) < SCORE_MAX;
      if (thread == 0) scores[cls] = score;
    }
    const float importance = importance_of(m, label, rows.weights[row]);
    const bool is_good =
        is_finite && squared_length(m, dense, lane) < LENGTH_MAX && importance >= 0.0f;
    if (thread == 0) {
      if (predictions != nullptr) {
        float* predicted = predictions + static_cast<unsigned long long>(row) * m.classes;
        for (unsigned cls = 0; cls < m.classes; ++cls)
          predicted[cls] = is_finite ? scores[cls] : empty_score(m, cls);
        predict(m, predicted, predicted);
      }
      outcome[is_good ? 0 : 1] += 1;
      if (is_good) {
        Running& r = *m.running;
        if (m.task == REGRESSION) observe_target(r, label);
        if (m.rule == SGD) {
          float length = 0.0f, present = 0.0f;
          for (unsigned i = 0; i < m.stride; ++i)
            length += share_of(m.dense[i].second, input_of(m, dense, i));
          for (unsigned slot = 0; slot < m.sparse_width; ++slot)
            present += sparse[slot] != ABSENT ? 1.0f : 0.0f;
          length = length + present;
          r.length_rows += 1;
          r.length_sum += static_cast<double>(length);
          implicit_gradients(m, scores, label, importance, length, gradients);
        } else {
          plain_gradients(m, scores, label, importance, gradients);
        }
        if (m.task == REGRESSION) follow_residual(r, scores[0], label);
      }
    }
    __syncwarp();
    if (!is_good) continue;
    for (unsigned cls = 0; cls < m.classes; ++cls) {
      for (unsigned i = thread; i < m.stride; i += 32) {
        Cell& cell = m.dense[cls * m.stride + i];
        const Cell change =
            change_of(m, cell, gradients[cls], input_of(m, dense, i), m.penalties[i]);
        cell = {cell.first + change.first, cell.second + change.second};
      }
      for (unsigned slot = thread; slot < m.sparse_width; slot += 32) {
        const Cell cell = m.sparse[place_of(m, sparse[slot], cls)];
        changes[slot] = change_of(m, cell, gradients[cls], 1.0f, 1.0f);
      }
      __syncwarp();
      // In order, since a coordinate may be named twice.
      for (unsigned slot = 0; thread == 0 && slot < m.sparse_width; ++slot) {
        if (sparse[slot] == ABSENT) continue;
        Cell& cell = m.sparse[place_of(m, sparse[slot], cls)];
        cell = {cell.first + changes[slot].first, cell.second + changes[slot].second};
      }
      __syncwarp();
    }
  }
}
