// The digest of a text of one block: the twin of digest.rs.
#pragma once
#include "text.cuh"

namespace decode {
constexpr unsigned BLOCK_BYTES = 64;

NUMBERS unsigned rotated(unsigned x, unsigned by) { return x >> by | x << (32 - by); }

NUMBERS void mix(unsigned& a, unsigned& b, unsigned& c, unsigned& d, unsigned first,
                 unsigned second) {
  a = a + b + first;
  d = rotated(d ^ a, 16);
  c = c + d;
  b = rotated(b ^ c, 12);
  a = a + b + second;
  d = rotated(d ^ a, 8);
  c = c + d;
  b = rotated(b ^ c, 7);
}

// The order of the next round's words.
NUMBERS void permute(unsigned* m) {
  const unsigned was[16] = {m[0], m[1], m[2],  m[3],  m[4],  m[5],  m[6],  m[7],
                            m[8], m[9], m[10], m[11], m[12], m[13], m[14], m[15]};
  m[0] = was[2], m[1] = was[6], m[2] = was[3], m[3] = was[10];
  m[4] = was[7], m[5] = was[0], m[6] = was[4], m[7] = was[13];
  m[8] = was[1], m[9] = was[11], m[10] = was[12], m[11] = was[5];
  m[12] = was[9], m[13] = was[14], m[14] = was[15], m[15] = was[8];
}

// The first 16 bytes of the digest of at most 64 bytes.
NUMBERS void digest(const Text& text, Word& low, Word& high) {
  unsigned m[16];
#pragma unroll
  for (unsigned i = 0; i < 16; ++i) {
    m[i] = 0;
#pragma unroll
    for (unsigned j = 0; j < 4; ++j) m[i] |= static_cast<unsigned>(text.at(4 * i + j)) << (8 * j);
  }
  const unsigned s[8] = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
                         0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};
  unsigned v[16] = {s[0], s[1], s[2], s[3], s[4], s[5], s[6],        s[7],
                    s[0], s[1], s[2], s[3], 0,    0,    text.length, 1 | 2 | 8};
#pragma unroll
  for (unsigned round = 0; round < 7; ++round) {
    if (round > 0) permute(m);
    mix(v[0], v[4], v[8], v[12], m[0], m[1]);
    mix(v[1], v[5], v[9], v[13], m[2], m[3]);
    mix(v[2], v[6], v[10], v[14], m[4], m[5]);
    mix(v[3], v[7], v[11], v[15], m[6], m[7]);
    mix(v[0], v[5], v[10], v[15], m[8], m[9]);
    mix(v[1], v[6], v[11], v[12], m[10], m[11]);
    mix(v[2], v[7], v[8], v[13], m[12], m[13]);
    mix(v[3], v[4], v[9], v[14], m[14], m[15]);
  }
  low = Word(v[0] ^ v[8]) | Word(v[1] ^ v[9]) << 32;
  high = Word(v[2] ^ v[10]) | Word(v[3] ^ v[11]) << 32;
}
}  // namespace decode
