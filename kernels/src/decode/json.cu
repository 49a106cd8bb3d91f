// Flat JSON objects into rows: the twin of json.rs. A thread reads a record, which is for batches
// that fill a GPU with threads; for smaller ones see warp.cu.
#include "json.cuh"

namespace decode {
NUMBERS bool read(const Table& t, const Out& out, unsigned row, const Text& record, Seen& seen) {
  if (record.length > t.record_bytes) return false;
  unsigned at = pass(record, 0, '{'), expected = t.first;
  if (at == 0) return false;
  at = skip_space(record, at);
  unsigned pairs = 0;
  for (bool is_over = record.at(at) == '}'; !is_over;) {
    if (pairs++ == PAIRS_MAX) return false;
    const unsigned start = pass(record, at, '"');
    const unsigned end = start == 0 ? 0 : text_end(record, start);
    if (end == 0) return false;
    at = pass(record, end + 1, ':');
    if (at == 0) return false;
    at = skip_space(record, at);
    Value value;
    bool has_value;
    const unsigned behind = read_value(t, record, at, value, has_value);
    if (behind == 0) return false;
    const unsigned found = find(t, record.part(start, end), expected);
    if (found != NO_FIELD) {
      if (seen.has(found) || !has_value) return false;
      seen.add(found);
      const Entry& entry = t.entries[found];
      expected = entry.next;
      if (!store(t, out, row, entry, value, {at, behind - at})) return false;
    }
    at = skip_space(record, behind);
    is_over = record.at(at) == '}';
    if (!is_over && record.at(at) != ',') return false;
    if (!is_over) ++at;
  }
  return skip_space(record, at + 1) == record.length;
}
}  // namespace decode

extern "C" __global__ void decode_json(const decode::Table t, const decode::Records records,
                                       const decode::Out out) {
  DYN_SHARED(decode::Piece, pieces);
  const decode::Stage stage(records, blockDim.x, pieces);
  const unsigned row = blockIdx.x * blockDim.x + threadIdx.x;
  if (row >= records.rows) return;
  decode::Seen seen = {0, 0};
  const bool is_plain = decode::read(t, out, row, stage.record(records, row), seen);
  decode::finish(t, out, row, is_plain, seen);
}
