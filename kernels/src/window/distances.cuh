// How far back the code of an entry was last, by which `distinct` knows whether it is there for the
// first time in a window.
//
// Entries are looked for many at once: as many as a key has calls. Their codes, each once, lie in
// lists by their hash, and what is before them is gone through a single time, the newest first, as
// many at once as a warp has lanes, until all codes were met or no window reaches any further. What
// a few calls bring needs no lists: each lane keeps a code.
#pragma once
#include "nodes.cuh"

// How many of the entries before `seq` can be in a window with it that reads `distinct`.
NUMBERS unsigned within_reach(const KeyedTable& t, const KeyView& view, unsigned seq) {
  const unsigned count = seq - view.first;
  const long long time_ms = *time_in(chunk_at(view, seq), seq);
  return count - entries_until(view, saturating_difference(time_ms, t.distinct_ms), count);
}

NUMBERS Word code_at(const KeyedTable& t, const KeyView& view, unsigned code, unsigned seq) {
  return *code_in(t, chunk_at(view, seq), code, seq);
}

NUMBERS unsigned lowest_of(unsigned mask) {
  return static_cast<unsigned>(__popc((mask & (~mask + 1)) - 1));
}
NUMBERS unsigned highest_of(unsigned mask) {
  return static_cast<unsigned>(63 - __clzll(static_cast<long long>(mask)));
}

// The distances of entries `from..end`, by all lanes, where all before `end` are written: a tile of
// them at a time, without lists.
NUMBERS void write_all_distances(const KeyedTable& t, const KeyView& view, unsigned code,
                                 unsigned from, unsigned end, unsigned lane) {
  for (unsigned tile = from; tile != end;) {
    const unsigned count = end - tile < WARP ? end - tile : WARP, seq = tile + lane;
    const bool is_one = lane < count;
    const Word own = is_one ? code_at(t, view, code, seq) : 0;
    const unsigned all = __ballot_sync(ALL_LANES, is_one);
    const unsigned like = __match_any_sync(ALL_LANES, own) & all & ((1u << lane) - 1);
    unsigned distance = like == 0 ? NOTHING : lane - highest_of(like);
    unsigned open = __ballot_sync(ALL_LANES, is_one && like == 0);
    const unsigned reach = within_reach(t, view, tile);
    for (unsigned back = 0; open != 0 && back < reach; back += WARP) {
      const bool is_held = back + lane < reach;
      const Word other = is_held ? code_at(t, view, code, tile - 1 - back - lane) : 0;
      for (unsigned left = open; left != 0; left &= left - 1) {
        const unsigned who = lowest_of(left);
        const Word wanted = __shfl_sync(ALL_LANES, own, static_cast<int>(who));
        const unsigned met = __ballot_sync(ALL_LANES, is_held && other == wanted);
        if (met == 0) continue;
        open &= ~(1u << who);
        if (lane == who) distance = lane + 1 + back + lowest_of(met);
      }
    }
    if (is_one) *distance_in(t, chunk_at(view, seq), code, seq) = distance;
    tile += count;
  }
}

// A code that is looked for, by the number of its first entry.
struct NewCode {
  unsigned next;    // in its list
  unsigned latest;  // the last entry so far that has it
};

// The codes of entries `from..end`.
struct NewCodes {
  unsigned* lists;
  NewCode* codes;
  unsigned code, from, end;
};

NUMBERS unsigned* list_of(const NewCodes& news, Word held) {
  return &news.lists[((mix64(held) >> 32) * (news.end - news.from)) >> 32];
}

// The number of a code's first entry, or NOTHING.
NUMBERS unsigned find_new(const KeyedTable& t, const KeyView& view, const NewCodes& news,
                          Word held) {
  unsigned at = *list_of(news, held);
  while (at != NOTHING && code_at(t, view, news.code, news.from + at) != held)
    at = news.codes[at].next;
  return at;
}

// Lists the codes, and writes the distances among their entries, by all lanes; how many codes there
// are.
NUMBERS unsigned list_codes(const KeyedTable& t, const KeyView& view, const NewCodes& news,
                            unsigned lane) {
  const unsigned count = news.end - news.from;
  for (unsigned i = lane; i < count; i += WARP) news.lists[i] = NOTHING;
  __syncwarp();
  unsigned listed = 0;
  for (unsigned tile = 0; tile < count; tile += WARP) {
    const unsigned at = tile + lane, seq = news.from + at;
    const bool is_one = at < count;
    const Word own = is_one ? code_at(t, view, news.code, seq) : 0;
    const unsigned all = __ballot_sync(ALL_LANES, is_one);
    const unsigned likes = __match_any_sync(ALL_LANES, own) & all;
    const unsigned before = likes & ((1u << lane) - 1);
    const bool is_first = is_one && before == 0;
    const unsigned found = is_first ? find_new(t, view, news, own) : NOTHING;
    unsigned distance = NOTHING;
    if (before != 0) distance = lane - highest_of(before);
    if (found != NOTHING) distance = seq - news.codes[found].latest;
    if (is_one) *distance_in(t, chunk_at(view, seq), news.code, seq) = distance;
    const bool is_new = is_first && found == NOTHING;
    listed += static_cast<unsigned>(__popc(__ballot_sync(ALL_LANES, is_new)));
    // All have looked before one is added; a code has one lane here.
    __syncwarp();
    if (is_first) news.codes[is_new ? at : found].latest = seq + (highest_of(likes) - lane);
    if (is_new) news.codes[at].next = atomicExch(list_of(news, own), at);
    __syncwarp();
  }
  return listed;
}

// The distances of so many entries at most as there is room in the lists.
NUMBERS void write_listed_distances(const KeyedTable& t, const KeyView& view, const NewCodes& news,
                                    unsigned lane) {
  unsigned open = list_codes(t, view, news, lane);
  const unsigned reach = within_reach(t, view, news.from);
  for (unsigned back = 0; open != 0 && back < reach; back += WARP) {
    const unsigned before = news.from - 1 - back - lane;
    unsigned at = NOTHING, was = 0;
    if (back + lane < reach) at = find_new(t, view, news, code_at(t, view, news.code, before));
    if (at != NOTHING) {
      // The nearest of several likes counts, whichever lane comes first.
      const unsigned seq = news.from + at;
      was = atomicMin(distance_in(t, chunk_at(view, seq), news.code, seq), seq - before);
    }
    open -= static_cast<unsigned>(__popc(__ballot_sync(ALL_LANES, was == NOTHING)));
  }
  __syncwarp();
}

// The distances of entries `from..end` of a key that has calls `segment.from..segment.to`, by all
// lanes; all entries are written.
NUMBERS void write_distances_of(const KeyedTable& t, const KeyView& view,
                                const KeySegment& segment, unsigned from, unsigned end,
                                unsigned lane) {
  const unsigned calls = segment.to - segment.from;
  unsigned* lists = t.code_lists + static_cast<Word>(3) * segment.from;
  NewCode* codes = reinterpret_cast<NewCode*>(lists + calls);
  for (unsigned code = 0; t.has_distincts && code < t.codes; ++code) {
    if (calls <= WARP) {
      write_all_distances(t, view, code, from, end, lane);
      continue;
    }
    for (unsigned at = from; at != end;) {
      const unsigned count = end - at < calls ? end - at : calls;
      write_listed_distances(t, view, {lists, codes, code, at, at + count}, lane);
      at += count;
    }
  }
}
