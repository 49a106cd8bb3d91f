// The records of a block: read together in pieces of 16 bytes, so that the loads of neighbouring
// threads are one, and then by a thread or a warp each.
#pragma once
#include "value.cuh"

namespace decode {
struct Records {
  const Byte* bytes;     // readable up to the next multiple of 16
  const unsigned* ends;  // [rows], never decreasing
  unsigned rows, stage_bytes;
};

struct __align__(16) Piece {
  Word low, high;
};

// The records of this block, in shared memory where they fit there. All threads of the block come
// here; blocks have nothing in common.
struct Stage {
  const Byte* bytes;
  unsigned from;

  // A block has `rows` of them.
  NUMBERS Stage(const Records& records, unsigned rows, Piece* pieces) {
    const unsigned first = blockIdx.x * rows, rest = records.rows - first;
    const unsigned last = first + (rest < rows ? rest : rows) - 1;
    bytes = records.bytes;
    from = 0;
    const unsigned start = first == 0 ? 0 : records.ends[first - 1] & ~15u;
    const unsigned length = records.ends[last] - start;
    // The same for all threads, as the barrier asks.
    if (length > records.stage_bytes) return;
    const Piece* source = reinterpret_cast<const Piece*>(records.bytes + start);
    const unsigned count = length / 16 + (length % 16 != 0 ? 1 : 0);
    for (unsigned i = threadIdx.x; i < count; i += blockDim.x) pieces[i] = source[i];
    __syncthreads();
    bytes = reinterpret_cast<const Byte*>(pieces);
    from = start;
  }

  NUMBERS Text record(const Records& records, unsigned row) const {
    const unsigned start = row == 0 ? 0 : records.ends[row - 1];
    return {bytes + (start - from), records.ends[row] - start};
  }
};
}  // namespace decode
