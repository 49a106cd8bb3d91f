// Which row of the embeddings an index has: rows appear as indices come, idle ones are given away
// by a clock with ages. The twin of index_table.rs of the models. What is learned depends on it and
// it on what is learned, so the table itself lives here; one thread changes it.
#pragma once
#include "shape.cuh"

NUMBERS unsigned factor_home(const FactorModel& m, unsigned key) {
  return static_cast<unsigned>(mix64(key)) & m.slot_mask;
}

// The row of an index, or NO_ROW. It ends: half of the slots are empty.
NUMBERS unsigned factor_find(const FactorModel& m, unsigned key) {
  for (unsigned slot = factor_home(m, key);; slot = (slot + 1) & m.slot_mask) {
    const unsigned held = m.slots[slot];
    if (held == 0) return NO_ROW;
    if (m.keys[held - 1] == key) return held - 1;
  }
}

// Where threads meet the slots' layout depends on their order; what is found does not.
NUMBERS void factor_insert(const FactorModel& m, unsigned row) {
  unsigned slot = factor_home(m, m.keys[row]);
  while (atomicCAS(&m.slots[slot], 0u, row + 1) != 0) slot = (slot + 1) & m.slot_mask;
}

// Takes a row's key out; those behind it that were pushed on move back.
NUMBERS void factor_remove(const FactorModel& m, unsigned row) {
  const unsigned mask = m.slot_mask;
  unsigned hole = factor_home(m, m.keys[row]);
  while (m.slots[hole] != row + 1) hole = (hole + 1) & mask;
  for (unsigned slot = (hole + 1) & mask;; slot = (slot + 1) & mask) {
    const unsigned other = m.slots[slot];
    if (other == 0) break;
    const unsigned way = (slot - factor_home(m, m.keys[other - 1])) & mask;
    if (way < ((slot - hole) & mask)) continue;
    m.slots[hole] = other;
    hole = slot;
  }
  m.slots[hole] = 0;
}

// The row idle longest of the next ones the hand meets; one that `now` needs only where there is no
// other.
NUMBERS unsigned longest_idle(const FactorModel& m, unsigned long long now) {
  constexpr unsigned WATCHED = 8;
  const unsigned rows = static_cast<unsigned>(m.figures->rows);
  const unsigned watched = rows < WATCHED ? rows : WATCHED;
  unsigned hand = static_cast<unsigned>(m.figures->hand), oldest = hand;
  for (unsigned turn = 0; turn < (rows + WATCHED - 1) / WATCHED; ++turn) {
    for (unsigned step = 0; step < watched; ++step) {
      const unsigned row = (hand + step) % rows;
      if (m.seen[row] < m.seen[oldest]) oldest = row;
    }
    hand = (hand + WATCHED) % rows;
    if (m.seen[oldest] < now) break;
  }
  m.figures->hand = hand;
  return oldest;
}

// The row of an index that the learned row `now` needs; whether it is new.
NUMBERS unsigned factor_admit(const FactorModel& m, unsigned key, unsigned long long now,
                              bool& is_new) {
  unsigned row = factor_find(m, key);
  is_new = row == NO_ROW;
  if (is_new) {
    if (m.figures->rows < m.rows_max) {
      row = static_cast<unsigned>(m.figures->rows++);
    } else {
      row = longest_idle(m, now);
      factor_remove(m, row);
      m.figures->expired += 1;
    }
    m.keys[row] = key;
    factor_insert(m, row);
  }
  m.seen[row] = now;
  return row;
}

// Admits the indices of a row in their order, by one thread; those that begin are listed, each row
// with the last index that got it.
NUMBERS void admit_all(const FactorModel& m, const unsigned* sparse, unsigned long long now,
                       const FactorRoom& room) {
  unsigned begins = 0;
  for (unsigned c = 0; c < m.blend.base.sparse_width; ++c) {
    bool is_new = false;
    if (sparse[c] == ABSENT) continue;
    const unsigned row = factor_admit(m, sparse[c], now, is_new);
    if (!is_new) continue;
    unsigned at = 0;
    while (at < begins && room.begun[2 * at] != row) ++at;
    room.begun[2 * at] = row;
    room.begun[2 * at + 1] = sparse[c];
    begins = at == begins ? begins + 1 : begins;
  }
  *room.begins = begins;
}

// Begins the listed rows: small numbers, which the index alone decides.
NUMBERS void begin_all(const FactorModel& m, const FactorRoom& room) {
  for (unsigned item = threadIdx.x; item < *room.begins * m.row_cells; item += blockDim.x) {
    const unsigned begun = item / m.row_cells, number = item % m.row_cells;
    const unsigned long long seed = room.begun[2 * begun + 1] + (1ull << 40);
    const unsigned long long bits = mix64(mix64(seed + 1) + number);
    const float first = (static_cast<float>(bits >> 40) - 8388608.0f) * m.scale;
    const unsigned long long row = m.blend.base.dense_width + room.begun[2 * begun];
    BlendCell& cell = m.cells[row * m.row_cells + number];
    for (unsigned e = 0; e < EXPERTS; ++e) {
      cell.weights[e] = first;
      cell.variances[e] = m.priors[e];
    }
  }
}
