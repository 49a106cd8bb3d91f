// Binary records into rows: the twin of binary.rs. A thread reads a record.
#include "records.cuh"

namespace decode {
enum BinaryKind : unsigned {
  IS_F32 = 0,
  IS_F64 = 1,
  IS_I32 = 2,
  IS_U64 = 5,
  IS_TEXT = 6,
  CAN_MISS = 8
};

NUMBERS bool read_text(const Text& field, Value& value) {
  unsigned end = 0;
  while (end < field.length && field.bytes[end] != 0) {
    const unsigned bytes = character_bytes(field, end);
    if (bytes == 0) return false;
    end += bytes;
  }
  for (unsigned i = end; i < field.length; ++i)
    if (field.bytes[i] != 0) return false;
  value.kind = end == 0 ? NO_VALUE : SPELLED;
  value.text = field.part(0, end);
  return true;
}

NUMBERS bool read_value(const Entry& entry, const Text& record, Value& value) {
  const Text field = record.part(entry.at, entry.at + entry.length);
  value.kind = NO_VALUE;
  value.whole = 0;
  if (entry.kind == IS_TEXT) return read_text(field, value);
  const Word bits = hashing::bytes_at(field.bytes, field.length);
  if ((entry.kind & CAN_MISS) != 0 && bits == entry.word) return true;
  const unsigned kind = entry.kind & ~CAN_MISS;
  if (kind == IS_F32 || kind == IS_F64) {
    const double x = kind == IS_F32
                         ? static_cast<double>(__uint_as_float(static_cast<unsigned>(bits)))
                         : bits_to_double(bits);
    value.kind = x != x ? NO_VALUE : DECIMAL;
    // Adding zero makes zero of negative zero.
    value.decimal = x + 0.0;
    return true;
  }
  value.kind = WHOLE;
  value.whole = kind == IS_I32 ? static_cast<int>(static_cast<unsigned>(bits))
                               : static_cast<long long>(bits);
  return kind != IS_U64 || bits <= static_cast<Word>(INTEGER_MAX);
}

NUMBERS bool read_fields(const Table& t, const Out& out, unsigned row, const Text& record,
                         Seen& seen) {
  if (record.length != t.record_bytes) return false;
  for (unsigned field = 0; field < t.fields; ++field) {
    const Entry& entry = t.entries[field];
    Value value;
    if (!read_value(entry, record, value)) return false;
    seen.add(field);
    if (!store(t, out, row, entry, value, {entry.at, entry.length})) return false;
  }
  return true;
}
}  // namespace decode

extern "C" __global__ void decode_binary(const decode::Table t, const decode::Records records,
                                         const decode::Out out) {
  DYN_SHARED(decode::Piece, pieces);
  const decode::Stage stage(records, blockDim.x, pieces);
  const unsigned row = blockIdx.x * blockDim.x + threadIdx.x;
  if (row >= records.rows) return;
  decode::Seen seen = {0, 0};
  const bool is_plain = decode::read_fields(t, out, row, stage.record(records, row), seen);
  decode::finish(t, out, row, is_plain, seen);
}
