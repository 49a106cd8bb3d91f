// Repair of number columns: the twin of repair.rs. A block has a column. Where nothing is clipped
// by what came before, its threads have stretches of rows and need only the exact sums of the
// stretches before; else one thread goes row by row.
#include "fixed.cuh"

constexpr Word REPAIR_COUNT_MIN = 30, QUANTILE_COUNT_MIN = 100;

enum Outliers : unsigned { KEEP = 0, SIGMA = 1, QUANTILES = 2 };

struct RepairCounts {
  Word imputed, out_of_range, clipped;
};

// A bin, and how many values lie below it.
struct Cursor {
  double fraction;
  Word bin, below;
};

struct RepairColumn {
  Sums sums;
  RepairCounts counts;
  Word total;  // values in the bins
  Cursor low_cursor, high_cursor;
  Word* bins;  // [2^16], where quantiles are kept
  float low, high, constant, sigma;
  unsigned has_range, clips_range, has_constant, outliers;
};

NUMBERS float in_range(const RepairColumn& c, float value, RepairCounts& counts) {
  if (c.has_range == 0 || value != value || (value >= c.low && value <= c.high)) return value;
  counts.out_of_range += 1;
  return c.clips_range != 0 ? clamped(value, c.low, c.high) : __uint_as_float(0x7fc00000u);
}

NUMBERS double mean_of(const Sums& sums) {
  return sums.count == 0 ? 0.0 : unscale(sums.sum) / static_cast<double>(sums.count);
}

NUMBERS float imputed(const RepairColumn& c, const Sums& sums) {
  return c.has_constant != 0 ? c.constant : static_cast<float>(mean_of(sums));
}

NUMBERS unsigned quantile_bin(float value) {
  const unsigned bits = __float_as_uint(value);
  return ((bits >> 31) == 1 ? ~bits : bits | 0x80000000u) >> 16;
}

NUMBERS float of_ordered(unsigned ordered) {
  return __uint_as_float((ordered >> 31) == 1 ? ordered & 0x7fffffffu : ~ordered);
}

// Moves to the bin that holds the value of this rank.
NUMBERS void settle(Cursor& cursor, const Word* bins, Word total) {
  const Word rank = static_cast<Word>(cursor.fraction * static_cast<double>(total - 1));
  while (rank < cursor.below) cursor.below -= bins[--cursor.bin];
  while (rank >= cursor.below + bins[cursor.bin]) cursor.below += bins[cursor.bin++];
}

NUMBERS void count_value(RepairColumn& c, float value) {
  const unsigned bin = quantile_bin(value);
  c.bins[bin] += 1;
  c.total += 1;
  c.low_cursor.below += bin < c.low_cursor.bin ? 1 : 0;
  settle(c.low_cursor, c.bins, c.total);
  c.high_cursor.below += bin < c.high_cursor.bin ? 1 : 0;
  settle(c.high_cursor, c.bins, c.total);
}

NUMBERS float clip_outlier(RepairColumn& c, float value) {
  float clipped = value;
  if (c.outliers == SIGMA && c.sums.count >= REPAIR_COUNT_MIN) {
    const double mean = mean_of(c.sums), count = static_cast<double>(c.sums.count);
    const double deviation = sqrt(spread_of_sums(c.sums, 0)) / count * (1.0 / FIXED_SCALE);
    const double reach = static_cast<double>(c.sigma) * deviation;
    clipped = clamped(value, static_cast<float>(mean - reach), static_cast<float>(mean + reach));
  } else if (c.outliers == QUANTILES && c.total >= QUANTILE_COUNT_MIN) {
    const unsigned low = static_cast<unsigned>(c.low_cursor.bin) << 16;
    const unsigned high = static_cast<unsigned>(c.high_cursor.bin) << 16 | 0xffffu;
    clipped = clamped(value, of_ordered(low), of_ordered(high));
  }
  c.counts.clipped += clipped != value ? 1 : 0;
  return clipped;
}

NUMBERS void repair_in_order(RepairColumn& c, float* values, unsigned rows) {
  for (unsigned row = 0; row < rows; ++row) {
    const float given = in_range(c, values[row], c.counts);
    if (given != given) {
      c.counts.imputed += 1;
      values[row] = imputed(c, c.sums);
      continue;
    }
    const float clipped = clip_outlier(c, given);
    add_value(c.sums, clipped, 1);
    if (c.outliers == QUANTILES) count_value(c, given);
    values[row] = clipped;
  }
}

// `numbers`: [columns, stride], the first `rows` of each are repaired.
extern "C" __global__ void repair_columns(RepairColumn* columns, float* numbers, unsigned rows,
                                          unsigned stride) {
  DYN_SHARED(Sums, of_threads);
  const unsigned thread = threadIdx.x;
  RepairColumn& c = columns[blockIdx.x];
  float* values = numbers + static_cast<unsigned long long>(blockIdx.x) * stride;
  if (c.outliers != KEEP) {
    if (thread == 0) {
      // One of its own: a column in memory that all could see would be read again for every value.
      RepairColumn own = c;
      repair_in_order(own, values, rows);
      // The rules stay: others may still read them.
      c.sums = own.sums;
      c.counts = own.counts;
      c.total = own.total;
      c.low_cursor = own.low_cursor;
      c.high_cursor = own.high_cursor;
    }
    return;
  }
  const unsigned stretch = (rows + blockDim.x - 1) / blockDim.x;
  const unsigned from = thread * stretch < rows ? thread * stretch : rows;
  const unsigned to = from + stretch < rows ? from + stretch : rows;
  Sums own = {};
  RepairCounts counts = {};
  for (unsigned row = from; row < to; ++row) add_value(own, in_range(c, values[row], counts), 1);
  Sums sums = sums_before(own, of_threads);
  add_sums(sums, c.sums);
  // All have read the state that the last of them writes.
  __syncthreads();
  counts = {};
  for (unsigned row = from; row < to; ++row) {
    const float given = in_range(c, values[row], counts);
    if (given != given) {
      counts.imputed += 1;
      values[row] = imputed(c, sums);
      continue;
    }
    add_value(sums, given, 1);
    values[row] = given;
  }
  if (counts.imputed != 0) atomicAdd(&c.counts.imputed, counts.imputed);
  if (counts.out_of_range != 0) atomicAdd(&c.counts.out_of_range, counts.out_of_range);
  if (from < to && to == rows) c.sums = sums;
}
