// The end of a batch, a warp for each key: what no window can reach any more leaves.
//
// Chunks and rings are only given back in this launch.
#include "entries.cuh"
#include "stores.cuh"

extern "C" __global__ void window_leave(const KeyedTable* tables, unsigned blocks_of_table) {
  const KeyedTable& t = tables[blockIdx.x / blocks_of_table];
  const unsigned lane = threadIdx.x % WARP;
  const unsigned at =
      (blockIdx.x % blocks_of_table) * (blockDim.x / WARP) + threadIdx.x / WARP;
  if (t.standing->failures != 0 || at >= t.standing->segments) return;
  const KeySegment& segment = t.segments[at];
  const unsigned slot = static_cast<unsigned>(t.sorted[segment.from] >> 32);
  if (lane == 0) t.used[slot] = t.batch;
  if (segment.entered == 0) return;
  KeyHead& head = t.heads[slot];
  const KeyView view = view_of(t, head);
  const unsigned count = head.end - head.first;
  const unsigned gone = entries_until(view, segment.horizon_ms, count);
  const unsigned chunks = (head.first % CHUNK + gone) / CHUNK;
  // A chunk that is given back is written to.
  __syncwarp();
  for (unsigned i = lane; i < chunks; i += WARP)
    give_chunk(t, view.refs[(head.first / CHUNK + i) & view.mask].chunk);
  __syncwarp();
  if (lane != 0) return;
  head.first += gone;
  if (segment.old_bits > 1) give_ring(t, segment.old_ring, segment.old_bits);
  atomicAdd(&t.standing->entries, static_cast<Word>(segment.entered) - gone);
}
