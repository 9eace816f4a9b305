#include "lattice/cursor.h"

namespace flowloom {

Neighbours::Neighbours(const Geometry& geometry) : sites_(geometry.sites()) {
  std::vector<std::int64_t> displacement(geometry.dimensions(), 0);
  for (std::size_t mu = 0; mu < geometry.dimensions(); ++mu) {
    for (const std::int64_t step : {1, -1}) {
      displacement[mu] = step;
      std::vector<std::uint32_t>& table = step > 0 ? forward_ : backward_;
      for (const std::int64_t site : geometry.neighbours(displacement))
        table.push_back(static_cast<std::uint32_t>(site));
    }
    displacement[mu] = 0;
    extents_.push_back(static_cast<std::uint32_t>(geometry.extents()[mu]));
  }
}

}  // namespace flowloom
