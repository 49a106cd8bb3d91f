// What is done between batches: keys that no window can reach any more are forgotten, the index is
// made anew, and the entries of chosen keys are gathered, to be saved or to lie on the host.
#include "readings.cuh"
#include "stores.cuh"

// The key of a slot goes, with all its entries; `given` counts the slots that have become free.
NUMBERS void forget_key(const KeyedTable& t, unsigned slot, unsigned* given) {
  KeyHead& head = t.heads[slot];
  const KeyView view = view_of(t, head);
  const unsigned count = head.end - head.first;
  const unsigned chunks = (head.first % CHUNK + count + CHUNK - 1) / CHUNK;
  for (unsigned i = 0; i < chunks; ++i)
    give_chunk(t, view.refs[(head.first / CHUNK + i) & view.mask].chunk);
  if (head.bits > 1) give_ring(t, head.ring, head.bits);
  head.key = 0;
  atomicAdd(&t.standing->entries, ~static_cast<Word>(count) + 1);
  t.free_slots[t.standing->free_slots + atomicAdd(given, 1u)] = slot;
}

// Chunks and rings are only given back in this launch.
extern "C" __global__ void window_forget(const KeyedTable* tables, unsigned* given) {
  const KeyedTable& t = tables[0];
  const unsigned slot = blockIdx.x * blockDim.x + threadIdx.x;
  if (slot >= t.standing->slots) return;
  const KeyHead& head = t.heads[slot];
  if (head.key == 0 || head.newest_ms > horizon_ms(t, t.standing->watermark_ms)) return;
  forget_key(t, slot, given);
}

// The keys of `slots`, all different, go: they were gathered before. As above.
extern "C" __global__ void window_release(const KeyedTable* tables, const unsigned* slots,
                                          unsigned count, unsigned* given) {
  const unsigned at = blockIdx.x * blockDim.x + threadIdx.x;
  if (at < count) forget_key(tables[0], slots[at], given);
}

// The buckets are empty before; free slots are counted in behind those that have given some.
extern "C" __global__ void window_index(const KeyedTable* tables, const unsigned* given) {
  const KeyedTable& t = tables[0];
  const unsigned slot = blockIdx.x * blockDim.x + threadIdx.x;
  if (slot == 0) t.standing->free_slots += *given;
  if (slot >= t.standing->slots) return;
  const Word key = t.heads[slot].key;
  if (key == 0) return;
  const unsigned mask = (1u << t.key_bits) - 1;
  unsigned at = home_of(t, key);
  for (unsigned step = 0; step <= mask; ++step, at = (at + 1) & mask) {
    if (atomicCAS(&t.keys[at], static_cast<Word>(0), key) != 0) continue;
    t.slot_of[at] = slot;
    return;
  }
  atomicOr(&t.standing->failures, static_cast<unsigned>(NO_BUCKET));
}

// Writes the entries of `slots` as words, as a saved table has them, from `places` (in entries) on:
// a warp for each.
extern "C" __global__ void window_gather(const KeyedTable* tables, const unsigned* slots,
                                         const Word* places, unsigned count, unsigned* out) {
  const KeyedTable& t = tables[0];
  const unsigned lane = threadIdx.x % WARP;
  const unsigned at = blockIdx.x * (blockDim.x / WARP) + threadIdx.x / WARP;
  if (at >= count) return;
  KeyHead& head = t.heads[slots[at]];
  const KeyView view = view_of(t, head);
  const unsigned words = 2 + t.values + 2 * t.codes;
  for (unsigned i = lane; i < head.end - head.first; i += WARP) {
    const unsigned seq = head.first + i;
    unsigned* chunk = chunk_at(view, seq);
    unsigned* entry = out + (places[at] + i) * words;
    const Word time = static_cast<Word>(*time_in(chunk, seq));
    entry[0] = static_cast<unsigned>(time);
    entry[1] = static_cast<unsigned>(time >> 32);
    for (unsigned value = 0; value < t.values; ++value)
      entry[2 + value] = __float_as_uint(*value_in(chunk, value, seq));
    for (unsigned code = 0; code < t.codes; ++code) {
      const Word held = *code_in(t, chunk, code, seq);
      entry[2 + t.values + 2 * code] = static_cast<unsigned>(held);
      entry[3 + t.values + 2 * code] = static_cast<unsigned>(held >> 32);
    }
  }
}
