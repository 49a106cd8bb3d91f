// Running standardisation.
#include "../cuda.h"

#include "../../src/moments.cu"
#include "../../src/moments/wide.cu"

#include "draw.h"

namespace {
void moments() {
  const unsigned rows = 300, width = 2;
  std::vector<float> matrix = draw_all(rows * width);
  Sums columns[width] = {};
  double means[width] = {}, inverses[width] = {};
  const Moments m = {columns, means, inverses, 0, 0, 100, 16, 8.0f, 1};
  const MomentRows of = {matrix.data(), 16, rows, width, 0, 0, nullptr};
  host_cuda::launch(width, 32, 32 * sizeof(Sums), [&] { moments_standardize(m, of); });
}

void wide() {
  const unsigned rows = 300, width = 2, chunks = 2;
  std::vector<float> numbers = draw_all(rows * width), out(rows * width);
  const DenseColumn dense[width] = {{LOG, 0, -9.0f, 9.0f}, {IDENTITY, 1, -9.0f, 9.0f}};
  Assembly a = {};
  a.dense = dense;
  a.dense_width = width;
  const Columns of = {nullptr, numbers.data(), nullptr, nullptr, rows, rows};
  Sums columns[width] = {}, totals[width * (1 + chunks)] = {};
  double means[width] = {}, inverses[width] = {}, before[2 * width] = {};
  const Moments m = {columns, means, inverses, 7, 0, 0, 5, 8.0f, 1};
  const WideRows rest = {totals, before, out.data(), chunks, 0};
  const unsigned bytes = 32 * sizeof(Sums);
  host_cuda::launch(width * chunks, 32, bytes, [&] { moments_wide_sums(a, of, m, rest); });
  host_cuda::launch(width * chunks, 32, bytes, [&] { moments_wide_rows(a, of, m, rest); });
}
}  // namespace

int main() {
  moments();
  wide();
  std::puts("it has run");
}
