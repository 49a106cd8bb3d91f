// What a compiled image says of its kernels: the driver of the tests believes nothing else.
//
// Machine code (an ELF file) tells registers, static shared memory and the size of each parameter;
// portable code (PTX, a text) only the parameters.
#pragma once
#include <cstdint>
#include <cstring>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace driver {
struct Kernel {
  std::string name;
  std::vector<unsigned> parameters;  // bytes of each, in order
  unsigned registers = 0;            // of a thread; 0 where it is not known
  unsigned shared_bytes = 0;         // static
  unsigned dynamic_bytes_max = 0;    // what a launch may ask for
};
using Kernels = std::map<std::string, Kernel, std::less<>>;

template <class T>
T read(const char* at) {
  T value;
  std::memcpy(&value, at, sizeof value);
  return value;
}

// The sections of an ELF file of 64 bits, by name.
struct Section {
  const char* data;
  std::uint64_t bytes;
};
inline std::map<std::string, Section> sections(const char* image) {
  const char* table = image + read<std::uint64_t>(image + 0x28);
  const unsigned count = read<std::uint16_t>(image + 0x3c);
  const char* names =
      image + read<std::uint64_t>(table + 64 * read<std::uint16_t>(image + 0x3e) + 0x18);
  std::map<std::string, Section> found;
  for (const char* own = table; own < table + 64 * count; own += 64)
    found[names + read<std::uint32_t>(own)] = {image + read<std::uint64_t>(own + 0x18),
                                               read<std::uint64_t>(own + 0x20)};
  return found;
}

// Calls `use` with the kind and the data of each attribute of an .nv.info section.
template <class Use>
void each_attribute(const Section& section, Use use) {
  for (const char* at = section.data; at < section.data + section.bytes;) {
    constexpr char HAS_SIZE = 4;
    const bool is_long = at[0] == HAS_SIZE;
    const unsigned bytes = is_long ? read<std::uint16_t>(at + 2) : 0;
    use(static_cast<unsigned char>(at[1]), at + 4, bytes);
    at += 4 + bytes;
  }
}

inline Kernels kernels_of_code(const char* image) {
  constexpr unsigned PARAMETER = 0x17, REGISTERS = 0x2f;
  const std::string INFO = ".nv.info.";
  const auto all = sections(image);
  Kernels kernels;
  for (const auto& [section, content] : all) {
    if (!section.starts_with(INFO)) continue;
    Kernel kernel;
    kernel.name = section.substr(INFO.size());
    each_attribute(content, [&](unsigned kind, const char* data, unsigned bytes) {
      if (kind != PARAMETER || bytes < 12) return;
      const unsigned ordinal = read<std::uint16_t>(data + 4);
      if (kernel.parameters.size() <= ordinal) kernel.parameters.resize(ordinal + 1);
      kernel.parameters[ordinal] = read<std::uint32_t>(data + 8) >> 18;
    });
    const auto shared = all.find(".nv.shared." + kernel.name);
    if (shared != all.end()) kernel.shared_bytes = static_cast<unsigned>(shared->second.bytes);
    kernels[kernel.name] = kernel;
  }
  const char *symbols = all.at(".symtab").data, *names = all.at(".strtab").data;
  each_attribute(all.at(".nv.info"), [&](unsigned kind, const char* data, unsigned) {
    if (kind != REGISTERS) return;
    const char* symbol = symbols + 24 * read<std::uint32_t>(data);
    const auto kernel = kernels.find(std::string_view(names + read<std::uint32_t>(symbol)));
    if (kernel != kernels.end()) kernel->second.registers = read<std::uint32_t>(data + 4);
  });
  return kernels;
}

// Bytes of a parameter as `.param .u64 name` or `.param .align 8 .b8 name[96]` declares it.
inline unsigned bytes_of(std::string_view declared) {
  const auto bracket = declared.find('[');
  if (bracket != declared.npos)
    return static_cast<unsigned>(std::stoul(std::string(declared.substr(bracket + 1))));
  for (const unsigned bits : {64u, 32u, 16u, 8u})
    for (const char kind : {'u', 's', 'b', 'f'})
      if (declared.find(std::string(".") + kind + std::to_string(bits) + ' ') != declared.npos)
        return bits / 8;
  return 0;
}

inline Kernels kernels_of_text(std::string_view text) {
  const std::string_view ENTRY = ".entry ", PARAMETER = ".param ";
  Kernels kernels;
  for (auto at = text.find(ENTRY); at != text.npos; at = text.find(ENTRY, at + 1)) {
    const auto open = text.find('(', at), close = text.find(')', open);
    Kernel kernel;
    kernel.name = text.substr(at + ENTRY.size(), open - at - ENTRY.size());
    for (auto own = text.find(PARAMETER, open); own < close; own = text.find(PARAMETER, own + 1))
      kernel.parameters.push_back(bytes_of(text.substr(own, text.find_first_of(",)", own) - own)));
    kernels[kernel.name] = kernel;
  }
  return kernels;
}

inline Kernels kernels_of(const char* image) {
  return std::memcmp(image, "\177ELF", 4) == 0 ? kernels_of_code(image) : kernels_of_text(image);
}
}  // namespace driver
