// Many rows learned as one step: sums over the rows, then one change of each cell. The twin of
// gathered.rs, and of coordinates/step.rs of the models.
//
// Gradients of sparse coordinates are added up as integers, so that the order of the atomic
// additions cannot show; those of dense ones in doubles over a fixed tree.
#include "room.cuh"

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
  const bool is_own = lane == 0 && row < rows.rows;
  const unsigned good = __ballot_sync(0xffffffffu, is_own && is_good);
  const unsigned bad = __ballot_sync(0xffffffffu, is_own && !is_good);
  if (is_own) step.importances[row] = is_good ? importance : -1.0f;
  if (threadIdx.x % 32 != 0) return;
  atomicAdd(&step.most[2], static_cast<unsigned>(__popc(good)));
  if (bad != 0) atomicAdd(&step.most[3], static_cast<unsigned>(__popc(bad)));
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
    for (unsigned base = tile * TILE; base < (tile + 1) * TILE && base < rows.rows; base += LANES) {
#pragma unroll
      for (unsigned lane = 0; lane < LANES; ++lane)
        if (base + lane < rows.rows) sums[lane] += static_cast<double>(step.lengths[base + lane]);
    }
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

// What a row adds to a sum of a dense coordinate.
NUMBERS double dense_term(const LinearModel& m, const LinearRows& rows, const LinearStep& step,
                          unsigned row, unsigned kind, unsigned input) {
  const float* dense = rows.dense + static_cast<unsigned long long>(row) * m.dense_width;
  const float value = input_of(m, dense, input);
  if (kind < 2 * m.classes) {
    const unsigned long long at = static_cast<unsigned long long>(row) * m.classes + kind / 2;
    const float gradient = step.gradients[at];
    const double term = static_cast<double>(gradient) * static_cast<double>(value);
    return kind % 2 == 1 ? term * term : term;
  }
  if (kind == 2 * m.classes) return static_cast<double>(value) * static_cast<double>(value);
  return static_cast<double>(absolute(value)) * static_cast<double>(step.stiffness[row]);
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
  // By whole turns of the lanes, so that their sums are in registers.
  double sums[LANES] = {};
  for (unsigned base = tile * TILE; base < (tile + 1) * TILE && base < rows.rows; base += LANES) {
#pragma unroll
    for (unsigned lane = 0; lane < LANES; ++lane) {
      const unsigned row = base + lane;
      if (row < rows.rows && step.importances[row] >= 0.0f)
        sums[lane] += dense_term(m, rows, step, row, kind, input);
    }
  }
  step.tiles[static_cast<unsigned long long>(tile) * columns + column] = fold_lanes(sums);
}

constexpr unsigned TILES_AT_ONCE = 8;

// One change of each dense cell.
extern "C" __global__ void linear_dense_step(const LinearModel m, const LinearRows rows,
                                             const LinearStep step) {
  const unsigned place = blockIdx.x * blockDim.x + threadIdx.x;
  if (place >= m.classes * m.stride) return;
  const unsigned cls = place / m.stride, input = place % m.stride;
  const unsigned columns = (2 * m.classes + 2) * m.stride;
  const unsigned tiles = (rows.rows + TILE - 1) / TILE;
  double sum = 0.0, squares = 0.0, values_squared = 0.0, curvature = 0.0;
  // There are few threads, and what they wait for are loads: those of some tiles are under way
  // together.
  for (unsigned base = 0; base < tiles; base += TILES_AT_ONCE) {
    double sums[TILES_AT_ONCE][4] = {};
#pragma unroll
    for (unsigned i = 0; i < TILES_AT_ONCE; ++i) {
      if (base + i >= tiles) continue;
      const double* of = step.tiles + static_cast<unsigned long long>(base + i) * columns + input;
      sums[i][0] = of[2 * cls * m.stride];
      sums[i][1] = of[(2 * cls + 1) * m.stride];
      sums[i][2] = of[2 * m.classes * m.stride];
      sums[i][3] = of[(2 * m.classes + 1) * m.stride];
    }
    // In order; those that are not there are zeros, which change nothing.
#pragma unroll
    for (unsigned i = 0; i < TILES_AT_ONCE; ++i) {
      sum += sums[i][0];
      squares += sums[i][1];
      values_squared += sums[i][2];
      curvature += sums[i][3];
    }
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
    return static_cast<float>(static_cast<double>(static_cast<long long>(counts)) *
                              power_of_two(unit));
  }
  NUMBERS float sum_squares(Sum counts) const {
    return static_cast<float>(static_cast<double>(static_cast<long long>(counts)) *
                              power_of_two(square_unit));
  }
};

constexpr unsigned WARP_ROWS = 32, EVERY_LANE = 0xffffffffu;

// The sparse coordinate that a lane has: a warp has one slot of 32 rows, where those that are
// frequent meet. ABSENT for none; `has_rows` is the same in a warp.
struct Touch {
  unsigned row, index, peers;
  bool has_rows, is_first;
  NUMBERS Touch(const LinearModel& m, const LinearRows& rows, const LinearStep& step) {
    const unsigned lane = threadIdx.x % WARP_ROWS;
    const unsigned warp = blockIdx.x * (blockDim.x / WARP_ROWS) + threadIdx.x / WARP_ROWS;
    const unsigned slot = warp % m.sparse_width;
    row = warp / m.sparse_width * WARP_ROWS + lane;
    has_rows = row - lane < rows.rows;
    index = ABSENT;
    peers = 1u << lane;
    if (row < rows.rows && step.importances[row] >= 0.0f)
      index = rows.sparse[static_cast<unsigned long long>(row) * m.sparse_width + slot];
    if (has_rows) peers = __match_any_sync(EVERY_LANE, index);
    is_first = index != ABSENT && (peers & ((1u << lane) - 1)) == 0;
  }
  // The sum over the lanes with this coordinate, in the first of them: pairs, then pairs of those.
  // Integers, whose order does not show.
  NUMBERS Sum add_up(Sum value) const {
    const unsigned lane = threadIdx.x % WARP_ROWS;
    unsigned later = peers & (0xfffffffeu << lane);
    unsigned rank = static_cast<unsigned>(__popc(peers & ((1u << lane) - 1)));
    while (__any_sync(EVERY_LANE, later != 0)) {
      const int next = __ffs(static_cast<int>(later));
      const int from = next > 0 ? next - 1 : static_cast<int>(lane);
      const Sum other = __shfl_sync(EVERY_LANE, value, from);
      if (next > 0) value += other;
      later &= __ballot_sync(EVERY_LANE, (rank & 1u) == 0);
      rank >>= 1;
    }
    return value;
  }
};

// Adds every row to the sums of its sparse coordinates. Those that many rows of a warp name are
// added once: atomic additions to one place follow one another.
extern "C" __global__ void linear_sparse_sums(const LinearModel m, const LinearRows rows,
                                              const LinearStep step, int room) {
  const Touch touch(m, rows, step);
  if (!touch.has_rows) return;
  const Quantum quantum(step.most[0], room), stiffness(step.most[1], room);
  const bool is_there = touch.index != ABSENT;
  Sum* sums = step.sums + static_cast<unsigned long long>(is_there ? touch.index : 0) *
                              (2 + 2 * m.classes);
  const Sum stiff = touch.add_up(
      is_there ? static_cast<Sum>(stiffness.count(step.stiffness[touch.row])) : Sum(0));
  if (touch.is_first) {
    atomicAdd(&sums[0], static_cast<Sum>(__popc(touch.peers)));
    atomicAdd(&sums[1], stiff);
  }
  for (unsigned cls = 0; cls < m.classes; ++cls) {
    float gradient = 0.0f;
    if (is_there)
      gradient = step.gradients[static_cast<unsigned long long>(touch.row) * m.classes + cls];
    const Sum sum = touch.add_up(static_cast<Sum>(quantum.count(gradient)));
    const Sum squares = touch.add_up(static_cast<Sum>(quantum.count_square(gradient)));
    if (!touch.is_first) continue;
    atomicAdd(&sums[2 + 2 * cls], sum);
    atomicAdd(&sums[3 + 2 * cls], squares);
  }
}

// One change of each sparse cell that was touched; its sums are zero again afterwards. Of the
// threads that name a coordinate the first to come has it; one in a warp comes.
extern "C" __global__ void linear_sparse_step(const LinearModel m, const LinearRows rows,
                                              const LinearStep step, int room) {
  const Touch touch(m, rows, step);
  if (!touch.is_first) return;
  Sum* sums = step.sums + static_cast<unsigned long long>(touch.index) * (2 + 2 * m.classes);
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
    Cell& cell = m.sparse[place_of(m, touch.index, cls)];
    cell = stepped(m, cell, gathered);
    sums[2 + 2 * cls] = 0;
    sums[3 + 2 * cls] = 0;
  }
}
