// What a chunk knows as a node: the extremes of a stretch of chunks that ends with it, and whether
// all codes there were seen shortly before, so that a window is read in steps that grow with the
// logarithm of its length.
//
// A chunk of level L is the node of the 2^L - 1 chunks that end with it. Levels are those of skew
// binary numbers (E. W. Myers, An applicative random-access stack, Information Processing Letters
// 17, 1983): the number i of a chunk, counted from one, is written as a sum of terms 2^L - 1, the
// greatest that fits first; the last term says the level. A chunk above level 1 joins with its own
// entries two nodes of the level below: that of chunk i - 1, and the one before it, i - 2^(L-1).
// Whoever goes back through a stretch takes a node where all of it lies within the stretch, else
// the entries of its chunk alone: of any 2^14 chunks that is 26 steps on average, 44 at most.
//
// A node looks back only, and knows nothing of where its key begins: one that reaches to entries
// that have left is never within a window, and is joined without what is not held any more. Chunks
// are numbered modulo 2^29, as entries are modulo 2^32; no node reaches across number 0, and steps
// are counted in chunks that are left, so that nothing else has to know.
#pragma once
#include "table.cuh"

constexpr unsigned WARP = 32;
constexpr unsigned ALL_LANES = 0xffffffffu;
constexpr unsigned CHUNK_NUMBERS = 1u << 29;

// The level of the chunk that has entry `seq`.
NUMBERS unsigned level_of(unsigned seq) {
  unsigned i = seq / CHUNK % CHUNK_NUMBERS + 1;
  for (;;) {
    const unsigned level = 63 - __clzll(static_cast<long long>(i + 1));
    const unsigned width = (1u << level) - 1;
    if (i == width) return level;
    i -= width;
  }
}

// Chunks that the node of the chunk with entry `seq` stands for.
NUMBERS unsigned width_at(const KeyView& view, unsigned seq) {
  return (1u << view.refs[(seq / CHUNK) & view.mask].level) - 1;
}

struct Extremes {
  float low, high;
};

NUMBERS Extremes no_extremes() {
  const float infinity = __uint_as_float(0x7f800000u);
  return {infinity, -infinity};
}

// NaN is no value.
NUMBERS void join_value(Extremes& to, float x) {
  to.low = x < to.low ? x : to.low;
  to.high = x > to.high ? x : to.high;
}

NUMBERS void join_extremes(Extremes& to, const Extremes& from) {
  to.low = from.low < to.low ? from.low : to.low;
  to.high = from.high > to.high ? from.high : to.high;
}

// The extremes of the first `count` entries of a chunk.
NUMBERS Extremes extremes_of_chunk(unsigned* chunk, unsigned value, unsigned count) {
  Extremes extremes = no_extremes();
  for (unsigned i = 0; i < count; ++i) join_value(extremes, *value_in(chunk, value, i));
  return extremes;
}

// From the end of a chunk back to the earliest like of one of its first `count` entries; NOTHING
// where one has none.
NUMBERS unsigned farthest_of_chunk(const KeyedTable& t, unsigned* chunk, unsigned code,
                                   unsigned count) {
  unsigned farthest = 0;
  for (unsigned i = 0; i < count; ++i) {
    const unsigned distance = *distance_in(t, chunk, code, i);
    const unsigned from_end = distance == NOTHING ? NOTHING : distance + (CHUNK - i);
    farthest = from_end > farthest ? from_end : farthest;
  }
  return farthest;
}

// What a chunk knows of its own entries.
NUMBERS void begin_node(const KeyedTable& t, unsigned* chunk, unsigned count) {
  for (unsigned value = 0; t.has_extremes && value < t.values; ++value) {
    const Extremes own = extremes_of_chunk(chunk, value, count);
    ChunkTotals& totals = *totals_in(t, chunk, value);
    totals.low = own.low;
    totals.high = own.high;
  }
  for (unsigned code = 0; t.has_distincts && code < t.codes; ++code)
    *farthest_in(t, chunk, code) = farthest_of_chunk(t, chunk, code, count);
}

// Joins to the chunk of entry `seq` the node `back` chunks before it, of which `held` are there.
NUMBERS void join_node(const KeyedTable& t, const KeyView& view, unsigned seq, unsigned back,
                       unsigned held) {
  if (back > held) return;
  unsigned* chunk = chunk_at(view, seq);
  unsigned* from = chunk_at(view, seq - back * CHUNK);
  for (unsigned value = 0; t.has_extremes && value < t.values; ++value) {
    ChunkTotals& totals = *totals_in(t, chunk, value);
    const ChunkTotals& other = *totals_in(t, from, value);
    Extremes joined = {totals.low, totals.high};
    join_extremes(joined, {other.low, other.high});
    totals.low = joined.low;
    totals.high = joined.high;
  }
  for (unsigned code = 0; t.has_distincts && code < t.codes; ++code) {
    // More than can be counted is as good as no like at all.
    const unsigned farthest = *farthest_in(t, from, code), further = farthest + back * CHUNK;
    const unsigned from_end = further < farthest ? NOTHING : further;
    unsigned& to = *farthest_in(t, chunk, code);
    to = from_end > to ? from_end : to;
  }
}

// The nodes of all chunks from that of entry `begin`, its first, on, by all lanes: values and
// distances up to `end` are written, and nodes before are right.
NUMBERS void build_nodes(const KeyedTable& t, const KeyView& view, unsigned begin, unsigned end,
                         unsigned lane) {
  if (!t.has_extremes && !t.has_distincts) return;
  const unsigned chunks = (end - begin + CHUNK - 1) / CHUNK;
  const unsigned held = (begin - view.first + view.first % CHUNK) / CHUNK;
  for (unsigned tile = 0; tile < chunks; tile += WARP) {
    const unsigned at = tile + lane, seq = begin + at * CHUNK;
    const bool is_one = at < chunks;
    unsigned* chunk = is_one ? chunk_at(view, seq) : nullptr;
    unsigned level = 0;
    if (is_one) {
      level = view.refs[(seq / CHUNK) & view.mask].level;
      begin_node(t, chunk, end - seq < CHUNK ? end - seq : CHUNK);
    }
    // Level by level: those below are whole.
    for (unsigned joined = 2; __any_sync(ALL_LANES, level >= joined ? 1 : 0) != 0; ++joined) {
      __syncwarp();
      if (level != joined) continue;
      join_node(t, view, seq, 1, held + at);
      join_node(t, view, seq, 1u << (joined - 1), held + at);
    }
    __syncwarp();
  }
}
