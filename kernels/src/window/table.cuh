// Windows by key in the memory of a GPU: what a table is, and how entries of a key are found.
//
// A key has a head (by slot) and its entries in chunks of eight, named in order by a ring of
// references. Entries are numbered on and on (`seq`, modulo 2^32); entry `seq` lies in the chunk
// that `refs[(seq / 8) & mask]` names. A chunk knows what all entries before it add up to (modulo
// 2^128, as all exact sums), so that any stretch of entries is a difference of two: no window has
// state of its own, and all windows of all rows can be read at once.
//
// A table is worked on by launches that follow one another; what happens within one is told there.
// Which slot or chunk a key gets depends on which thread came first and shows in no result.
#pragma once
#include "../fixed.cuh"

constexpr unsigned CHUNK = 8;
constexpr unsigned NOTHING = 0xffffffffu;
// A call is a row, or with this bit something that enters without asking: a label.
constexpr unsigned ENTERS_ONLY = 0x80000000u;
constexpr unsigned RING_CLASSES = 30;

enum AggregateKind : unsigned { COUNT, RATE, SINCE, DISTINCT, SUM, MEAN, STD, MIN, MAX, LAST, RATIO };
// What a table has no room for; the host makes room before it can happen.
enum TableFailure : unsigned { NO_BUCKET = 1, NO_SLOT = 2, NO_CHUNK = 4, NO_RING = 8 };

struct KeyedWindow {
  long long width_ms, delay_ms;
  unsigned with_self, first_reading, readings, unused;
};

// `source` is a value or a code; `constant` is the width (rate) or what is said of an empty window
// (since), in seconds.
struct WindowReading {
  unsigned kind, column, source, unused;
  double constant;
};

struct ChunkRef {
  long long first_ms;  // the time of the chunk's first entry
  unsigned chunk;
  unsigned level;      // of its node (nodes.cuh)
};

struct KeyHead {
  Word key;              // 0: the slot is free
  unsigned first, end;   // its entries
  unsigned ring, bits;   // a ring of 2^bits references; those of one bit lie here
  long long newest_ms;
  ChunkRef own[2];
};

// How a table stands: the host reads it after each batch.
struct TableStanding {
  long long watermark_ms;
  Word counts[4];  // missing keys, missing values, saturated values, too late
  Word entries;
  unsigned slots, free_slots;    // slots ever used, and how many of them are free
  unsigned chunks, free_chunks;  // the same of chunks
  unsigned rings, segments;      // references ever used; keys of the batch
  unsigned failures, free_chunk;
  unsigned free_rings[RING_CLASSES];  // heads of lists through what is free
};

// What a batch says of one key, for the launches behind.
struct KeySegment {
  unsigned from, to;           // its calls, as sorted
  unsigned entered;            // entries that come
  unsigned old_ring, old_bits; // a ring that was too small
  unsigned unused;
  long long horizon_ms;        // entries up to it are out of reach for what comes
};

constexpr unsigned WIDE_DIGITS = 256;

// What the launches of a wide batch (wide.cu) tell one another of a stretch of its calls.
struct WideStretch {
  long long newest_ms;     // of its rows; none: the least number
  long long watermark_ms;  // behind it
  unsigned begun;          // keys that begin in it
  unsigned taken;          // of the first stretch: slots that the batch has taken
  unsigned digits[WIDE_DIGITS];  // its calls by the digit that is sorted by
};

struct KeyedTable {
  // What is kept.
  Word* keys;             // [2^key_bits]: open addressing, linear probing; 0 is free
  unsigned* slot_of;      // [2^key_bits]
  KeyHead* heads;         // [slots_max]
  unsigned* free_slots;   // [slots_max]
  unsigned* used;         // [slots_max]: the batch that had the key last
  ChunkRef* rings;        // [rings_max]
  unsigned* chunks;       // [chunks_max, chunk_words]
  TableStanding* standing;
  // What is computed.
  const KeyedWindow* windows;
  const WindowReading* readings;
  // Columns of the batch's rows.
  const long long* times_ms;
  const float* numbers;     // [.., stride]
  const Word* categories;   // [.., stride]
  const unsigned* columns;  // those of the key, the values and the codes
  float* out;               // [rows, out_stride]
  // What enters without asking.
  const Word* label_keys;
  const long long* label_times_ms;
  const float* label_values;         // [values, labels]
  const Word* label_codes;           // [codes, labels]
  const unsigned* label_before_rows; // not decreasing
  // Room for a batch: [rows + labels]. What the calls of a key have of places, watermarks and
  // sorting is free for the key's own use when they are sorted (runs.cuh).
  unsigned* sources;
  unsigned* places;
  long long* watermarks_ms;
  Word* sorted;  // slot and call
  Word* sorting;
  unsigned* visible;  // how many of the key's entries a call sees; NOTHING for a row that is read
  KeySegment* segments;
  WideStretch* stretches;  // one for each stretch of a wide batch
  long long lateness_ms, reach_ms;
  long long distinct_ms;  // the width of the widest window that reads `distinct`
  unsigned key_bits, slots_max, chunks_max, rings_max, chunk_words;
  unsigned key_columns, values, codes, window_count, reading_count;
  unsigned rows, labels, stride, out_stride, out_offset, sort_passes;
  unsigned has_squares, is_over_labels, is_loading;
  unsigned batch;  // its number, modulo 2^32: only which keys lie where depends on it
  unsigned has_extremes, has_distincts;  // whether `min` or `max` is read, and `distinct`
  unsigned first_seq;  // of a new key: any multiple of CHUNK will do
  unsigned unused;
  unsigned* code_lists;  // [rows + labels, 3], for distances.cuh
};

// The entries of a key.
struct KeyView {
  const ChunkRef* refs;
  unsigned* chunks;
  unsigned mask, first, chunk_words;
};

// What the values before a chunk add up to, and what it knows as a node (nodes.cuh).
struct ChunkTotals {
  unsigned count;
  float low, high;
  unsigned farthest;        // of the code with the value's number
  Word sum[2], squares[4];  // the last only where they are kept
};

constexpr unsigned TIME_WORDS = 2 * CHUNK;
constexpr unsigned CODE_WORDS = 3 * CHUNK;

NUMBERS ChunkRef* refs_of(const KeyedTable& t, KeyHead& head, unsigned ring, unsigned bits) {
  return bits <= 1 ? head.own : t.rings + ring;
}

NUMBERS KeyView view_of(const KeyedTable& t, KeyHead& head) {
  const unsigned bits = head.bits;
  return {refs_of(t, head, head.ring, bits), t.chunks, (1u << bits) - 1, head.first, t.chunk_words};
}

NUMBERS unsigned* chunk_at(const KeyView& view, unsigned seq) {
  const unsigned chunk = view.refs[(seq / CHUNK) & view.mask].chunk;
  return view.chunks + static_cast<Word>(chunk) * view.chunk_words;
}

NUMBERS long long* time_in(unsigned* chunk, unsigned seq) {
  return reinterpret_cast<long long*>(chunk) + seq % CHUNK;
}
NUMBERS float* value_in(unsigned* chunk, unsigned value, unsigned seq) {
  return reinterpret_cast<float*>(chunk + TIME_WORDS + CHUNK * value + seq % CHUNK);
}
NUMBERS Word* code_in(const KeyedTable& t, unsigned* chunk, unsigned code, unsigned seq) {
  unsigned* codes = chunk + TIME_WORDS + CHUNK * t.values + CODE_WORDS * code;
  return reinterpret_cast<Word*>(codes) + seq % CHUNK;
}
// How far back the same code was last; NOTHING where it was not.
NUMBERS unsigned* distance_in(const KeyedTable& t, unsigned* chunk, unsigned code, unsigned seq) {
  return chunk + TIME_WORDS + CHUNK * t.values + CODE_WORDS * code + 2 * CHUNK + seq % CHUNK;
}
NUMBERS ChunkTotals* totals_in(const KeyedTable& t, unsigned* chunk, unsigned value) {
  const unsigned words = t.has_squares ? 16 : 8;
  const unsigned at = TIME_WORDS + CHUNK * t.values + CODE_WORDS * t.codes + words * value;
  return reinterpret_cast<ChunkTotals*>(chunk + at);
}
// How far back from the end of a node all codes there were seen before. Those of more codes than
// there are values lie behind the totals.
NUMBERS unsigned* farthest_in(const KeyedTable& t, unsigned* chunk, unsigned code) {
  if (code < t.values) return &totals_in(t, chunk, code)->farthest;
  return reinterpret_cast<unsigned*>(totals_in(t, chunk, t.values)) + (code - t.values);
}

// How many of the first `count` entries have a time of at most `limit_ms`.
NUMBERS unsigned entries_until(const KeyView& view, long long limit_ms, unsigned count) {
  if (count == 0) return 0;
  const unsigned skipped = view.first % CHUNK, chunk = view.first / CHUNK;
  // The last chunk that begins by then; the first may begin with entries that are gone.
  unsigned low = 1, high = (skipped + count + CHUNK - 1) / CHUNK;
  while (low < high) {
    const unsigned middle = low + (high - low) / 2;
    if (view.refs[(chunk + middle) & view.mask].first_ms <= limit_ms)
      low = middle + 1;
    else
      high = middle;
  }
  const unsigned at = (low - 1) * CHUNK, past = skipped + count - at;
  const unsigned from = at == 0 ? skipped : 0, to = past < CHUNK ? past : CHUNK;
  const unsigned* words = view.chunks +
      static_cast<Word>(view.refs[(chunk + low - 1) & view.mask].chunk) * view.chunk_words;
  const long long* times_ms = reinterpret_cast<const long long*>(words);
  unsigned within = 0;
  for (unsigned i = from; i < to; ++i) within += times_ms[i] <= limit_ms ? 1 : 0;
  return at + from + within - skipped;
}

NUMBERS long long saturating_difference(long long a, long long b) {
  // `b` is never negative.
  const long long least = static_cast<long long>(1ull << 63);
  return a < least + b ? least : a - b;
}

NUMBERS long long horizon_ms(const KeyedTable& t, long long watermark_ms) {
  return saturating_difference(watermark_ms, t.lateness_ms + t.reach_ms);
}

NUMBERS bool is_row(unsigned source) { return (source & ENTERS_ONLY) == 0; }
NUMBERS bool enters(const KeyedTable& t, unsigned source) {
  return !is_row(source) || t.is_over_labels == 0;
}

NUMBERS long long time_of(const KeyedTable& t, unsigned source) {
  return is_row(source) ? t.times_ms[source] : t.label_times_ms[source & ~ENTERS_ONLY];
}

NUMBERS float value_of(const KeyedTable& t, unsigned source, unsigned value) {
  if (!is_row(source))
    return t.label_values[static_cast<Word>(value) * t.labels + (source & ~ENTERS_ONLY)];
  const Word column = t.columns[t.key_columns + value];
  return t.numbers[column * t.stride + source];
}

NUMBERS Word code_of(const KeyedTable& t, unsigned source, unsigned code) {
  if (!is_row(source))
    return t.label_codes[static_cast<Word>(code) * t.labels + (source & ~ENTERS_ONLY)];
  const Word column = t.columns[t.key_columns + t.values + code];
  return t.categories[column * t.stride + source];
}

// The key of a row over one or more columns; 0 when one of them is missing.
NUMBERS Word key_of(const KeyedTable& t, unsigned source) {
  if (!is_row(source)) return t.label_keys[source & ~ENTERS_ONLY];
  Word key = 0;
  bool is_missing = false;
  for (unsigned i = 0; i < t.key_columns; ++i) {
    const Word code = t.categories[static_cast<Word>(t.columns[i]) * t.stride + source];
    is_missing = is_missing || code == 0;
    key = t.key_columns == 1 ? code : cross_codes(key, code);
  }
  if (is_missing) return 0;
  return key == 0 ? 1 : key;
}

// The slot of a key is found from here on.
NUMBERS unsigned home_of(const KeyedTable& t, Word key) {
  return static_cast<unsigned>(mix64(key) >> (64 - t.key_bits));
}

// The values of a row without windows.
NUMBERS float empty_reading(const WindowReading& reading) {
  return reading.kind == SINCE ? static_cast<float>(reading.constant) : 0.0f;
}
