// CUDA's words as host C++20, so that a kernel's source runs where there is no GPU.
//
// A back end gives the threads: `fibers.h` (deterministic, fast) or, with HOST_CUDA_THREADS,
// `threads.h` (a thread of the system per CUDA thread, for ThreadSanitizer). Blocks run one after
// another on both. What this cannot show: weak memory order, blocks that run at once, alignment,
// streams, speed.
#pragma once
#include <atomic>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#define __global__
#define __device__
#define __host__
#define __forceinline__ inline
#define __restrict__ __restrict
#define __align__(n) alignas(n)
#define __launch_bounds__(...)
#define __constant__ static
// Legal because only one block is in flight.
#define __shared__ static
#define DYN_SHARED(T, name) T* name = reinterpret_cast<T*>(host_cuda::dynamic_shared())

struct dim3 {
  unsigned x, y, z;
  dim3(unsigned a = 1, unsigned b = 1, unsigned c = 1) : x(a), y(b), z(c) {}
};
struct uint3 {
  unsigned x = 0, y = 0, z = 0;
};
struct ulonglong2 {
  unsigned long long x, y;
};
constexpr int warpSize = 32;

#ifdef HOST_CUDA_THREADS
#include "threads.h"
#else
#include "fibers.h"
#endif

namespace host_cuda {
// Which lane a shuffle reads; a lane outside its group of `width` reads itself.
enum class From { Lane, Down, Up, Xor };

template <class T>
T shuffle(unsigned mask, T value, From from, int by, int width) {
  static_assert(sizeof(T) <= 8);
  const int lane = int(threadIdx.x & 31u), base = lane & ~(width - 1), own = lane - base;
  int other = own;
  switch (from) {
    case From::Lane: other = by & (width - 1); break;
    case From::Down: other = own + by < width ? own + by : own; break;
    case From::Up: other = own - by >= 0 ? own - by : own; break;
    case From::Xor: other = (own ^ by) < width ? (own ^ by) : own; break;
  }
  std::uint64_t bits = 0;
  std::memcpy(&bits, &value, sizeof value);
  bits = exchange(mask, bits, unsigned(base + other));
  T out;
  std::memcpy(&out, &bits, sizeof out);
  return out;
}
}  // namespace host_cuda

inline void __syncthreads() { host_cuda::block_sync(); }
inline void __syncwarp(unsigned mask = 0xffffffffu) { host_cuda::warp_sync(mask); }
template <class T>
T __shfl_sync(unsigned mask, T value, int lane, int width = 32) {
  return host_cuda::shuffle(mask, value, host_cuda::From::Lane, lane, width);
}
template <class T>
T __shfl_down_sync(unsigned mask, T value, unsigned by, int width = 32) {
  return host_cuda::shuffle(mask, value, host_cuda::From::Down, int(by), width);
}
template <class T>
T __shfl_up_sync(unsigned mask, T value, unsigned by, int width = 32) {
  return host_cuda::shuffle(mask, value, host_cuda::From::Up, int(by), width);
}
template <class T>
T __shfl_xor_sync(unsigned mask, T value, int by, int width = 32) {
  return host_cuda::shuffle(mask, value, host_cuda::From::Xor, by, width);
}
inline unsigned __ballot_sync(unsigned mask, int is) {
  return host_cuda::vote(mask, is != 0);
}
// The lanes of a whole warp that have the same value.
template <class T>
unsigned __match_any_sync(unsigned mask, T value) {
  unsigned same = 0;
  for (int lane = 0; lane < warpSize; ++lane)
    if (__shfl_sync(mask, value, lane) == value) same |= 1u << lane;
  return same;
}
inline int __any_sync(unsigned mask, int is) { return __ballot_sync(mask, is) != 0; }

// CUDA's atomics are relaxed; so are these.
template <class T>
T atomicAdd(T* at, T by) {
  static_assert(std::is_integral_v<T>, "no float atomics: their order would show");
  return std::atomic_ref<T>(*at).fetch_add(by, std::memory_order_relaxed);
}
template <class T>
T atomicOr(T* at, T bits) {
  return std::atomic_ref<T>(*at).fetch_or(bits, std::memory_order_relaxed);
}
template <class T>
T atomicExch(T* at, T value) {
  return std::atomic_ref<T>(*at).exchange(value, std::memory_order_relaxed);
}
template <class T>
T atomicCAS(T* at, T expected, T value) {
  std::atomic_ref<T>(*at).compare_exchange_strong(expected, value, std::memory_order_relaxed);
  return expected;
}
template <class T>
T atomicMax(T* at, T value) {
  std::atomic_ref<T> place(*at);
  T was = place.load(std::memory_order_relaxed);
  while (was < value && !place.compare_exchange_weak(was, value, std::memory_order_relaxed)) {
  }
  return was;
}
template <class T>
T atomicMin(T* at, T value) {
  std::atomic_ref<T> place(*at);
  T was = place.load(std::memory_order_relaxed);
  while (was > value && !place.compare_exchange_weak(was, value, std::memory_order_relaxed)) {
  }
  return was;
}
// A read that sees what atomics of other threads have written.
template <class T>
T __ldcg(const T* at) {
  return std::atomic_ref<T>(*const_cast<T*>(at)).load(std::memory_order_relaxed);
}
inline void __threadfence() { std::atomic_thread_fence(std::memory_order_seq_cst); }

template <class T>
T __ldg(const T* at) {
  return *at;
}
inline unsigned __float_as_uint(float x) {
  unsigned bits;
  std::memcpy(&bits, &x, 4);
  return bits;
}
inline float __uint_as_float(unsigned bits) {
  float x;
  std::memcpy(&x, &bits, 4);
  return x;
}
inline long long __double_as_longlong(double x) {
  long long bits;
  std::memcpy(&bits, &x, 8);
  return bits;
}
inline double __longlong_as_double(long long bits) {
  double x;
  std::memcpy(&x, &bits, 8);
  return x;
}
inline unsigned long long __umul64hi(unsigned long long a, unsigned long long b) {
  __extension__ typedef unsigned __int128 Wide;
  return static_cast<unsigned long long>((static_cast<Wide>(a) * b) >> 64);
}
inline int __ffs(int x) { return __builtin_ffs(x); }
inline int __popc(unsigned x) { return __builtin_popcount(x); }
inline int __clzll(long long x) {
  return x == 0 ? 64 : __builtin_clzll(static_cast<unsigned long long>(x));
}
