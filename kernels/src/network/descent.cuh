// One step of the dense parameters along the gradient of a mini-batch: the twin of descent.rs.
#pragma once
#include "shape.cuh"

constexpr unsigned STAGE_LENGTH = 2048;
constexpr float NORM_MAX = 4.0f;
constexpr float WEIGHT_MAX = 16.0f;
constexpr float FIRST_MOMENT = 0.9f;
constexpr float SECOND_MOMENT = 0.999f;

// The length of the gradient: a thread for each lane adds what all have squared. All threads of the
// block call it, and have waited for the gradient.
NUMBERS float gradient_length(const Network& m) {
  __shared__ float stage[STAGE_LENGTH];
  float sum = 0.0f;
  for (unsigned from = 0; from < m.count; from += STAGE_LENGTH) {
    const unsigned left = m.count - from, length = left < STAGE_LENGTH ? left : STAGE_LENGTH;
    for (unsigned i = threadIdx.x; i < length; i += blockDim.x)
      stage[i] = m.gradient[from + i] * m.gradient[from + i];
    __syncthreads();
    for (unsigned i = threadIdx.x; threadIdx.x < LANES && i < length; i += LANES) sum += stage[i];
    __syncthreads();
  }
  if (threadIdx.x < LANES) stage[threadIdx.x] = sum;
  __syncthreads();
  const float length = sqrtf(fold_lanes(stage));
  __syncthreads();
  return length;
}

NUMBERS float bounded_weight(float weight) {
  weight = weight < WEIGHT_MAX ? weight : WEIGHT_MAX;
  return weight > -WEIGHT_MAX ? weight : -WEIGHT_MAX;
}

// All threads of the block call it; behind it the gradient is used up.
NUMBERS void descend(const Network& m) {
  const float length = gradient_length(m);
  if (!(length <= LARGEST)) return;
  const bool is_long = length > NORM_MAX;
  const float shorter = NORM_MAX / length;
  const float first = m.memory[0] * FIRST_MOMENT, second = m.memory[1] * SECOND_MOMENT;
  const float rate = m.rate / (1.0f - first), scale = 1.0f / (1.0f - second);
  for (unsigned i = threadIdx.x; i < m.count; i += blockDim.x) {
    const float own = is_long ? m.gradient[i] * shorter : m.gradient[i];
    float& square = m.squares[i];
    float step;
    if (m.is_adam != 0) {
      const float mean = FIRST_MOMENT * m.means[i] + (1.0f - FIRST_MOMENT) * own;
      m.means[i] = mean;
      square = SECOND_MOMENT * square + (1.0f - SECOND_MOMENT) * (own * own);
      step = rate * mean / (sqrtf(square * scale) + 1e-8f);
    } else {
      square += own * own;
      step = m.rate * (own / (sqrtf(square) + 1e-8f));
    }
    m.parameters[i] = bounded_weight(m.parameters[i] - step);
  }
  __syncthreads();
  if (threadIdx.x == 0 && m.is_adam != 0) {
    m.memory[0] = first;
    m.memory[1] = second;
  }
}
