#include "chain/record.h"

#include <algorithm>
#include <cstring>

namespace flowloom {

std::string pack_flags(std::span<const std::uint8_t> flags) {
  std::string bytes((flags.size() + 7) / 8, '\0');
  for (std::size_t i = 0; i < flags.size(); i += 8) {
    std::uint64_t eight = 0;  // a byte each
    std::memcpy(&eight, flags.data() + i, std::min<std::size_t>(8, flags.size() - i));
    // Moves byte k's lowest bit to bit 56 + k; no two of the 64 products meet.
    bytes[i / 8] = static_cast<char>((eight * 0x0102040810204080) >> 56);
  }
  return bytes;
}

std::vector<std::uint8_t> unpack_flags(std::string_view bytes, std::size_t count) {
  std::vector<std::uint8_t> flags(count);
  for (std::size_t i = 0; i < count && i / 8 < bytes.size(); i += 8) {
    // Bit k alone in byte k, then as 0 or 1.
    std::uint64_t eight =
        (std::uint64_t{static_cast<unsigned char>(bytes[i / 8])} * 0x0101010101010101) & 0x8040201008040201;
    eight = ((eight + 0x7f7f7f7f7f7f7f7f) >> 7) & 0x0101010101010101;
    std::memcpy(flags.data() + i, &eight, std::min<std::size_t>(8, count - i));
  }
  return flags;
}

}  // namespace flowloom
