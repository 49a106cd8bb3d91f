// Judged rows.
#include "../cuda.h"

#include "../../src/tally.cu"

#include "draw.h"

namespace {
void tally() {
  std::vector<float> scores(90), labels(90);
  for (unsigned i = 0; i < 90; ++i) {
    scores[i] = draw();
    labels[i] = draw() < 0.5f ? 0.0f : 1.0f;
  }
  TallyCells cells = {};
  host_cuda::launch(2, 64, 0, [&] { tally_binary(&cells, scores.data(), labels.data(), 90, 1, 1); });
}
}  // namespace

int main() {
  tally();
  std::puts("it has run");
}
