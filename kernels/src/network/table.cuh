// The table of embeddings: which row an index has, and the steps that move a row. The twin of
// neural/embeddings.rs; who gets a row and who loses it is decided elsewhere, in the order of the
// stream.
//
// Slots hold rows by hash, with linear probing. A row that is given to another index stays where
// the old one led, too: whoever comes by sees by its key that it is not meant. So nothing is taken
// out of the slots; they are made anew before half of them are used.
#pragma once
#include "shape.cuh"

constexpr float EMBEDDING_MAX = 8.0f;

NUMBERS unsigned slot_of(const Network& m, unsigned key) {
  return static_cast<unsigned>(mix64(key)) & m.slot_mask;
}

// The row of an index, or NO_PLACE. It ends: half of the slots are empty.
NUMBERS unsigned find_place(const Network& m, unsigned key) {
  if (key == ABSENT) return NO_PLACE;
  for (unsigned slot = slot_of(m, key);; slot = (slot + 1) & m.slot_mask) {
    const unsigned held = m.slots[slot];
    if (held == 0) return NO_PLACE;
    if (m.keys[held - 1] == key) return held - 1;
  }
}

// Where threads meet the slots' layout depends on their order; what is found does not.
NUMBERS void insert_place(const Network& m, unsigned key, unsigned place) {
  unsigned slot = slot_of(m, key);
  while (atomicCAS(&m.slots[slot], 0u, place + 1) != 0) slot = (slot + 1) & m.slot_mask;
}

// Number `f` of a vector that nothing was learned of: small, and decided by the index alone.
NUMBERS float first_number(unsigned key, unsigned f) {
  const unsigned long long bits = mix64(mix64(static_cast<unsigned long long>(key) + 1) + f);
  return (static_cast<float>(bits >> 40) - 8388608.0f) * (0.1f / 8388608.0f);
}

// Begins rows that indices have just got: `[count, 2]`, a row and its index.
NUMBERS void begin_rows(const Network& m, const unsigned* begins, unsigned count) {
  for (unsigned item = threadIdx.x; item < count * m.width; item += blockDim.x) {
    const unsigned place = begins[item / m.width * 2], key = begins[item / m.width * 2 + 1];
    const unsigned f = item % m.width;
    numbers_of(m, place)[f] = f < m.factors ? first_number(key, f) : 0.0f;
    if (f != 0) continue;
    m.row_squares[2ull * place] = m.row_squares[2ull * place + 1] = 0.0f;
    m.keys[place] = key;
    insert_place(m, key, place);
  }
}

// Moves one part of a row against its derivatives: AdaGrad with one sum of squares.
NUMBERS void move_part(float* numbers, const float* pulls, unsigned count, float& square) {
  float sum = 0.0f;
  for (unsigned i = 0; i < count; ++i) sum = sum + pulls[i] * pulls[i];
  const float next = square + sum / static_cast<float>(count);
  if (!(absolute(next) <= LARGEST)) return;
  square = next;
  const float step = 0.1f / sqrtf(next + 1e-8f);
  for (unsigned i = 0; i < count; ++i)
    numbers[i] = clamped(numbers[i] - step * pulls[i], -EMBEDDING_MAX, EMBEDDING_MAX);
}

// Moves the embeddings of rows that have none in common, once for each column: a thread has a
// row's place with its vector or its linear weights, and columns that share it in their order.
NUMBERS void move_rows(const Network& m, unsigned count, const NetworkRoom& room) {
  const unsigned parts = m.is_deep != 0 ? 2 : 1;
  for (unsigned item = threadIdx.x; item < count * m.sparse * parts; item += blockDim.x) {
    const unsigned part = item % parts, column = item / parts % m.sparse;
    const unsigned row = item / parts / m.sparse, place = room.place(m, row, column);
    bool is_first = place != NO_PLACE;
    for (unsigned c = 0; c < column; ++c)
      is_first = is_first && room.place(m, row, c) != place;
    if (!is_first) continue;
    const float* own = room.row(row);
    const float* vectors = own + room.input_pulls + straight(m);
    float* numbers = numbers_of(m, place);
    float& square = m.row_squares[2ull * place + part];
    for (unsigned c = column; c < m.sparse; ++c) {
      if (room.place(m, row, c) != place) continue;
      if (part == 0)
        move_part(numbers, vectors + c * m.factors, m.factors, square);
      else
        move_part(numbers + m.factors, own + room.pulls, m.outputs, square);
    }
  }
}
