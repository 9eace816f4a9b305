#include "flow/free_field.h"

#include "spec/cos_pi.h"

namespace flowloom {
namespace {

// cos(2 pi n / length) for any n >= 0.
double cosine(std::int64_t n, std::int64_t length) {
  n %= length;
  return cos_pi(2.0 * static_cast<double>(std::min(n, length - n)) / static_cast<double>(length));
}

// sin(2 pi n / length) = cos(2 pi (4 n - length) / (4 length))
double sine(std::int64_t n, std::int64_t length) { return cosine(4 * (n % length) + 3 * length, 4 * length); }

}  // namespace

FreeFieldBasis::FreeFieldBasis(const Geometry& geometry) : khat2(geometry.sites()) {
  for (const std::int64_t length : geometry.extents()) {
    const double norm = 1.0 / std::sqrt(static_cast<double>(length));
    std::vector<double> matrix;
    for (std::int64_t k = 0; k < length; ++k) {
      for (std::int64_t x = 0; x < length; ++x) matrix.push_back((cosine(k * x, length) + sine(k * x, length)) * norm);
    }
    cas.push_back(std::move(matrix));
  }
  for (std::size_t mode = 0; mode < khat2.size(); ++mode) {
    const auto n = geometry.coordinates(mode);
    for (std::size_t mu = 0; mu < n.size(); ++mu) {
      khat2[mode] += 2.0 * (1.0 - cosine(n[mu], geometry.extents()[mu]));  // 4 sin^2(k/2)
    }
  }
}

}  // namespace flowloom
