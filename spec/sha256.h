// SHA-256: names checkpoints, links the log's records, hashes a run's identity.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <span>
#include <string>
#include <string_view>

namespace flowloom {

using Sha256 = std::array<std::uint8_t, 32>;

Sha256 sha256(std::span<const std::uint8_t> bytes);
Sha256 sha256(std::string_view bytes);
Sha256 sha256(std::initializer_list<std::string_view> parts);  // of their bytes, one after another

// Its 32 bytes, as they travel and are stored. Lives as long as the digest.
inline std::string_view bytes_of(const Sha256& digest) {
  return {reinterpret_cast<const char*>(digest.data()), digest.size()};
}

std::string to_hex(std::span<const std::uint8_t> bytes);
std::string to_hex(std::string_view bytes);

// Throws `kInvalidInput` unless `hex` is 64 hexadecimal digits; `what` names the value in the sentence.
Sha256 sha256_from_hex(std::string_view hex, std::string_view what);

}  // namespace flowloom
