// One window of one row, read: where it begins and ends among the entries of its key, and what the
// stretch between says. Nothing is kept from row to row.
#pragma once
#include "entries.cuh"

// Entries `tail..head`, counted from the key's first.
struct Within {
  unsigned tail, head;
};

NUMBERS ValueSums sums_within(const KeyedTable& t, const KeyView& view, unsigned value,
                              const Within& within, bool with_squares) {
  ValueSums sums = {};
  if (within.tail == within.head) return sums;
  // What is before the window is taken away from what is up to its end.
  const unsigned last = view.first + within.head - 1, first = view.first + within.tail;
  unsigned* chunk = chunk_at(view, last);
  sums = sums_in(t, *totals_in(t, chunk, value));
  for (unsigned i = 0; i <= last % CHUNK; ++i)
    add_admitted(sums, *value_in(chunk, value, i), with_squares);
  chunk = chunk_at(view, first);
  ValueSums before = sums_in(t, *totals_in(t, chunk, value));
  for (unsigned i = 0; i < first % CHUNK; ++i)
    add_admitted(before, *value_in(chunk, value, i), with_squares);
  // The count is one of 32 bits.
  sums.count = static_cast<unsigned>(sums.count) - static_cast<unsigned>(before.count);
  take_words<2>(sums.sum, before.sum);
  if (with_squares) take_words<4>(sums.squares, before.squares);
  return sums;
}

NUMBERS double mean_of(const ValueSums& sums) {
  return sums.count == 0 ? 0.0 : unscale(sums.sum) / static_cast<double>(sums.count);
}

NUMBERS float deviation_of(const ValueSums& from) {
  if (from.count == 0) return 0.0f;
  Sums sums = {};
  sums.count = from.count;
  for (unsigned i = 0; i < 2; ++i) sums.sum[i] = from.sum[i];
  for (unsigned i = 0; i < 4; ++i) sums.squares[i] = from.squares[i];
  const double spread = spread_of_sums(sums, 0);
  return static_cast<float>(sqrt(spread) / static_cast<double>(from.count) * (1.0 / FIXED_SCALE));
}

// The value over the mean, finite; 0 where either is missing or the mean is 0.
NUMBERS float ratio_of(float value, double mean) {
  if (value != value || mean == 0.0) return 0.0f;
  const double limit = static_cast<double>(FIXED_VALUE_MAX);
  return static_cast<float>(clamped(static_cast<double>(value) / mean, -limit, limit));
}

// What a window is made of: whole chunks, and single entries before and behind them.
struct Parts {
  unsigned before, chunks, behind;
};

NUMBERS Parts parts_of(const KeyView& view, const Within& within) {
  const unsigned count = within.head - within.tail, skipped = (view.first + within.tail) % CHUNK;
  const unsigned before = skipped == 0 ? 0 : CHUNK - skipped;
  if (before >= count) return {count, 0, 0};
  return {before, (count - before) / CHUNK, (count - before) % CHUNK};
}

// The extremes of as many chunks up to entry `end`, which is another's first.
NUMBERS Extremes extremes_of_chunks(const KeyedTable& t, const KeyView& view, unsigned value,
                                    unsigned end, unsigned chunks) {
  Extremes found = no_extremes();
  for (unsigned seq = end - CHUNK; chunks > 0;) {
    unsigned* chunk = chunk_at(view, seq);
    unsigned width = width_at(view, seq);
    if (width <= chunks) {
      const ChunkTotals& totals = *totals_in(t, chunk, value);
      join_extremes(found, {totals.low, totals.high});
    } else {
      join_extremes(found, extremes_of_chunk(chunk, value, CHUNK));
      width = 1;
    }
    chunks -= width;
    seq -= width * CHUNK;
  }
  return found;
}

NUMBERS Extremes extremes_within(const KeyedTable& t, const KeyView& view, unsigned value,
                                 const Within& within) {
  const Parts parts = parts_of(view, within);
  const unsigned first = view.first + within.tail, end = view.first + within.head - parts.behind;
  Extremes found = extremes_of_chunks(t, view, value, end, parts.chunks);
  for (unsigned i = 0; i < parts.before + parts.behind; ++i) {
    const unsigned seq = i < parts.before ? first + i : end + (i - parts.before);
    join_value(found, *value_in(chunk_at(view, seq), value, seq));
  }
  return found;
}

NUMBERS float finite_or_zero(float extreme) {
  return absolute(extreme) == __uint_as_float(0x7f800000u) ? 0.0f : extreme;
}

NUMBERS float last_within(const KeyView& view, unsigned value, const Within& within) {
  for (unsigned i = within.head; i > within.tail; --i) {
    const unsigned seq = view.first + i - 1;
    const float x = *value_in(chunk_at(view, seq), value, seq);
    if (x == x) return x;
  }
  return 0.0f;
}

// Whether an entry's code was not seen since `first`: it counts.
NUMBERS unsigned is_first_since(const KeyedTable& t, unsigned* chunk, unsigned code, unsigned seq,
                                unsigned first) {
  return *distance_in(t, chunk, code, seq) > seq - first ? 1 : 0;
}

// A code counts where it is in the window for the first time. What counts is looked for among
// chunks whose nodes are within the window and have a code that was not seen since it began.
NUMBERS unsigned distinct_within(const KeyedTable& t, const KeyView& view, unsigned code,
                                 const Within& within) {
  const Parts parts = parts_of(view, within);
  const unsigned first = view.first + within.tail, end = view.first + within.head - parts.behind;
  unsigned count = 0;
  for (unsigned i = 0; i < parts.before + parts.behind; ++i) {
    const unsigned seq = i < parts.before ? first + i : end + (i - parts.before);
    count += is_first_since(t, chunk_at(view, seq), code, seq, first);
  }
  unsigned chunks = parts.chunks;
  for (unsigned seq = end - CHUNK; chunks > 0;) {
    unsigned* chunk = chunk_at(view, seq);
    unsigned width = width_at(view, seq);
    if (width > chunks || *farthest_in(t, chunk, code) > seq + CHUNK - first) {
      for (unsigned i = 0; i < CHUNK; ++i)
        count += is_first_since(t, chunk, code, seq + i, first);
      width = 1;
    }
    chunks -= width;
    seq -= width * CHUNK;
  }
  return count;
}

NUMBERS float since_within(const KeyView& view, const Within& within, long long time_ms) {
  const unsigned seq = view.first + within.head - 1;
  const long long since_ms = time_ms - *time_in(chunk_at(view, seq), seq);
  return static_cast<float>(static_cast<double>(since_ms > 0 ? since_ms : 0) / 1000.0);
}

// Writes what a window says to a row that sees the first `seen` entries. Where the window holds
// the row itself, that is the entry behind them.
NUMBERS void read_window(const KeyedTable& t, const KeyView& view, const KeyedWindow& window,
                         unsigned row, unsigned seen) {
  const long long time_ms = t.times_ms[row];
  const long long bound_ms = saturating_difference(time_ms, window.delay_ms);
  Within before;
  before.head = entries_until(view, bound_ms, seen);
  const long long start_ms = saturating_difference(bound_ms, window.width_ms);
  before.tail = entries_until(view, start_ms, before.head);
  const Within within = {before.tail, before.head + (window.with_self != 0 ? 1 : 0)};
  float* out = t.out + static_cast<Word>(row) * t.out_stride + t.out_offset;
  // Sums and extremes that several readings share are made once.
  unsigned known = NOTHING, known_extremes = NOTHING;
  ValueSums sums = {};
  Extremes extremes = no_extremes();
  for (unsigned i = 0; i < window.readings; ++i) {
    const WindowReading& reading = t.readings[window.first_reading + i];
    const unsigned kind = reading.kind, source = reading.source;
    const unsigned count = within.head - within.tail;
    const bool is_sum = kind == SUM || kind == MEAN || kind == STD || kind == RATIO;
    if (is_sum && known != source) {
      sums = sums_within(t, view, source, within, t.has_squares != 0);
      known = source;
    }
    if ((kind == MIN || kind == MAX) && known_extremes != source) {
      extremes = extremes_within(t, view, source, within);
      known_extremes = source;
    }
    float x = 0.0f;
    switch (kind) {
      case COUNT: x = static_cast<float>(count); break;
      case RATE: x = static_cast<float>(static_cast<double>(count) / reading.constant); break;
      case SINCE:
        x = before.tail == before.head ? static_cast<float>(reading.constant)
                                       : since_within(view, before, time_ms);
        break;
      case DISTINCT: x = static_cast<float>(distinct_within(t, view, source, within)); break;
      case SUM: x = static_cast<float>(unscale(sums.sum)); break;
      case MEAN: x = static_cast<float>(mean_of(sums)); break;
      case STD: x = deviation_of(sums); break;
      case MIN: x = finite_or_zero(extremes.low); break;
      case MAX: x = finite_or_zero(extremes.high); break;
      case LAST: x = last_within(view, source, within); break;
      default: x = ratio_of(admit(value_of(t, row, source)), mean_of(sums)); break;
    }
    out[reading.column] = x;
  }
}
