// The windows of a batch, read: a thread has one window of one row. Every entry of the batch is in
// its place before; how many of them each row sees is known from its rank.
#include "readings.cuh"

extern "C" __global__ void window_read(const KeyedTable* tables, unsigned blocks_of_table) {
  const KeyedTable& t = tables[blockIdx.x / blocks_of_table];
  const unsigned at = (blockIdx.x % blocks_of_table) * blockDim.x + threadIdx.x;
  const unsigned calls = t.rows + t.labels;
  // Threads of a warp have rows side by side in the order of their keys, and one window.
  if (calls == 0 || t.standing->failures != 0 || at / calls >= t.window_count) return;
  const unsigned window = at / calls, place = at % calls;
  const Word sorted = t.sorted[place];
  const unsigned slot = static_cast<unsigned>(sorted >> 32);
  if (slot == NOTHING) return;
  const unsigned source = t.sources[static_cast<unsigned>(sorted)];
  KeyHead& head = t.heads[slot];
  if (!is_row(source) || (head.bits & IS_LATE) != 0) return;
  const KeyView view = view_of(t, head);
  read_window(t, view, t.windows[window], source, t.visible[place] - head.first);
}
