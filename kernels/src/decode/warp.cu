// Flat JSON objects into rows, a warp to a record: what json.cu does, with fewer steps one after
// another. Its lanes look at 32 bytes at once to find where names and values begin, and read a
// name with its value each. Whether a row is plain is the same question put in another order: every
// lane asks for its part, and one that finds something unusual makes the row hard.
#include "json.cuh"

namespace decode {
constexpr unsigned WARPS = 4;
constexpr unsigned ALL = 0xffffffffu;

// What a warp knows of its record.
struct Places {
  unsigned names[PAIRS_MAX], values[PAIRS_MAX], seen[4];
};

// A bit for every quote becomes one for every byte from an opening quote to before a closing one.
NUMBERS unsigned inside_of(unsigned quotes) {
  for (unsigned by = 1; by < 32; by *= 2) quotes ^= quotes << by;
  return quotes;
}

NUMBERS bool is_space(Byte byte) {
  return byte == ' ' || byte == '\n' || byte == '\r' || byte == '\t';
}
NUMBERS bool is_mark(Byte byte) {
  return byte == '{' || byte == '}' || byte == ':' || byte == ',' || byte == '[' || byte == ']';
}

// Whether a byte of a text that is not ASCII is a part of a character.
NUMBERS bool is_of_character(const Text& record, unsigned at) {
  unsigned back = 0;
  while (back < 3 && back < at && (record.at(at - back) & 0xc0) == 0x80) ++back;
  return character_bytes(record, at - back) > back;
}

// Walks over the record: tokens are texts, marks and what stands between them. A record is `{`,
// then name, `:`, value and `,` in turn, and `}` at the end.
struct Walk {
  unsigned tokens = 0, braces = 0;
  bool is_bad = false, is_inside = false, ends_with_brace = false, was_word = false;

  NUMBERS void step(const Text& record, unsigned at, Places& places) {
    const unsigned lane = threadIdx.x & 31u;
    const Byte byte = at < record.length ? record.bytes[at] : Byte(' ');
    const unsigned quotes = __ballot_sync(ALL, byte == '"');
    const unsigned inside = inside_of(quotes) ^ (is_inside ? ALL : 0u);
    const bool is_quote = byte == '"', is_text = (inside >> lane & 1) != 0;
    is_inside = (inside >> 31) != 0;
    const bool is_word = !is_text && !is_quote && !is_space(byte) && !is_mark(byte);
    const unsigned words = __ballot_sync(ALL, is_word);
    const bool follows = lane > 0 ? (words >> (lane - 1) & 1) != 0 : was_word;
    was_word = (words >> 31) != 0;
    const bool opens = is_quote && is_text, is_brace = !is_text && byte == '}';
    const bool begins = opens || (!is_text && is_mark(byte)) || (is_word && !follows);
    const unsigned begun = __ballot_sync(ALL, begins), closed = __ballot_sync(ALL, is_brace);
    // What no text has, and what only a text has.
    if (is_text && !is_quote && (byte < 0x20 || byte == '\\')) is_bad = true;
    if (byte >= 0x80 && (!is_text || !is_of_character(record, at))) is_bad = true;
    if (begins) {
      const unsigned index = tokens + __popc(begun & ((1u << lane) - 1u));
      take(index, byte, at, places);
    }
    tokens += __popc(begun);
    braces += __popc(closed);
    if (begun != 0) ends_with_brace = (begun & ~closed) < closed;
  }

  // The token of this number begins at `at`.
  NUMBERS void take(unsigned index, Byte byte, unsigned at, Places& places) {
    if (index == 0) {
      is_bad = is_bad || byte != '{';
      return;
    }
    const unsigned pair = (index - 1) / 4, part = (index - 1) % 4;
    if (pair >= PAIRS_MAX && part < 3) {
      is_bad = true;
    } else if (part == 0) {
      if (byte != '"' && (byte != '}' || index != 1)) is_bad = true;
      places.names[pair] = at;
    } else if (part == 1) {
      if (byte != ':') is_bad = true;
    } else if (part == 2) {
      if (is_mark(byte)) is_bad = true;
      places.values[pair] = at;
    } else if (byte != ',' && byte != '}') {
      is_bad = true;
    }
  }

  // Names with values, where the tokens are those of a record.
  NUMBERS unsigned pairs() const { return (tokens - 1) / 4; }
  NUMBERS bool is_whole() const {
    const bool is_full = tokens == 2 || (tokens > 4 && tokens % 4 == 1);
    return is_full && braces == 1 && ends_with_brace && !is_inside;
  }
};

// Reads a name with its value; false where it is not plain.
NUMBERS bool read_pair(const Table& t, const Out& out, unsigned row, const Text& record,
                       Places& places, unsigned pair) {
  const unsigned start = places.names[pair] + 1, end = text_end(record, start);
  if (end == 0) return false;
  const unsigned at = places.values[pair];
  Value value;
  bool has_value;
  const unsigned behind = read_value(t, record, at, value, has_value);
  if (behind == 0) return false;
  const Byte next = record.at(skip_space(record, behind));
  if (next != ',' && next != '}') return false;
  const unsigned expected = pair < t.pairs ? t.order[pair] : NO_FIELD;
  const unsigned found = find(t, record.part(start, end), expected);
  if (found == NO_FIELD) return true;
  const unsigned bit = 1u << (found & 31);
  // Whichever of two comes second, the row is hard.
  if ((atomicOr(&places.seen[found / 32], bit) & bit) != 0 || !has_value) return false;
  return store(t, out, row, t.entries[found], value, {at, behind - at});
}
}  // namespace decode

extern "C" __global__ void decode_json_warp(const decode::Table t, const decode::Records records,
                                            const decode::Out out) {
  DYN_SHARED(decode::Piece, pieces);
  __shared__ decode::Places places_of_warps[decode::WARPS];
  const decode::Stage stage(records, decode::WARPS, pieces);
  const unsigned lane = threadIdx.x & 31u, warp = threadIdx.x / 32;
  const unsigned row = blockIdx.x * decode::WARPS + warp;
  // Whole warps only.
  if (row >= records.rows) return;
  decode::Places& places = places_of_warps[warp];
  const decode::Text record = stage.record(records, row);
  if (lane < 4) places.seen[lane] = 0;
  decode::Walk walk;
  bool is_plain = record.length <= t.record_bytes;
  if (is_plain)
    for (unsigned from = 0; from < record.length; from += 32)
      walk.step(record, from + lane, places);
  __syncwarp();
  is_plain = is_plain && !__any_sync(decode::ALL, walk.is_bad) && walk.is_whole();
  if (is_plain) {
    bool is_mine = true;
    for (unsigned pair = lane; pair < walk.pairs() && is_mine; pair += 32)
      is_mine = decode::read_pair(t, out, row, record, places, pair);
    is_plain = !__any_sync(decode::ALL, !is_mine);
  }
  // What others have stored and seen is there. (A vote alone promises no order of memory.)
  __syncwarp();
  if (is_plain) {
    bool is_mine = true;
    for (unsigned field = lane; field < t.fields; field += 32) {
      const bool is_seen = (places.seen[field / 32] >> (field & 31) & 1) != 0;
      if (!is_seen && !decode::fill_field(t, out, row, field)) is_mine = false;
    }
    is_plain = !__any_sync(decode::ALL, !is_mine);
    __syncwarp();
  }
  if (!is_plain)
    for (unsigned field = lane; field < t.fields; field += 32)
      decode::fill_field(t, out, row, field);
  if (lane == 0 && t.has_label == 0) out.labels[row] = decode::missing_number();
  if (lane == 0) out.marks[row] = is_plain ? decode::PLAIN : decode::HARD;
}
