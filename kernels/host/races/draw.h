// Kernels that hand values from thread to thread, on threads of the system: ThreadSanitizer sees
// what a missing barrier leaves unordered. The results are looked at elsewhere. A program a family,
// compiled by the tests with -fsanitize=thread -DHOST_CUDA -DHOST_CUDA_THREADS.
//
// Here: numbers drawn from a seed. Behind the kernels, whose functions it uses.
#pragma once
#include <cstdio>
#include <vector>

namespace {
unsigned long long drawn = 1;

float draw() {
  drawn = mix64(drawn + 0x9e3779b97f4a7c15ull);
  return static_cast<float>(drawn >> 40) / 16777216.0f;
}

std::vector<float> draw_all(unsigned count) {
  std::vector<float> values(count);
  for (float& value : values) value = draw() * 4.0f - 2.0f;
  return values;
}
}  // namespace
