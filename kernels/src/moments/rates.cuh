// Running moments, their rates, and a value scaled by them.
#pragma once
#include "../fixed.cuh"

constexpr unsigned COUNT_BITS = 20;
constexpr Word COUNT_ONE = 1ull << COUNT_BITS;

struct Moments {
  Sums* columns;     // [width]
  double* means;     // [width], as of the last refresh
  double* inverses;  // [width]
  Word position, half_life_rows, refresh_dense_rows, refresh_every_rows;
  float clip;
  unsigned include_current;
};

NUMBERS void rates_of(const Sums& sums, double& mean, double& inverse) {
  mean = inverse = 0.0;
  if (sums.count == 0) return;
  const double count = static_cast<double>(sums.count);
  mean = unscale(sums.sum) / count * static_cast<double>(COUNT_ONE);
  const double spread = spread_of_sums(sums, COUNT_BITS);
  if (spread != 0.0) inverse = count / sqrt(spread) * 1073741824.0;
}

NUMBERS float standardized(float value, double mean, double inverse, double clip) {
  const double x = static_cast<double>(clamped(value, -FIXED_VALUE_MAX, FIXED_VALUE_MAX));
  const float scaled = static_cast<float>(clamped((x - mean) * inverse, -clip, clip));
  return scaled != scaled ? 0.0f : scaled + 0.0f;
}
