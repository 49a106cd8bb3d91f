// What a batch brings to each key enters: a warp for each. Room is made, and the entries are
// written and added up: at once where they are in order, else run by run (runs.cuh).
//
// Chunks and rings are only taken in this launch.
#include "runs.cuh"
#include "stores.cuh"

// Ranks the calls of a key that enter, says how many entries each call finds there, and whether one
// is out of order.
NUMBERS bool rank_calls(const KeyedTable& t, KeySegment& segment, const KeyHead& head,
                        unsigned lane) {
  long long newest_ms = head.newest_ms, watermark_ms = static_cast<long long>(1ull << 63);
  const unsigned held = head.end - head.first;
  unsigned entered = 0, is_late = 0;
  for (unsigned tile = segment.from; tile < segment.to; tile += WARP) {
    const unsigned at = tile + lane;
    const unsigned call = at < segment.to ? static_cast<unsigned>(t.sorted[at]) : 0;
    const unsigned source = at < segment.to ? t.sources[call] : 0;
    const bool is_in = at < segment.to && enters(t, source);
    const unsigned who = __ballot_sync(ALL_LANES, is_in);
    if (at < segment.to)
      t.visible[at] = held + entered + __popc(who & ((1u << lane) - 1));
    // The newest of those up to each lane.
    const long long own_ms = is_in ? time_of(t, source) : newest_ms;
    long long until_ms = own_ms;
    for (unsigned by = 1; by < WARP; by *= 2) {
      const long long earlier_ms = __shfl_up_sync(ALL_LANES, until_ms, by);
      if (lane >= by && earlier_ms > until_ms) until_ms = earlier_ms;
    }
    is_late |= is_in && (own_ms < until_ms || own_ms < newest_ms) ? 1 : 0;
    const long long latest_ms = __shfl_sync(ALL_LANES, until_ms, WARP - 1);
    newest_ms = latest_ms > newest_ms ? latest_ms : newest_ms;
    if (who != 0) {
      const int last = 63 - __clzll(static_cast<long long>(who));
      const long long own = is_in ? t.watermarks_ms[call] : 0;
      watermark_ms = __shfl_sync(ALL_LANES, own, last);
    }
    entered += __popc(who);
  }
  if (lane == 0) {
    segment.entered = entered;
    segment.old_bits = 0;
    segment.horizon_ms = t.is_loading ? static_cast<long long>(1ull << 63)
                                      : horizon_ms(t, watermark_ms);
  }
  return __any_sync(ALL_LANES, static_cast<int>(is_late)) != 0;
}

// Room for as many more entries: a ring that is long enough, and chunks. False where there is none.
NUMBERS bool make_room(const KeyedTable& t, KeySegment& segment, KeyHead& head, unsigned entered,
                       unsigned lane) {
  const unsigned skipped = head.first % CHUNK, first = head.first / CHUNK;
  const unsigned held = (skipped + (head.end - head.first) + CHUNK - 1) / CHUNK;
  const unsigned needed = (skipped + (head.end - head.first) + entered + CHUNK - 1) / CHUNK;
  unsigned ring = head.ring, bits = head.bits;
  if (needed > (1u << bits)) {
    while (needed > (1u << bits)) ++bits;
    if (lane == 0) ring = bits <= 1 ? 0 : take_ring(t, bits);
    ring = __shfl_sync(ALL_LANES, ring, 0);
    if (ring == NOTHING) return false;
    const unsigned old_mask = (1u << head.bits) - 1, mask = (1u << bits) - 1;
    const ChunkRef* from = refs_of(t, head, head.ring, head.bits);
    ChunkRef* to = refs_of(t, head, ring, bits);
    // From one reference of the head's own to two of them the places may change.
    ChunkRef kept = {};
    for (unsigned tile = 0; tile < held; tile += WARP) {
      const bool is_one = tile + lane < held;
      if (is_one) kept = from[(first + tile + lane) & old_mask];
      __syncwarp();
      if (is_one) to[(first + tile + lane) & mask] = kept;
    }
    __syncwarp();
    if (lane == 0) {
      segment.old_ring = head.ring;
      segment.old_bits = head.bits;
      head.ring = ring;
      head.bits = bits;
    }
    __syncwarp();
  }
  ChunkRef* refs = refs_of(t, head, ring, bits);
  for (unsigned i = held + lane; i < needed; i += WARP) {
    ChunkRef& ref = refs[(first + i) & ((1u << bits) - 1)];
    ref.chunk = take_chunk(t);
    ref.level = level_of((first + i) * CHUNK);
  }
  __syncwarp();
  return true;
}

extern "C" __global__ void window_enter(const KeyedTable* tables, unsigned blocks_of_table) {
  const KeyedTable& t = tables[blockIdx.x / blocks_of_table];
  const unsigned lane = threadIdx.x % WARP;
  const unsigned at =
      (blockIdx.x % blocks_of_table) * (blockDim.x / WARP) + threadIdx.x / WARP;
  if (at >= t.standing->segments) return;
  KeySegment& segment = t.segments[at];
  KeyHead& head = t.heads[static_cast<unsigned>(t.sorted[segment.from] >> 32)];
  const bool is_late = rank_calls(t, segment, head, lane);
  __syncwarp();
  if (segment.entered == 0 || !make_room(t, segment, head, segment.entered, lane)) return;
  Run run = {segment.from, segment.to, segment.entered, false, head.newest_ms};
  if (is_late) look_ahead(t, segment, head.end - head.first, lane);
  unsigned count = head.end - head.first;
  while (run.from != segment.to) {
    __syncwarp();
    // Little is kept over what is read at the end of a run.
    const KeyView view = view_of(t, head);
    ChunkRef* refs = refs_of(t, head, head.ring, head.bits);
    const unsigned held = head.end - head.first;
    const Word* times_ms = t.sorting + segment.from + (count - held);
    if (is_late) run = find_run(t, segment, run.from, held, run.newest_ms, lane);
    if (run.is_late) place_run(t, view, run, count, lane);
    __syncwarp();
    enter_run(t, view, segment, run, view.first + count, times_ms, refs, lane);
    count += run.entered;
    const long long least_ms = is_late ? least_from(t, segment, run.to) : AT_LAST_MS;
    if (least_ms != AT_LAST_MS) {
      const unsigned overtaken = list_overtaken(t, run, least_ms, lane);
      __syncwarp();
      read_overtaken(t, head, run.from, overtaken, lane);
    }
    run.from = run.to;
  }
  if (lane == 0) {
    const KeyView view = view_of(t, head);
    const unsigned end = view.first + count;
    head.end = end;
    head.newest_ms = *time_in(chunk_at(view, end - 1), end - 1);
  }
}
