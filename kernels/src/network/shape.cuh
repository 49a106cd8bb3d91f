// A network as its kernels know it, and the room that a few rows have on their way through it: the
// twin of neural/network.rs of the models.
#pragma once
#include "../coordinate/rows.cuh"

// Rows that go through the network side by side, in one block.
constexpr unsigned WAVE = 8;
// No row of the table of embeddings.
constexpr unsigned NO_PLACE = 0xffffffffu;
constexpr float LARGEST = 3.40282347e+38f;

struct Network {
  float* parameters;  // [parameters]
  float* means;       // [parameters], of Adam alone
  float* squares;     // [parameters]
  float* gradient;    // [parameters]
  float* numbers;      // [rows, width]: vectors, then (deep) linear weights
  float* row_squares;  // [rows, 2]
  unsigned* keys;      // [rows]
  unsigned* slots;     // [slot_mask + 1]: rows by hash plus 1, or 0; at most half are not 0
  float* memory;       // b1^t, b2^t, the usual residual
  float* room;         // where shared memory does not suffice
  double mean, deviation;  // of targets
  // `is_raw`: scores of a regression stay in the unit of the outputs; `are_places`: sparse features
  // are rows of the table.
  unsigned task, is_adam, is_deep, is_raw, are_places, slot_mask;
  unsigned dense, sparse, factors, width, outputs, padded, first, second;
  unsigned second_at, last_at, linear_at, vectors_at, count, stride;
  float scale, rate;
};

// Inputs of the linear layer: dense features, then products.
NUMBERS unsigned straight(const Network& m) { return m.dense + (m.is_deep != 0 ? m.factors : 0); }
NUMBERS unsigned inputs_of(const Network& m) { return straight(m) + m.sparse * m.factors; }

// Where the numbers of a row lie in the room of a block: `stride` of them for each row. Those from
// the derivatives by inputs on are of rows that are learned alone.
struct NetworkRoom {
  float* rows;
  unsigned stride, first, second, outputs, places, sums;
  unsigned input_pulls, first_pulls, second_pulls, pulls;
  NUMBERS float* row(unsigned row) const { return rows + row * stride; }
  NUMBERS unsigned place(const Network& m, unsigned row, unsigned column) const {
    return column < m.sparse ? __float_as_uint(rows[row * stride + places + column]) : NO_PLACE;
  }
};

NUMBERS NetworkRoom room_of(const Network& m, float* shared) {
  const unsigned inputs = inputs_of(m);
  NetworkRoom room;
  room.rows = m.room == nullptr
                  ? shared
                  : m.room + static_cast<unsigned long long>(blockIdx.x) * WAVE * m.stride;
  room.stride = m.stride;
  room.first = inputs;
  room.second = room.first + m.first;
  room.outputs = room.second + m.second;
  room.places = room.outputs + m.padded;
  room.sums = room.places + m.sparse;
  room.input_pulls = room.sums + m.factors;
  room.first_pulls = room.input_pulls + inputs;
  room.second_pulls = room.first_pulls + m.first;
  room.pulls = room.second_pulls + m.second;
  return room;
}

NUMBERS float* numbers_of(const Network& m, unsigned place) {
  return m.numbers + static_cast<unsigned long long>(place) * m.width;
}
