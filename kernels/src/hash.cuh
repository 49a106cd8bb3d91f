// The hash of bytes: the twin of hash_bytes in hash.rs (wyhash, final version 4, seed 0).
#pragma once
#include "numbers.cuh"

namespace hashing {
constexpr unsigned long long SECRET_0 = 0x2d358dccaa6c78a5ull, SECRET_1 = 0x8bb84b93962eacc9ull,
                             SECRET_2 = 0x4b33a62ed433d4a3ull, SECRET_3 = 0x4d5a2da51de1aa47ull;

NUMBERS unsigned long long fold(unsigned long long a, unsigned long long b) {
  return (a * b) ^ __umul64hi(a, b);
}

// Little-endian, at any address.
NUMBERS unsigned long long bytes_at(const unsigned char* bytes, unsigned count) {
  unsigned long long word = 0;
  for (unsigned i = 0; i < count; ++i)
    word |= static_cast<unsigned long long>(bytes[i]) << (8 * i);
  return word;
}
NUMBERS unsigned long long word(const unsigned char* bytes) { return bytes_at(bytes, 8); }
NUMBERS unsigned long long half(const unsigned char* bytes) { return bytes_at(bytes, 4); }

NUMBERS unsigned long long hash_bytes(const unsigned char* bytes, unsigned length) {
  unsigned long long seed = fold(SECRET_0, SECRET_1);
  unsigned long long a = 0, b = 0;
  if (length > 16) {
    const unsigned char* rest = bytes;
    unsigned left = length;
    if (left > 48) {
      unsigned long long first = seed, second = seed, third = seed;
      for (; left > 48; left -= 48, rest += 48) {
        first = fold(word(rest) ^ SECRET_1, word(rest + 8) ^ first);
        second = fold(word(rest + 16) ^ SECRET_2, word(rest + 24) ^ second);
        third = fold(word(rest + 32) ^ SECRET_3, word(rest + 40) ^ third);
      }
      seed = first ^ second ^ third;
    }
    for (; left > 16; left -= 16, rest += 16)
      seed = fold(word(rest) ^ SECRET_1, word(rest + 8) ^ seed);
    a = word(bytes + length - 16);
    b = word(bytes + length - 8);
  } else if (length >= 4) {
    const unsigned middle = (length >> 3) << 2, last = length - 4;
    a = half(bytes) << 32 | half(bytes + middle);
    b = half(bytes + last) << 32 | half(bytes + last - middle);
  } else if (length > 0) {
    a = static_cast<unsigned long long>(bytes[0]) << 16 |
        static_cast<unsigned long long>(bytes[length >> 1]) << 8 | bytes[length - 1];
  }
  a ^= SECRET_1;
  b ^= seed;
  return fold((a * b) ^ SECRET_0 ^ length, __umul64hi(a, b) ^ SECRET_1);
}
}  // namespace hashing
