// A factorization machine as its kernels know it: the blend, embeddings behind its pairs, a stack
// for each class. The twin of factor/*.rs of the models.
#pragma once
#include "../blend/learn.cuh"

// A linear model over the pool, the experts and a bias, with its covariance padded to LANES.
constexpr unsigned STACKED = EXPERTS + 2;
constexpr float PAIR_LIMIT = 8.0f;
constexpr unsigned NO_ROW = 0xffffffffu;

// What the table of embeddings remembers besides its rows, and the rows learned: its clock.
struct FactorFigures {
  unsigned long long rows, hand, expired, learned;
};

struct FactorModel {
  BlendModel blend;
  BlendCell* cells;         // [dense + rows_max, row_cells]: dense columns first
  unsigned* keys;           // [rows_max]
  unsigned long long* seen;  // [rows_max]: the learned row in which each was last needed
  unsigned* slots;          // [slot_mask + 1]: rows by hash plus 1, or 0; at most half are not 0
  FactorFigures* figures;
  double* stacks;       // [classes, STACKED]
  double* covariances;  // [classes, STACKED, LANES]
  // Cells of an input and class; `fields` is 0 where each feature has one vector.
  unsigned factors, fields, width, row_cells, rows_max, slot_mask;
  float priors[EXPERTS];
  float scale;  // of the numbers that cells begin with
  unsigned unused;
};

// Terms that are made side by side before they are added up in turn.
constexpr unsigned TERMS = 256;

// What a block has of a row.
struct FactorRoom {
  double* scratch;      // [warps, 4, LANES]
  float* linear;        // [classes, EXPERTS]: scores without the pairs
  float* stacked;       // [classes]
  float* sums;          // [factors, EXPERTS]
  float* terms;         // [TERMS, EXPERTS]
  float* totals;        // [EXPERTS]
  float* mixture;       // [EXPERTS], as it was when the row was scored
  float* values;        // [columns], of inputs, as the next two
  unsigned* rows;       // [columns]: of the cells
  unsigned* columns;    // [columns]
  unsigned* begun;      // [sparse_width, 2]: rows that begin, and their indices
  unsigned* count;      // inputs
  unsigned* is_missing;  // an index has no row
  unsigned* is_twice;    // an index is there twice
  unsigned* begins;
};

NUMBERS FactorRoom factor_room(const FactorModel& m, double* at, unsigned warps) {
  const LinearModel& base = m.blend.base;
  const unsigned columns = base.dense_width + base.sparse_width;
  FactorRoom room;
  room.scratch = at;
  room.linear = reinterpret_cast<float*>(at + warps * 4 * LANES);
  room.stacked = room.linear + EXPERTS * base.classes;
  room.sums = room.stacked + base.classes;
  room.terms = room.sums + EXPERTS * m.factors;
  room.totals = room.terms + EXPERTS * TERMS;
  room.mixture = room.totals + EXPERTS;
  room.values = room.mixture + EXPERTS;
  room.rows = reinterpret_cast<unsigned*>(room.values + columns);
  room.columns = room.rows + columns;
  room.begun = room.columns + columns;
  room.count = room.begun + 2 * base.sparse_width;
  room.is_missing = room.count + 1;
  room.is_twice = room.count + 2;
  room.begins = room.count + 3;
  return room;
}
