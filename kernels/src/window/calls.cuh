// The calls of a batch, as both ways of bringing them in order see them (arrange.cu by one block,
// wide.cu by many): which are accepted, which key each is for, where the calls of a key begin.
#pragma once
#include "table.cuh"

// The numbers of the threads before each one, joined; those of all are in the last of
// `of_threads` then, which is free again when the block has passed its next barrier.
template <class T, class Join>
NUMBERS T joined_before(T own, T none, T* of_threads, Join join) {
  const unsigned thread = threadIdx.x;
  of_threads[thread] = own;
  __syncthreads();
  for (unsigned by = 1; by < blockDim.x; by *= 2) {
    const T earlier = thread >= by ? of_threads[thread - by] : none;
    __syncthreads();
    of_threads[thread] = join(earlier, of_threads[thread]);
    __syncthreads();
  }
  return thread > 0 ? of_threads[thread - 1] : none;
}

struct Later {
  NUMBERS long long operator()(long long a, long long b) const { return a > b ? a : b; }
};
struct Plus {
  NUMBERS unsigned operator()(unsigned a, unsigned b) const { return a + b; }
};

constexpr long long TIME_MAX_MS = 1ll << 60;
constexpr long long NEVER_MS = static_cast<long long>(1ull << 63);

NUMBERS bool is_usable(long long time_ms) {
  return time_ms >= -TIME_MAX_MS && time_ms <= TIME_MAX_MS;
}

// Some calls in a row.
struct Stretch {
  unsigned from, to;
};

// The newest of the rows whose time can be.
NUMBERS long long newest_row(const KeyedTable& t, Stretch calls) {
  long long newest_ms = NEVER_MS;
  for (unsigned i = calls.from; i < calls.to; ++i) {
    if (!is_row(t.sources[i])) continue;
    const long long time_ms = time_of(t, t.sources[i]);
    if (is_usable(time_ms) && time_ms > newest_ms) newest_ms = time_ms;
  }
  return newest_ms;
}

// What is counted of calls, as TableStanding has it.
constexpr unsigned MISSING = 0, MISSING_VALUE = 1, SATURATED = 2, LATE = 3, COUNTED = 4;

// Whether each call is accepted (its place is 0), and the watermark when it came; `watermark_ms`
// is that before the first of them. Returns the one behind them.
NUMBERS long long accept_calls(const KeyedTable& t, Stretch calls, long long watermark_ms,
                               Word* counts) {
  Word missing = 0, late = 0;
  for (unsigned i = calls.from; i < calls.to; ++i) {
    const unsigned source = t.sources[i];
    const long long time_ms = time_of(t, source);
    const bool can_be = is_usable(time_ms), has_key = key_of(t, source) != 0;
    if (is_row(source) && can_be && time_ms > watermark_ms) watermark_ms = time_ms;
    bool is_late = !can_be;
    if (can_be && is_row(source)) is_late = time_ms < watermark_ms - t.lateness_ms;
    if (can_be && !is_row(source)) is_late = time_ms <= horizon_ms(t, watermark_ms);
    t.watermarks_ms[i] = watermark_ms;
    t.places[i] = has_key && (!is_late || t.is_loading) ? 0 : NOTHING;
    // A row is asked for its time first, a label for its key.
    late += is_late && (is_row(source) || has_key) ? 1 : 0;
    missing += !has_key && !(is_row(source) && is_late) ? 1 : 0;
  }
  if (missing > 0) atomicAdd(&counts[MISSING], missing);
  if (late > 0) atomicAdd(&counts[LATE], late);
  return watermark_ms;
}

NUMBERS void count_values(const KeyedTable& t, unsigned source, Word* counts) {
  for (unsigned value = 0; value < t.values; ++value) {
    const float x = value_of(t, source, value);
    if (x != x) atomicAdd(&counts[MISSING_VALUE], static_cast<Word>(1));
    if (absolute(x) > FIXED_VALUE_MAX) atomicAdd(&counts[SATURATED], static_cast<Word>(1));
  }
}

// The bucket of a key, which is taken for it where it has none (`taken` counts those); NOTHING
// where it has none and is not to get one.
NUMBERS unsigned bucket_of(const KeyedTable& t, Word key, unsigned* taken) {
  const unsigned mask = (1u << t.key_bits) - 1;
  unsigned at = home_of(t, key);
  for (unsigned step = 0; step <= mask; ++step, at = (at + 1) & mask) {
    Word held = __ldcg(&t.keys[at]);
    if (held == 0) {
      if (taken == nullptr) return NOTHING;
      held = atomicCAS(&t.keys[at], static_cast<Word>(0), key);
      if (held == 0) {
        const unsigned number = atomicAdd(taken, 1u), free = t.standing->free_slots;
        const unsigned slot =
            number < free ? t.free_slots[free - 1 - number] : t.standing->slots + (number - free);
        if (slot < t.slots_max) {
          t.slot_of[at] = slot;
          t.heads[slot] = {key, t.first_seq, t.first_seq, 0, 0, NEVER_MS, {}};
        } else {
          atomicOr(&t.standing->failures, static_cast<unsigned>(NO_SLOT));
          t.slot_of[at] = NOTHING;
        }
        return at;
      }
    }
    if (held == key) return at;
  }
  if (taken != nullptr) atomicOr(&t.standing->failures, static_cast<unsigned>(NO_BUCKET));
  return NOTHING;
}

// Takes the bucket of a call that enters, where it is accepted.
NUMBERS void enter_key(const KeyedTable& t, unsigned call, Word* counts, unsigned* taken) {
  const unsigned source = t.sources[call];
  if (t.places[call] == NOTHING || !enters(t, source)) return;
  t.places[call] = bucket_of(t, key_of(t, source), taken);
  if (!t.is_loading) count_values(t, source, counts);
}

NUMBERS void write_empty(const KeyedTable& t, unsigned row) {
  float* out = t.out + static_cast<Word>(row) * t.out_stride + t.out_offset;
  for (unsigned i = 0; i < t.reading_count; ++i)
    out[t.readings[i].column] = empty_reading(t.readings[i]);
}

// The slot of a call, with the call, to be sorted; NOTHING goes behind all slots. All keys that
// enter are there, so that what only asks finds them.
NUMBERS Word placed_call(const KeyedTable& t, unsigned call) {
  const unsigned source = t.sources[call];
  unsigned bucket = t.places[call];
  if (bucket != NOTHING && !enters(t, source)) bucket = bucket_of(t, key_of(t, source), nullptr);
  const unsigned slot = bucket == NOTHING ? NOTHING : t.slot_of[bucket];
  if (slot == NOTHING && is_row(source)) write_empty(t, source);
  return (static_cast<Word>(slot) << 32) | call;
}

NUMBERS unsigned slot_in(Word sorted) { return static_cast<unsigned>(sorted >> 32); }

NUMBERS bool is_begin(const KeyedTable& t, unsigned at) {
  return at == 0 || slot_in(t.sorted[at]) != slot_in(t.sorted[at - 1]);
}

// How many keys begin among these of the sorted calls.
NUMBERS unsigned keys_begun(const KeyedTable& t, Stretch calls) {
  unsigned begun = 0;
  for (unsigned i = calls.from; i < calls.to; ++i)
    begun += slot_in(t.sorted[i]) != NOTHING && is_begin(t, i) ? 1 : 0;
  return begun;
}

// The segments that begin or end among these calls; `at` have begun before, returns how many have
// then.
NUMBERS unsigned write_segments(const KeyedTable& t, Stretch calls, unsigned at) {
  for (unsigned i = calls.from; i < calls.to; ++i) {
    const unsigned slot = slot_in(t.sorted[i]);
    const bool is_first = is_begin(t, i);
    // The first one without a key ends the last segment.
    if (is_first && i > 0 && slot_in(t.sorted[i - 1]) != NOTHING) t.segments[at - 1].to = i;
    if (is_first && slot != NOTHING) t.segments[at++].from = i;
    if (i + 1 == t.rows + t.labels && slot != NOTHING) t.segments[at - 1].to = i + 1;
  }
  return at;
}

// What the batch has made of the table: by one thread.
NUMBERS void write_standing(const KeyedTable& t, long long watermark_ms, unsigned taken,
                            unsigned segments) {
  TableStanding& standing = *t.standing;
  if (!t.is_loading) standing.watermark_ms = watermark_ms;
  const unsigned reused = taken < standing.free_slots ? taken : standing.free_slots;
  standing.free_slots -= reused;
  standing.slots += taken - reused;
  standing.segments = segments;
}
