// A batch brought in order, by one block a table: which calls are accepted, which key each is for,
// and the calls sorted by key, those of a key in the order of the stream.
#include "table.cuh"

// The numbers of the threads before each one, joined; `of_threads` is free again when the block has
// passed its next barrier.
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
constexpr unsigned DIGIT_BITS = 4, DIGITS = 1u << DIGIT_BITS;

NUMBERS bool is_usable(long long time_ms) {
  return time_ms >= -TIME_MAX_MS && time_ms <= TIME_MAX_MS;
}

// A thread's share of the calls.
struct Stretch {
  unsigned from, to;
};
NUMBERS Stretch stretch_of(unsigned count) {
  const unsigned share = (count + blockDim.x - 1) / blockDim.x, from = threadIdx.x * share;
  return {from < count ? from : count, from + share < count ? from + share : count};
}

// Labels come before the row they name.
NUMBERS void merge_calls(const KeyedTable& t) {
  for (unsigned row = threadIdx.x; row < t.rows; row += blockDim.x) {
    unsigned low = 0, high = t.labels;
    while (low < high) {
      const unsigned middle = low + (high - low) / 2;
      if (t.label_before_rows[middle] <= row)
        low = middle + 1;
      else
        high = middle;
    }
    t.sources[row + low] = row;
  }
  for (unsigned label = threadIdx.x; label < t.labels; label += blockDim.x) {
    const unsigned before = t.label_before_rows[label];
    t.sources[label + (before < t.rows ? before : t.rows)] = label | ENTERS_ONLY;
  }
}

// Whether each call is accepted (its place is 0), and the watermark when it came.
NUMBERS void accept_calls(const KeyedTable& t, Word* counts, long long* of_threads) {
  const Stretch own = stretch_of(t.rows + t.labels);
  long long newest_ms = NEVER_MS;
  for (unsigned i = own.from; i < own.to; ++i) {
    if (!is_row(t.sources[i])) continue;
    const long long time_ms = time_of(t, t.sources[i]);
    if (is_usable(time_ms) && time_ms > newest_ms) newest_ms = time_ms;
  }
  long long watermark_ms = joined_before(newest_ms, NEVER_MS, of_threads, Later());
  if (t.standing->watermark_ms > watermark_ms) watermark_ms = t.standing->watermark_ms;
  Word missing = 0, late = 0;
  for (unsigned i = own.from; i < own.to; ++i) {
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
  if (missing > 0) atomicAdd(&counts[0], missing);
  if (late > 0) atomicAdd(&counts[3], late);
  __syncthreads();
  // The last stretch with calls knows the watermark behind all of them.
  if (own.from < own.to && own.to == t.rows + t.labels && !t.is_loading)
    t.standing->watermark_ms = watermark_ms;
}

NUMBERS void count_values(const KeyedTable& t, unsigned source, Word* counts) {
  for (unsigned value = 0; value < t.values; ++value) {
    const float x = value_of(t, source, value);
    if (x != x) atomicAdd(&counts[1], static_cast<Word>(1));
    if (absolute(x) > FIXED_VALUE_MAX) atomicAdd(&counts[2], static_cast<Word>(1));
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

NUMBERS void write_empty(const KeyedTable& t, unsigned row) {
  float* out = t.out + static_cast<Word>(row) * t.out_stride + t.out_offset;
  for (unsigned i = 0; i < t.reading_count; ++i)
    out[t.readings[i].column] = empty_reading(t.readings[i]);
}

// The slot of each accepted call, with the call, to be sorted; NOTHING goes behind all slots.
NUMBERS void place_calls(const KeyedTable& t, Word* counts, unsigned* taken) {
  const unsigned calls = t.rows + t.labels;
  for (unsigned i = threadIdx.x; i < calls; i += blockDim.x) {
    const unsigned source = t.sources[i];
    if (t.places[i] == NOTHING || !enters(t, source)) continue;
    t.places[i] = bucket_of(t, key_of(t, source), taken);
    if (!t.is_loading) count_values(t, source, counts);
  }
  // What is entered before is found by what only asks, and all slots are written.
  __syncthreads();
  for (unsigned i = threadIdx.x; i < calls; i += blockDim.x) {
    const unsigned source = t.sources[i];
    unsigned bucket = t.places[i];
    if (bucket != NOTHING && !enters(t, source)) bucket = bucket_of(t, key_of(t, source), nullptr);
    const unsigned slot = bucket == NOTHING ? NOTHING : t.slot_of[bucket];
    if (slot == NOTHING && is_row(source)) write_empty(t, source);
    t.sorted[i] = (static_cast<Word>(slot) << 32) | i;
  }
}

// One pass of a sort that keeps the order of what is equal: by a digit of the slots.
NUMBERS void sort_pass(const Word* from, Word* to, unsigned calls, unsigned shift,
                       unsigned* counters, unsigned* of_threads) {
  const Stretch own = stretch_of(calls);
  for (unsigned digit = 0; digit < DIGITS; ++digit)
    counters[digit * blockDim.x + threadIdx.x] = 0;
  for (unsigned i = own.from; i < own.to; ++i)
    ++counters[(from[i] >> shift & (DIGITS - 1)) * blockDim.x + threadIdx.x];
  __syncthreads();
  // Counters lie by digit, then by thread: what comes before each is the sum of those before it.
  unsigned sum = 0;
  for (unsigned i = threadIdx.x * DIGITS; i < (threadIdx.x + 1) * DIGITS; ++i) sum += counters[i];
  unsigned before = joined_before(sum, 0u, of_threads, Plus());
  for (unsigned i = threadIdx.x * DIGITS; i < (threadIdx.x + 1) * DIGITS; ++i) {
    const unsigned count = counters[i];
    counters[i] = before;
    before += count;
  }
  __syncthreads();
  for (unsigned i = own.from; i < own.to; ++i)
    to[counters[(from[i] >> shift & (DIGITS - 1)) * blockDim.x + threadIdx.x]++] = from[i];
  __syncthreads();
}

NUMBERS unsigned slot_in(Word sorted) { return static_cast<unsigned>(sorted >> 32); }

// The calls of each key.
NUMBERS void find_segments(const KeyedTable& t, unsigned* of_threads) {
  const unsigned calls = t.rows + t.labels;
  const Stretch own = stretch_of(calls);
  unsigned begun = 0;
  for (unsigned i = own.from; i < own.to; ++i) {
    const unsigned slot = slot_in(t.sorted[i]);
    begun += slot != NOTHING && (i == 0 || slot != slot_in(t.sorted[i - 1])) ? 1 : 0;
  }
  unsigned at = joined_before(begun, 0u, of_threads, Plus());
  for (unsigned i = own.from; i < own.to; ++i) {
    const unsigned slot = slot_in(t.sorted[i]);
    const bool is_first = i == 0 || slot != slot_in(t.sorted[i - 1]);
    // The first one without a key ends the last segment.
    if (is_first && i > 0 && slot_in(t.sorted[i - 1]) != NOTHING) t.segments[at - 1].to = i;
    if (is_first && slot != NOTHING) t.segments[at++].from = i;
    if (i + 1 == calls && slot != NOTHING) t.segments[at - 1].to = calls;
  }
  if (threadIdx.x == blockDim.x - 1) t.standing->segments = at;
}

extern "C" __global__ void window_arrange(const KeyedTable* tables) {
  __shared__ Word counts[4];
  __shared__ unsigned taken;
  DYN_SHARED(Word, room);  // a word for each thread, then counters: DIGITS for each thread
  const KeyedTable& t = tables[blockIdx.x];
  long long* times_ms = reinterpret_cast<long long*>(room);
  unsigned* sums = reinterpret_cast<unsigned*>(room);
  unsigned* counters = reinterpret_cast<unsigned*>(room + blockDim.x);
  if (threadIdx.x < 4) counts[threadIdx.x] = 0;
  if (threadIdx.x == 0) taken = 0;
  merge_calls(t);
  __syncthreads();
  accept_calls(t, counts, times_ms);
  place_calls(t, counts, &taken);
  __syncthreads();
  const unsigned calls = t.rows + t.labels;
  for (unsigned pass = 0; pass < t.sort_passes; ++pass) {
    const bool is_odd = pass % 2 == 1;
    sort_pass(is_odd ? t.sorting : t.sorted, is_odd ? t.sorted : t.sorting, calls,
              32 + pass * DIGIT_BITS, counters, sums);
  }
  find_segments(t, sums);
  if (threadIdx.x != 0) return;
  if (!t.is_loading)
    for (unsigned i = 0; i < 4; ++i) t.standing->counts[i] += counts[i];
  const unsigned reused = taken < t.standing->free_slots ? taken : t.standing->free_slots;
  t.standing->free_slots -= reused;
  t.standing->slots += taken - reused;
}
