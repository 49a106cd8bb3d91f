// A network of several classes.
#include "../cuda.h"

#include "../../src/network.cu"

#include "draw.h"

namespace {
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
}  // namespace

int main() {
  network();
  std::puts("it has run");
}
