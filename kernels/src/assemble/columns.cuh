// What features are made of, and one of them: shared by what makes all and what makes and scales
// dense ones at once.
#pragma once
#include "../calendar.cuh"

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

// A dense feature of a row.
NUMBERS float dense_value(const Assembly& a, const Columns& columns, const DenseColumn& from,
                          unsigned row) {
  if (from.kind == GIVEN)
    return columns.given[static_cast<unsigned long long>(row) * a.given_width + from.column];
  if (from.kind == DENSE_CALENDAR) {
    const Clock clock = local_clock(a.offsets, a.changes, columns.times_ms[row]);
    return part_value(from.column, clock, a.night_first, a.night_last);
  }
  const float x = clamped(number_of(columns, from.column, row), from.low, from.high);
  return from.kind == LOG ? with_sign_of(logarithm_1p(absolute(x)), x) : x;
}

// What a sparse feature of a row is before it is hashed.
NUMBERS unsigned long long sparse_code(const Assembly& a, const Columns& columns,
                                       const SparseColumn& from, unsigned row) {
  if (from.kind == CODES) return category_of(columns, from.column, row);
  if (from.kind == CROSS) {
    unsigned long long code = 0;
    for (unsigned i = 0; i < from.count; ++i)
      code = cross_codes(code, category_of(columns, a.crossed[from.list + i], row));
    return code;
  }
  if (from.kind == BUCKETS) {
    const float x = number_of(columns, from.column, row);
    return boundaries_below(a.boundaries + from.list, from.count, x) + 1ull;
  }
  const Clock clock = local_clock(a.offsets, a.changes, columns.times_ms[row]);
  return part_code(from.column, clock) + 1;
}
