#include "spec/noise.h"

#include <Random123/philox.h>

#include <cmath>
#include <numbers>

#include "spec/sha256.h"

namespace flowloom {
namespace {

double uniform(std::uint32_t low, std::uint32_t high) {
  const std::uint64_t bits = (static_cast<std::uint64_t>(high) << 32) | low;
  return static_cast<double>((bits >> 11) + 1) * 0x1p-53;
}

template <class PairOf>
void fill(NoiseKey key, Purpose purpose, std::uint64_t index, std::span<double> out, PairOf pair_of) {
  for (std::size_t i = 0; i < out.size(); i += 2) {
    const auto pair = pair_of(uniforms(key, purpose, index, static_cast<std::uint32_t>(i / 2)));
    out[i] = pair[0];
    if (i + 1 < out.size()) out[i + 1] = pair[1];
  }
}

}  // namespace

NoiseKey NoiseKey::from(std::string_view identity) {
  const Sha256 digest = sha256(identity);
  NoiseKey key;
  for (std::size_t word = 0; word < 2; ++word) {
    for (std::size_t byte = 0; byte < 4; ++byte) {
      key.words[word] |= static_cast<std::uint32_t>(digest[4 * word + byte]) << (8 * byte);
    }
  }
  return key;
}

std::array<double, 2> uniforms(NoiseKey key, Purpose purpose, std::uint64_t index, std::uint32_t draw) {
  const r123::Philox4x32::ctr_type counter{{static_cast<std::uint32_t>(index), static_cast<std::uint32_t>(index >> 32),
                                            draw, static_cast<std::uint32_t>(purpose)}};
  const r123::Philox4x32::key_type philox_key{{key.words[0], key.words[1]}};
  const auto block = r123::Philox4x32()(counter, philox_key);
  return {uniform(block[0], block[1]), uniform(block[2], block[3])};
}

void fill_normal(NoiseKey key, Purpose purpose, std::uint64_t index, std::span<double> out) {
  fill(key, purpose, index, out, [](const std::array<double, 2>& u) {
    const double radius = std::sqrt(-2.0 * std::log(u[0]));
    const double angle = 2.0 * std::numbers::pi * u[1];
    return std::array<double, 2>{radius * std::cos(angle), radius * std::sin(angle)};
  });
}

void fill_uniform(NoiseKey key, Purpose purpose, std::uint64_t index, std::span<double> out) {
  fill(key, purpose, index, out, [](const std::array<double, 2>& u) { return u; });
}

double accept_log_u(NoiseKey key, std::uint64_t index) {
  return std::log(uniforms(key, Purpose::kAccept, index, 0)[0]);
}

}  // namespace flowloom
