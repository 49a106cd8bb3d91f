// CUDA threads as fibers of one thread: each runs until it waits for others, in order of its
// number. Deterministic; a wait that can never end is reported and ends the process.
#pragma once
#include <functional>
#include <memory>
#include <vector>

#if !defined(__x86_64__)
#include <ucontext.h>
#endif

inline uint3 threadIdx, blockIdx;
inline dim3 blockDim, gridDim;

namespace host_cuda {
constexpr std::size_t STACK_BYTES = 64 * 1024;

#if defined(__x86_64__)
// A context is a stack pointer: the registers that a call must preserve lie on the stack. The
// library's swapcontext would make two system calls a switch.
using Context = void*;
extern "C" void host_cuda_switch(Context* from, Context to);
#else
using Context = ucontext_t;
#endif

struct Fiber {
  enum class Is { Ready, AtBarrier, AtWarp, Done };
  Context context;
  std::unique_ptr<unsigned char[]> stack;
  Is is = Is::Done;
  unsigned mask = 0;
  std::uint64_t shown = 0;
};

inline std::vector<Fiber> fibers;
inline std::vector<std::uint64_t> shared_words;
inline unsigned current = 0;
inline Context scheduler;
inline const std::function<void()>* body = nullptr;

inline void* dynamic_shared() { return shared_words.data(); }

inline void swap_contexts(Context& from, Context& to) {
#if defined(__x86_64__)
  host_cuda_switch(&from, to);
#else
  swapcontext(&from, &to);
#endif
}

inline void wait_as(Fiber::Is is) {
  fibers[current].is = is;
  swap_contexts(fibers[current].context, scheduler);
}

inline void entry() {
  (*body)();
  wait_as(Fiber::Is::Done);
}

inline void prepare(Fiber& fiber) {
  if (!fiber.stack) fiber.stack.reset(new unsigned char[STACK_BYTES]);
  fiber.is = Fiber::Is::Ready;
#if defined(__x86_64__)
  auto top = reinterpret_cast<std::uintptr_t>(fiber.stack.get() + STACK_BYTES);
  top &= ~std::uintptr_t(15);
  auto words = reinterpret_cast<void**>(top);
  // Behind the six registers lies where to go, and behind that what a call would have pushed.
  words[-1] = nullptr;
  words[-2] = reinterpret_cast<void*>(&entry);
  for (int word = 3; word <= 8; ++word) words[-word] = nullptr;
  fiber.context = words - 8;
#else
  getcontext(&fiber.context);
  fiber.context.uc_stack.ss_sp = fiber.stack.get();
  fiber.context.uc_stack.ss_size = STACK_BYTES;
  fiber.context.uc_link = &scheduler;
  makecontext(&fiber.context, entry, 0);
#endif
}

inline void block_sync() { wait_as(Fiber::Is::AtBarrier); }

inline void warp_sync(unsigned mask) {
  if (!(mask >> (current & 31u) & 1)) {
    std::fprintf(stderr, "thread %u is not in its own mask %08x\n", current, mask);
    std::abort();
  }
  fibers[current].mask = mask;
  wait_as(Fiber::Is::AtWarp);
}

// Shows `bits` to the lanes of the mask and reads those of `lane`.
inline std::uint64_t exchange(unsigned mask, std::uint64_t bits, unsigned lane) {
  fibers[current].shown = bits;
  warp_sync(mask);
  const std::uint64_t read = fibers[(current & ~31u) + lane].shown;
  warp_sync(mask);
  return read;
}

// The lanes of the mask that say yes.
inline unsigned vote(unsigned mask, bool is) {
  fibers[current].shown = is ? 1 : 0;
  warp_sync(mask);
  unsigned votes = 0;
  for (unsigned lane = 0; lane < 32; ++lane)
    if (mask >> lane & 1) votes |= unsigned(fibers[(current & ~31u) + lane].shown) << lane;
  warp_sync(mask);
  return votes;
}

// The lanes of the mask that show the same bits.
inline unsigned match(unsigned mask, std::uint64_t bits) {
  fibers[current].shown = bits;
  warp_sync(mask);
  unsigned same = 0;
  for (unsigned lane = 0; lane < 32; ++lane)
    if ((mask >> lane & 1) && fibers[(current & ~31u) + lane].shown == bits) same |= 1u << lane;
  warp_sync(mask);
  return same;
}

// Lets a warp go on where all lanes of a mask have arrived with that mask.
inline bool release_warp(unsigned first, unsigned count) {
  bool has = false;
  for (unsigned lane = 0; lane < 32 && first + lane < count; ++lane) {
    if (fibers[first + lane].is != Fiber::Is::AtWarp) continue;
    const unsigned mask = fibers[first + lane].mask;
    bool all = true;
    for (unsigned other = 0; other < 32; ++other) {
      if (!(mask >> other & 1)) continue;
      all = all && first + other < count && fibers[first + other].is == Fiber::Is::AtWarp &&
            fibers[first + other].mask == mask;
    }
    if (!all) continue;
    for (unsigned other = 0; other < 32; ++other)
      if (mask >> other & 1) fibers[first + other].is = Fiber::Is::Ready;
    has = true;
  }
  return has;
}

inline bool release(unsigned count) {
  bool has = false, are_all_at_barrier = true;
  for (unsigned first = 0; first < count; first += 32) has = release_warp(first, count) || has;
  // A thread that has ended no longer counts, as on the device.
  for (unsigned i = 0; i < count; ++i)
    are_all_at_barrier = are_all_at_barrier && (fibers[i].is == Fiber::Is::AtBarrier ||
                                                fibers[i].is == Fiber::Is::Done);
  if (are_all_at_barrier)
    for (unsigned i = 0; i < count; ++i)
      if (fibers[i].is == Fiber::Is::AtBarrier) fibers[i].is = Fiber::Is::Ready, has = true;
  return has;
}

[[noreturn]] inline void report_deadlock(unsigned count) {
  for (unsigned i = 0; i < count; ++i)
    if (fibers[i].is != Fiber::Is::Done)
      std::fprintf(stderr, "DEADLOCK: block %u, thread %u waits at a %s (mask %08x)\n", blockIdx.x,
                   i, fibers[i].is == Fiber::Is::AtBarrier ? "barrier" : "warp", fibers[i].mask);
  std::abort();
}

inline void run_block(unsigned count) {
  for (unsigned i = 0; i < count; ++i) prepare(fibers[i]);
  for (unsigned live = count; live > 0;) {
    for (unsigned i = 0; i < count; ++i) {
      if (fibers[i].is != Fiber::Is::Ready) continue;
      current = i;
      threadIdx.x = i;
      swap_contexts(scheduler, fibers[i].context);
      if (fibers[i].is == Fiber::Is::Done) --live;
    }
    if (live > 0 && !release(count)) report_deadlock(count);
  }
}

inline void launch(dim3 grid, dim3 block, std::size_t shared_bytes,
                   const std::function<void()>& call) {
  if (fibers.size() < block.x) fibers.resize(block.x);
  body = &call;
  gridDim = grid;
  blockDim = block;
  for (unsigned index = 0; index < grid.x; ++index) {
#ifdef HOST_CUDA_BACKWARDS
    // Blocks are in no order: what one leaves to the next shows as another result.
    blockIdx.x = grid.x - 1 - index;
#else
    blockIdx.x = index;
#endif
    // Shared memory holds nothing of use when a block begins.
    shared_words.assign(shared_bytes / 8 + 1, 0xcbcbcbcbcbcbcbcbu);
    run_block(block.x);
  }
}
}  // namespace host_cuda
