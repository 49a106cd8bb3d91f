// Running standardisation of columns: the twin of moments.rs. A block has a column. Its threads
// have stretches of rows that begin where mean and deviation are refreshed, so that none needs
// those of the stretch before: only its exact sums, which a scan over the block gives.
#include "moments/rates.cuh"

// Whole rows of `stride` elements, of which `offset..offset + width` are standardised. A thread has
// the rows up to the next multiple of `stretch` in the stream.
struct MomentRows {
  float* matrix;
  Word stretch;
  unsigned rows, stride, offset, unused;
  const Word* header;  // where not null: the position and the rows of this batch
};

NUMBERS void halve(Sums& sums) {
  sums.count >>= 1;
  sums.sum[0] = (sums.sum[0] >> 1) | (sums.sum[1] << 63);
  sums.sum[1] = static_cast<Word>(static_cast<long long>(sums.sum[1]) >> 1);
  for (unsigned i = 0; i < 3; ++i)
    sums.squares[i] = (sums.squares[i] >> 1) | (sums.squares[i + 1] << 63);
  sums.squares[3] >>= 1;
}

extern "C" __global__ void moments_standardize(const Moments m, const MomentRows rows) {
  DYN_SHARED(Sums, of_threads);
  const unsigned column = blockIdx.x, thread = threadIdx.x;
  const Word position = rows.header != nullptr ? rows.header[0] : m.position;
  const Word end = position + (rows.header != nullptr ? rows.header[1] : rows.rows);
  const Word first = (position / rows.stretch + thread) * rows.stretch;
  const Word from = first > position ? first : position;
  const Word to = first + rows.stretch < end ? first + rows.stretch : end;
  float* values = rows.matrix + rows.offset + column;
  Sums own = {};
  if (m.half_life_rows == 0)
    for (Word p = from; p < to; ++p)
      add_value(own, values[(p - position) * rows.stride], COUNT_ONE);
  Sums sums = sums_before(own, of_threads);
  add_sums(sums, m.columns[column]);
  double mean = m.means[column], inverse = m.inverses[column];
  // All have read the state that the last of them writes.
  __syncthreads();
  for (Word p = from; p < to; ++p) {
    // With a half-life one thread has all rows.
    if (m.half_life_rows > 0 && p > 0 && p % m.half_life_rows == 0) halve(sums);
    float& value = values[(p - position) * rows.stride];
    if (m.include_current != 0) add_value(sums, value, COUNT_ONE);
    if (p < m.refresh_dense_rows || p % m.refresh_every_rows == 0) rates_of(sums, mean, inverse);
    if (m.include_current == 0) add_value(sums, value, COUNT_ONE);
    value = standardized(value, mean, inverse, static_cast<double>(m.clip));
  }
  if (from < to && to == end) {
    m.columns[column] = sums;
    m.means[column] = mean;
    m.inverses[column] = inverse;
  }
}
