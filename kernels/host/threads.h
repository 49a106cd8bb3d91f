// CUDA threads as threads of the system, so that ThreadSanitizer sees what a missing barrier leaves
// unordered. Blocks run one after another. A wait of 5 seconds is taken for a deadlock.
#pragma once
#include <barrier>
#include <chrono>
#include <condition_variable>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

inline thread_local uint3 threadIdx, blockIdx;
inline thread_local dim3 blockDim, gridDim;

namespace host_cuda {
// The meetings of a warp, one for each mask.
struct Warp {
  struct Meeting {
    unsigned arrived = 0;
    std::uint64_t number = 0;
  };
  std::mutex mutex;
  std::condition_variable changed;
  std::map<unsigned, Meeting> meetings;
  std::uint64_t shown[32] = {};

  void sync(unsigned mask, unsigned lane) {
    if (!(mask >> lane & 1)) {
      std::fprintf(stderr, "lane %u is not in its own mask %08x\n", lane, mask);
      std::abort();
    }
    std::unique_lock<std::mutex> lock(mutex);
    Meeting& meeting = meetings[mask];
    const std::uint64_t number = meeting.number;
    if (++meeting.arrived == unsigned(__builtin_popcount(mask))) {
      meeting.arrived = 0;
      ++meeting.number;
      changed.notify_all();
      return;
    }
    const auto has_met = [&] { return meeting.number != number; };
    if (!changed.wait_for(lock, std::chrono::seconds(5), has_met)) {
      std::fprintf(stderr, "DEADLOCK: mask %08x, only %u lanes arrived\n", mask, meeting.arrived);
      std::_Exit(3);
    }
  }
};

struct Block {
  std::barrier<> barrier;
  std::vector<Warp> warps;
  std::vector<std::uint64_t> shared;
  Block(unsigned threads, std::size_t shared_bytes)
      : barrier(threads), warps((threads + 31) / 32),
        shared(shared_bytes / 8 + 1, 0xcbcbcbcbcbcbcbcbu) {}
};
inline Block* current_block = nullptr;

inline void* dynamic_shared() { return current_block->shared.data(); }
inline Warp& own_warp() { return current_block->warps[threadIdx.x >> 5]; }
inline void block_sync() { current_block->barrier.arrive_and_wait(); }
inline void warp_sync(unsigned mask) { own_warp().sync(mask, threadIdx.x & 31u); }

inline std::uint64_t exchange(unsigned mask, std::uint64_t bits, unsigned lane) {
  Warp& warp = own_warp();
  warp.shown[threadIdx.x & 31u] = bits;
  warp_sync(mask);
  const std::uint64_t read = warp.shown[lane];
  warp_sync(mask);
  return read;
}

// The lanes of the mask that say yes.
inline unsigned vote(unsigned mask, bool is) {
  Warp& warp = own_warp();
  warp.shown[threadIdx.x & 31u] = is ? 1 : 0;
  warp_sync(mask);
  unsigned votes = 0;
  for (unsigned lane = 0; lane < 32; ++lane)
    if (mask >> lane & 1) votes |= unsigned(warp.shown[lane]) << lane;
  warp_sync(mask);
  return votes;
}

// The lanes of the mask that show the same bits.
inline unsigned match(unsigned mask, std::uint64_t bits) {
  Warp& warp = own_warp();
  warp.shown[threadIdx.x & 31u] = bits;
  warp_sync(mask);
  unsigned same = 0;
  for (unsigned lane = 0; lane < 32; ++lane)
    if ((mask >> lane & 1) && warp.shown[lane] == bits) same |= 1u << lane;
  warp_sync(mask);
  return same;
}

inline void launch(dim3 grid, dim3 block, std::size_t shared_bytes,
                   const std::function<void()>& call) {
  for (unsigned index = 0; index < grid.x; ++index) {
    Block own(block.x, shared_bytes);
    current_block = &own;
    std::vector<std::thread> threads;
    threads.reserve(block.x);
    for (unsigned i = 0; i < block.x; ++i)
      threads.emplace_back([&, i] {
        threadIdx.x = i;
        blockIdx.x = index;
        blockDim = block;
        gridDim = grid;
        call();
        // A thread that has ended no longer counts, as on the device.
        own.barrier.arrive_and_drop();
      });
    for (std::thread& thread : threads) thread.join();
  }
}
}  // namespace host_cuda
