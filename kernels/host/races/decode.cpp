// Records that are read.
#include "../cuda.h"

#include "../../src/decode/json.cu"
#include "../../src/decode/warp.cu"

#include "draw.h"

namespace {
// Twice: by threads and by warps.
void decode_records() {
  const unsigned rows = 40;
  std::vector<unsigned char> bytes;
  std::vector<unsigned> ends;
  for (unsigned row = 0; row < rows; ++row) {
    const char record[] = "{\"amount\":112.50,\"card\":7}";
    bytes.insert(bytes.end(), record, record + sizeof record - 1);
    ends.push_back(static_cast<unsigned>(bytes.size()));
  }
  bytes.resize(bytes.size() + 16);
  const unsigned char names[] = "amountcardshop";
  const decode::Entry entries[] = {{0x746e756f6d61ull, 0, 6, 0, 1, 1, 0},
                                   {0x64726163ull, 6, 4, 1, 1, 2, 0},
                                   {0x706f6873ull, 10, 4, 2, 1, 3, 0}};
  const decode::Target targets[] = {
      {decode::TO_NUMBER, 0}, {decode::TO_NUMBER, 1}, {decode::TO_NUMBER, 2}};
  const unsigned order[] = {0, 1, 2};
  unsigned long long powers[2 * 83] = {};
  // 11250 * 10^-2: only this power is asked for.
  powers[2 * 25] = 0xa3d70a3d70a3d70aull;
  powers[2 * 25 + 1] = 0x3d70a3d70a3d70a4ull;
  const decode::Table t = {entries, targets, nullptr, names, powers, order, {1, 2},
                           3,       0,       0,       0,     100,    0,     3,      0};
  const decode::Records records = {bytes.data(), ends.data(), rows, 4096};
  for (bool by_warp : {false, true}) {
    std::vector<float> numbers(3 * rows), labels(rows);
    std::vector<unsigned char> marks(rows);
    const decode::Out out = {nullptr, numbers.data(), nullptr, nullptr, labels.data(), nullptr,
                             marks.data(), rows};
    if (by_warp)
      host_cuda::launch(10, 128, 4096, [&] { decode_json_warp(t, records, out); });
    else
      host_cuda::launch(2, 32, 4096, [&] { decode_json(t, records, out); });
    for (unsigned row = 0; row < rows; ++row)
      if (marks[row] != decode::PLAIN || numbers[row] != 112.5f || numbers[rows + row] != 7.0f)
        std::abort();
  }
}
}  // namespace

int main() {
  decode_records();
  std::puts("it has run");
}
