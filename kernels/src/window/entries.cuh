// What a warp does with the entries of one key: write them, add them up, make room among them.
#pragma once
#include "distances.cuh"
#include "nodes.cuh"

// What some values add up to; sums wrap.
struct ValueSums {
  Word count, sum[2], squares[4];
};

NUMBERS void add_up(ValueSums& to, const ValueSums& from) {
  to.count += from.count;
  add_words<2>(to.sum, from.sum);
  add_words<4>(to.squares, from.squares);
}

NUMBERS void add_admitted(ValueSums& to, float value, bool with_squares) {
  if (value != value) return;
  Word size[2];
  quantize_size(value, size);
  if (with_squares) {
    Word square[4];
    square_words(size, square);
    add_words<4>(to.squares, square);
  }
  negate_if(value < 0.0f, size);
  to.count += 1;
  add_words<2>(to.sum, size);
}

NUMBERS ValueSums sums_in(const KeyedTable& t, const ChunkTotals& totals) {
  ValueSums sums = {totals.count, {totals.sum[0], totals.sum[1]}, {}};
  if (t.has_squares)
    for (unsigned i = 0; i < 4; ++i) sums.squares[i] = totals.squares[i];
  return sums;
}

NUMBERS Word shuffled_up(Word value, unsigned by) { return __shfl_up_sync(ALL_LANES, value, by); }
NUMBERS Word shuffled(Word value, unsigned lane) { return __shfl_sync(ALL_LANES, value, lane); }

// The sums of the lanes up to each one, by all lanes.
NUMBERS ValueSums joined_until(ValueSums own, bool with_squares, unsigned lane) {
  for (unsigned by = 1; by < WARP; by *= 2) {
    ValueSums earlier = {};
    earlier.count = shuffled_up(own.count, by);
    for (unsigned i = 0; i < 2; ++i) earlier.sum[i] = shuffled_up(own.sum[i], by);
    if (with_squares)
      for (unsigned i = 0; i < 4; ++i) earlier.squares[i] = shuffled_up(own.squares[i], by);
    if (lane >= by) add_up(own, earlier);
  }
  return own;
}

// What the values of entries `seq..` of one chunk add up to, up to `end`.
NUMBERS ValueSums sums_of_chunk(const KeyedTable& t, unsigned* chunk, unsigned value,
                                unsigned count) {
  ValueSums sums = {};
  for (unsigned i = 0; i < count; ++i)
    add_admitted(sums, *value_in(chunk, value, i), t.has_squares != 0);
  return sums;
}

// Totals and nodes of all chunks from that of entry `from` on, where entries up to `end` and their
// distances are written; the totals of the first are right already unless it has just been begun.
NUMBERS void add_up_chunks(const KeyedTable& t, const KeyView& view, unsigned from, unsigned end,
                           unsigned lane) {
  const unsigned begin = from - from % CHUNK, chunks = (end - begin + CHUNK - 1) / CHUNK;
  const bool is_begun = from == begin, has_before = is_begun && from != view.first;
  for (unsigned value = 0; value < t.values; ++value) {
    ValueSums base = {};
    if (!is_begun) base = sums_in(t, *totals_in(t, chunk_at(view, begin), value));
    if (has_before) {
      unsigned* before = chunk_at(view, begin - 1);
      base = sums_in(t, *totals_in(t, before, value));
      add_up(base, sums_of_chunk(t, before, value, CHUNK));
    }
    for (unsigned tile = 0; tile < chunks; tile += WARP) {
      const unsigned seq = begin + (tile + lane) * CHUNK;
      const bool is_one = tile + lane < chunks;
      const unsigned count = !is_one ? 0 : end - seq < CHUNK ? end - seq : CHUNK;
      unsigned* chunk = is_one ? chunk_at(view, seq) : nullptr;
      const ValueSums own = sums_of_chunk(t, chunk, value, count);
      ValueSums until = joined_until(own, t.has_squares != 0, lane);
      ValueSums before = {};
      before.count = shuffled_up(until.count, 1);
      for (unsigned i = 0; i < 2; ++i) before.sum[i] = shuffled_up(until.sum[i], 1);
      for (unsigned i = 0; i < 4; ++i) before.squares[i] = shuffled_up(until.squares[i], 1);
      if (lane == 0) before = {};
      add_up(before, base);
      if (is_one) {
        ChunkTotals& totals = *totals_in(t, chunk, value);
        totals.count = static_cast<unsigned>(before.count);
        for (unsigned i = 0; i < 2; ++i) totals.sum[i] = before.sum[i];
        if (t.has_squares)
          for (unsigned i = 0; i < 4; ++i) totals.squares[i] = before.squares[i];
      }
      add_up(base, {shuffled(until.count, WARP - 1),
                    {shuffled(until.sum[0], WARP - 1), shuffled(until.sum[1], WARP - 1)},
                    {shuffled(until.squares[0], WARP - 1), shuffled(until.squares[1], WARP - 1),
                     shuffled(until.squares[2], WARP - 1), shuffled(until.squares[3], WARP - 1)}});
    }
  }
  build_nodes(t, view, begin, end, lane);
}

// Writes what a call brings as entry `seq`; distances come when all before it is there.
NUMBERS void write_entry(const KeyedTable& t, const KeyView& view, unsigned seq, unsigned source,
                         ChunkRef* refs) {
  const long long time_ms = time_of(t, source);
  unsigned* chunk = chunk_at(view, seq);
  *time_in(chunk, seq) = time_ms;
  if (seq % CHUNK == 0) refs[(seq / CHUNK) & view.mask].first_ms = time_ms;
  for (unsigned value = 0; value < t.values; ++value)
    *value_in(chunk, value, seq) = admit(value_of(t, source, value));
  for (unsigned code = 0; code < t.codes; ++code)
    *code_in(t, chunk, code, seq) = code_of(t, source, code);
}
