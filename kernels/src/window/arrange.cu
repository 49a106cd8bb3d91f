// A batch brought in order, by one block a table: which calls are accepted, which key each is for,
// and the calls sorted by key, those of a key in the order of the stream. Batches of many calls go
// another way (wide.cu).
#include "calls.cuh"

constexpr unsigned DIGIT_BITS = 4, DIGITS = 1u << DIGIT_BITS;

// A thread's share of the calls.
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

// Which calls are accepted; the watermark behind those of each thread.
NUMBERS long long accept_all(const KeyedTable& t, Word* counts, long long* of_threads) {
  const Stretch own = stretch_of(t.rows + t.labels);
  long long watermark_ms =
      joined_before(newest_row(t, own), NEVER_MS, of_threads, Later());
  if (t.standing->watermark_ms > watermark_ms) watermark_ms = t.standing->watermark_ms;
  return accept_calls(t, own, watermark_ms, counts);
}

// The slot of each accepted call.
NUMBERS void place_calls(const KeyedTable& t, Word* counts, unsigned* taken) {
  const unsigned calls = t.rows + t.labels;
  for (unsigned i = threadIdx.x; i < calls; i += blockDim.x) enter_key(t, i, counts, taken);
  // What is entered before is found by what only asks, and all slots are written.
  __syncthreads();
  for (unsigned i = threadIdx.x; i < calls; i += blockDim.x) t.sorted[i] = placed_call(t, i);
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

extern "C" __global__ void window_arrange(const KeyedTable* tables) {
  __shared__ Word counts[COUNTED];
  __shared__ unsigned taken;
  __shared__ long long newest_ms;
  DYN_SHARED(Word, room);  // a word for each thread, then counters: DIGITS for each thread
  const KeyedTable& t = tables[blockIdx.x];
  long long* times_ms = reinterpret_cast<long long*>(room);
  unsigned* sums = reinterpret_cast<unsigned*>(room);
  unsigned* counters = reinterpret_cast<unsigned*>(room + blockDim.x);
  const unsigned calls = t.rows + t.labels;
  if (threadIdx.x < COUNTED) counts[threadIdx.x] = 0;
  if (threadIdx.x == 0) taken = 0, newest_ms = t.standing->watermark_ms;
  merge_calls(t);
  __syncthreads();
  const long long watermark_ms = accept_all(t, counts, times_ms);
  const Stretch own = stretch_of(calls);
  // The last stretch with calls knows the watermark behind all of them.
  if (own.from < own.to && own.to == calls) newest_ms = watermark_ms;
  __syncthreads();
  place_calls(t, counts, &taken);
  __syncthreads();
  for (unsigned pass = 0; pass < t.sort_passes; ++pass) {
    const bool is_odd = pass % 2 == 1;
    sort_pass(is_odd ? t.sorting : t.sorted, is_odd ? t.sorted : t.sorting, calls,
              32 + pass * DIGIT_BITS, counters, sums);
  }
  const unsigned begun = joined_before(keys_begun(t, own), 0u, sums, Plus());
  write_segments(t, own, begun);
  if (threadIdx.x != 0) return;
  if (!t.is_loading)
    for (unsigned i = 0; i < COUNTED; ++i) t.standing->counts[i] += counts[i];
  write_standing(t, newest_ms, taken, sums[blockDim.x - 1]);
}
