#include "flow/lanes/matrix_coupling.h"

namespace flowloom::lanes {

MatrixCoupling::MatrixCoupling(const LoopCoupling& coupling, const Geometry& geometry, int colours) {
  const auto sites = static_cast<std::uint32_t>(geometry.sites());
  const auto rows = static_cast<std::uint32_t>(2 * colours * colours) * sites;  // of a direction
  const auto first_row = [&](std::uint32_t link) { return link / sites * rows + link % sites; };
  const auto path = [&](const Loop& loop) {
    Path steps;
    for (const LoopLink& link : loop) steps.push_back({first_row(link.number), link.sign < 0});
    return steps;
  };
  for (const LoopCoupling::Active& link : coupling.active) {
    active.push_back({first_row(link.number), path(link.rest), link.output, link.channel});
  }
  for (const Loop& loop : coupling.context) context.push_back(path(loop));
}

}  // namespace flowloom::lanes
