// Every kernel of the product, callable by name: what the double of a GPU launches.
#include <cstring>
#include <tuple>
#include <utility>

#include "cuda.h"

#if defined(__x86_64__) && !defined(HOST_CUDA_THREADS)
// Saves what a call must preserve on this stack and goes on with another.
asm(R"(
.text
.globl host_cuda_switch
.type host_cuda_switch, @function
host_cuda_switch:
  pushq %rbp
  pushq %rbx
  pushq %r12
  pushq %r13
  pushq %r14
  pushq %r15
  movq %rsp, (%rdi)
  movq %rsi, %rsp
  popq %r15
  popq %r14
  popq %r13
  popq %r12
  popq %rbx
  popq %rbp
  ret
.size host_cuda_switch, .-host_cuda_switch
)");
#endif

#include "../src/assemble.cu"
#include "../src/blend.cu"
#include "../src/coordinate.cu"
#include "../src/coordinate/begin.cu"
#include "../src/coordinate/step.cu"
#include "../src/decode/binary.cu"
#include "../src/decode/json.cu"
#include "../src/decode/warp.cu"
#include "../src/factor.cu"
#include "../src/moments.cu"
#include "../src/moments/wide.cu"
#include "../src/network.cu"
#include "../src/repair.cu"
#include "../src/tally.cu"
#include "../src/window/arrange.cu"
#include "../src/window/enter.cu"
#include "../src/window/read.cu"
#include "../src/window/leave.cu"
#include "../src/window/keep.cu"
#include "../src/window/wide.cu"

#ifdef HOST_CUDA_PROBES
#include "probes.cu"
#endif

namespace {
// Reads the arguments of a kernel from where a launch has them.
template <class... Parameters, std::size_t... Index>
void call(void (*kernel)(Parameters...), void** arguments, std::index_sequence<Index...>) {
  kernel(*static_cast<Parameters*>(arguments[Index])...);
}

template <class... Parameters>
void launch(void (*kernel)(Parameters...), unsigned blocks, unsigned threads, unsigned shared_bytes,
            void** arguments) {
  host_cuda::launch(blocks, threads, shared_bytes, [&] {
    call(kernel, arguments, std::index_sequence_for<Parameters...>{});
  });
}
// Bytes of each argument.
template <class... Parameters>
int sizes_of(void (*)(Parameters...), unsigned* sizes, unsigned room) {
  if (sizeof...(Parameters) > room) return -1;
  ((*sizes++ = static_cast<unsigned>(sizeof(Parameters))), ...);
  return int(sizeof...(Parameters));
}
}  // namespace

#define KERNEL(name)                                                \
  if (std::strcmp(kernel, #name) == 0) {                            \
    launch(name, blocks, threads, shared_bytes, arguments);         \
    return 0;                                                       \
  }

// 0 when it ran, 1 when there is no kernel of that name.
extern "C" int pelton_host_launch(const char* kernel, unsigned blocks, unsigned threads,
                                  unsigned shared_bytes, void** arguments) {
#include "kernels.list"
  return 1;
}

#undef KERNEL
#define KERNEL(name) \
  if (std::strcmp(kernel, #name) == 0) return sizes_of(name, sizes, room);

// How many arguments a kernel takes, and how large each is; -1 when there is none of that name.
extern "C" int pelton_host_parameters(const char* kernel, unsigned* sizes, unsigned room) {
#include "kernels.list"
  return -1;
}
