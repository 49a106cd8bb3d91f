// The windows of a batch, read: a thread has one window of one row. Every entry of the batch is in
// its place before; how many of the first each row sees is known from when they entered.
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
  // What was overtaken by late entries was read when they entered.
  const unsigned seen = t.visible[place];
  if (!is_row(source) || seen == NOTHING) return;
  const KeyView view = view_of(t, t.heads[slot]);
  read_window(t, view, t.windows[window], source, seen);
}
