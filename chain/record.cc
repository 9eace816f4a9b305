#include "chain/record.h"

namespace flowloom {

std::string pack_flags(std::span<const std::uint8_t> flags) {
  std::string bytes((flags.size() + 7) / 8, '\0');
  for (std::size_t i = 0; i < flags.size(); ++i) {
    if (flags[i]) bytes[i / 8] = static_cast<char>(bytes[i / 8] | (1 << (i % 8)));
  }
  return bytes;
}

std::vector<std::uint8_t> unpack_flags(std::string_view bytes, std::size_t count) {
  std::vector<std::uint8_t> flags(count);
  for (std::size_t i = 0; i < count && i / 8 < bytes.size(); ++i) {
    flags[i] = static_cast<std::uint8_t>((static_cast<unsigned char>(bytes[i / 8]) >> (i % 8)) & 1);
  }
  return flags;
}

}  // namespace flowloom
