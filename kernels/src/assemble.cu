// Features of rows from their columns: the twin of assemble.rs. A thread makes a dense feature of
// one row, or a sparse one of four, so that what lies together in a row is written together.
#include "assemble/columns.cuh"

extern "C" __global__ void assemble_dense(const Assembly a, const Columns columns, float* out) {
  const unsigned long long at =
      static_cast<unsigned long long>(blockIdx.x) * blockDim.x + threadIdx.x;
  if (at >= static_cast<unsigned long long>(columns.rows) * a.dense_width) return;
  const unsigned row = static_cast<unsigned>(at / a.dense_width);
  out[at] = dense_value(a, columns, a.dense[at % a.dense_width], row);
}

// Rows that a thread makes one sparse feature of.
constexpr unsigned QUAD = 4;

// Four rows a thread: there are a quarter of the threads, and codes are read 16 bytes at once where
// all four rows are there and the columns begin at multiples of 16 bytes. The sparse width times
// the fours of rows is below 2^32.
extern "C" __global__ void assemble_sparse(const Assembly a, const Columns columns, unsigned* out) {
  const unsigned at = blockIdx.x * blockDim.x + threadIdx.x;
  const unsigned first = at / a.sparse_width * QUAD, feature = at % a.sparse_width;
  if (first >= columns.rows) return;
  const unsigned rows = columns.rows - first < QUAD ? columns.rows - first : QUAD;
  const SparseColumn from = a.sparse[feature];
  unsigned long long codes[QUAD] = {};
  if (from.kind == CODES && rows == QUAD && columns.stride % 2 == 0) {
    const ulonglong2* pairs = reinterpret_cast<const ulonglong2*>(
        columns.categories + static_cast<unsigned long long>(from.column) * columns.stride + first);
    const ulonglong2 one = pairs[0], two = pairs[1];
    codes[0] = one.x;
    codes[1] = one.y;
    codes[2] = two.x;
    codes[3] = two.y;
  } else {
#pragma unroll
    for (unsigned i = 0; i < QUAD; ++i)
      if (i < rows) codes[i] = sparse_code(a, columns, from, first + i);
  }
  unsigned* to = out + static_cast<unsigned long long>(first) * a.sparse_width + feature;
#pragma unroll
  for (unsigned i = 0; i < QUAD; ++i)
    if (i < rows) to[i * a.sparse_width] = hash_bucket(codes[i], from.salt, a.hash_bits);
}
