// The numbers of pelton in CUDA: operation by operation what kernels/src/math.rs, implicit.rs,
// mixture.rs, hash.rs and coordinate.rs do, so that both give the same bits.
//
// Compiled with contraction off (-fmad=false, -ffp-contract=off): an operation is fused only where
// it says fma. Minima, maxima and clamps are selections that treat NaN as the Rust does.
#pragma once
#ifdef HOST_CUDA
#include "../host/cuda.h"
#else
#include <cstdint>
#endif
#ifndef DYN_SHARED
#define DYN_SHARED(T, name)                                          \
  extern __shared__ __align__(16) unsigned char name##_bytes[];      \
  T* name = reinterpret_cast<T*>(name##_bytes)
#endif

#define NUMBERS __device__ __forceinline__

// A sparse feature that a row does not have.
constexpr unsigned ABSENT = 0xffffffffu;
// Vector lanes of the CPU: sums are kept by lane and folded in a fixed order.
constexpr unsigned LANES = 8;

NUMBERS double bits_to_double(unsigned long long bits) {
  return __longlong_as_double(static_cast<long long>(bits));
}
NUMBERS unsigned long long double_to_bits(double x) {
  return static_cast<unsigned long long>(__double_as_longlong(x));
}
NUMBERS float absolute(float x) { return __uint_as_float(__float_as_uint(x) & 0x7fffffffu); }
NUMBERS double absolute(double x) { return bits_to_double(double_to_bits(x) & ~(1ull << 63)); }
NUMBERS float with_sign_of(float size, float of) {
  const unsigned sign = __float_as_uint(of) & 0x80000000u;
  return __uint_as_float((__float_as_uint(size) & 0x7fffffffu) | sign);
}
// Rust's clamp: NaN stays NaN.
template <class T>
NUMBERS T clamped(T x, T low, T high) {
  x = x < low ? low : x;
  return x > high ? high : x;
}
// Rust's min with a bound that is a number: NaN gives the bound.
template <class T>
NUMBERS T at_most(T x, T bound) {
  return x < bound ? x : bound;
}
template <class T>
NUMBERS T at_least(T x, T bound) {
  return x > bound ? x : bound;
}

// 2^n for normal results.
NUMBERS double power_of_two(int n) {
  return bits_to_double(static_cast<unsigned long long>(static_cast<long long>(n) + 1023) << 52);
}
NUMBERS float power_of_two_f32(int n) {
  return __uint_as_float((static_cast<unsigned>(n) + 127u) << 23);
}

NUMBERS int low_word(double x) {
  return static_cast<int>(static_cast<unsigned>(double_to_bits(x)));
}

NUMBERS int wrapped_difference(int a, int b) {
  return static_cast<int>(static_cast<unsigned>(a) - static_cast<unsigned>(b));
}

NUMBERS double exponential(double x) {
  const double TO_INTEGER = 6755399441055744.0;
  const double x_clamped = clamped(x, -746.0, 710.0);
  const double shifted = x_clamped * 1.4426950408889634074 + TO_INTEGER;
  const double k = shifted - TO_INTEGER;
  const int exponent = wrapped_difference(low_word(shifted), low_word(TO_INTEGER));
  const double high = x_clamped - k * 6.931471803691238e-1;
  const double low = k * 1.9082149292705877e-10;
  const double r = high - low;
  const double t = r * r;
  const double c =
      r - t * (1.6666666666666602e-1 +
               t * (-2.7777777777015593e-3 +
                    t * (6.613756321437934e-5 +
                         t * (-1.6533902205465252e-6 + t * 4.1381367970572385e-8))));
  const double y = 1.0 - ((low - (r * c) / (2.0 - c)) - high);
  const int half = exponent >> 1;
  return y * power_of_two(half) * power_of_two(exponent - half);
}

NUMBERS float exponential(float x) {
  const float TO_INTEGER = 12582912.0f;
  const float x_clamped = clamped(x, -105.0f, 89.0f);
  const float shifted = x_clamped * 1.44269504088896340736f + TO_INTEGER;
  const float k = shifted - TO_INTEGER;
  const int exponent = wrapped_difference(static_cast<int>(__float_as_uint(shifted)),
                                          static_cast<int>(__float_as_uint(TO_INTEGER)));
  const float r = (x_clamped - k * 0.6933594f) - k * -2.1219444e-4f;
  float p = 1.9875691e-4f;
  p = p * r + 1.3982e-3f;
  p = p * r + 8.333452e-3f;
  p = p * r + 4.1665796e-2f;
  p = p * r + 1.6666665e-1f;
  p = p * r + 0.5f;
  const float y = (p * (r * r) + r) + 1.0f;
  const int half = exponent >> 1;
  return y * power_of_two_f32(half) * power_of_two_f32(exponent - half);
}

// `x` as `2^k (1 + f)`, for a positive normal `x`.
NUMBERS void split(double x, double& k, double& f) {
  const unsigned long long SQRT_HALF = 0x3fe6a09e00000000ull;
  const unsigned long long bits = double_to_bits(x) - SQRT_HALF + (1023ull << 52);
  k = static_cast<double>(static_cast<int>(static_cast<unsigned>(bits >> 52)) - 1023);
  f = bits_to_double((bits & ((1ull << 52) - 1)) + SQRT_HALF) - 1.0;
}
NUMBERS void split(float x, float& k, float& f) {
  const unsigned SQRT_HALF = 0x3f3504f3u;
  const unsigned bits = __float_as_uint(x) - SQRT_HALF + (127u << 23);
  k = static_cast<float>(static_cast<int>(bits >> 23) - 127);
  f = __uint_as_float((bits & ((1u << 23) - 1)) + SQRT_HALF) - 1.0f;
}

// `k ln 2 + ln(1 + f) + lost`.
NUMBERS double logarithm_series(double k, double f, double lost) {
  const double half_square = 0.5 * f * f;
  const double s = f / (2.0 + f);
  const double z = s * s;
  const double w = z * z;
  const double t1 =
      w * (3.999999999940942e-1 + w * (2.2222198432149784e-1 + w * 1.5313837699209373e-1));
  const double t2 =
      z * (6.666666666666735e-1 +
           w * (2.857142874366239e-1 + w * (1.818357216161805e-1 + w * 1.4798198605116586e-1)));
  return s * (half_square + (t2 + t1)) + (k * 1.9082149292705877e-10 + lost) - half_square + f +
         k * 6.931471803691238e-1;
}
NUMBERS float logarithm_series(float k, float f, float lost) {
  const float half_square = 0.5f * f * f;
  const float s = f / (2.0f + f);
  const float z = s * s;
  const float w = z * z;
  const float t1 = w * (0.40000972f + w * 0.24279079f);
  const float t2 = z * (0.6666666f + w * 0.28498787f);
  return s * (half_square + (t2 + t1)) + (k * 9.058001e-6f + lost) - half_square + f +
         k * 6.931381e-1f;
}

// The special values of a logarithm in place of what the bit arithmetic made of them.
NUMBERS double logarithm_edge(double x, double result) {
  const double infinity = bits_to_double(0x7ff0000000000000ull);
  const double upper = x < infinity ? result : x;
  const double zero = x == 0.0 ? -infinity : upper;
  return x < 0.0 ? bits_to_double(0x7ff8000000000000ull) : zero;
}
NUMBERS float logarithm_edge(float x, float result) {
  const float infinity = __uint_as_float(0x7f800000u);
  const float upper = x < infinity ? result : x;
  const float zero = x == 0.0f ? -infinity : upper;
  return x < 0.0f ? __uint_as_float(0x7fc00000u) : zero;
}

NUMBERS double logarithm(double x) {
  const bool is_subnormal = x < 2.2250738585072014e-308;
  double k, f;
  split(is_subnormal ? x * 18014398509481984.0 : x, k, f);
  k -= is_subnormal ? 54.0 : 0.0;
  return logarithm_edge(x, logarithm_series(k, f, 0.0));
}
NUMBERS float logarithm(float x) {
  const bool is_subnormal = x < 1.17549435e-38f;
  float k, f;
  split(is_subnormal ? x * 33554432.0f : x, k, f);
  k -= is_subnormal ? 25.0f : 0.0f;
  return logarithm_edge(x, logarithm_series(k, f, 0.0f));
}

// `ln(1 + x)`.
template <class T>
NUMBERS T logarithm_1p(T x) {
  const T one = T(1), u = one + x;
  T k, f;
  split(u, k, f);
  // What rounding `1 + x` lost, relative to it; nothing is lost where `f` can be `x` itself.
  const T error = k >= T(2) ? one - (u - x) : x - (u - one);
  const T lost = error / u;
  const bool is_near = k == T(0);
  const T result = logarithm_series(k, is_near ? x : f, is_near ? T(0) : lost);
  return x == T(0) ? x : logarithm_edge(u, result);
}

template <class T>
NUMBERS T sigmoid(T x) {
  const T e = exponential(-absolute(x));
  const T numerator = x < T(0) ? e : T(1);
  return numerator / (T(1) + e);
}
// `ln(1 + exp(x))`.
template <class T>
NUMBERS T softplus(T x) {
  const T positive = x < T(0) ? T(0) : x;
  return positive + logarithm_1p(exponential(-absolute(x)));
}
template <class T>
NUMBERS T logit(T p) {
  return logarithm(p / (T(1) - p));
}
// The log odds of a probability of a softmax, finite.
NUMBERS float class_log_odds(float probability) {
  return logit(clamped(probability, 1e-7f, 1.0f - 1e-7f));
}

// The pull of an example after its own step: `t = sigmoid(-(margin + reach * t))`. On the CPU four
// problems are solved together and stop together, when none is open any more; so a lane goes on
// while `is_open` of any of the four says so.
struct Pull {
  float high, low, pull;
  NUMBERS void begin(float margin, float reach) {
    high = sigmoid(-margin);
    low = high / (1.0f + 0.25f * reach);
    pull = low;
  }
  // One step; returns whether this problem is still open.
  NUMBERS bool step(float margin, float reach) {
    const float after = sigmoid(-(margin + reach * pull));
    const float excess = pull - after;
    high = excess > 0.0f ? pull : high;
    low = excess > 0.0f ? low : pull;
    const float newton = pull - excess / (1.0f + reach * (after * (1.0f - after)));
    const bool is_inside = newton >= low && newton <= high;
    const float next = is_inside ? newton : 0.5f * (low + high);
    const bool is_open = absolute(next - pull) > 1e-3f * next;
    pull = next;
    return is_open;
  }
};
constexpr int PULL_STEPS_MAX = 10;

// Four equal problems are one.
NUMBERS float single_pull(float margin, float reach) {
  Pull pull;
  pull.begin(margin, reach);
  for (int step = 0; step < PULL_STEPS_MAX; ++step)
    if (!pull.step(margin, reach)) break;
  return pull.pull;
}
NUMBERS void four_pulls(const float* margins, const float* reaches, float* pulls) {
  Pull all[4];
  for (int lane = 0; lane < 4; ++lane) all[lane].begin(margins[lane], reaches[lane]);
  for (int step = 0; step < PULL_STEPS_MAX; ++step) {
    bool is_open = false;
    for (int lane = 0; lane < 4; ++lane)
      is_open = all[lane].step(margins[lane], reaches[lane]) || is_open;
    if (!is_open) break;
  }
  for (int lane = 0; lane < 4; ++lane) pulls[lane] = all[lane].pull;
}

NUMBERS float fold_lanes(const float* sums) {
  return ((sums[0] + sums[4]) + (sums[2] + sums[6])) + ((sums[1] + sums[5]) + (sums[3] + sums[7]));
}
NUMBERS double fold_lanes(const double* sums) {
  return ((sums[0] + sums[4]) + (sums[2] + sums[6])) + ((sums[1] + sums[5]) + (sums[3] + sums[7]));
}

// Toward zero by `amount`, stopping there: the proximal step of L1.
NUMBERS float shrink(float weight, float amount) {
  const float size = absolute(weight) - amount;
  return with_sign_of(size > 0.0f ? size : 0.0f, weight);
}

// A bijection of 64 bits: the finalizer of SplitMix64.
NUMBERS unsigned long long mix64(unsigned long long x) {
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ull;
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebull;
  return x ^ (x >> 31);
}
NUMBERS unsigned hash_bucket(unsigned long long code, unsigned long long salt, unsigned bits) {
  return static_cast<unsigned>(mix64(code ^ salt) >> (64 - bits));
}
// Several codes as one, from 0, one after another.
NUMBERS unsigned long long cross_codes(unsigned long long crossed, unsigned long long code) {
  return mix64(((crossed << 17) | (crossed >> 47)) ^ (code + 0x9e3779b97f4a7c15ull));
}
