// What the kernels of the linear model know of it, and what one row does to one of its cells: the
// twin of coordinate/{ftrl,adagrad,sgd}.rs.
#pragma once
#include "../numbers.cuh"

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

constexpr float ACCUMULATOR_MAX = 1e36f;
constexpr float LENGTH_MAX = 1e30f;
constexpr float SCORE_MAX = 1e30f;
constexpr unsigned TILE = 256;
constexpr float SMALLEST_NORMAL = 1.17549435e-38f;

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

// `(x / s)^2` of a coordinate.
NUMBERS float share_of(float scale, float value) {
  const float size = absolute(value);
  const float unit = size > scale ? 1.0f : size / at_least(scale, SMALLEST_NORMAL);
  return size == 0.0f ? 0.0f : unit * unit;
}
