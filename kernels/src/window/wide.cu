// A batch of many calls brought in order, as arrange.cu does it, by many blocks a table: a block
// has a stretch of the calls. What the stretches before one come to (the newest time, how many
// calls have a digit, how many keys have begun) is written for each of them by one launch and read
// by the next: blocks of a launch meet only in buckets, in the counter of slots taken, and in
// counts, by integer atomics. Which slot a key gets depends on who came first, and shows in no
// result: calls of equal slots keep the order of the stream, whatever the slot is.
//
// 1. window_merge: rows and labels in one order; the newest row of each stretch.
// 2. window_accept: which calls are accepted; keys that enter get buckets and slots.
// 3. window_place: the slot of each call, and how often each digit of the first pass is there.
// 4. window_scatter, then for each later pass window_digits and window_scatter: a stable sort by 8
//    bits of the slots.
// 5. window_begins, window_segments: the calls of each key, and how the table stands.
#include "entries.cuh"
#include "calls.cuh"

// How a batch is cut: the same for all launches of it. A table has `blocks` of them, and those
// whose stretch begins behind its last call have nothing to do.
struct WideShape {
  unsigned blocks, stretch, pass;
};

// Of a block: a thread has a digit, or a stretch before its own.
constexpr unsigned WIDE_THREADS = 256;
static_assert(WIDE_THREADS == WIDE_DIGITS, "a thread has a digit");
// Calls of a tile that a thread has, and a warp.
constexpr unsigned THREAD_CALLS = 4, WARP_CALLS = WARP * THREAD_CALLS;
constexpr unsigned WIDE_TILE = WIDE_THREADS * THREAD_CALLS, WIDE_WARPS = WIDE_THREADS / WARP;

// What a block has of which table.
struct WidePart {
  const KeyedTable& t;
  unsigned calls, stretch;
  Stretch own;
  NUMBERS WidePart(const KeyedTable* tables, const WideShape& shape)
      : t(tables[blockIdx.x / shape.blocks]), calls(t.rows + t.labels),
        stretch(blockIdx.x % shape.blocks) {
    own.from = stretch * shape.stretch;
    own.to = own.from + shape.stretch < calls ? own.from + shape.stretch : calls;
  }
  NUMBERS bool is_empty() const { return own.from >= calls; }
  NUMBERS bool is_last() const { return own.to == calls; }
  // What the batch tells of the block's stretch.
  NUMBERS WideStretch& told() const { return t.stretches[stretch]; }
  // A thread's share of a tile.
  NUMBERS Stretch share_of(unsigned tile) const {
    const unsigned from = tile + threadIdx.x * THREAD_CALLS, to = from + THREAD_CALLS;
    return {from < own.to ? from : own.to, to < own.to ? to : own.to};
  }
};

// The row or the label that is call `at`: labels come before the row they name.
NUMBERS unsigned source_at(const KeyedTable& t, unsigned at) {
  // How many labels are before it.
  unsigned low = at < t.rows ? 0 : at - t.rows, high = at < t.labels ? at : t.labels;
  while (low < high) {
    const unsigned middle = low + (high - low) / 2, before = t.label_before_rows[middle];
    if (middle + (before < t.rows ? before : t.rows) < at)
      low = middle + 1;
    else
      high = middle;
  }
  const unsigned row = at - low;
  const bool is_label = low < t.labels && (row >= t.rows || t.label_before_rows[low] <= row);
  return is_label ? low | ENTERS_ONLY : row;
}

extern "C" __global__ void window_merge(const KeyedTable* tables, const WideShape shape) {
  __shared__ long long of_threads[WIDE_THREADS];
  const WidePart part(tables, shape);
  const KeyedTable& t = part.t;
  if (part.is_empty()) return;
  long long newest_ms = NEVER_MS;
  for (unsigned i = part.own.from + threadIdx.x; i < part.own.to; i += WIDE_THREADS) {
    t.sources[i] = source_at(t, i);
    newest_ms = Later()(newest_ms, newest_row(t, {i, i + 1}));
  }
  joined_before(newest_ms, NEVER_MS, of_threads, Later());
  if (threadIdx.x > 0) return;
  part.told().newest_ms = of_threads[WIDE_THREADS - 1];
  part.told().taken = 0;
}

extern "C" __global__ void window_accept(const KeyedTable* tables, const WideShape shape) {
  __shared__ long long of_threads[WIDE_THREADS];
  __shared__ Word counts[COUNTED];
  const WidePart part(tables, shape);
  const KeyedTable& t = part.t;
  if (part.is_empty()) return;
  const unsigned thread = threadIdx.x;
  if (thread < COUNTED) counts[thread] = 0;
  const bool is_before = thread < part.stretch;
  joined_before(is_before ? t.stretches[thread].newest_ms : NEVER_MS, NEVER_MS, of_threads,
                Later());
  long long watermark_ms = Later()(t.standing->watermark_ms, of_threads[WIDE_THREADS - 1]);
  __syncthreads();
  for (unsigned tile = part.own.from; tile < part.own.to; tile += WIDE_TILE) {
    const Stretch share = part.share_of(tile);
    const long long before_ms =
        joined_before(newest_row(t, share), NEVER_MS, of_threads, Later());
    accept_calls(t, share, Later()(watermark_ms, before_ms), counts);
    watermark_ms = Later()(watermark_ms, of_threads[WIDE_THREADS - 1]);
    for (unsigned i = share.from; i < share.to; ++i)
      enter_key(t, i, counts, &t.stretches[0].taken);
    __syncthreads();
  }
  if (thread == 0) part.told().watermark_ms = watermark_ms;
  if (thread < COUNTED && counts[thread] > 0 && !t.is_loading)
    atomicAdd(&t.standing->counts[thread], counts[thread]);
}

// Passes of the table's sort; those of arrange.cu have half as many bits.
NUMBERS unsigned passes_of(const KeyedTable& t) { return t.sort_passes / 2; }
// Where a pass reads: the last one writes `sorted`.
NUMBERS Word* sorted_before(const KeyedTable& t, unsigned pass) {
  return (passes_of(t) - pass) % 2 == 0 ? t.sorted : t.sorting;
}
NUMBERS unsigned digit_of(Word sorted, unsigned pass) {
  return static_cast<unsigned>(sorted >> (32 + 8 * pass)) & (WIDE_DIGITS - 1);
}

extern "C" __global__ void window_place(const KeyedTable* tables, const WideShape shape) {
  __shared__ unsigned digits[WIDE_DIGITS];
  const WidePart part(tables, shape);
  if (part.is_empty()) return;
  digits[threadIdx.x] = 0;
  __syncthreads();
  Word* to = sorted_before(part.t, 0);
  for (unsigned i = part.own.from + threadIdx.x; i < part.own.to; i += WIDE_THREADS) {
    const Word placed = placed_call(part.t, i);
    to[i] = placed;
    atomicAdd(&digits[digit_of(placed, 0)], 1u);
  }
  __syncthreads();
  part.told().digits[threadIdx.x] = digits[threadIdx.x];
}

extern "C" __global__ void window_digits(const KeyedTable* tables, const WideShape shape) {
  __shared__ unsigned digits[WIDE_DIGITS];
  const WidePart part(tables, shape);
  if (part.is_empty() || shape.pass >= passes_of(part.t)) return;
  digits[threadIdx.x] = 0;
  __syncthreads();
  const Word* from = sorted_before(part.t, shape.pass);
  for (unsigned i = part.own.from + threadIdx.x; i < part.own.to; i += WIDE_THREADS)
    atomicAdd(&digits[digit_of(from[i], shape.pass)], 1u);
  __syncthreads();
  part.told().digits[threadIdx.x] = digits[threadIdx.x];
}

// Where the first call of the block goes that has the thread's digit.
NUMBERS unsigned first_of_digit(const WidePart& part, unsigned stretches, unsigned* of_threads) {
  unsigned before = 0, all = 0;
  for (unsigned stretch = 0; stretch < stretches; ++stretch) {
    const unsigned count = part.t.stretches[stretch].digits[threadIdx.x];
    before += stretch < part.stretch ? count : 0;
    all += count;
  }
  return before + joined_before(all, 0u, of_threads, Plus());
}

// The calls of a tile that a lane has, and where they go.
struct Scattered {
  Word calls[THREAD_CALLS];
  unsigned ranks[THREAD_CALLS];
};

// Counts the digits of a warp's calls, and how many of the warp's with the same digit come before
// each of them.
NUMBERS void rank_in_warp(Scattered& own, const Word* from, Stretch calls, unsigned pass,
                          unsigned* counters) {
  const unsigned lane = threadIdx.x % WARP;
#pragma unroll
  for (unsigned round = 0; round < THREAD_CALLS; ++round) {
    const unsigned at = calls.from + round * WARP + lane;
    if (at - lane >= calls.to) break;
    const bool is_one = at < calls.to;
    own.calls[round] = is_one ? from[at] : 0;
    const unsigned digit = is_one ? digit_of(own.calls[round], pass) : WIDE_DIGITS;
    const unsigned peers = __match_any_sync(ALL_LANES, digit);
    const unsigned earlier = static_cast<unsigned>(__popc(peers & ((1u << lane) - 1)));
    if (is_one) own.ranks[round] = counters[digit] + earlier;
    __syncwarp();
    if (is_one && earlier == 0) counters[digit] += static_cast<unsigned>(__popc(peers));
    __syncwarp();
  }
}

NUMBERS void write_ranked(const Scattered& own, Word* to, Stretch calls, unsigned pass,
                          const unsigned* firsts) {
#pragma unroll
  for (unsigned round = 0; round < THREAD_CALLS; ++round) {
    const unsigned at = calls.from + round * WARP + threadIdx.x % WARP;
    if (at < calls.to)
      to[firsts[digit_of(own.calls[round], pass)] + own.ranks[round]] = own.calls[round];
  }
}

extern "C" __global__ void window_scatter(const KeyedTable* tables, const WideShape shape) {
  __shared__ unsigned of_threads[WIDE_THREADS];
  __shared__ unsigned counters[WIDE_WARPS * WIDE_DIGITS];
  const WidePart part(tables, shape);
  const unsigned pass = shape.pass, thread = threadIdx.x;
  if (part.is_empty() || pass >= passes_of(part.t)) return;
  const Word* from = sorted_before(part.t, pass);
  Word* to = sorted_before(part.t, pass + 1);
  const unsigned stretches = (part.calls + shape.stretch - 1) / shape.stretch;
  unsigned first = first_of_digit(part, stretches, of_threads);
  unsigned* own_counters = counters + thread / WARP * WIDE_DIGITS;
  for (unsigned tile = part.own.from; tile < part.own.to; tile += WIDE_TILE) {
    for (unsigned warp = 0; warp < WIDE_WARPS; ++warp) counters[warp * WIDE_DIGITS + thread] = 0;
    __syncthreads();
    const Stretch calls = {tile + thread / WARP * WARP_CALLS, part.own.to};
    Scattered own = {};
    rank_in_warp(own, from, calls, pass, own_counters);
    __syncthreads();
    // Those of a digit lie by warp.
    for (unsigned warp = 0; warp < WIDE_WARPS; ++warp) {
      const unsigned count = counters[warp * WIDE_DIGITS + thread];
      counters[warp * WIDE_DIGITS + thread] = first;
      first += count;
    }
    __syncthreads();
    write_ranked(own, to, calls, pass, own_counters);
    __syncthreads();
  }
}

extern "C" __global__ void window_begins(const KeyedTable* tables, const WideShape shape) {
  __shared__ unsigned begun;
  const WidePart part(tables, shape);
  if (part.is_empty()) return;
  if (threadIdx.x == 0) begun = 0;
  __syncthreads();
  unsigned own = 0;
  for (unsigned i = part.own.from + threadIdx.x; i < part.own.to; i += WIDE_THREADS)
    own += keys_begun(part.t, {i, i + 1});
  if (own > 0) atomicAdd(&begun, own);
  __syncthreads();
  if (threadIdx.x == 0) part.told().begun = begun;
}

extern "C" __global__ void window_segments(const KeyedTable* tables, const WideShape shape) {
  __shared__ unsigned of_threads[WIDE_THREADS];
  const WidePart part(tables, shape);
  const KeyedTable& t = part.t;
  const unsigned thread = threadIdx.x;
  // A table may have no calls where others have some.
  if (part.calls == 0 && part.stretch == 0 && thread == 0) t.standing->segments = 0;
  if (part.is_empty()) return;
  const bool is_before = thread < part.stretch;
  joined_before(is_before ? t.stretches[thread].begun : 0u, 0u, of_threads, Plus());
  unsigned begun = of_threads[WIDE_THREADS - 1];
  __syncthreads();
  for (unsigned tile = part.own.from; tile < part.own.to; tile += WIDE_TILE) {
    const Stretch share = part.share_of(tile);
    const unsigned before = joined_before(keys_begun(t, share), 0u, of_threads, Plus());
    write_segments(t, share, begun + before);
    begun += of_threads[WIDE_THREADS - 1];
    __syncthreads();
  }
  if (part.is_last() && thread == 0)
    write_standing(t, part.told().watermark_ms, t.stretches[0].taken, begun);
}
