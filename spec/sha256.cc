#include "spec/sha256.h"

#include <openssl/evp.h>

#include <memory>

#include "spec/error.h"

namespace flowloom {
namespace {

int hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

Error no_sha256() {
  return Error(ErrorCode::kInternal, "OpenSSL could not compute a SHA-256; check its installation (FIPS policy).");
}

std::span<const std::uint8_t> as_bytes(std::string_view text) {
  return {reinterpret_cast<const std::uint8_t*>(text.data()), text.size()};
}

}  // namespace

Sha256 sha256(std::span<const std::uint8_t> bytes) {
  Sha256 digest;
  unsigned int size = 0;
  if (EVP_Digest(bytes.data(), bytes.size(), digest.data(), &size, EVP_sha256(), nullptr) != 1 ||
      size != digest.size()) {
    throw no_sha256();
  }
  return digest;
}

Sha256 sha256(std::string_view bytes) { return sha256(as_bytes(bytes)); }

Sha256 sha256(std::initializer_list<std::string_view> parts) {
  const std::unique_ptr<EVP_MD_CTX, decltype(&EVP_MD_CTX_free)> context(EVP_MD_CTX_new(), EVP_MD_CTX_free);
  Sha256 digest;
  bool good = context && EVP_DigestInit_ex(context.get(), EVP_sha256(), nullptr) == 1;
  for (const std::string_view part : parts) {
    good = good && EVP_DigestUpdate(context.get(), part.data(), part.size()) == 1;
  }
  if (!good || EVP_DigestFinal_ex(context.get(), digest.data(), nullptr) != 1) throw no_sha256();
  return digest;
}

std::string to_hex(std::span<const std::uint8_t> bytes) {
  static constexpr char kDigits[] = "0123456789abcdef";
  std::string hex;
  hex.reserve(2 * bytes.size());
  for (const std::uint8_t byte : bytes) {
    hex.push_back(kDigits[byte >> 4]);
    hex.push_back(kDigits[byte & 15]);
  }
  return hex;
}

std::string to_hex(std::string_view bytes) { return to_hex(as_bytes(bytes)); }

Sha256 sha256_from_hex(std::string_view hex, std::string_view what) {
  Sha256 digest;
  bool good = hex.size() == 2 * digest.size();
  for (std::size_t i = 0; good && i < digest.size(); ++i) {
    const int high = hex_digit(hex[2 * i]);
    const int low = hex_digit(hex[2 * i + 1]);
    good = high >= 0 && low >= 0;
    digest[i] = static_cast<std::uint8_t>(16 * high + low);
  }
  if (!good) {
    throw Error(ErrorCode::kInvalidInput,
                std::string(what) + " must be a SHA-256 of 64 hexadecimal digits, not '" + std::string(hex) + "'.");
  }
  return digest;
}

}  // namespace flowloom
