// A layer of a flow of matrices (flow/loop_coupling.h) by rows of a field: links as the number of their first row, that
// of the entry's real part in the first row and column; those of the others follow `sites` apart each.
#pragma once

#include <cstdint>
#include <vector>

#include "flow/loop_coupling.h"

namespace flowloom::lanes {

struct MatrixCoupling {
  struct Step {
    std::uint32_t first;
    bool backwards;  // the path goes against the link
  };
  using Path = std::vector<Step>;

  struct Active {
    std::uint32_t first;
    Path rest;  // of its active loop, from the link's end on
    std::uint32_t output, channel;
  };

  MatrixCoupling(const LoopCoupling& coupling, const Geometry& geometry, int colours);

  std::vector<Active> active;
  std::vector<Path> context;  // [input]
};

}  // namespace flowloom::lanes
