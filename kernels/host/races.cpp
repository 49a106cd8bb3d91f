// Kernels that hand values from thread to thread, on threads of the system: ThreadSanitizer sees
// what a missing barrier leaves unordered. The results are looked at elsewhere.
//
// Compiled by the tests with -fsanitize=thread -DHOST_CUDA -DHOST_CUDA_THREADS.
#include <vector>

#include "cuda.h"

#include "../src/blend.cu"
#include "../src/decode/json.cu"
#include "../src/decode/warp.cu"
#include "../src/factor.cu"
#include "../src/moments.cu"
#include "../src/network.cu"
#include "../src/repair.cu"
#include "../src/tally.cu"
#include "../src/window/arrange.cu"
#include "../src/window/enter.cu"
#include "../src/window/read.cu"
#include "../src/window/leave.cu"

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
  const MomentRows of = {matrix.data(), 16, rows, width, 0, 0, nullptr};
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

// A blend of few inputs, and rows of which every second one is refused.
struct Blended {
  static constexpr unsigned rows = 12, inputs = 3, stride = 8, sparse_width = 2, indices = 16;
  static constexpr std::size_t bytes = 8 * 7 * stride + 4 * 2 * EXPERTS;
  std::vector<float> dense = draw_all(rows * inputs), labels, weights;
  std::vector<unsigned> sparse;
  Running running = {};
  std::vector<BlendCell> own, table;
  std::vector<double> covariances, variances;
  float mixture[EXPERTS] = {0.25f, 0.25f, 0.25f, 0.25f};
  BlendModel m = {};
  LinearRows of;

  Blended()
      : labels(rows), weights(rows, 1.0f), sparse(rows * sparse_width),
        own(inputs + 1, BlendCell{}), table(indices, BlendCell{}),
        covariances(FILTERS * (inputs + 1) * stride), variances(FILTERS * stride) {
    for (unsigned& index : sparse) index = static_cast<unsigned>(draw() * indices);
    // Not twice the same.
    for (unsigned row = 0; row < rows; ++row)
      if (sparse[2 * row] == sparse[2 * row + 1]) sparse[2 * row] = (sparse[2 * row] + 1) % indices;
    for (float& label : labels) label = draw() < 0.5f ? 0.0f : 1.0f;
    for (unsigned row = 1; row < rows; row += 2) labels[row] = 2.0f;
    for (unsigned f = 0; f < FILTERS; ++f)
      for (unsigned i = 0; i <= inputs; ++i)
        covariances[(f * (inputs + 1) + i) * stride + i] = variances[f * stride + i] = 1.0;
    m.base = {nullptr, nullptr, nullptr, &running, 1, stride, inputs, inputs, sparse_width, indices,
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
    of = {dense.data(), sparse.data(), labels.data(), weights.data(), rows, 0};
  }
};

void blend() {
  Blended b;
  std::vector<float> predictions(b.rows);
  unsigned outcome[2] = {};
  host_cuda::launch(1, 64, b.bytes, [&] { blend_each(b.m, b.of, predictions.data(), outcome); });
  if (outcome[0] != b.rows / 2) std::abort();
}

void factor() {
  Blended b;
  const unsigned factors = 2, places = 8;
  for (unsigned fields : {0u, b.inputs + b.sparse_width}) {
    FactorModel m = {};
    m.blend = b.m;
    m.factors = factors;
    m.fields = fields;
    m.width = m.row_cells = fields > 0 ? fields * factors : factors;
    m.rows_max = places;
    m.slot_mask = 2 * places - 1;
    m.scale = 1e-8f;
    std::vector<BlendCell> cells((b.inputs + places) * m.row_cells);
    for (BlendCell& cell : cells)
      for (unsigned e = 0; e < EXPERTS; ++e)
        cell.weights[e] = cell.variances[e] = m.priors[e] = 0.1f;
    std::vector<unsigned> keys(places), slots(2 * places);
    std::vector<unsigned long long> seen(places);
    FactorFigures figures = {};
    std::vector<double> stacks(STACKED), covariances(STACKED * LANES);
    stacks[0] = 1.0;
    for (unsigned i = 0; i < STACKED; ++i) covariances[i * LANES + i] = 0.02;
    m.cells = cells.data();
    m.keys = keys.data();
    m.seen = seen.data();
    m.slots = slots.data();
    m.figures = &figures;
    m.stacks = stacks.data();
    m.covariances = covariances.data();
    std::vector<float> predictions(b.rows);
    unsigned outcome[2] = {};
    host_cuda::launch(1, 64, 16384,
                      [&] { factor_each(m, b.of, predictions.data(), outcome); });
    if (outcome[0] != b.rows / 2 || figures.learned != b.rows / 2) std::abort();
  }
}

void network() {
  const unsigned dense = 3, sparse = 2, factors = 2, outputs = 3, hidden = 8, places = 16;
  const unsigned inputs = dense + factors + sparse * factors, straight = dense + factors;
  Network m = {};
  m.task = CLASSES;
  m.is_adam = m.is_deep = m.are_places = 1;
  m.slot_mask = 63;
  m.dense = dense;
  m.sparse = sparse;
  m.factors = factors;
  m.outputs = outputs;
  m.width = factors + outputs;
  m.padded = m.first = m.second = hidden;
  m.second_at = (inputs + 1) * hidden;
  m.last_at = m.second_at + (hidden + 1) * hidden;
  m.linear_at = m.last_at + (hidden + 1) * hidden;
  m.vectors_at = m.linear_at + (straight + 1) * hidden;
  m.count = m.vectors_at + 8;
  m.stride = 2 * inputs + 6 * hidden + sparse + factors;
  m.scale = 0.3f;
  m.rate = 0.002f;
  std::vector<float> parameters = draw_all(m.count), means(m.count), squares(m.count);
  std::vector<float> gradient(m.count), numbers(places * m.width), row_squares(2 * places);
  std::vector<unsigned> keys(places), slots(64);
  float memory[3] = {1.0f, 1.0f, 0.0f};
  m.parameters = parameters.data();
  m.means = means.data();
  m.squares = squares.data();
  m.gradient = gradient.data();
  m.numbers = numbers.data();
  m.row_squares = row_squares.data();
  m.keys = keys.data();
  m.slots = slots.data();
  m.memory = memory;
  // Two waves of a mini-batch; rows of the second one have embeddings of the first.
  const unsigned rows = 2 * WAVE;
  std::vector<float> features = draw_all(rows * dense), labels(rows), shares(rows, 0.1f);
  std::vector<unsigned> own(rows * sparse), begins;
  for (unsigned i = 0; i < rows * sparse; ++i) own[i] = i % places;
  for (unsigned i = 0; i < places; ++i) begins.insert(begins.end(), {i, 100 + i});
  for (unsigned i = 0; i < rows; ++i) labels[i] = static_cast<float>(i % outputs);
  const NetworkStep steps[] = {{0, rows, 0, WAVE, 0, places, OPENS, 0.0f},
                               {0, 0, WAVE, WAVE, 0, 0, CLOSES, 0.0f},
                               {0, rows, 0, 0, 0, 0, 0, 0.0f}};
  for (unsigned& place : own) place = place % 5 == 4 ? NO_PLACE : place;
  const LinearRows of = {features.data(), own.data(), labels.data(), shares.data(), rows, 0};
  std::vector<float> predictions(rows * outputs);
  host_cuda::launch(1, 64, 4 * WAVE * m.stride, [&] {
    network_walk(m, of, of, steps, begins.data(), nullptr, 3, predictions.data());
  });
  if (memory[0] != 0.9f) std::abort();
}
// Two batches of a table over events, the second with late rows, and one over labels.
void windows() {
  constexpr unsigned ROWS = 64, KEY_BITS = 6, SLOTS = 64, CHUNKS = 256, RINGS = 512;
  for (unsigned over_labels = 0; over_labels < 2; ++over_labels) {
    KeyedTable t = {};
    t.values = 1;
    t.codes = over_labels ? 0 : 1;
    t.has_squares = 1;
    t.is_over_labels = over_labels;
    t.chunk_words = TIME_WORDS + CHUNK + CODE_WORDS * t.codes + 16;
    std::vector<Word> keys(1 << KEY_BITS), categories(2 * ROWS), label_keys(ROWS);
    std::vector<unsigned> slot_of(1 << KEY_BITS), free_slots(SLOTS), chunks(CHUNKS * t.chunk_words);
    std::vector<KeyHead> heads(SLOTS);
    std::vector<ChunkRef> rings(RINGS);
    TableStanding standing = {};
    standing.watermark_ms = NEVER_MS;
    standing.free_chunk = NOTHING;
    for (unsigned& head : standing.free_rings) head = NOTHING;
    const KeyedWindow windows[2] = {{40, 0, over_labels ? 0u : 1u, 0, 4, 0}, {400, 20, 0, 4, 4, 0}};
    std::vector<WindowReading> readings;
    for (unsigned i = 0; i < 8; ++i) {
      const AggregateKind kinds[4] = {MEAN, STD, MAX, over_labels ? LAST : DISTINCT};
      readings.push_back({kinds[i % 4], i, 0, 0, 0.0});
    }
    const unsigned columns[3] = {0, 0, 1};
    std::vector<long long> times_ms(ROWS), label_times_ms(ROWS);
    std::vector<float> numbers = draw_all(ROWS), out(ROWS * 8);
    std::vector<unsigned> before_rows(ROWS), sources(2 * ROWS), places(2 * ROWS), visible(2 * ROWS);
    std::vector<long long> watermarks_ms(2 * ROWS);
    std::vector<Word> sorted(2 * ROWS), sorting(2 * ROWS);
    std::vector<KeySegment> segments(2 * ROWS);
    t.keys = keys.data(), t.slot_of = slot_of.data(), t.heads = heads.data();
    t.free_slots = free_slots.data(), t.rings = rings.data(), t.chunks = chunks.data();
    t.standing = &standing, t.windows = windows, t.readings = readings.data();
    t.times_ms = times_ms.data(), t.numbers = numbers.data(), t.categories = categories.data();
    t.columns = columns, t.out = out.data(), t.label_keys = label_keys.data();
    t.label_times_ms = label_times_ms.data(), t.label_values = numbers.data();
    t.label_before_rows = before_rows.data(), t.sources = sources.data();
    t.places = places.data(), t.watermarks_ms = watermarks_ms.data();
    t.sorted = sorted.data(), t.sorting = sorting.data(), t.visible = visible.data();
    t.segments = segments.data(), t.lateness_ms = 30, t.reach_ms = 420;
    t.key_bits = KEY_BITS, t.slots_max = SLOTS, t.chunks_max = CHUNKS, t.rings_max = RINGS;
    t.key_columns = 1, t.window_count = 2, t.reading_count = 8;
    t.rows = t.stride = ROWS, t.labels = over_labels ? ROWS : 0;
    t.out_stride = 8, t.sort_passes = 2;
    for (unsigned batch = 0; batch < 2; ++batch) {
      for (unsigned row = 0; row < ROWS; ++row) {
        const long long late_ms = batch == 1 && row % 11 == 3 ? 25 : 0;
        times_ms[row] = 400 * batch + 4 * row - late_ms;
        label_times_ms[row] = times_ms[row];
        categories[row] = label_keys[row] = 1 + static_cast<Word>(draw() * draw() * 4.0f);
        categories[ROWS + row] = static_cast<Word>(draw() * 5.0f);
        before_rows[row] = row;
      }
      // Four keys, two of them a block.
      const unsigned warps = 2, readers = (2 * (t.rows + t.labels)) / 64 + 1;
      host_cuda::launch(1, 64, 64 * 72, [&] { window_arrange(&t); });
      host_cuda::launch(warps, 64, 0, [&] { window_enter(&t, warps); });
      host_cuda::launch(readers, 64, 0, [&] { window_read(&t, readers); });
      host_cuda::launch(warps, 64, 0, [&] { window_leave(&t, warps); });
      if (standing.failures != 0 || standing.segments == 0) std::abort();
    }
  }
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

// All of them, or those of the family that is named.
int main(int count, char** arguments) {
  const char* family = count > 1 ? arguments[1] : "";
  const auto is_of = [&](const char* name) {
    return *family == 0 || std::strcmp(family, name) == 0;
  };
  if (is_of("tally")) tally();
  if (is_of("moments")) moments();
  if (is_of("repair")) repair();
  if (is_of("blend")) blend();
  if (is_of("window")) windows();
  if (is_of("decode")) decode_records();
  if (is_of("factor")) factor();
  if (is_of("network")) network();
  std::puts("every kernel has run");
}
