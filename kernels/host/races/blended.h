// A small blend of linear experts: the model under which a machine lies as well.
#pragma once
#include "draw.h"

namespace {
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
}  // namespace
