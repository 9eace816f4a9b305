#include "flow/gauge_coupling.h"

namespace flowloom {
namespace {

CircleMap map_of(const Section& section) {
  return section.text("map") == "spline" ? CircleMap::kSpline : CircleMap::kMixture;
}
std::size_t pieces_of(const Section& section) {
  return section.size(map_of(section) == CircleMap::kSpline ? "bins" : "components");
}
std::size_t map_parameters_of(const Section& section) {
  const std::size_t pieces = pieces_of(section);
  return map_of(section) == CircleMap::kSpline ? SplineShape{pieces, /*circular=*/true}.parameters() : pieces;
}

}  // namespace

const Kind& GaugeCouplingFlow::kind() {
  static const Kind kKind{
      .name = "gauge-coupling",
      .sentence =
          "Gauge-equivariant couplings of loops' angles, with parameters from convolution networks that see loops of "
          "links that do not change.",
      .keys = loop_coupling_keys(
          {
              {.name = "map",
               .type = KeyType::kText,
               .sentence =
                   "Of an active loop's angle. spline: rational quadratic, circular (arXiv:2002.02428); mixture: "
                   "of non-compact "
                   "projections (arXiv:2003.06413). A rotation follows.",
               .default_value = "spline",
               .choices = {"spline", "mixture"}},
              {.name = "bins",
               .type = KeyType::kInteger,
               .sentence = "map = \"spline\": its pieces.",
               .default_value = 8,
               .min = 1,
               .max = kMaxSplineBins},
              {.name = "components",
               .type = KeyType::kInteger,
               .sentence = "map = \"mixture\": its projections.",
               .default_value = 6,
               .min = 1,
               .max = kMaxMixtureComponents},
          },
          {{.name = "half_around",
            .type = KeyType::kFlag,
            .sentence =
                "Counts an active loop's angle from half that of the loop around (see context): two halves that "
                "share it alike have a density that is even about there.",
            .default_value = false}}),
      .check = check_loop_coupling<GaugeCouplingFlow>,
  };
  return kKind;
}

GaugeCouplingFlow::GaugeCouplingFlow(const Section& section, const AnyTheory& theory)
    : LoopCouplingFlow(section, theory_geometry(theory).dimensions(), /*loop_channels=*/2,
                       map_parameters_of(section) + 1),
      map_(map_of(section)),
      pieces_(pieces_of(section)) {}

}  // namespace flowloom
