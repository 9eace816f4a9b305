#include "flow/free_field.h"

#include <algorithm>

#include "math/elementary.h"

namespace flowloom {
namespace {

// The angle 2 pi n / length, n >= 0.
Turn<double> angle(std::int64_t n, std::int64_t length) {
  return turn(static_cast<double>(n % length) / static_cast<double>(length));
}

}  // namespace

FreeFieldBasis::FreeFieldBasis(const Geometry& geometry) : khat2(geometry.sites()) {
  for (const std::int64_t length : geometry.extents()) {
    const double norm = 1.0 / sqrt(static_cast<double>(length));
    std::vector<double> matrix;
    for (std::int64_t k = 0; k < length; ++k) {
      for (std::int64_t x = 0; x < length; ++x) {
        const auto [cos, sin] = angle(k * x, length);
        matrix.push_back((cos + sin) * norm);
      }
    }
    cas.push_back(std::move(matrix));
  }
  for (std::size_t mode = 0; mode < khat2.size(); ++mode) {
    const auto n = geometry.coordinates(mode);
    for (std::size_t mu = 0; mu < n.size(); ++mu) {
      const std::int64_t length = geometry.extents()[mu];
      khat2[mode] += 2.0 * (1.0 - angle(std::min(n[mu], length - n[mu]), length).cos);  // 4 sin^2(k/2)
    }
  }
}

}  // namespace flowloom
