// Rows on their way to the outputs, a few in a block: embeddings by look-up, products, layers. A
// thread has an output of two rows; sums over inputs go in ascending order, as in layer.rs.
#pragma once
#include "table.cuh"

// Inputs of the rows, without the products.
NUMBERS void take_rows(const Network& m, const LinearRows& rows, unsigned first, unsigned count,
                       const NetworkRoom& room) {
  const unsigned from = straight(m);
  for (unsigned item = threadIdx.x; item < count * m.dense; item += blockDim.x) {
    const unsigned row = item / m.dense, column = item % m.dense;
    const float value =
        rows.dense[static_cast<unsigned long long>(first + row) * m.dense + column];
    const bool is_finite = absolute(value) <= LARGEST;
    room.row(row)[column] = is_finite ? clamped(value, -8.0f, 8.0f) : 0.0f;
  }
  for (unsigned item = threadIdx.x; item < count * m.sparse; item += blockDim.x) {
    const unsigned row = item / m.sparse, column = item % m.sparse;
    const unsigned index =
        rows.sparse[static_cast<unsigned long long>(first + row) * m.sparse + column];
    const unsigned place = m.are_places != 0 ? index : find_place(m, index);
    float* own = room.row(row);
    own[room.places + column] = __uint_as_float(place);
    float* vector = own + from + column * m.factors;
    for (unsigned f = 0; f < m.factors; ++f)
      vector[f] = place == NO_PLACE ? 0.0f : numbers_of(m, place)[f];
  }
}

// The products of the pairs of each row.
NUMBERS void multiply_rows(const Network& m, unsigned count, const NetworkRoom& room) {
  const float* vectors = m.parameters + m.vectors_at;
  for (unsigned item = threadIdx.x; item < count * m.factors; item += blockDim.x) {
    const unsigned row = item / m.factors, f = item % m.factors;
    float* own = room.row(row);
    float sum = 0.0f, square = 0.0f;
    for (unsigned c = 0; c < m.dense; ++c) {
      const float part = own[c] * vectors[c * m.factors + f];
      sum += part;
      square += part * part;
    }
    for (unsigned c = 0; c < m.sparse; ++c) {
      const float part = own[straight(m) + c * m.factors + f];
      sum += part;
      square += part * part;
    }
    own[room.sums + f] = sum;
    own[m.dense + f] = 0.5f * m.scale * (sum * sum - square);
  }
}

// An output of a layer for two rows.
NUMBERS void sums_of(const float* layer, unsigned inputs, unsigned outputs, unsigned output,
                     const float* one, const float* other, float* sums) {
  const float* weight = layer + output;
  float first = weight[inputs * outputs], second = first;
  for (unsigned i = 0; i < inputs; ++i) {
    first += one[i] * weight[i * outputs];
    second += other[i] * weight[i * outputs];
  }
  sums[0] = first;
  sums[1] = second;
}

// A hidden layer and its rectifier; `from` and `to` are places in the room.
NUMBERS void hidden_rows(const float* layer, unsigned inputs, unsigned outputs, unsigned from,
                         unsigned to, unsigned count, const NetworkRoom& room) {
  for (unsigned item = threadIdx.x; item < (count + 1) / 2 * outputs; item += blockDim.x) {
    const unsigned row = item / outputs * 2, output = item % outputs;
    const unsigned other = row + 1 < count ? row + 1 : row;
    float sums[2];
    sums_of(layer, inputs, outputs, output, room.row(row) + from, room.row(other) + from, sums);
    room.row(row)[to + output] = sums[0] > 0.0f ? sums[0] : 0.0f;
    room.row(other)[to + output] = sums[1] > 0.0f ? sums[1] : 0.0f;
  }
}

// The last layer, with the linear part where there is one.
NUMBERS void output_rows(const Network& m, unsigned count, const NetworkRoom& room) {
  const float *last = m.parameters + m.last_at, *linear = m.parameters + m.linear_at;
  for (unsigned item = threadIdx.x; item < (count + 1) / 2 * m.padded; item += blockDim.x) {
    const unsigned row = item / m.padded * 2, output = item % m.padded;
    const unsigned other = row + 1 < count ? row + 1 : row;
    const float *one = room.row(row), *two = room.row(other);
    float sums[2], beside[2];
    sums_of(last, m.second, m.padded, output, one + room.second, two + room.second, sums);
    if (m.is_deep != 0) sums_of(linear, straight(m), m.padded, output, one, two, beside);
    for (unsigned k = 0; k < 2 && row + k < count; ++k) {
      float sum = sums[k];
      if (m.is_deep != 0) {
        sum += beside[k];
        for (unsigned c = 0; output < m.outputs && c < m.sparse; ++c) {
          const unsigned place = room.place(m, row + k, c);
          if (place != NO_PLACE) sum += numbers_of(m, place)[m.factors + output];
        }
      }
      room.row(row + k)[room.outputs + output] = sum;
    }
  }
}

// The outputs of the rows taken in. All threads of the block call it, and wait before and behind.
NUMBERS void forward_rows(const Network& m, unsigned count, const NetworkRoom& room) {
  if (m.is_deep != 0) {
    multiply_rows(m, count, room);
    __syncthreads();
  }
  hidden_rows(m.parameters, inputs_of(m), m.first, 0, room.first, count, room);
  __syncthreads();
  hidden_rows(m.parameters + m.second_at, m.first, m.second, room.first, room.second, count, room);
  __syncthreads();
  output_rows(m, count, room);
}

// Scores up to WAVE rows from `first` on. All threads of the block call it.
NUMBERS void score_rows(const Network& m, const LinearRows& rows, unsigned first, unsigned count,
                        const NetworkRoom& room, float* predictions) {
  take_rows(m, rows, first, count, room);
  __syncthreads();
  forward_rows(m, count, room);
  __syncthreads();
  for (unsigned row = threadIdx.x; row < count; row += blockDim.x) {
    float* own = room.row(row) + room.outputs;
    if (m.task == BINARY)
      own[0] = sigmoid(own[0]);
    else if (m.task == CLASSES)
      softmax(own, m.outputs);
    else if (m.is_raw == 0)
      own[0] = static_cast<float>(m.mean + static_cast<double>(own[0]) * m.deviation);
    float* out = predictions + static_cast<unsigned long long>(first + row) * m.outputs;
    for (unsigned c = 0; c < m.outputs; ++c) out[c] = own[c];
  }
  __syncthreads();
}
