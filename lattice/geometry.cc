#include "lattice/geometry.h"

#include <algorithm>
#include <numeric>
#include <string>

#include "spec/error.h"

namespace flowloom {

Geometry::Geometry(std::vector<std::int64_t> extents) : extents_(std::move(extents)) {
  if (extents_.empty() || extents_.size() > 6) {
    throw Error(ErrorCode::kInvalidInput, "A lattice has 1 to 6 extents, not " + std::to_string(extents_.size()) + ".");
  }
  for (const std::int64_t extent : extents_) {
    if (extent < 1 || sites_ > (std::size_t{1} << 31) / static_cast<std::size_t>(extent)) {
      throw Error(ErrorCode::kInvalidInput, "A lattice's extents must be at least 1 and give at most 2^31 sites.");
    }
    sites_ *= static_cast<std::size_t>(extent);
  }
}

bool Geometry::all_even() const {
  return std::all_of(extents_.begin(), extents_.end(), [](std::int64_t extent) { return extent % 2 == 0; });
}

std::vector<std::int64_t> Geometry::coordinates(std::size_t site) const {
  std::vector<std::int64_t> x(dimensions());
  auto rest = static_cast<std::int64_t>(site);
  for (std::size_t mu = dimensions(); mu-- > 0;) {
    x[mu] = rest % extents_[mu];
    rest /= extents_[mu];
  }
  return x;
}

std::size_t Geometry::site(std::span<const std::int64_t> coordinates) const {
  std::int64_t number = 0;
  for (std::size_t mu = 0; mu < dimensions(); ++mu) {
    const std::int64_t wrapped = (coordinates[mu] % extents_[mu] + extents_[mu]) % extents_[mu];
    number = number * extents_[mu] + wrapped;
  }
  return static_cast<std::size_t>(number);
}

int Geometry::parity(std::size_t site) const {
  const auto x = coordinates(site);
  return static_cast<int>(std::accumulate(x.begin(), x.end(), std::int64_t{0}) % 2);
}

std::vector<std::int64_t> Geometry::neighbours(std::span<const std::int64_t> displacement) const {
  std::vector<std::int64_t> table(sites_);
  for (std::size_t i = 0; i < sites_; ++i) {
    auto x = coordinates(i);
    for (std::size_t mu = 0; mu < dimensions(); ++mu) x[mu] += displacement[mu];
    table[i] = static_cast<std::int64_t>(site(x));
  }
  return table;
}

std::vector<std::int64_t> Geometry::forward(std::size_t mu) const {
  std::vector<std::int64_t> displacement(dimensions(), 0);
  displacement[mu] = 1;
  return neighbours(displacement);
}

std::vector<std::vector<std::int64_t>> Geometry::box(std::int64_t width, std::int64_t spacing) const {
  std::vector<std::vector<std::int64_t>> displacements{{}};
  for (std::size_t mu = 0; mu < dimensions(); ++mu) {
    std::vector<std::vector<std::int64_t>> longer;
    for (const auto& prefix : displacements) {
      for (std::int64_t d = -(width / 2); d <= width / 2; ++d) {
        longer.push_back(prefix);
        longer.back().push_back(d * spacing);
      }
    }
    displacements = std::move(longer);
  }
  return displacements;
}

}  // namespace flowloom
