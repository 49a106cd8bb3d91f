// What is free of a table's chunks and rings: lists through what is free, and behind what was ever
// used all the rest. A launch either takes or gives back, never both, so that the head of a list
// can be compared and swapped: what it names cannot have gone and come again.
#pragma once
#include "table.cuh"

// A free chunk; the first one, and a failure, where there is none.
NUMBERS unsigned take_chunk(const KeyedTable& t) {
  TableStanding& standing = *t.standing;
  unsigned head = __ldcg(&standing.free_chunk);
  while (head != NOTHING) {
    const unsigned next = t.chunks[static_cast<Word>(head) * t.chunk_words];
    const unsigned was = atomicCAS(&standing.free_chunk, head, next);
    if (was == head) {
      atomicAdd(&standing.free_chunks, ~0u);
      return head;
    }
    head = was;
  }
  const unsigned fresh = atomicAdd(&standing.chunks, 1u);
  if (fresh < t.chunks_max) return fresh;
  atomicOr(&standing.failures, static_cast<unsigned>(NO_CHUNK));
  return 0;
}

// A free ring of 2^bits references.
NUMBERS unsigned take_ring(const KeyedTable& t, unsigned bits) {
  TableStanding& standing = *t.standing;
  unsigned head = __ldcg(&standing.free_rings[bits]);
  while (head != NOTHING) {
    const unsigned was = atomicCAS(&standing.free_rings[bits], head, t.rings[head].chunk);
    if (was == head) return head;
    head = was;
  }
  const unsigned fresh = atomicAdd(&standing.rings, 1u << bits);
  if (fresh <= t.rings_max && (1u << bits) <= t.rings_max - fresh) return fresh;
  atomicOr(&standing.failures, static_cast<unsigned>(NO_RING));
  return NOTHING;
}

NUMBERS void give_chunk(const KeyedTable& t, unsigned chunk) {
  TableStanding& standing = *t.standing;
  unsigned head = __ldcg(&standing.free_chunk);
  for (;;) {
    t.chunks[static_cast<Word>(chunk) * t.chunk_words] = head;
    const unsigned was = atomicCAS(&standing.free_chunk, head, chunk);
    if (was == head) break;
    head = was;
  }
  atomicAdd(&standing.free_chunks, 1u);
}

NUMBERS void give_ring(const KeyedTable& t, unsigned ring, unsigned bits) {
  TableStanding& standing = *t.standing;
  unsigned head = __ldcg(&standing.free_rings[bits]);
  for (;;) {
    t.rings[ring].chunk = head;
    const unsigned was = atomicCAS(&standing.free_rings[bits], head, ring);
    if (was == head) return;
    head = was;
  }
}
