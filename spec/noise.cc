#include "spec/noise.h"

#include "math/arrays.h"
#include "math/philox.h"
#include "spec/sha256.h"

namespace flowloom {
namespace {

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
  return uniform_pair(key.words, static_cast<std::uint64_t>(purpose), index, draw);
}

void fill_normal(NoiseKey key, Purpose purpose, std::uint64_t index, std::span<double> out) {
  fill(key, purpose, index, out, [](const std::array<double, 2>& u) { return normals_of_uniforms(u); });
}

void fill_uniform(NoiseKey key, Purpose purpose, std::uint64_t index, std::span<double> out) {
  fill(key, purpose, index, out, [](const std::array<double, 2>& u) { return u; });
}

void accept_log_u(NoiseKey key, std::uint64_t first, std::span<double> out) {
  log_uniforms(key.words, static_cast<std::uint64_t>(Purpose::kAccept), first, out);
}

}  // namespace flowloom
