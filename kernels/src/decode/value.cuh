// Records as a GPU has them, and one value into the columns it fills: the twin of table.rs and
// value.rs.
#pragma once
#include "digest.cuh"

namespace decode {
enum TargetKind : unsigned {
  TO_ID = 0,
  TO_SECONDS = 1,
  TO_MILLISECONDS = 2,
  TO_MICROSECONDS = 3,
  TO_NANOSECONDS = 4,
  TO_RFC3339 = 5,
  TO_NUMBER = 6,
  TO_CATEGORY = 7,
  TO_LABEL = 8,
  TO_TEXT = 9
};
enum Meaning : unsigned { OF_BINARY = 0, OF_CLASSES = 1, OF_NUMBER = 2 };
enum ValueKind : unsigned { NO_VALUE, TRUTH, WHOLE, DECIMAL, SPELLED };
constexpr Byte HARD = 0, PLAIN = 1;
// A row that is not plain has seen everything but that.
constexpr unsigned NO_FIELD = 0xffffffffu;

struct Entry {
  Word word;
  unsigned at, length, first_target, targets, next, kind;
};
struct Target {
  unsigned kind, column;
};
struct Class {
  long long integer;
  unsigned is_integer, at, length, unused;
};
struct Table {
  const Entry* entries;
  const Target* targets;
  const Class* classes;
  const Byte* texts;
  const Word* powers;     // [83, 2]
  const unsigned* order;  // [pairs]: the field expected at each place of a record
  Word truth_codes[2];    // categories of false and true
  unsigned fields, first, class_count, meaning, record_bytes, has_label, pairs, unused;
};

struct Id {
  Word low, high;
};
struct Place {
  unsigned at, length;
};
// The columns that rows are read into.
struct Out {
  long long* times_ms;  // [stride]
  float* numbers;       // [numbers, stride]
  Word* categories;     // [categories, stride]
  Id* ids;              // [stride]
  float* labels;        // [stride]
  Place* texts;         // [texts, stride]
  Byte* marks;          // [stride]
  Word stride;
};

struct Value {
  unsigned kind;
  long long whole;  // and a truth value
  double decimal;
  Text text;
};

// Which fields of a row were seen: at most 128.
struct Seen {
  Word low, high;
  NUMBERS bool has(unsigned field) const {
    return ((field < 64 ? low : high) >> (field & 63) & 1) != 0;
  }
  NUMBERS void add(unsigned field) {
    const Word bit = 1ull << (field & 63);
    if (field < 64)
      low |= bit;
    else
      high |= bit;
  }
};

NUMBERS float missing_number() { return __uint_as_float(0x7fc00000u); }

// Makes a field missing; whether a row can be without it.
NUMBERS bool fill_field(const Table& t, const Out& out, unsigned row, unsigned field) {
  bool can_miss = true;
  const Entry& entry = t.entries[field];
  for (unsigned i = 0; i < entry.targets; ++i) {
    const Target target = t.targets[entry.first_target + i];
    const Word at = target.column * out.stride + row;
    if (target.kind == TO_ID) {
      out.ids[row] = {0, 0};
      can_miss = false;
    } else if (target.kind == TO_NUMBER) {
      out.numbers[at] = missing_number();
    } else if (target.kind == TO_CATEGORY) {
      out.categories[at] = 0;
    } else if (target.kind == TO_LABEL) {
      out.labels[row] = missing_number();
    } else if (target.kind == TO_TEXT) {
      out.texts[at] = {0, 0};
    } else {
      out.times_ms[row] = 0;
      can_miss = false;
    }
  }
  return can_miss;
}

// Makes all fields but those seen missing; whether the row has id and time, where wanted.
NUMBERS bool fill(const Table& t, const Out& out, unsigned row, const Seen& seen) {
  bool is_whole = true;
  if (t.has_label == 0) out.labels[row] = missing_number();
  for (unsigned field = 0; field < t.fields; ++field)
    if (!seen.has(field) && !fill_field(t, out, row, field)) is_whole = false;
  return is_whole;
}

// Ends a row that was read up to here, plain so far or not.
NUMBERS void finish(const Table& t, const Out& out, unsigned row, bool is_plain, Seen seen) {
  if (is_plain) is_plain = fill(t, out, row, seen);
  if (!is_plain) fill(t, out, row, {0, 0});
  out.marks[row] = is_plain ? PLAIN : HARD;
}

// The double that a text spells, spelled as JSON has it.
NUMBERS bool spelled(const Table& t, const Text& text, double& x) {
  Number number;
  const unsigned end = number.scan(text, 0);
  return end != 0 && end == text.length && number.to_double(t.powers, x);
}

NUMBERS bool number_of(const Table& t, const Value& value, float& x) {
  if (value.kind == WHOLE || value.kind == TRUTH) {
    x = static_cast<float>(value.whole);
  } else if (value.kind == DECIMAL) {
    x = static_cast<float>(value.decimal);
  } else if (value.kind == NO_VALUE) {
    x = missing_number();
  } else {
    unsigned from = 0, to = value.text.length;
    while (from < to && value.text.bytes[from] == ' ') ++from;
    while (from < to && value.text.bytes[to - 1] == ' ') --to;
    double decimal;
    if (from == to) {
      x = missing_number();
    } else if (spelled(t, value.text.part(from, to), decimal)) {
      x = static_cast<float>(decimal);
    } else {
      return false;
    }
  }
  return true;
}

NUMBERS bool is_finite(float x) { return absolute(x) < __uint_as_float(0x7f800000u); }

NUMBERS Word nonzero(Word code) { return code == 0 ? ~0ull : code; }
NUMBERS Word integer_code(long long i) { return nonzero(mix64(static_cast<Word>(i))); }
NUMBERS Word text_code(const Text& text) {
  return nonzero(mix64(hashing::hash_bytes(text.bytes, text.length) ^ 0x7465787400000001ull));
}

// The integer a double stands for exactly, if it does.
NUMBERS bool whole_of(double x, double below, long long& i) {
  if (x != trunc(x) || !(absolute(x) < below)) return false;
  i = static_cast<long long>(x);
  return true;
}

NUMBERS bool is_word(const Text& text, const char* word, unsigned length) {
  if (text.length != length) return false;
  for (unsigned i = 0; i < length; ++i)
    if (text.bytes[i] != static_cast<Byte>(word[i])) return false;
  return true;
}
NUMBERS bool is_truth(const Text& text, bool truth) {
  return truth ? is_word(text, "true", 4) : is_word(text, "false", 5);
}

NUMBERS Word category(const Table& t, const Value& value) {
  long long i = value.whole;
  if (value.kind == WHOLE) return integer_code(i);
  if (value.kind == DECIMAL) {
    if (whole_of(value.decimal, 9.0e15, i)) return integer_code(i);
    return nonzero(mix64(double_to_bits(value.decimal) ^ 0x666c6f6174000001ull));
  }
  if (value.kind == NO_VALUE || (value.kind == SPELLED && value.text.length == 0)) return 0;
  if (value.kind == TRUTH) return t.truth_codes[value.whole];
  return canonical_integer(value.text, i) ? integer_code(i) : text_code(value.text);
}

NUMBERS bool identity(const Value& value, Id& id) {
  long long i = value.whole;
  bool is_integer = value.kind == WHOLE;
  if (value.kind == DECIMAL) is_integer = whole_of(value.decimal, 9.0e15, i);
  if (value.kind == SPELLED) {
    is_integer = canonical_integer(value.text, i);
    const unsigned length = value.text.length;
    if (!is_integer && length > 14 && length <= BLOCK_BYTES) {
      digest(value.text, id.low, id.high);
      id.high |= 0xffull << 56;
      return true;
    }
    if (!is_integer && length >= 1 && length <= 14) {
      const unsigned low = length < 8 ? length : 8;
      id.low = hashing::bytes_at(value.text.bytes, low);
      id.high = hashing::bytes_at(value.text.bytes + low, length - low) | Word(2 + length) << 56;
      return true;
    }
  }
  if (!is_integer) return false;
  id = {static_cast<Word>(i), 1ull << 56};
  return true;
}

NUMBERS bool float_ms(double x, long long& ms) {
  if (!(absolute(x) < 1e15)) return false;
  ms = static_cast<long long>(floor(x));
  return true;
}

NUMBERS long long floored(long long a, long long by) { return a / by - (a % by < 0 ? 1 : 0); }

NUMBERS bool time_of(const Table& t, Value value, unsigned unit, long long& ms) {
  if (value.kind == SPELLED && unit == TO_RFC3339) return text_time_ms(value.text, ms);
  if (value.kind == SPELLED) {
    if (canonical_integer(value.text, value.whole))
      value.kind = WHOLE;
    else if (spelled(t, value.text, value.decimal))
      value.kind = DECIMAL;
    else
      return false;
  }
  bool is_time = unit != TO_RFC3339;
  if (value.kind == WHOLE) {
    const long long i = value.whole, most = INTEGER_MAX / 1000;
    if (unit == TO_SECONDS) is_time = i <= most && i >= -most;
    if (unit == TO_SECONDS && is_time) ms = i * 1000;
    if (unit == TO_MILLISECONDS) ms = i;
    if (unit == TO_MICROSECONDS) ms = floored(i, 1000);
    if (unit == TO_NANOSECONDS) ms = floored(i, 1000000);
  } else if (value.kind == DECIMAL) {
    double x = value.decimal;
    if (unit == TO_SECONDS) x = x * 1000.0;
    if (unit == TO_MICROSECONDS) x = x / 1e3;
    if (unit == TO_NANOSECONDS) x = x / 1e6;
    is_time = is_time && float_ms(x, ms);
  } else {
    return false;
  }
  return is_time && ms >= -62135596800000ll && ms <= 253402300799999ll;
}

// The index of the class of that name.
NUMBERS bool class_of(const Table& t, const Value& value, float& label) {
  long long integer = value.whole;
  if (value.kind == DECIMAL && !whole_of(value.decimal, 1e15, integer)) return false;
  for (unsigned i = 0; i < t.class_count; ++i) {
    const Class& known = t.classes[i];
    const Text name = {t.texts + known.at, known.length};
    bool is_it = known.is_integer != 0 && known.integer == integer;
    if (value.kind == TRUTH) is_it = is_truth(name, value.whole != 0);
    if (value.kind == SPELLED) is_it = is_equal(name, value.text);
    if (is_it) {
      label = static_cast<float>(i);
      return true;
    }
  }
  return false;
}

NUMBERS bool label_of(const Table& t, const Value& value, float& label) {
  label = missing_number();
  if (value.kind == NO_VALUE) return true;
  if (t.meaning == OF_CLASSES) return class_of(t, value, label);
  if (t.meaning == OF_NUMBER) return number_of(t, value, label) && is_finite(label);
  bool is_one = false, is_zero = false;
  if (value.kind == DECIMAL) {
    is_one = value.decimal == 1.0;
    is_zero = value.decimal == 0.0;
  } else if (value.kind == SPELLED) {
    is_one = is_word(value.text, "1", 1) || is_truth(value.text, true);
    is_zero = is_word(value.text, "0", 1) || is_truth(value.text, false);
  } else {
    is_one = value.whole == 1;
    is_zero = value.whole == 0;
  }
  label = is_one ? 1.0f : 0.0f;
  return is_one || is_zero;
}

// Sets the targets of a field; false where the value is not plain for one of them.
NUMBERS bool store(const Table& t, const Out& out, unsigned row, const Entry& entry,
                   const Value& value, const Place& place) {
  for (unsigned i = 0; i < entry.targets; ++i) {
    const Target target = t.targets[entry.first_target + i];
    const Word at = target.column * out.stride + row;
    bool is_plain = true;
    if (target.kind == TO_NUMBER) {
      float x;
      is_plain = number_of(t, value, x);
      if (is_plain) out.numbers[at] = is_finite(x) ? x + 0.0f : missing_number();
    } else if (target.kind == TO_CATEGORY) {
      out.categories[at] = category(t, value);
    } else if (target.kind == TO_ID) {
      is_plain = identity(value, out.ids[row]);
    } else if (target.kind == TO_LABEL) {
      is_plain = label_of(t, value, out.labels[row]);
    } else if (target.kind == TO_TEXT) {
      out.texts[at] = place;
    } else {
      is_plain = time_of(t, value, target.kind, out.times_ms[row]);
    }
    if (!is_plain) return false;
  }
  return true;
}
}  // namespace decode
