// Kernels that hand values from thread to thread, on threads of the system: ThreadSanitizer sees
// what a missing barrier leaves unordered. The results are looked at elsewhere.
//
// Compiled by the tests with -fsanitize=thread -DHOST_CUDA -DHOST_CUDA_THREADS.
#include <vector>

#include "cuda.h"

#include "../src/blend.cu"
#include "../src/decode/json.cu"
#include "../src/decode/warp.cu"
#include "../src/moments.cu"
#include "../src/repair.cu"
#include "../src/tally.cu"

namespace {
unsigned long long drawn = 1;

float draw() {
  drawn = mix64(drawn + 0x9e3779b97f4a7c15ull);
  return static_cast<float>(drawn >> 40) / 16777216.0f;
}

std::vector<float> draw_all(unsigned count) {
  std::vector<float> values(count);
  for (float& value : values) value = draw() * 4.0f - 2.0f;
  return values;
}

void tally() {
  std::vector<float> scores(90), labels(90);
  for (unsigned i = 0; i < 90; ++i) {
    scores[i] = draw();
    labels[i] = draw() < 0.5f ? 0.0f : 1.0f;
  }
  TallyCells cells = {};
  host_cuda::launch(2, 64, 0, [&] { tally_binary(&cells, scores.data(), labels.data(), 90, 1, 1); });
}

void moments() {
  const unsigned rows = 300, width = 2;
  std::vector<float> matrix = draw_all(rows * width);
  Sums columns[width] = {};
  double means[width] = {}, inverses[width] = {};
  const Moments m = {columns, means, inverses, 0, 0, 100, 16, 8.0f, 1};
  const MomentRows of = {matrix.data(), 16, rows, width, 0, 0};
  host_cuda::launch(width, 32, 32 * sizeof(Sums), [&] { moments_standardize(m, of); });
}

void repair() {
  const unsigned rows = 200;
  std::vector<float> numbers = draw_all(2 * rows);
  numbers[7] = numbers[150] = __uint_as_float(0x7fc00000u);
  RepairColumn columns[2] = {};
  columns[1].outliers = SIGMA;
  columns[1].sigma = 2.0f;
  host_cuda::launch(2, 32, 32 * sizeof(Sums),
                    [&] { repair_columns(columns, numbers.data(), rows, rows); });
}

void blend() {
  const unsigned rows = 6, inputs = 3, stride = 8, sparse_width = 2, cells = 16;
  std::vector<float> dense = draw_all(rows * inputs), labels(rows), weights(rows, 1.0f);
  std::vector<unsigned> sparse(rows * sparse_width);
  for (unsigned& index : sparse) index = static_cast<unsigned>(draw() * cells);
  for (float& label : labels) label = draw() < 0.5f ? 0.0f : 1.0f;
  Running running = {};
  std::vector<BlendCell> own(inputs + 1, BlendCell{}), table(cells, BlendCell{});
  std::vector<double> covariances(FILTERS * (inputs + 1) * stride), variances(FILTERS * stride);
  for (unsigned f = 0; f < FILTERS; ++f)
    for (unsigned i = 0; i <= inputs; ++i)
      covariances[(f * (inputs + 1) + i) * stride + i] = variances[f * stride + i] = 1.0;
  float mixture[EXPERTS] = {0.25f, 0.25f, 0.25f, 0.25f};
  BlendModel m = {};
  m.base = {nullptr, nullptr, nullptr, &running, 1, stride, inputs, inputs, sparse_width, cells,
            0, BINARY, SGD, 0, 0.1f, 0.0f, 0.0f, 0.0f, 1.0f, 0.0f};
  m.dense = own.data();
  m.sparse = table.data();
  m.covariances = covariances.data();
  m.variances = variances.data();
  m.mixture = mixture;
  m.has_covariances = 1;
  for (unsigned e = 0; e < EXPERTS; ++e) m.dense_priors[e] = m.sparse_priors[e] = 0.1f;
  m.mixture_rate = 0.5f;
  m.mixture_share = 1e-5f;
  const LinearRows of = {dense.data(), sparse.data(), labels.data(), weights.data(), rows, 0};
  std::vector<float> predictions(rows);
  unsigned outcome[2] = {};
  const std::size_t bytes = 8 * 7 * stride + 4 * 2 * EXPERTS;
  host_cuda::launch(1, 32, bytes, [&] { blend_each(m, of, predictions.data(), outcome); });
  if (outcome[0] != rows) std::abort();
}

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
  tally();
  moments();
  repair();
  blend();
  decode_records();
  std::puts("every kernel has run");
}
