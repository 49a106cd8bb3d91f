// Memory of the driver of the tests: of the GPU, and page-locked. All of it lies here, between
// guard bands.
#pragma once
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>

namespace driver {
// What is broken here would be silent on a GPU: the process ends.
[[noreturn]] inline void broken(const char* rule, const char* name = "") {
  std::fprintf(stderr, "CUDA of the tests: %s %s\n", rule, name);
  std::abort();
}

class Memory {
 public:
  // As a GPU gives it: of any content, at 256 bytes at least.
  std::uint64_t give(std::size_t bytes, unsigned char content) {
    auto* whole = static_cast<unsigned char*>(std::aligned_alloc(GUARD, rounded(bytes)));
    if (whole == nullptr) broken("this machine has no memory left");
    std::memset(whole, GUARD_BYTE, rounded(bytes));
    std::memset(whole + GUARD, content, bytes);
    const auto address = reinterpret_cast<std::uint64_t>(whole + GUARD);
    parts_[address] = bytes;
    used_ += bytes;
    return address;
  }

  // Whether there was such memory.
  bool take_back(std::uint64_t address) {
    const auto part = parts_.find(address);
    if (part == parts_.end()) return false;
    auto* whole = reinterpret_cast<unsigned char*>(address) - GUARD;
    const std::size_t all = rounded(part->second);
    for (std::size_t at = 0; at < all; at = at + 1 == GUARD ? GUARD + part->second : at + 1)
      if (whole[at] != GUARD_BYTE) broken("a kernel or a copy wrote beyond an allocation");
    used_ -= part->second;
    parts_.erase(part);
    // Whoever uses it still does not find what it held.
    std::memset(whole, FREED_BYTE, all);
    std::free(whole);
    return true;
  }

  // Whether all of a place lies within one allocation.
  bool holds(std::uint64_t address, std::size_t bytes) const {
    const auto behind = parts_.upper_bound(address);
    if (behind == parts_.begin()) return false;
    const auto [start, own] = *std::prev(behind);
    return address + bytes <= start + own;
  }

  std::size_t used() const { return used_; }
  std::size_t parts() const { return parts_.size(); }

 private:
  static constexpr std::size_t GUARD = 256;
  static constexpr unsigned char GUARD_BYTE = 0xa5, FREED_BYTE = 0xdb;
  static std::size_t rounded(std::size_t bytes) { return (bytes + 3 * GUARD - 1) / GUARD * GUARD; }
  std::map<std::uint64_t, std::size_t> parts_;
  std::size_t used_ = 0;
};
}  // namespace driver
