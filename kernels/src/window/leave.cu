// The end of a batch, a warp for each key: one that has late entries is walked, call by call, each
// entry going to its own place in time before its row is read; then what no window can reach any
// more leaves.
//
// Chunks and rings are only given back in this launch.
#include "readings.cuh"
#include "stores.cuh"

// Moves entries `from..end` up by one, a tile at a time from the end.
NUMBERS void move_up(const KeyedTable& t, const KeyView& view, unsigned from, unsigned end,
                     unsigned lane) {
  for (unsigned left = end - from; left > 0;) {
    const unsigned count = left < WARP ? left : WARP;
    const unsigned seq = from + (left - count) + lane;
    const bool is_one = lane < count;
    unsigned* old_chunk = is_one ? chunk_at(view, seq) : nullptr;
    unsigned* chunk = is_one ? chunk_at(view, seq + 1) : nullptr;
    long long time_ms = 0;
    if (is_one) time_ms = *time_in(old_chunk, seq);
    __syncwarp();
    if (is_one) *time_in(chunk, seq + 1) = time_ms;
    for (unsigned value = 0; value < t.values; ++value) {
      float x = 0.0f;
      if (is_one) x = *value_in(old_chunk, value, seq);
      __syncwarp();
      if (is_one) *value_in(chunk, value, seq + 1) = x;
    }
    for (unsigned code = 0; code < t.codes; ++code) {
      Word held = 0;
      unsigned distance = 0;
      if (is_one) {
        held = *code_in(t, old_chunk, code, seq);
        distance = *distance_in(t, old_chunk, code, seq);
      }
      __syncwarp();
      if (is_one) {
        *code_in(t, chunk, code, seq + 1) = held;
        // The same code was last before the gap: it is one further away.
        const bool is_across = distance != NOTHING && distance > seq - from;
        *distance_in(t, chunk, code, seq + 1) = is_across ? distance + 1 : distance;
      }
    }
    __syncwarp();
    left -= count;
  }
}

// The first entry behind `at` with the same code has its like at `at` now.
NUMBERS void join_distances(const KeyedTable& t, const KeyView& view, unsigned at, unsigned end,
                            unsigned lane) {
  for (unsigned code = 0; code < t.codes; ++code) {
    const Word held = *code_in(t, chunk_at(view, at), code, at);
    for (unsigned tile = at + 1; tile != end;) {
      const unsigned count = end - tile < WARP ? end - tile : WARP;
      const bool is_same =
          lane < count && *code_in(t, chunk_at(view, tile + lane), code, tile + lane) == held;
      const unsigned who = __ballot_sync(ALL_LANES, is_same);
      if (who != 0) {
        const unsigned first = tile + static_cast<unsigned>(__popc((who & -who) - 1));
        if (lane == 0) *distance_in(t, chunk_at(view, first), code, first) = first - at;
        break;
      }
      tile += count;
    }
  }
}

// Enters a call at its own time, behind those of the same time; returns how many are before it.
NUMBERS unsigned enter_at_time(const KeyedTable& t, const KeyView& view, unsigned end,
                               unsigned source, ChunkRef* refs, unsigned lane) {
  const unsigned before = entries_until(view, time_of(t, source), end - view.first);
  const unsigned at = view.first + before;
  move_up(t, view, at, end, lane);
  for (unsigned seq = at + CHUNK - at % CHUNK + lane * CHUNK; seq - at <= end - at;
       seq += WARP * CHUNK)
    refs[(seq / CHUNK) & view.mask].first_ms = *time_in(chunk_at(view, seq), seq);
  if (lane == 0) {
    write_entry(t, view, at, source, refs);
    write_distances(t, view, at);
  }
  __syncwarp();
  join_distances(t, view, at, end + 1, lane);
  __syncwarp();
  add_up_chunks(t, view, at, end + 1, lane);
  __syncwarp();
  return before;
}

// What the walk of a key with late entries does; returns the end of its entries.
NUMBERS unsigned walk(const KeyedTable& t, const KeySegment& segment, KeyHead& head,
                      unsigned lane) {
  const KeyView view = view_of(t, head);
  ChunkRef* refs = refs_of(t, head, head.ring, head.bits & ~IS_LATE);
  unsigned end = head.end;
  for (unsigned i = segment.from; i < segment.to; ++i) {
    const unsigned source = t.sources[static_cast<unsigned>(t.sorted[i])];
    unsigned seen = end - view.first;
    if (enters(t, source)) {
      seen = enter_at_time(t, view, end, source, refs, lane);
      ++end;
    }
    if (is_row(source))
      for (unsigned window = lane; window < t.window_count; window += WARP)
        read_window(t, view, t.windows[window], source, seen);
    __syncwarp();
  }
  return end;
}

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
  if ((head.bits & IS_LATE) != 0) {
    const unsigned end = walk(t, segment, head, lane);
    if (lane == 0) {
      const KeyView view = view_of(t, head);
      head.bits &= ~IS_LATE;
      head.end = end;
      head.newest_ms = *time_in(chunk_at(view, end - 1), end - 1);
    }
    __syncwarp();
  }
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
