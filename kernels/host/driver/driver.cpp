// CUDA's driver (libcuda.so.1) for a machine without a GPU: tests of what stands in front of it.
//
// It is compiled against NVIDIA's own header, so that its functions are those that the product
// calls. Kernels are those of the host, but what they take and need is read from the compiled
// images; all of CUDA's rules that the product leans on are looked at: contexts, bounds of copies,
// registers and shared memory of a launch, what may not be called while a stream is captured.
// Streams do their work as late as they may (work.h).
#include <cuda.h>

#include <atomic>
#include <cstdio>
#include <memory>
#include <mutex>
#include <set>
#include <string>

#include "image.h"
#include "memory.h"
#include "work.h"

extern "C" int pelton_host_parameters(const char* kernel, unsigned* sizes, unsigned room);

namespace {
using driver::Act;
using driver::broken;
using driver::Kernel;

constexpr std::size_t MEMORY_BYTES = std::size_t{1} << 34;
constexpr unsigned SHARED_BYTES_MAX = 227 * 1024, SHARED_BYTES_DEFAULT = 48 * 1024;
constexpr unsigned REGISTERS = 65536, THREADS_MAX = 1024;

struct Module {
  driver::Kernels kernels;
};

std::mutex lock;
driver::Memory device_memory, host_memory;
std::set<std::shared_ptr<driver::Stream>> streams;
std::set<driver::Event*> events;
unsigned context_uses = 0;
thread_local bool is_current = false;
// The stream that this thread captures.
thread_local driver::Stream* captured = nullptr;
char context;

// What is open when the driver has refused something is given up with the context.
std::atomic<bool> has_refused = false;

CUresult refused(CUresult result, const char* why) {
  has_refused = true;
  std::fprintf(stderr, "CUDA of the tests: error %d: %s\n", int(result), why);
  return result;
}

#define IN_CONTEXT                                                             \
  const std::lock_guard<std::mutex> guard(lock);                               \
  if (!is_current || context_uses == 0)                                        \
    return refused(CUDA_ERROR_INVALID_CONTEXT, __func__)

// What waits or asks for memory ends a capture of the same thread (THREAD_LOCAL mode).
#define NOT_IN_CAPTURE                                                         \
  IN_CONTEXT;                                                                  \
  if (captured != nullptr) {                                                   \
    captured->is_recording_valid = false;                                      \
    return refused(CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED, __func__);           \
  }

std::shared_ptr<driver::Stream> stream_of(CUstream handle) {
  for (const auto& stream : streams)
    if (stream.get() == reinterpret_cast<driver::Stream*>(handle)) return stream;
  broken("a stream that is not open");
}

driver::Event& event_of(CUevent handle) {
  auto* event = reinterpret_cast<driver::Event*>(handle);
  if (events.count(event) == 0) broken("an event that is not open");
  return *event;
}

CUresult give(CUstream handle, Act act) {
  const auto stream = stream_of(handle);
  if (stream->recording) {
    stream->recording->push_back(std::move(act));
  } else {
    auto acts = std::make_shared<driver::Graph>();
    acts->push_back(std::move(act));
    stream->give({{}, std::move(acts)});
  }
  return CUDA_SUCCESS;
}

bool is_recording(CUstream handle) { return stream_of(handle)->recording != nullptr; }

void run_everything() {
  for (const auto& stream : streams) stream->run();
}
}  // namespace

CUresult cuInit(unsigned) { return CUDA_SUCCESS; }
CUresult cuGetErrorName(CUresult error, const char** name) {
  thread_local std::string own;
  own = "CUDA_ERROR_" + std::to_string(int(error));
  *name = own.c_str();
  return CUDA_SUCCESS;
}
CUresult cuDeviceGetCount(int* count) { return *count = 1, CUDA_SUCCESS; }
CUresult cuDeviceGet(CUdevice* device, int) { return *device = 0, CUDA_SUCCESS; }
CUresult cuDeviceGetName(char* name, int room, CUdevice) {
  std::snprintf(name, std::size_t(room), "CUDA of the tests");
  return CUDA_SUCCESS;
}
CUresult cuDeviceTotalMem(std::size_t* bytes, CUdevice) {
  return *bytes = MEMORY_BYTES, CUDA_SUCCESS;
}
CUresult cuDeviceGetAttribute(int* value, CUdevice_attribute attribute, CUdevice) {
  // Any but 9.0 gets the portable code.
  const char* capability = std::getenv("PELTON_TEST_CAPABILITY");
  switch (attribute) {
    case CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK_OPTIN: *value = SHARED_BYTES_MAX; break;
    case CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT: *value = 132; break;
    case CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR:
      *value = capability != nullptr ? std::atoi(capability) : 9;
      break;
    case CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR: *value = 0; break;
    case CU_DEVICE_ATTRIBUTE_PCI_DOMAIN_ID: *value = 0; break;
    case CU_DEVICE_ATTRIBUTE_PCI_BUS_ID: *value = 0x17; break;
    case CU_DEVICE_ATTRIBUTE_PCI_DEVICE_ID: *value = 0; break;
    default: return refused(CUDA_ERROR_INVALID_VALUE, "an attribute that is not known here");
  }
  return CUDA_SUCCESS;
}

CUresult cuDevicePrimaryCtxRetain(CUcontext* out, CUdevice) {
  const std::lock_guard<std::mutex> guard(lock);
  ++context_uses;
  return *out = reinterpret_cast<CUcontext>(&context), CUDA_SUCCESS;
}
CUresult cuDevicePrimaryCtxRelease(CUdevice) {
  const std::lock_guard<std::mutex> guard(lock);
  if (context_uses == 0) broken("a context that nobody has");
  if (--context_uses > 0 || has_refused) return CUDA_SUCCESS;
  if (!streams.empty() || !events.empty()) broken("streams or events outlive the context");
  if (device_memory.parts() + host_memory.parts() > 0) broken("memory outlives the context");
  return CUDA_SUCCESS;
}
CUresult cuCtxSetCurrent(CUcontext handle) {
  const std::lock_guard<std::mutex> guard(lock);
  is_current = handle == reinterpret_cast<CUcontext>(&context);
  return CUDA_SUCCESS;
}

CUresult cuModuleLoadData(CUmodule* out, const void* image) {
  NOT_IN_CAPTURE;
  auto* module = new Module{driver::kernels_of(static_cast<const char*>(image))};
  for (auto& [name, kernel] : module->kernels) {
    unsigned sizes[64];
    const int count = pelton_host_parameters(name.c_str(), sizes, 64);
    if (count != int(kernel.parameters.size()))
      broken("other parameters on the host:", name.c_str());
    for (int i = 0; i < count; ++i)
      if (sizes[i] != kernel.parameters[std::size_t(i)])
        broken("a parameter of another size on the host:", name.c_str());
    kernel.dynamic_bytes_max = SHARED_BYTES_DEFAULT - kernel.shared_bytes;
  }
  return *out = reinterpret_cast<CUmodule>(module), CUDA_SUCCESS;
}
CUresult cuModuleUnload(CUmodule module) {
  NOT_IN_CAPTURE;
  run_everything();
  delete reinterpret_cast<Module*>(module);
  return CUDA_SUCCESS;
}
// A driver that loads kernels when they are first asked for must not do so while it captures.
CUresult cuModuleGetFunction(CUfunction* out, CUmodule module, const char* name) {
  NOT_IN_CAPTURE;
  auto& kernels = reinterpret_cast<Module*>(module)->kernels;
  const auto found = kernels.find(std::string_view(name));
  if (found == kernels.end()) return CUDA_ERROR_NOT_FOUND;
  return *out = reinterpret_cast<CUfunction>(&found->second), CUDA_SUCCESS;
}
CUresult cuFuncGetAttribute(int* value, CUfunction_attribute attribute, CUfunction function) {
  IN_CONTEXT;
  if (attribute != CU_FUNC_ATTRIBUTE_SHARED_SIZE_BYTES) return CUDA_ERROR_INVALID_VALUE;
  return *value = int(reinterpret_cast<Kernel*>(function)->shared_bytes), CUDA_SUCCESS;
}
CUresult cuFuncSetAttribute(CUfunction function, CUfunction_attribute attribute, int value) {
  IN_CONTEXT;
  auto* kernel = reinterpret_cast<Kernel*>(function);
  if (attribute != CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES || value < 0 ||
      unsigned(value) + kernel->shared_bytes > SHARED_BYTES_MAX)
    return refused(CUDA_ERROR_INVALID_VALUE, kernel->name.c_str());
  return kernel->dynamic_bytes_max = unsigned(value), CUDA_SUCCESS;
}

CUresult cuMemGetInfo(std::size_t* free, std::size_t* total) {
  IN_CONTEXT;
  *free = MEMORY_BYTES - device_memory.used();
  return *total = MEMORY_BYTES, CUDA_SUCCESS;
}
CUresult cuMemAlloc(CUdeviceptr* out, std::size_t bytes) {
  NOT_IN_CAPTURE;
  if (bytes == 0) return refused(CUDA_ERROR_INVALID_VALUE, "no bytes are asked for");
  if (device_memory.used() + bytes > MEMORY_BYTES) return CUDA_ERROR_OUT_OF_MEMORY;
  return *out = device_memory.give(bytes, 0xcb), CUDA_SUCCESS;
}
// As CUDA does, these wait for all work.
CUresult cuMemFree(CUdeviceptr address) {
  NOT_IN_CAPTURE;
  run_everything();
  if (!device_memory.take_back(address)) broken("memory that is not there is freed");
  return CUDA_SUCCESS;
}
CUresult cuMemHostAlloc(void** out, std::size_t bytes, unsigned) {
  NOT_IN_CAPTURE;
  if (bytes == 0) return refused(CUDA_ERROR_INVALID_VALUE, "no bytes are asked for");
  return *out = reinterpret_cast<void*>(host_memory.give(bytes, 0xcb)), CUDA_SUCCESS;
}
CUresult cuMemFreeHost(void* memory) {
  NOT_IN_CAPTURE;
  run_everything();
  if (!host_memory.take_back(reinterpret_cast<std::uint64_t>(memory)))
    broken("host memory that is not there is freed");
  return CUDA_SUCCESS;
}

CUresult cuStreamCreate(CUstream* out, unsigned flags) {
  IN_CONTEXT;
  if (flags != CU_STREAM_NON_BLOCKING) broken("a stream that waits for the default one");
  const auto stream = std::make_shared<driver::Stream>();
  streams.insert(stream);
  return *out = reinterpret_cast<CUstream>(stream.get()), CUDA_SUCCESS;
}
CUresult cuStreamDestroy(CUstream handle) {
  IN_CONTEXT;
  const auto stream = stream_of(handle);
  stream->run();
  streams.erase(stream);
  return CUDA_SUCCESS;
}
CUresult cuStreamSynchronize(CUstream handle) {
  NOT_IN_CAPTURE;
  stream_of(handle)->run();
  return CUDA_SUCCESS;
}
CUresult cuStreamWaitEvent(CUstream handle, CUevent event, unsigned) {
  IN_CONTEXT;
  if (is_recording(handle)) return refused(CUDA_ERROR_STREAM_CAPTURE_ISOLATION, __func__);
  stream_of(handle)->give({event_of(event).point, nullptr});
  return CUDA_SUCCESS;
}

CUresult cuEventCreate(CUevent* out, unsigned) {
  IN_CONTEXT;
  auto* event = new driver::Event;
  events.insert(event);
  return *out = reinterpret_cast<CUevent>(event), CUDA_SUCCESS;
}
CUresult cuEventDestroy(CUevent handle) {
  IN_CONTEXT;
  auto* event = &event_of(handle);
  events.erase(event);
  delete event;
  return CUDA_SUCCESS;
}
// An event of a capture is none that could be waited for here: the product records none.
CUresult cuEventRecord(CUevent handle, CUstream stream) {
  IN_CONTEXT;
  if (is_recording(stream)) return refused(CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED, __func__);
  const auto of = stream_of(stream);
  event_of(handle).point = {of, of->given};
  return CUDA_SUCCESS;
}
CUresult cuEventSynchronize(CUevent handle) {
  NOT_IN_CAPTURE;
  auto& point = event_of(handle).point;
  if (point.stream) point.stream->run_to(point.at);
  return CUDA_SUCCESS;
}
CUresult cuEventElapsedTime(float* ms, CUevent from, CUevent to) {
  IN_CONTEXT;
  for (const CUevent event : {from, to}) {
    const auto& point = event_of(event).point;
    if (!point.stream || point.stream->done < point.at)
      return refused(CUDA_ERROR_NOT_READY, "an event that has not happened");
  }
  return *ms = 0.5F, CUDA_SUCCESS;
}

namespace {
// Of ordinary memory a copy is no part of a graph.
CUresult copied(CUstream stream, std::uint64_t to, std::uint64_t from, std::size_t bytes,
                const void* host) {
  const auto address = reinterpret_cast<std::uint64_t>(host);
  if (host != nullptr && !host_memory.holds(address, bytes) && is_recording(stream))
    return refused(CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED, "a copy of memory that is not pinned");
  for (const auto place : {to, from})
    if (place != address && !device_memory.holds(place, bytes)) broken("a copy out of bounds");
  Act act{.is = Act::Is::Copy, .to = to, .from = from, .bytes = bytes};
  return give(stream, std::move(act));
}
}  // namespace

CUresult cuMemcpyHtoDAsync(CUdeviceptr to, const void* from, std::size_t bytes, CUstream stream) {
  IN_CONTEXT;
  return copied(stream, to, reinterpret_cast<std::uint64_t>(from), bytes, from);
}
CUresult cuMemcpyDtoHAsync(void* to, CUdeviceptr from, std::size_t bytes, CUstream stream) {
  IN_CONTEXT;
  return copied(stream, reinterpret_cast<std::uint64_t>(to), from, bytes, to);
}
CUresult cuMemcpyDtoDAsync(CUdeviceptr to, CUdeviceptr from, std::size_t bytes, CUstream stream) {
  IN_CONTEXT;
  return copied(stream, to, from, bytes, nullptr);
}
CUresult cuMemsetD8Async(CUdeviceptr to, unsigned char byte, std::size_t bytes, CUstream stream) {
  IN_CONTEXT;
  if (!device_memory.holds(to, bytes)) broken("memory is filled out of bounds");
  Act act{.is = Act::Is::Fill, .to = to, .bytes = bytes, .byte = byte};
  return give(stream, std::move(act));
}

CUresult cuLaunchKernel(CUfunction function, unsigned blocks, unsigned blocks_y, unsigned blocks_z,
                        unsigned threads, unsigned threads_y, unsigned threads_z,
                        unsigned shared_bytes, CUstream stream, void** arguments, void**) {
  IN_CONTEXT;
  const auto* kernel = reinterpret_cast<Kernel*>(function);
  const char* name = kernel->name.c_str();
  if (blocks == 0 || blocks > 0x7fffffffu || threads == 0 || threads > THREADS_MAX)
    return refused(CUDA_ERROR_INVALID_VALUE, name);
  if (blocks_y * blocks_z * threads_y * threads_z != 1)
    broken("a launch of more than one axis:", name);
  if (shared_bytes > kernel->dynamic_bytes_max) return refused(CUDA_ERROR_INVALID_VALUE, name);
  // Registers are given to a warp, 256 at a time.
  const unsigned of_warp = (kernel->registers * 32 + 255) / 256 * 256;
  if (of_warp * ((threads + 31) / 32) > REGISTERS)
    return refused(CUDA_ERROR_LAUNCH_OUT_OF_RESOURCES, name);
  Act act{.is = Act::Is::Launch, .kernel = kernel, .blocks = blocks, .threads = threads,
          .shared_bytes = shared_bytes};
  for (std::size_t i = 0; i < kernel->parameters.size(); ++i) {
    std::vector<std::uint64_t> words((kernel->parameters[i] + 7) / 8);
    std::memcpy(words.data(), arguments[i], kernel->parameters[i]);
    act.arguments.push_back(std::move(words));
  }
  return give(stream, std::move(act));
}

CUresult cuStreamBeginCapture(CUstream handle, CUstreamCaptureMode mode) {
  IN_CONTEXT;
  const auto stream = stream_of(handle);
  if (stream->recording || captured != nullptr) broken("a capture within a capture");
  if (mode != CU_STREAM_CAPTURE_MODE_THREAD_LOCAL) broken("a capture that other threads can end");
  stream->recording = std::make_shared<driver::Graph>();
  stream->is_recording_valid = true;
  captured = stream.get();
  return CUDA_SUCCESS;
}
CUresult cuStreamEndCapture(CUstream handle, CUgraph* out) {
  IN_CONTEXT;
  const auto stream = stream_of(handle);
  if (captured != stream.get()) return refused(CUDA_ERROR_STREAM_CAPTURE_WRONG_THREAD, __func__);
  captured = nullptr;
  const auto recording = std::move(stream->recording);
  if (!stream->is_recording_valid)
    return refused(CUDA_ERROR_STREAM_CAPTURE_INVALIDATED, __func__);
  *out = reinterpret_cast<CUgraph>(new std::shared_ptr<driver::Graph>(recording));
  return CUDA_SUCCESS;
}
CUresult cuGraphInstantiate(CUgraphExec* out, CUgraph graph, unsigned long long) {
  NOT_IN_CAPTURE;
  // Of its own: the graph may be dropped.
  const auto& recorded = *reinterpret_cast<std::shared_ptr<driver::Graph>*>(graph);
  auto* own = new std::shared_ptr<driver::Graph>(std::make_shared<driver::Graph>(*recorded));
  return *out = reinterpret_cast<CUgraphExec>(own), CUDA_SUCCESS;
}
CUresult cuGraphDestroy(CUgraph graph) {
  delete reinterpret_cast<std::shared_ptr<driver::Graph>*>(graph);
  return CUDA_SUCCESS;
}
CUresult cuGraphLaunch(CUgraphExec graph, CUstream handle) {
  IN_CONTEXT;
  if (is_recording(handle)) broken("a graph within a graph");
  stream_of(handle)->give({{}, *reinterpret_cast<std::shared_ptr<driver::Graph>*>(graph)});
  return CUDA_SUCCESS;
}
CUresult cuGraphExecDestroy(CUgraphExec graph) {
  IN_CONTEXT;
  delete reinterpret_cast<std::shared_ptr<driver::Graph>*>(graph);
  return CUDA_SUCCESS;
}
