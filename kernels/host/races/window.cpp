// Windows by key.
#include "../cuda.h"

#include "../../src/window/arrange.cu"
#include "../../src/window/enter.cu"
#include "../../src/window/read.cu"
#include "../../src/window/leave.cu"

#include "draw.h"

namespace {
// Two batches of a table over events, the second with late rows, and one over labels.
void windows() {
  constexpr unsigned ROWS = 64, KEY_BITS = 6, SLOTS = 64, CHUNKS = 256, RINGS = 512;
  for (unsigned over_labels = 0; over_labels < 2; ++over_labels) {
    KeyedTable t = {};
    t.values = 1;
    t.codes = over_labels ? 0 : 1;
    t.has_squares = t.has_extremes = 1;
    t.has_distincts = over_labels ? 0 : 1;
    t.is_over_labels = over_labels;
    t.chunk_words = TIME_WORDS + CHUNK + CODE_WORDS * t.codes + 16;
    std::vector<Word> keys(1 << KEY_BITS), categories(2 * ROWS), label_keys(ROWS);
    std::vector<unsigned> slot_of(1 << KEY_BITS), free_slots(SLOTS), used(SLOTS);
    std::vector<unsigned> chunks(CHUNKS * t.chunk_words);
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
    std::vector<unsigned> code_lists(6 * ROWS);
    std::vector<KeySegment> segments(2 * ROWS);
    t.keys = keys.data(), t.slot_of = slot_of.data(), t.heads = heads.data();
    t.free_slots = free_slots.data(), t.used = used.data(), t.rings = rings.data(), t.chunks = chunks.data();
    t.standing = &standing, t.windows = windows, t.readings = readings.data();
    t.times_ms = times_ms.data(), t.numbers = numbers.data(), t.categories = categories.data();
    t.columns = columns, t.out = out.data(), t.label_keys = label_keys.data();
    t.label_times_ms = label_times_ms.data(), t.label_values = numbers.data();
    t.label_before_rows = before_rows.data(), t.sources = sources.data();
    t.places = places.data(), t.watermarks_ms = watermarks_ms.data();
    t.sorted = sorted.data(), t.sorting = sorting.data(), t.visible = visible.data();
    t.code_lists = code_lists.data(), t.segments = segments.data();
    t.lateness_ms = 30, t.reach_ms = 420, t.distinct_ms = 400;
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
}  // namespace

int main() {
  windows();
  std::puts("it has run");
}
