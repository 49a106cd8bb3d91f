// Dense features of a wide batch, made and standardised at once: what assemble_dense and
// moments_standardize do one after the other, with the same bits.
//
// A thread has an interval of the refresh of one column, a block as many as it has threads (a
// chunk), so that a batch of 65,536 rows has 208 blocks for 13 columns instead of 13. Features are
// made from the columns as often as they are looked at, which costs less than to write and read
// them raw. A first launch adds up each chunk; a second one knows by these sums what was before it.
// Only the first launch reads the state and only the second writes it, so that blocks of a launch
// do not depend on one another. For streams whose refresh is no longer dense, and that do not fade.
#include "../assemble/columns.cuh"
#include "rates.cuh"

struct WideRows {
  Sums* totals;    // [width, 1 + chunks]: of all before the batch, then of the rows of each chunk
  double* before;  // [width, 2]: mean and inverse as of the last refresh before the batch
  float* out;      // [rows, width]
  unsigned chunks, unused;
};

// The rows of a thread's interval that are in the batch, by their position in the stream.
struct Interval {
  Word first, from, to;
};

NUMBERS Interval interval_of(const Moments& m, unsigned rows, unsigned chunk) {
  const Word every = m.refresh_every_rows, end = m.position + rows;
  const Word index = m.position / every + static_cast<Word>(chunk) * blockDim.x + threadIdx.x;
  const Word first = index * every;
  const Word from = first > m.position ? first : m.position;
  return {first, from, first + every < end ? first + every : end};
}

NUMBERS Sums sums_of(const Assembly& a, const Columns& columns, const DenseColumn& from,
                     const Moments& m, const Interval& own) {
  Sums sums = {};
  for (Word p = own.from; p < own.to; ++p) {
    const unsigned row = static_cast<unsigned>(p - m.position);
    add_value(sums, dense_value(a, columns, from, row), COUNT_ONE);
  }
  return sums;
}

// The sum over the threads of a block, a power of two of them, in the place of the first.
NUMBERS void add_up_block(const Sums& own, Sums* of_threads) {
  const unsigned thread = threadIdx.x;
  of_threads[thread] = own;
  __syncthreads();
  for (unsigned by = blockDim.x / 2; by > 0; by /= 2) {
    if (thread < by) add_sums(of_threads[thread], of_threads[thread + by]);
    __syncthreads();
  }
}

extern "C" __global__ void moments_wide_sums(const Assembly a, const Columns columns,
                                             const Moments m, const WideRows wide) {
  DYN_SHARED(Sums, of_threads);
  const unsigned column = blockIdx.x / wide.chunks, chunk = blockIdx.x % wide.chunks;
  const Interval own = interval_of(m, columns.rows, chunk);
  add_up_block(sums_of(a, columns, a.dense[column], m, own), of_threads);
  if (threadIdx.x != 0) return;
  Sums* totals = wide.totals + column * (1 + wide.chunks);
  totals[1 + chunk] = of_threads[0];
  if (chunk == 0) {
    totals[0] = m.columns[column];
    wide.before[2 * column] = m.means[column];
    wide.before[2 * column + 1] = m.inverses[column];
  }
}

extern "C" __global__ void moments_wide_rows(const Assembly a, const Columns columns,
                                             const Moments m, const WideRows wide) {
  DYN_SHARED(Sums, of_threads);
  const unsigned column = blockIdx.x / wide.chunks, chunk = blockIdx.x % wide.chunks;
  const DenseColumn from = a.dense[column];
  const Interval own = interval_of(m, columns.rows, chunk);
  const Sums* totals = wide.totals + column * (1 + wide.chunks);
  Sums earlier = {};
  for (unsigned i = threadIdx.x; i <= chunk; i += blockDim.x) add_sums(earlier, totals[i]);
  add_up_block(earlier, of_threads);
  Sums sums = of_threads[0];
  __syncthreads();
  const Sums of_own = sums_of(a, columns, from, m, own);
  add_sums(sums, sums_before(of_own, of_threads));
  if (own.from >= own.to) return;
  double mean = wide.before[2 * column], inverse = wide.before[2 * column + 1];
  if (own.from == own.first) {
    Sums refreshed = sums;
    const unsigned row = static_cast<unsigned>(own.from - m.position);
    if (m.include_current != 0)
      add_value(refreshed, dense_value(a, columns, from, row), COUNT_ONE);
    rates_of(refreshed, mean, inverse);
  }
  for (Word p = own.from; p < own.to; ++p) {
    const unsigned row = static_cast<unsigned>(p - m.position);
    const float value = dense_value(a, columns, from, row);
    wide.out[static_cast<unsigned long long>(row) * a.dense_width + column] =
        standardized(value, mean, inverse, static_cast<double>(m.clip));
  }
  if (own.to != m.position + columns.rows) return;
  add_sums(sums, of_own);
  m.columns[column] = sums;
  m.means[column] = mean;
  m.inverses[column] = inverse;
}
