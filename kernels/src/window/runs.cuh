// Keys of a batch that have late entries, by runs: stretches of calls that enter in the order of
// their times. The entries of a run are merged into the key's at once, so that work grows with the
// runs of a key and the entries behind them, not with its calls.
//
// A run may begin before the key's newest entry: it is late then. Where rows ask without entering
// (tables over labels) they stand in runs too. What a row sees has to be the first so many entries
// of the merged order, so far as they can be in a window of its time:
//
// - A row that enters sees what is before its own place when its run is merged: entries of its time
//   and earlier that were there, and those of the run that came before, whose times are not later.
//   What came later in the run has no earlier time and stands behind it.
// - A row that asks in a run that is not late sees what was there and the run's entries before it:
//   the run stands behind all that was there, in the order in which it came.
// - A row that asks in a late run sees too little of what is as old as the row if entries of the
//   run that come later go among that; so it ends the run, unless all that comes later in the batch
//   is newer than the row. Then what is as old as the row is whole and in front, and it does not
//   matter how far beyond it is counted.
//
// What a row sees stays the first so many entries unless something goes among them: an entry of a
// later run with an earlier time than a row that enters, or not with a later one than a row that
// asks. Such rows are overtaken and read when their run is merged. All others wait for
// `window_read`.
#pragma once
#include "readings.cuh"

constexpr long long AT_LAST_MS = 0x7fffffffffffffffll;

// Calls `from..to` of a key, which bring so many entries.
struct Run {
  unsigned from, to, entered;
  bool is_late;
  long long newest_ms;  // of the key, behind it
};

// Writes what runs are found and merged by: the least time of what enters from each call of a key
// on, in place of the call's watermark, which is not needed any more; and the times of what enters,
// one behind the other, where the sort had room for the key's calls.
NUMBERS void look_ahead(const KeyedTable& t, const KeySegment& segment, unsigned held,
                        unsigned lane) {
  long long least_ms = AT_LAST_MS;
  for (unsigned left = segment.to - segment.from; left > 0;) {
    const unsigned count = left < WARP ? left : WARP;
    const unsigned at = segment.from + (left - count) + lane;
    const bool is_one = lane < count;
    const unsigned call = is_one ? static_cast<unsigned>(t.sorted[at]) : 0;
    const unsigned source = is_one ? t.sources[call] : 0;
    const bool is_in = is_one && enters(t, source);
    const long long own_ms = is_in ? time_of(t, source) : AT_LAST_MS;
    long long from_ms = own_ms < least_ms ? own_ms : least_ms;
    for (unsigned by = 1; by < WARP; by *= 2) {
      const long long later_ms = __shfl_down_sync(ALL_LANES, from_ms, by);
      if (lane + by < WARP && later_ms < from_ms) from_ms = later_ms;
    }
    if (is_one) t.watermarks_ms[call] = from_ms;
    if (is_in) t.sorting[segment.from + (t.visible[at] - held)] = static_cast<Word>(own_ms);
    least_ms = __shfl_sync(ALL_LANES, from_ms, 0);
    left -= count;
  }
}

// The least time of what enters from call `at` of a key on.
NUMBERS long long least_from(const KeyedTable& t, const KeySegment& segment, unsigned at) {
  return at < segment.to ? t.watermarks_ms[static_cast<unsigned>(t.sorted[at])] : AT_LAST_MS;
}

// The run that begins with call `from`, where the key's newest entry has that time.
NUMBERS Run find_run(const KeyedTable& t, const KeySegment& segment, unsigned from, unsigned held,
                     long long newest_ms, unsigned lane) {
  const unsigned first = t.sources[static_cast<unsigned>(t.sorted[from])];
  const bool is_late = enters(t, first) && time_of(t, first) < newest_ms;
  // The newest time that the next entry must not be before.
  long long until_ms = is_late ? time_of(t, first) : newest_ms;
  unsigned to = segment.to;
  for (unsigned tile = from; tile < segment.to; tile += WARP) {
    const unsigned at = tile + lane;
    const bool is_one = at < segment.to;
    const unsigned call = is_one ? static_cast<unsigned>(t.sorted[at]) : 0;
    const unsigned source = is_one ? t.sources[call] : 0;
    const bool is_in = is_one && enters(t, source);
    const long long own_ms = is_one ? time_of(t, source) : 0;
    long long newest_of_tile_ms = is_in && own_ms > until_ms ? own_ms : until_ms;
    for (unsigned by = 1; by < WARP; by *= 2) {
      const long long earlier_ms = __shfl_up_sync(ALL_LANES, newest_of_tile_ms, by);
      if (lane >= by && earlier_ms > newest_of_tile_ms) newest_of_tile_ms = earlier_ms;
    }
    // Up to the first call that ends the run, the newest entry is the last.
    const bool is_cut = is_in ? own_ms < newest_of_tile_ms
                              : is_one && is_late && t.watermarks_ms[call] <= own_ms;
    const unsigned who = __ballot_sync(ALL_LANES, is_cut ? 1 : 0);
    const unsigned within = who == 0 ? WARP : lowest_of(who);
    if (within > 0) until_ms = __shfl_sync(ALL_LANES, newest_of_tile_ms, within - 1);
    if (who == 0) continue;
    to = tile + within;
    break;
  }
  const unsigned end = to < segment.to ? t.visible[to] : held + segment.entered;
  return {from, to, end - t.visible[from], is_late, until_ms > newest_ms ? until_ms : newest_ms};
}

// How many of a run's entries, which have these times, are earlier.
NUMBERS unsigned earlier_in(const Word* times_ms, unsigned count, long long time_ms) {
  unsigned low = 0, high = count;
  while (low < high) {
    const unsigned middle = low + (high - low) / 2;
    if (static_cast<long long>(times_ms[middle]) < time_ms)
      low = middle + 1;
    else
      high = middle;
  }
  return low;
}

// The places of a late run's entries: behind those that were there and have their time.
NUMBERS void place_run(const KeyedTable& t, const KeyView& view, const Run& run, unsigned count,
                       unsigned lane) {
  // All lanes have found the run by what is overwritten here.
  __syncwarp();
  for (unsigned at = run.from + lane; at < run.to; at += WARP) {
    const unsigned source = t.sources[static_cast<unsigned>(t.sorted[at])];
    if (enters(t, source)) t.visible[at] += entries_until(view, time_of(t, source), count) - count;
  }
}

// Makes room for a run's entries, which have these times, among entries `from..end`: each moves up
// by those that are earlier, a tile at a time from the end. Nothing that is still to be moved is
// written over, for each goes up. Distances and totals are made anew.
NUMBERS void move_apart(const KeyedTable& t, const KeyView& view, const Word* times_ms,
                        unsigned entered, unsigned from, unsigned end, ChunkRef* refs,
                        unsigned lane) {
  for (unsigned left = end - from; left > 0;) {
    const unsigned count = left < WARP ? left : WARP;
    const unsigned seq = from + (left - count) + lane;
    const bool is_one = lane < count;
    unsigned* old_chunk = is_one ? chunk_at(view, seq) : nullptr;
    const long long time_ms = is_one ? *time_in(old_chunk, seq) : 0;
    const unsigned to = seq + (is_one ? earlier_in(times_ms, entered, time_ms) : 0);
    unsigned* chunk = is_one ? chunk_at(view, to) : nullptr;
    __syncwarp();
    if (is_one) *time_in(chunk, to) = time_ms;
    if (is_one && to % CHUNK == 0) refs[(to / CHUNK) & view.mask].first_ms = time_ms;
    for (unsigned value = 0; value < t.values; ++value) {
      const float x = is_one ? *value_in(old_chunk, value, seq) : 0.0f;
      __syncwarp();
      if (is_one) *value_in(chunk, value, to) = x;
    }
    for (unsigned code = 0; code < t.codes; ++code) {
      const Word held = is_one ? *code_in(t, old_chunk, code, seq) : 0;
      __syncwarp();
      if (is_one) *code_in(t, chunk, code, to) = held;
    }
    left -= count;
  }
}

// Enters a run whose entries have their places, behind entry `end` or, where it is late, among
// those before.
NUMBERS void enter_run(const KeyedTable& t, const KeyView& view, const KeySegment& segment,
                       const Run& run, unsigned end, const Word* times_ms, ChunkRef* refs,
                       unsigned lane) {
  const unsigned from = run.is_late ? view.first + t.visible[run.from] : end;
  // What moves and what is written behind it have different places, and were read before.
  if (run.is_late) move_apart(t, view, times_ms, run.entered, from, end, refs, lane);
  for (unsigned at = run.from + lane; at < run.to; at += WARP) {
    const unsigned source = t.sources[static_cast<unsigned>(t.sorted[at])];
    if (enters(t, source)) write_entry(t, view, view.first + t.visible[at], source, refs);
  }
  __syncwarp();
  write_distances_of(t, view, segment, from, end + run.entered, lane);
  __syncwarp();
  add_up_chunks(t, view, from, end + run.entered, lane);
  __syncwarp();
}

// Lists which rows of a run are overtaken, where what comes behind the run is no earlier than
// `least_ms`, in the places of the run's calls, which are not needed any more; how many there are.
NUMBERS unsigned list_overtaken(const KeyedTable& t, const Run& run, long long least_ms,
                                unsigned lane) {
  unsigned count = 0;
  for (unsigned tile = run.from; tile < run.to; tile += WARP) {
    const unsigned at = tile + lane;
    const unsigned source =
        at < run.to ? t.sources[static_cast<unsigned>(t.sorted[at])] : ENTERS_ONLY;
    bool is_overtaken = is_row(source);
    if (is_overtaken) {
      const long long time_ms = t.times_ms[source];
      is_overtaken = least_ms < time_ms || (least_ms == time_ms && !enters(t, source));
    }
    const unsigned who = __ballot_sync(ALL_LANES, is_overtaken ? 1 : 0);
    if (is_overtaken) t.places[run.from + count + __popc(who & ((1u << lane) - 1))] = at;
    count += __popc(who);
  }
  return count;
}

// Reads so many rows of a run, as listed: lanes have rows side by side, and one window.
NUMBERS void read_overtaken(const KeyedTable& t, KeyHead& head, unsigned from, unsigned count,
                            unsigned lane) {
  for (unsigned left = count * t.window_count; left > 0;) {
    const unsigned of_tile = left < WARP ? left : WARP, pair = left - 1 - lane;
    if (lane < of_tile) {
      const unsigned at = t.places[from + pair % count];
      const unsigned source = t.sources[static_cast<unsigned>(t.sorted[at])];
      read_window(t, view_of(t, head), t.windows[pair / count], source, t.visible[at]);
    }
    left -= of_tile;
  }
  __syncwarp();
  for (unsigned i = lane; i < count; i += WARP) t.visible[t.places[from + i]] = NOTHING;
}
