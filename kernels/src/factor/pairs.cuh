// Pairs of the inputs of a row: what they add to scores, how far they move them, how their cells
// learn. The twin of pairs.rs. Terms of a sum are made side by side and added up in the order of
// the CPU, an expert by a thread.
#pragma once
#include "table.cuh"

// The inputs of a row: what is 0, absent or unknown has no part in a pair. All threads of the block
// call it, and wait behind.
NUMBERS void gather_inputs(const FactorModel& m, const float* dense, const unsigned* sparse,
                           const FactorRoom& room) {
  const unsigned width = m.blend.base.dense_width, columns = width + m.blend.base.sparse_width;
  if (threadIdx.x == 0) *room.is_missing = *room.is_twice = 0;
  __syncthreads();
  for (unsigned c = threadIdx.x; c < columns; c += blockDim.x) {
    if (c < width) {
      const float value = clamped(dense[c], -8.0f, 8.0f);
      room.values[c] = value;
      room.rows[c] = value != 0.0f ? c : NO_ROW;
      continue;
    }
    const unsigned index = sparse[c - width];
    const unsigned row = index == ABSENT ? NO_ROW : factor_find(m, index);
    room.values[c] = 1.0f;
    room.rows[c] = row == NO_ROW ? NO_ROW : width + row;
    if (index == ABSENT) continue;
    if (row == NO_ROW) atomicOr(room.is_missing, 1u);
    for (unsigned other = 0; other < c - width; ++other)
      if (sparse[other] == index) atomicOr(room.is_twice, 1u);
  }
  __syncthreads();
  if (threadIdx.x == 0) {
    unsigned count = 0;
    for (unsigned c = 0; c < columns; ++c) {
      if (room.rows[c] == NO_ROW) continue;
      room.values[count] = room.values[c];
      room.rows[count] = room.rows[c];
      room.columns[count++] = c;
    }
    *room.count = count;
  }
  __syncthreads();
}

// The cells of an input for one class.
NUMBERS BlendCell* cells_of(const FactorModel& m, const FactorRoom& room, unsigned input,
                            unsigned cls) {
  return m.cells + static_cast<unsigned long long>(room.rows[input]) * m.row_cells +
         static_cast<unsigned long long>(cls) * m.width;
}

// Two inputs that are multiplied: all after the first, then all after the second, and so on.
struct FactorPair {
  unsigned one, other;
};
NUMBERS FactorPair pair_of(unsigned at, unsigned inputs) {
  unsigned one = 0;
  for (unsigned left = inputs - 1; at >= left; --left) {
    at -= left;
    ++one;
  }
  return {one, one + 1 + at};
}

// The vectors of a pair, where each field has its own, and the product of its values.
struct PairVectors {
  BlendCell *one, *other;
  float value;
};
NUMBERS PairVectors vectors_of(const FactorModel& m, const FactorRoom& room, FactorPair pair,
                               unsigned cls) {
  PairVectors vectors;
  vectors.one = cells_of(m, room, pair.one, cls) + room.columns[pair.other] * m.factors;
  vectors.other = cells_of(m, room, pair.other, cls) + room.columns[pair.one] * m.factors;
  vectors.value = room.values[pair.one] * room.values[pair.other];
  return vectors;
}

NUMBERS unsigned pairs_among(unsigned inputs) {
  return inputs < 2 ? 0 : inputs * (inputs - 1) / 2;
}

// Adds `term(t, expert)` up in the order of `t`, into the totals of the room. All threads of the
// block call it, and wait behind.
template <class Term>
NUMBERS void add_terms(unsigned count, const FactorRoom& room, Term term) {
  float total = 0.0f;
  for (unsigned from = 0; from < count; from += TERMS) {
    const unsigned left = count - from, length = left < TERMS ? left : TERMS;
    for (unsigned item = threadIdx.x; item < length * EXPERTS; item += blockDim.x)
      room.terms[item] = term(from + item / EXPERTS, item % EXPERTS);
    __syncthreads();
    for (unsigned t = 0; threadIdx.x < EXPERTS && t < length; ++t)
      total += room.terms[t * EXPERTS + threadIdx.x];
    __syncthreads();
  }
  if (threadIdx.x < EXPERTS) room.totals[threadIdx.x] = total;
  __syncthreads();
}

// Sums of shared vectors times their values, by factor and expert.
NUMBERS void sum_vectors(const FactorModel& m, unsigned cls, const FactorRoom& room) {
  for (unsigned item = threadIdx.x; item < m.factors * EXPERTS; item += blockDim.x) {
    const unsigned f = item / EXPERTS, e = item % EXPERTS;
    float sum = 0.0f;
    for (unsigned i = 0; i < *room.count; ++i)
      sum += cells_of(m, room, i, cls)[f].weights[e] * room.values[i];
    room.sums[item] = sum;
  }
  __syncthreads();
}

// What the pairs add to the scores of a class. All threads call it, and wait behind.
NUMBERS void score_pairs(const FactorModel& m, unsigned cls, const FactorRoom& room,
                         float* scores) {
  const unsigned inputs = *room.count, e = threadIdx.x;
  float* own = scores + cls * EXPERTS;
  const float* linear = room.linear + cls * EXPERTS;
  if (m.fields > 0) {
    add_terms(pairs_among(inputs), room, [&](unsigned t, unsigned expert) {
      const PairVectors pair = vectors_of(m, room, pair_of(t, inputs), cls);
      float product = 0.0f;
      for (unsigned f = 0; f < m.factors; ++f)
        product += pair.one[f].weights[expert] * pair.other[f].weights[expert];
      return product * pair.value;
    });
    if (e < EXPERTS) own[e] = linear[e] + room.totals[e];
    __syncthreads();
    return;
  }
  sum_vectors(m, cls, room);
  add_terms(inputs * m.factors, room, [&](unsigned t, unsigned expert) {
    const unsigned i = t / m.factors, f = t % m.factors;
    const float part = cells_of(m, room, i, cls)[f].weights[expert] * room.values[i];
    return part * part;
  });
  if (e < EXPERTS) {
    float score = 0.0f;
    for (unsigned f = 0; f < m.factors; ++f)
      score += room.sums[f * EXPERTS + e] * room.sums[f * EXPERTS + e];
    own[e] = linear[e] + 0.5f * (score - room.totals[e]);
  }
  __syncthreads();
}

NUMBERS float shared_derivative(const FactorRoom& room, const BlendCell& cell, unsigned f,
                                unsigned e, float value) {
  return value * (room.sums[f * EXPERTS + e] - cell.weights[e] * value);
}

// Adds how far a full pull moves each expert's score by the pairs. All threads call it, and wait
// before and behind.
NUMBERS void spread_pairs(const FactorModel& m, unsigned cls, const FactorRoom& room,
                          float* spreads) {
  const unsigned inputs = *room.count;
  if (m.fields > 0) {
    add_terms(pairs_among(inputs) * m.factors * 2, room, [&](unsigned t, unsigned e) {
      const unsigned f = t / 2 % m.factors;
      const PairVectors pair = vectors_of(m, room, pair_of(t / 2 / m.factors, inputs), cls);
      const BlendCell& own = t % 2 == 0 ? pair.one[f] : pair.other[f];
      const BlendCell& with = t % 2 == 0 ? pair.other[f] : pair.one[f];
      const float derivative = with.weights[e] * pair.value;
      return own.variances[e] * (derivative * derivative);
    });
  } else {
    sum_vectors(m, cls, room);
    add_terms(inputs * m.factors, room, [&](unsigned t, unsigned e) {
      const unsigned i = t / m.factors, f = t % m.factors;
      const BlendCell& cell = cells_of(m, room, i, cls)[f];
      const float derivative = shared_derivative(room, cell, f, e, room.values[i]);
      return cell.variances[e] * (derivative * derivative);
    });
  }
  if (threadIdx.x < EXPERTS) spreads[threadIdx.x] += room.totals[threadIdx.x];
  __syncthreads();
}

// One expert of a cell learns, with the derivative of the score by it in the place of an input.
NUMBERS void change_cell(const FactorModel& m, BlendCell& cell, const BlendStep& step, unsigned e,
                         float derivative) {
  const float variance = cell.variances[e], moved = variance * derivative;
  float weight = cell.weights[e] + step.pulls[e] * moved;
  weight = weight < PAIR_LIMIT ? weight : PAIR_LIMIT;
  cell.weights[e] = weight > -PAIR_LIMIT ? weight : -PAIR_LIMIT;
  const float reduced = variance - step.reductions[e] * (moved * moved);
  const float next = reduced * step.inflations[e];
  const float bounded = next < m.priors[e] ? next : m.priors[e];
  cell.variances[e] = bounded > VARIANCE_MIN ? bounded : VARIANCE_MIN;
}

// The cells of a class learn. An expert's numbers of one factor meet no others, so a thread that
// has them all may go through a row in which an index is there twice, in its order; else no cell is
// in two pairs, and each has a thread. All threads call it, and wait before.
NUMBERS void learn_pairs(const FactorModel& m, unsigned cls, const FactorRoom& room,
                         const BlendStep& step) {
  const unsigned inputs = *room.count, lanes = m.factors * EXPERTS;
  const unsigned terms = m.fields > 0 ? pairs_among(inputs) : inputs;
  const bool is_in_turn = *room.is_twice != 0;
  const unsigned items = is_in_turn ? (terms > 0 ? lanes : 0) : terms * lanes;
  for (unsigned item = threadIdx.x; item < items; item += blockDim.x) {
    const unsigned f = item / EXPERTS % m.factors, e = item % EXPERTS;
    const unsigned first = is_in_turn ? 0 : item / lanes;
    const unsigned end = is_in_turn ? terms : first + 1;
    for (unsigned t = first; t < end; ++t) {
      if (m.fields > 0) {
        const PairVectors pair = vectors_of(m, room, pair_of(t, inputs), cls);
        const float left = pair.one[f].weights[e], right = pair.other[f].weights[e];
        change_cell(m, pair.one[f], step, e, right * pair.value);
        change_cell(m, pair.other[f], step, e, left * pair.value);
      } else {
        BlendCell& cell = cells_of(m, room, t, cls)[f];
        change_cell(m, cell, step, e, shared_derivative(room, cell, f, e, room.values[t]));
      }
    }
  }
}
