// Streams, events and graphs of the driver of the tests. Work is done as late as it may be: when
// somebody waits for it. What is read here before its copy was waited for is still the old, what is
// written too early arrives in its place, and work of two streams has no order but that of events.
#pragma once
#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <vector>

#include "image.h"
#include "memory.h"

extern "C" int pelton_host_launch(const char* kernel, unsigned blocks, unsigned threads,
                                  unsigned shared_bytes, void** arguments);

namespace driver {
// Something that a GPU does.
struct Act {
  enum class Is { Copy, Fill, Launch } is;
  std::uint64_t to = 0, from = 0;
  std::size_t bytes = 0;
  unsigned char byte = 0;
  const Kernel* kernel = nullptr;
  unsigned blocks = 0, threads = 0, shared_bytes = 0;
  std::vector<std::vector<std::uint64_t>> arguments = {};

  void run() {
    if (is == Is::Copy) {
      std::memmove(reinterpret_cast<void*>(to), reinterpret_cast<void*>(from), bytes);
    } else if (is == Is::Fill) {
      std::memset(reinterpret_cast<void*>(to), byte, bytes);
    } else {
      void* places[64];
      for (std::size_t i = 0; i < arguments.size(); ++i) places[i] = arguments[i].data();
      if (pelton_host_launch(kernel->name.c_str(), blocks, threads, shared_bytes, places) != 0)
        broken("no kernel on the host", kernel->name.c_str());
    }
  }
};

using Graph = std::vector<Act>;
struct Stream;

// A point in the work of a stream.
struct Point {
  std::shared_ptr<Stream> stream;
  std::uint64_t at = 0;
};

struct Event {
  Point point;
};

// An element of a stream: a few acts, behind what another stream has done up to a point.
struct Work {
  Point behind;
  std::shared_ptr<Graph> acts;
};

struct Stream {
  std::deque<Work> queue;
  std::uint64_t given = 0, done = 0;
  // What is recorded instead of being done.
  std::shared_ptr<Graph> recording;
  bool is_recording_valid = false;

  void give(Work work) {
    queue.push_back(std::move(work));
    ++given;
  }

  // Does all work up to a point.
  void run_to(std::uint64_t point) {
    while (done < point) {
      Work work = std::move(queue.front());
      queue.pop_front();
      ++done;
      if (work.behind.stream) work.behind.stream->run_to(work.behind.at);
      if (work.acts)
        for (Act& act : *work.acts) act.run();
    }
  }
  void run() { run_to(given); }
};
}  // namespace driver
