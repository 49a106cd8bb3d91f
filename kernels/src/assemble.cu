// Features of rows from their columns: the twin of assemble.rs. A thread makes one feature of one
// row, so that what lies together in a row is written together.
#include "calendar.cuh"

enum DenseKind : unsigned { IDENTITY = 0, LOG = 1, DENSE_CALENDAR = 2, GIVEN = 3 };
enum SparseKind : unsigned { CODES = 0, CROSS = 1, BUCKETS = 2, SPARSE_CALENDAR = 3 };

struct DenseColumn {
  unsigned kind, column;
  float low, high;
};

// `list` and `count` name a part of the crossed columns or of the boundaries.
struct SparseColumn {
  unsigned kind, column, list, count;
  unsigned long long salt;
};

struct Assembly {
  const DenseColumn* dense;
  const SparseColumn* sparse;
  const unsigned* crossed;
  const float* boundaries;
  const long long* offsets;  // [changes, 2]
  unsigned dense_width, sparse_width, given_width, hash_bits, changes, night_first, night_last,
      unused;
};

struct Columns {
  const long long* times_ms;             // [rows]
  const float* numbers;                  // [numbers, stride]
  const unsigned long long* categories;  // [categories, stride]
  const float* given;                    // [rows, given_width]
  unsigned rows, stride;
};

NUMBERS float number_of(const Columns& columns, unsigned column, unsigned row) {
  return columns.numbers[static_cast<unsigned long long>(column) * columns.stride + row];
}

NUMBERS unsigned long long category_of(const Columns& columns, unsigned column, unsigned row) {
  return columns.categories[static_cast<unsigned long long>(column) * columns.stride + row];
}

// Boundaries at or below a number; the rows behind the first one above it are not looked at.
NUMBERS unsigned boundaries_below(const float* boundaries, unsigned count, float x) {
  unsigned low = 0, high = count;
  while (low < high) {
    const unsigned middle = low + (high - low) / 2;
    if (boundaries[middle] <= x)
      low = middle + 1;
    else
      high = middle;
  }
  return low;
}

extern "C" __global__ void assemble_dense(const Assembly a, const Columns columns, float* out) {
  const unsigned long long at =
      static_cast<unsigned long long>(blockIdx.x) * blockDim.x + threadIdx.x;
  if (at >= static_cast<unsigned long long>(columns.rows) * a.dense_width) return;
  const unsigned row = static_cast<unsigned>(at / a.dense_width);
  const DenseColumn from = a.dense[at % a.dense_width];
  if (from.kind == GIVEN) {
    out[at] = columns.given[static_cast<unsigned long long>(row) * a.given_width + from.column];
  } else if (from.kind == DENSE_CALENDAR) {
    const Clock clock = local_clock(a.offsets, a.changes, columns.times_ms[row]);
    out[at] = part_value(from.column, clock, a.night_first, a.night_last);
  } else {
    const float x = clamped(number_of(columns, from.column, row), from.low, from.high);
    out[at] = from.kind == LOG ? with_sign_of(logarithm_1p(absolute(x)), x) : x;
  }
}

extern "C" __global__ void assemble_sparse(const Assembly a, const Columns columns, unsigned* out) {
  const unsigned long long at =
      static_cast<unsigned long long>(blockIdx.x) * blockDim.x + threadIdx.x;
  if (at >= static_cast<unsigned long long>(columns.rows) * a.sparse_width) return;
  const unsigned row = static_cast<unsigned>(at / a.sparse_width);
  const SparseColumn from = a.sparse[at % a.sparse_width];
  unsigned long long code = 0;
  if (from.kind == CODES) {
    code = category_of(columns, from.column, row);
  } else if (from.kind == CROSS) {
    for (unsigned i = 0; i < from.count; ++i)
      code = cross_codes(code, category_of(columns, a.crossed[from.list + i], row));
  } else if (from.kind == BUCKETS) {
    const float x = number_of(columns, from.column, row);
    code = boundaries_below(a.boundaries + from.list, from.count, x) + 1ull;
  } else {
    const Clock clock = local_clock(a.offsets, a.changes, columns.times_ms[row]);
    code = part_code(from.column, clock) + 1;
  }
  out[at] = hash_bucket(code, from.salt, a.hash_bits);
}
