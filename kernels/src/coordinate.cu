// The linear model with FTRL, AdaGrad or normalised descent: scores, rows learned one by one, rows
// learned as one step. The CPU's twins are coordinate.rs and gathered.rs here, and coordinates.rs
// and coordinates/step.rs of the models: the same operations in the same order, hence the same bits.
//
// A row is worked on by LANES threads where the CPU keeps a sum by lane. Gradients of sparse
// coordinates are added up as integers, so that the order of the atomic additions cannot show.
#include "numbers.cuh"

struct Cell {
  float first, second;
};

// What the model remembers of the stream besides its weights.
struct Running {
  unsigned long long target_count;
  double target_mean, target_squares;
  unsigned long long length_rows;
  double length_sum;
  float residual, unused;
};

enum Rule : unsigned { FTRL = 0, ADAGRAD = 1, SGD = 2 };
enum Task : unsigned { BINARY = 0, CLASSES = 1, REGRESSION = 2 };

struct LinearModel {
  Cell* dense;   // [classes, stride]
  Cell* sparse;  // [absent + 1, classes]
  const float* penalties;  // [stride]
  Running* running;
  unsigned classes, stride, inputs, dense_width, sparse_width, absent, fold, task, rule, unused;
  float rate, beta, l1, l2, positive_weight, shift;
};

struct LinearRows {
  const float* dense;      // [rows, dense_width]
  const unsigned* sparse;  // [rows, sparse_width]
  const float* labels;     // [rows]
  const float* weights;    // [rows]
  unsigned rows, unused;
};

// Sums over the touches of one sparse coordinate: a class has two more, of gradients and squares.
typedef unsigned long long Sum;

struct LinearStep {
  float* scores;       // [rows, classes]
  float* importances;  // [rows], below 0 for a refused row
  float* lengths;      // [rows]
  float* stiffness;    // [rows]
  float* gradients;    // [rows, classes]
  unsigned* touches;   // [stride]
  unsigned* largest;   // [stride], the bits of a size
  double* tiles;       // [tiles, (2 classes + 2) stride]
  Sum* sums;           // [absent, 2 + 2 classes]
  unsigned* most;      // the bits of the largest gradient and stiffness, then rows learned, refused
};

constexpr float ACCUMULATOR_MAX = 1e36f;
constexpr float LENGTH_MAX = 1e30f;
constexpr float SCORE_MAX = 1e30f;
constexpr unsigned TILE = 256;
constexpr float SMALLEST_NORMAL = 1.17549435e-38f;

// ---- one coordinate ----

NUMBERS float weight_of(const LinearModel& m, Cell cell) {
  if (m.rule != FTRL) return cell.first;
  const float curvature = (m.beta + sqrtf(cell.second)) / m.rate + m.l2;
  return -shrink(cell.first, m.l1) / curvature;
}

// What one row adds to a cell.
NUMBERS Cell change_of(const LinearModel& m, Cell cell, float pull, float value, float penalty) {
  if (m.rule == FTRL) {
    const float gradient = pull * value;
    const float next = at_most(cell.second + gradient * gradient, ACCUMULATOR_MAX);
    const float sigma = (sqrtf(next) - sqrtf(cell.second)) / m.rate;
    return {gradient - sigma * weight_of(m, cell), next - cell.second};
  }
  if (m.rule == ADAGRAD) {
    const float gradient = (pull + m.l2 * penalty * cell.first * value) * value;
    const float next = at_most(cell.second + gradient * gradient, ACCUMULATOR_MAX);
    const float step = m.rate / (sqrtf(next) + 1e-8f);
    const float shrunk = value == 0.0f ? 0.0f : step * m.l1 * penalty;
    const float moved = shrink(cell.first - step * gradient, shrunk);
    return {moved - cell.first, next - cell.second};
  }
  const float size = absolute(value);
  const float next = size > cell.second ? size : cell.second;
  const float safe = next > 0.0f ? next : 1.0f;
  const float ratio = cell.second > 0.0f ? cell.second / safe : 1.0f;
  const float unit = value / safe;
  const float own = value == 0.0f ? 0.0f : m.rate * penalty;
  const float kept = cell.first * (ratio * ratio) * (1.0f - at_most(own * m.l2, 1.0f));
  const float moved = shrink(kept - pull * (unit / safe), own * m.l1);
  return {moved - cell.first, next - cell.second};
}

struct Gathered {
  float sum, squares, values_squared, touches, largest, curvature, penalty;
};

NUMBERS float growth(float n, float sum, float squares, float newton) {
  const float together = sum * sum;
  const float most = together > squares ? together : squares;
  float wanted = newton * newton - n;
  wanted = wanted > squares ? wanted : squares;
  return wanted < most ? wanted : most;
}

// The cell after a step of many rows.
NUMBERS Cell stepped(const LinearModel& m, Cell cell, const Gathered& g) {
  if (m.rule == FTRL) {
    const float grown = growth(cell.second, g.sum, g.squares, m.rate * g.curvature);
    const float next = at_most(cell.second + grown, ACCUMULATOR_MAX);
    const float sigma = (sqrtf(next) - sqrtf(cell.second)) / m.rate;
    return {cell.first + (g.sum - sigma * weight_of(m, cell)), next};
  }
  if (m.rule == ADAGRAD) {
    const float decay = m.l2 * g.penalty * cell.first * g.values_squared;
    const float gradient = g.sum + decay;
    const float curvature = g.curvature + m.l2 * g.penalty * g.values_squared;
    const float grown = growth(cell.second, gradient, g.squares, m.rate * curvature);
    const float next = at_most(cell.second + grown, ACCUMULATOR_MAX);
    const float step = m.rate / (sqrtf(next) + 1e-8f);
    const float shrunk = step * m.l1 * g.penalty * g.touches;
    return {shrink(cell.first - step * gradient, shrunk), next};
  }
  const float next = g.largest > cell.second ? g.largest : cell.second;
  const float safe = next > 0.0f ? next : 1.0f;
  const float ratio = cell.second > 0.0f ? cell.second / safe : 1.0f;
  const bool is_touched = g.touches > 0.0f;
  const float most = is_touched ? g.touches : 1.0f;
  float shared = g.curvature / safe;
  shared = shared > 1.0f ? shared : 1.0f;
  const float average = g.sum / (shared < most ? shared : most);
  const float penalty = is_touched ? m.rate * g.penalty : 0.0f;
  const float kept = cell.first * (ratio * ratio) * (1.0f - at_most(penalty * m.l2, 1.0f));
  return {shrink(kept - (average / safe) / safe, penalty * m.l1), next};
}

// `(x / s)^2` of a coordinate.
NUMBERS float share_of(float scale, float value) {
  const float size = absolute(value);
  const float unit = size > scale ? 1.0f : size / at_least(scale, SMALLEST_NORMAL);
  return size == 0.0f ? 0.0f : unit * unit;
}

// ---- one row ----

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

// ---- link ----

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

// ---- kernels ----

// Linear scores of all rows, and predictions where they are asked for. LANES threads a row.
extern "C" __global__ void linear_score(const LinearModel m, const LinearRows rows, float* scores,
                                        float* predictions) {
  const unsigned thread = blockIdx.x * blockDim.x + threadIdx.x;
  const unsigned row = thread / LANES, lane = thread % LANES;
  // Threads beyond the end help their warp's shuffles along.
  const unsigned own = row < rows.rows ? row : rows.rows - 1;
  const float* dense = rows.dense + static_cast<unsigned long long>(own) * m.dense_width;
  const unsigned* sparse = rows.sparse + static_cast<unsigned long long>(own) * m.sparse_width;
  float* out = scores + static_cast<unsigned long long>(own) * m.classes;
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

// A step, first part: what each row counts for. LANES threads a row; scores are there.
extern "C" __global__ void linear_accept(const LinearModel m, const LinearRows rows,
                                         const LinearStep step) {
  const unsigned thread = blockIdx.x * blockDim.x + threadIdx.x;
  const unsigned row = thread / LANES, lane = thread % LANES;
  const unsigned own = row < rows.rows ? row : rows.rows - 1;
  const float* dense = rows.dense + static_cast<unsigned long long>(own) * m.dense_width;
  const float* scores = step.scores + static_cast<unsigned long long>(own) * m.classes;
  bool is_good = squared_length(m, dense, lane) < LENGTH_MAX;
  for (unsigned cls = 0; cls < m.classes; ++cls)
    is_good = is_good && absolute(scores[cls]) < SCORE_MAX;
  const float importance = importance_of(m, rows.labels[own], rows.weights[own]);
  is_good = is_good && importance >= 0.0f;
  if (lane != 0 || row >= rows.rows) return;
  step.importances[row] = is_good ? importance : -1.0f;
  atomicAdd(&step.most[is_good ? 2 : 3], 1u);
}

// How many learned rows touch each dense coordinate, and the largest size. A thread takes a
// coordinate of TILE rows.
extern "C" __global__ void linear_touches(const LinearModel m, const LinearRows rows,
                                          const LinearStep step) {
  const unsigned thread = blockIdx.x * blockDim.x + threadIdx.x;
  const unsigned input = thread % m.stride, tile = thread / m.stride;
  unsigned touches = 0;
  float largest = 0.0f;
  for (unsigned row = tile * TILE; row < (tile + 1) * TILE && row < rows.rows; ++row) {
    if (step.importances[row] < 0.0f) continue;
    const float* dense = rows.dense + static_cast<unsigned long long>(row) * m.dense_width;
    const float size = absolute(input_of(m, dense, input));
    touches += size > 0.0f ? 1 : 0;
    largest = size > largest ? size : largest;
  }
  if (touches == 0) return;
  atomicAdd(&step.touches[input], touches);
  // Sizes are not negative, so their bits are in their order.
  atomicMax(&step.largest[input], __float_as_uint(largest));
}

// Labels of a regression, in row order, by one thread: `is_before` targets, else residuals.
extern "C" __global__ void linear_targets(const LinearModel m, const LinearRows rows,
                                          const LinearStep step, unsigned is_before) {
  if (blockIdx.x != 0 || threadIdx.x != 0) return;
  for (unsigned row = 0; row < rows.rows; ++row) {
    if (step.importances[row] < 0.0f) continue;
    if (is_before != 0)
      observe_target(*m.running, rows.labels[row]);
    else
      follow_residual(*m.running, step.scores[row], rows.labels[row]);
  }
}

// The size of each row, and its squared length, in the units its coordinates have after the step.
extern "C" __global__ void linear_measure(const LinearModel m, const LinearRows rows,
                                          const LinearStep step) {
  const unsigned row = blockIdx.x * blockDim.x + threadIdx.x;
  if (row >= rows.rows) return;
  float length = 0.0f, size = 0.0f;
  if (step.importances[row] >= 0.0f) {
    const float* dense = rows.dense + static_cast<unsigned long long>(row) * m.dense_width;
    const unsigned* sparse = rows.sparse + static_cast<unsigned long long>(row) * m.sparse_width;
    for (unsigned i = 0; i < m.stride; ++i) {
      const float value = input_of(m, dense, i);
      float scale = 1.0f;
      if (m.rule == SGD) {
        const float largest = __uint_as_float(step.largest[i]), known = m.dense[i].second;
        scale = largest > known ? largest : known;
      }
      length += share_of(scale, value);
      size += absolute(value) / at_least(scale, SMALLEST_NORMAL);
    }
    unsigned count = 0;
    for (unsigned slot = 0; slot < m.sparse_width; ++slot) count += sparse[slot] != ABSENT ? 1 : 0;
    const float present = static_cast<float>(count);
    length = length + present;
    size = size + present;
  }
  step.lengths[row] = length;
  step.stiffness[row] = size;
}

// Adds the lengths of the step to what is known of all rows, by one block: a thread folds a tile.
extern "C" __global__ void linear_lengths(const LinearModel m, const LinearRows rows,
                                          const LinearStep step) {
  const unsigned tiles = (rows.rows + TILE - 1) / TILE;
  for (unsigned tile = threadIdx.x; tile < tiles; tile += blockDim.x) {
    double sums[LANES] = {};
    for (unsigned row = tile * TILE; row < (tile + 1) * TILE && row < rows.rows; ++row)
      sums[row % LANES] += static_cast<double>(step.lengths[row]);
    step.tiles[tile] = fold_lanes(sums);
  }
  __syncthreads();
  if (threadIdx.x != 0) return;
  double total = 0.0;
  for (unsigned tile = 0; tile < tiles; ++tile) total += step.tiles[tile];
  m.running->length_rows += step.most[2];
  m.running->length_sum += total;
}

// Every row's gradients and stiffness, and the largest of both.
extern "C" __global__ void linear_differentiate(const LinearModel m, const LinearRows rows,
                                                const LinearStep step) {
  const unsigned row = blockIdx.x * blockDim.x + threadIdx.x;
  float most = 0.0f, stiffest = 0.0f;
  if (row < rows.rows) {
    const float importance = step.importances[row], label = rows.labels[row];
    const unsigned long long at = static_cast<unsigned long long>(row) * m.classes;
    float *gradients = step.gradients + at, *scores = step.scores + at;
    if (importance < 0.0f) {
      for (unsigned cls = 0; cls < m.classes; ++cls) gradients[cls] = 0.0f;
    } else {
      const float bend = m.task == BINARY ? 0.25f : m.task == CLASSES ? 0.5f : 1.0f;
      float rate = 1.0f;
      if (m.rule == SGD) {
        implicit_gradients(m, scores, label, importance, step.lengths[row], gradients);
        rate = m.rate / average_length(*m.running);
      } else {
        plain_gradients(m, scores, label, importance, gradients);
      }
      step.stiffness[row] *= rate * bend * importance;
      stiffest = step.stiffness[row];
      for (unsigned cls = 0; cls < m.classes; ++cls) {
        const float size = absolute(gradients[cls]);
        most = size > most ? size : most;
      }
    }
  }
  for (int by = 16; by > 0; by >>= 1) {
    const float other = __shfl_xor_sync(0xffffffffu, most, by);
    const float stiffer = __shfl_xor_sync(0xffffffffu, stiffest, by);
    most = other > most ? other : most;
    stiffest = stiffer > stiffest ? stiffer : stiffest;
  }
  if (threadIdx.x % 32 != 0) return;
  atomicMax(&step.most[0], __float_as_uint(most));
  atomicMax(&step.most[1], __float_as_uint(stiffest));
}

// Sums of dense coordinates over one tile of rows: a thread has one column of the sums, which are,
// per class, of gradients and of squares, then of squared values and of sizes times stiffness.
extern "C" __global__ void linear_dense_sums(const LinearModel m, const LinearRows rows,
                                             const LinearStep step) {
  const unsigned columns = (2 * m.classes + 2) * m.stride;
  const unsigned thread = blockIdx.x * blockDim.x + threadIdx.x;
  const unsigned tile = thread / columns, column = thread % columns;
  if (tile * TILE >= rows.rows) return;
  const unsigned kind = column / m.stride, input = column % m.stride;
  double sums[LANES] = {};
  for (unsigned row = tile * TILE; row < (tile + 1) * TILE && row < rows.rows; ++row) {
    if (step.importances[row] < 0.0f) continue;
    const float* dense = rows.dense + static_cast<unsigned long long>(row) * m.dense_width;
    const float value = input_of(m, dense, input);
    double term;
    if (kind < 2 * m.classes) {
      const float gradient = step.gradients[static_cast<unsigned long long>(row) * m.classes + kind / 2];
      term = static_cast<double>(gradient) * static_cast<double>(value);
      if (kind % 2 == 1) term = term * term;
    } else if (kind == 2 * m.classes) {
      term = static_cast<double>(value) * static_cast<double>(value);
    } else {
      term = static_cast<double>(absolute(value)) * static_cast<double>(step.stiffness[row]);
    }
    sums[row % LANES] += term;
  }
  step.tiles[static_cast<unsigned long long>(tile) * columns + column] = fold_lanes(sums);
}

// One change of each dense cell.
extern "C" __global__ void linear_dense_step(const LinearModel m, const LinearRows rows,
                                             const LinearStep step) {
  const unsigned place = blockIdx.x * blockDim.x + threadIdx.x;
  if (place >= m.classes * m.stride) return;
  const unsigned cls = place / m.stride, input = place % m.stride;
  const unsigned columns = (2 * m.classes + 2) * m.stride;
  const unsigned tiles = (rows.rows + TILE - 1) / TILE;
  double sum = 0.0, squares = 0.0, values_squared = 0.0, curvature = 0.0;
  for (unsigned tile = 0; tile < tiles; ++tile) {
    const double* of = step.tiles + static_cast<unsigned long long>(tile) * columns + input;
    sum += of[2 * cls * m.stride];
    squares += of[(2 * cls + 1) * m.stride];
    values_squared += of[2 * m.classes * m.stride];
    curvature += of[(2 * m.classes + 1) * m.stride];
  }
  const Gathered gathered = {static_cast<float>(sum),
                             static_cast<float>(squares),
                             static_cast<float>(values_squared),
                             static_cast<float>(step.touches[input]),
                             __uint_as_float(step.largest[input]),
                             static_cast<float>(curvature),
                             m.penalties[input]};
  m.dense[place] = stepped(m, m.dense[place], gathered);
}

// How finely gradients are counted: see `Quantum` in gathered.rs. `room` is 62 bits less those of
// the number of terms.
struct Quantum {
  int unit, square_unit;
  NUMBERS Quantum(unsigned largest_bits, int room) {
    const double largest = static_cast<double>(__uint_as_float(largest_bits));
    const int biased = static_cast<int>((double_to_bits(largest) >> 52) & 0x7ff);
    const int exponent = largest > 0.0 ? biased - 1022 : 0;
    unit = exponent - room;
    square_unit = 2 * exponent - room;
  }
  NUMBERS long long count(float gradient) const {
    return static_cast<long long>(rint(static_cast<double>(gradient) * power_of_two(-unit)));
  }
  NUMBERS long long count_square(float gradient) const {
    const double square = static_cast<double>(gradient) * static_cast<double>(gradient);
    return static_cast<long long>(rint(square * power_of_two(-square_unit)));
  }
  NUMBERS float sum(Sum counts) const {
    return static_cast<float>(static_cast<double>(static_cast<long long>(counts)) * power_of_two(unit));
  }
  NUMBERS float sum_squares(Sum counts) const {
    return static_cast<float>(static_cast<double>(static_cast<long long>(counts)) *
                              power_of_two(square_unit));
  }
};

// Adds every row to the sums of its sparse coordinates: a thread has one slot of a row.
extern "C" __global__ void linear_sparse_sums(const LinearModel m, const LinearRows rows,
                                              const LinearStep step, int room) {
  const unsigned long long thread =
      static_cast<unsigned long long>(blockIdx.x) * blockDim.x + threadIdx.x;
  if (thread >= static_cast<unsigned long long>(rows.rows) * m.sparse_width) return;
  const unsigned row = static_cast<unsigned>(thread / m.sparse_width);
  const unsigned index = rows.sparse[thread];
  if (index == ABSENT || step.importances[row] < 0.0f) return;
  const Quantum quantum(step.most[0], room), stiffness(step.most[1], room);
  Sum* sums = step.sums + static_cast<unsigned long long>(index) * (2 + 2 * m.classes);
  atomicAdd(&sums[0], Sum(1));
  atomicAdd(&sums[1], static_cast<Sum>(stiffness.count(step.stiffness[row])));
  for (unsigned cls = 0; cls < m.classes; ++cls) {
    const float gradient = step.gradients[static_cast<unsigned long long>(row) * m.classes + cls];
    atomicAdd(&sums[2 + 2 * cls], static_cast<Sum>(quantum.count(gradient)));
    atomicAdd(&sums[3 + 2 * cls], static_cast<Sum>(quantum.count_square(gradient)));
  }
}

// One change of each sparse cell that was touched; its sums are zero again afterwards. Of the
// threads that name a coordinate the first to come has it.
extern "C" __global__ void linear_sparse_step(const LinearModel m, const LinearRows rows,
                                              const LinearStep step, int room) {
  const unsigned long long thread =
      static_cast<unsigned long long>(blockIdx.x) * blockDim.x + threadIdx.x;
  if (thread >= static_cast<unsigned long long>(rows.rows) * m.sparse_width) return;
  const unsigned row = static_cast<unsigned>(thread / m.sparse_width);
  const unsigned index = rows.sparse[thread];
  if (index == ABSENT || step.importances[row] < 0.0f) return;
  Sum* sums = step.sums + static_cast<unsigned long long>(index) * (2 + 2 * m.classes);
  const Sum count = atomicExch(&sums[0], Sum(0));
  if (count == 0) return;
  const Quantum quantum(step.most[0], room), stiffness(step.most[1], room);
  const float touches = static_cast<float>(static_cast<long long>(count));
  const float curvature = stiffness.sum(sums[1]);
  sums[1] = 0;
  for (unsigned cls = 0; cls < m.classes; ++cls) {
    const Gathered gathered = {quantum.sum(sums[2 + 2 * cls]),
                               quantum.sum_squares(sums[3 + 2 * cls]),
                               touches,
                               touches,
                               1.0f,
                               curvature,
                               1.0f};
    Cell& cell = m.sparse[place_of(m, index, cls)];
    cell = stepped(m, cell, gathered);
    sums[2 + 2 * cls] = 0;
    sums[3 + 2 * cls] = 0;
  }
}
