// Exact sums in CUDA: the twin of fixed.rs. Integers of 64-bit words, the lowest first; sums wrap as
// they do there, so that their order changes no bit.
#pragma once
#include "numbers.cuh"

typedef unsigned long long Word;

constexpr double FIXED_SCALE = 1099511627776.0;  // 2^40
constexpr float FIXED_VALUE_MAX = 4611686018427387904.0f;
constexpr float FIXED_SMALL = 4194304.0f;

// Count, sum and sum of squares of a column: the words of a state, and one that is not used.
struct Sums {
  Word count, sum[2], squares[4], unused;
};

// `to += from`, modulo 2^(64 words); returns what is carried out.
template <unsigned WORDS>
NUMBERS Word add_words(Word* to, const Word* from) {
  Word carry = 0;
  for (unsigned i = 0; i < WORDS; ++i) {
    const Word sum = to[i] + from[i];
    const Word out = sum < from[i] ? 1 : 0;
    to[i] = sum + carry;
    carry = out | (to[i] < carry ? 1 : 0);
  }
  return carry;
}

// `from -= by`, modulo 2^(64 words).
template <unsigned WORDS>
NUMBERS void take_words(Word* from, const Word* by) {
  Word borrow = 0;
  for (unsigned i = 0; i < WORDS; ++i) {
    const Word rest = from[i] - by[i];
    const Word out = from[i] < by[i] ? 1 : 0;
    from[i] = rest - borrow;
    borrow = out | (rest < borrow ? 1 : 0);
  }
}

NUMBERS void add_sums(Sums& to, const Sums& from) {
  to.count += from.count;
  add_words<2>(to.sum, from.sum);
  add_words<4>(to.squares, from.squares);
}

// Two words of a signed value, negated where it is said so.
NUMBERS void negate_if(bool is, Word* value) {
  if (!is) return;
  value[0] = ~value[0] + 1;
  value[1] = ~value[1] + (value[0] == 0 ? 1 : 0);
}

NUMBERS float admit(float value) {
  if (absolute(value) <= FIXED_VALUE_MAX) return value + 0.0f;
  return value != value ? __uint_as_float(0x7fc00000u) : with_sign_of(FIXED_VALUE_MAX, value);
}

// The size of an admitted value as an integer number of 2^-40; NaN gives 0.
NUMBERS void quantize_size(float value, Word* size) {
  size[0] = size[1] = 0;
  if (value != value) return;
  if (absolute(value) < FIXED_SMALL) {
    const double scaled = rint(static_cast<double>(absolute(value)) * FIXED_SCALE);
    size[0] = static_cast<Word>(scaled);
    return;
  }
  // A float of 2^22 and more is its 24 bits, shifted: nothing is rounded.
  const unsigned bits = __float_as_uint(value);
  const Word mantissa = (bits & 0x7fffffu) | 0x800000u;
  const unsigned shift = ((bits >> 23) & 255u) - 127u - 23u + 40u;
  size[0] = shift < 64 ? mantissa << shift : 0;
  size[1] = shift < 64 ? mantissa >> (64 - shift) : mantissa << (shift - 64);
}

// The square of an integer of two words.
NUMBERS void square_words(const Word* size, Word* out) {
  const Word low = size[0], high = size[1];
  out[0] = low * low;
  out[1] = __umul64hi(low, low);
  out[2] = high * high;
  out[3] = __umul64hi(high, high);
  // Twice the cross product, at the second word.
  const Word cross_low = low * high, cross_high = __umul64hi(low, high);
  const Word cross[3] = {cross_low << 1, (cross_high << 1) | (cross_low >> 63), cross_high >> 63};
  add_words<3>(out + 1, cross);
}

// Adds a value that counts as `one`; NaN counts for nothing.
NUMBERS void add_value(Sums& sums, float value, Word one) {
  if (value != value) return;
  value = admit(value);
  Word size[2], square[4];
  quantize_size(value, size);
  square_words(size, square);
  negate_if(value < 0.0f, size);
  sums.count += one;
  add_words<2>(sums.sum, size);
  add_words<4>(sums.squares, square);
}

NUMBERS unsigned leading_zeros(Word word) {
  return static_cast<unsigned>(__clzll(static_cast<long long>(word)));
}

// The nearest double of an integer of five words, ties to even.
NUMBERS double nearest_double(const Word* words) {
  int top = 4;
  while (top >= 0 && words[top] == 0) --top;
  if (top < 0) return 0.0;
  if (top == 0) return static_cast<double>(words[0]);
  const unsigned shift = leading_zeros(words[top]);
  const Word upper =
      shift == 0 ? words[top] : (words[top] << shift) | (words[top - 1] >> (64 - shift));
  bool is_below = (words[top - 1] << shift) != 0;
  for (int i = 0; i < top - 1; ++i) is_below = is_below || words[i] != 0;
  const Word mantissa = upper | (is_below ? 1 : 0);
  const Word exponent = 64u * static_cast<unsigned>(top) - shift;
  return static_cast<double>(mantissa) * bits_to_double((1023 + exponent) << 52);
}

// The sum of quantised values as a double.
NUMBERS double unscale(const Word* sum) {
  const bool is_negative = (sum[1] >> 63) != 0;
  Word size[5] = {sum[0], sum[1], 0, 0, 0};
  negate_if(is_negative, size);
  const double value = nearest_double(size) * (1.0 / FIXED_SCALE);
  return is_negative ? -value : value;
}

// `words[0..5] = value[0..4] * by`.
NUMBERS void multiply_words(const Word* value, Word by, Word* words) {
  Word carry = 0;
  for (unsigned i = 0; i < 4; ++i) {
    const Word low = value[i] * by;
    words[i] = low + carry;
    carry = __umul64hi(value[i], by) + (words[i] < carry ? 1 : 0);
  }
  words[4] = carry;
}

// `count * squares - (sum^2 << fraction_bits)` as the nearest double, 0 where negative.
NUMBERS double spread_of_sums(const Sums& sums, unsigned fraction_bits) {
  Word size[2] = {sums.sum[0], sums.sum[1]};
  negate_if((sums.sum[1] >> 63) != 0, size);
  Word square[4], least[5], most[5];
  square_words(size, square);
  multiply_words(square, 1ull << fraction_bits, least);
  multiply_words(sums.squares, sums.count, most);
  bool is_borrowed = false;
  for (unsigned i = 0; i < 5; ++i) {
    const Word taken = most[i] - least[i];
    const bool first = most[i] < least[i];
    const Word rest = taken - (is_borrowed ? 1 : 0);
    const bool second = is_borrowed && taken == 0;
    most[i] = rest;
    is_borrowed = first || second;
  }
  return is_borrowed ? 0.0 : nearest_double(most);
}

// The sums of the threads before each one, by all threads of a block; `of_threads` has one for each
// thread and is free again when the block has passed its next barrier.
NUMBERS Sums sums_before(Sums own, Sums* of_threads) {
  const unsigned thread = threadIdx.x;
  of_threads[thread] = own;
  __syncthreads();
  for (unsigned by = 1; by < blockDim.x; by *= 2) {
    Sums earlier = {};
    if (thread >= by) earlier = of_threads[thread - by];
    __syncthreads();
    add_sums(of_threads[thread], earlier);
    __syncthreads();
  }
  Sums before = {};
  if (thread > 0) before = of_threads[thread - 1];
  return before;
}
