// Parts of a flat JSON object: the twin of what json.rs reads it by.
#pragma once
#include "records.cuh"

namespace decode {
// More names in a record are too many.
constexpr unsigned PAIRS_MAX = 256;

NUMBERS unsigned skip_space(const Text& record, unsigned at) {
  for (Byte byte; (byte = record.at(at)) == ' ' || byte == '\n' || byte == '\r' || byte == '\t';)
    ++at;
  return at;
}

// Behind this byte, whitespace before it allowed; 0 where it is another.
NUMBERS unsigned pass(const Text& record, unsigned at, Byte byte) {
  at = skip_space(record, at);
  return record.at(at) == byte ? at + 1 : 0;
}

// Where a text that begins at `at` ends: its closing quote. 0 where it is not plain.
NUMBERS unsigned text_end(const Text& record, unsigned at) {
  for (;;) {
    const Byte byte = record.at(at);
    if (byte == '"') return at;
    if (byte < 0x20 || byte == '\\') return 0;
    const unsigned bytes = byte < 0x80 ? 1 : character_bytes(record, at);
    if (bytes == 0) return 0;
    at += bytes;
  }
}

NUMBERS bool has_word(const Text& record, unsigned at, const char* word, unsigned length) {
  for (unsigned i = 0; i < length; ++i)
    if (record.at(at + i) != static_cast<Byte>(word[i])) return false;
  return true;
}

// The value that begins at `at`: 0, or where it ends. Without `has_value` it is one that only a
// field that is not wanted may have.
NUMBERS unsigned read_value(const Table& t, const Text& record, unsigned at, Value& value, bool& has_value) {
  const Byte first = record.at(at);
  has_value = true;
  value.kind = NO_VALUE;
  value.whole = 0;
  if (first == '"') {
    const unsigned end = text_end(record, at + 1);
    if (end == 0) return 0;
    value.kind = SPELLED;
    value.text = record.part(at + 1, end);
    return end + 1;
  }
  if (first == 'n') return has_word(record, at, "null", 4) ? at + 4 : 0;
  if (first == 't' || first == 'f') {
    const unsigned length = first == 't' ? 4 : 5;
    value.kind = TRUTH;
    value.whole = first == 't' ? 1 : 0;
    return has_word(record, at, first == 't' ? "true" : "false", length) ? at + length : 0;
  }
  Number number;
  const unsigned end = number.scan(record, at);
  if (end == 0) return 0;
  if (number.is_whole) {
    value.kind = WHOLE;
    has_value = number.integer(value.whole);
  } else {
    value.kind = DECIMAL;
    has_value = number.to_double(t.powers, value.decimal);
    // Adding zero makes zero of negative zero.
    value.decimal += 0.0;
  }
  return end;
}

NUMBERS bool has_name(const Table& t, unsigned field, const Text& name, Word first) {
  const Entry& entry = t.entries[field];
  if (entry.length != name.length || entry.word != first) return false;
  for (unsigned i = 8; i < name.length; ++i)
    if (t.texts[entry.at + i] != name.bytes[i]) return false;
  return true;
}

// The field of that name; the expected one is tried first.
NUMBERS unsigned find(const Table& t, const Text& name, unsigned expected) {
  const Word first = hashing::bytes_at(name.bytes, name.length < 8 ? name.length : 8);
  if (expected < t.fields && has_name(t, expected, name, first)) return expected;
  for (unsigned field = 0; field < t.fields; ++field)
    if (has_name(t, field, name, first)) return field;
  return NO_FIELD;
}
}  // namespace decode
