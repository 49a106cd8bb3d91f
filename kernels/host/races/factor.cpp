// Machines over the same rows.
#include "../cuda.h"

#include "../../src/factor.cu"

#include "blended.h"

namespace {
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
}  // namespace

int main() {
  factor();
  std::puts("it has run");
}
