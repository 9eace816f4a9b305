#include "flow/spectral_coupling.h"

namespace flowloom {
namespace {

SpectralSplines splines_of(const Section& section) { return {section.size("bins"), section.flag("autoregressive")}; }

}  // namespace

const Kind& SpectralCouplingFlow::kind() {
  static const Kind kKind{
      .name = "spectral-coupling",
      .sentence =
          "Gauge-equivariant couplings of loops' eigenvalues, for SU(2) and SU(3) (arXiv:2008.05456), with parameters "
          "from convolution networks that see loops of links that do not change.",
      .keys = loop_coupling_keys({
          {.name = "bins",
           .type = KeyType::kInteger,
           .sentence = "Pieces of the rational quadratic splines (arXiv:1906.04032) of the eigenvalues' coordinates.",
           .default_value = 8,
           .min = 1,
           .max = kMaxSplineBins},
          {.name = "autoregressive",
           .type = KeyType::kFlag,
           .sentence = "SU(3): whether the second coordinate's spline depends on the first coordinate.",
           .default_value = true},
      }),
      .check = check_loop_coupling<SpectralCouplingFlow>,
  };
  return kKind;
}

SpectralCouplingFlow::SpectralCouplingFlow(const Section& section, const AnyTheory& theory)
    : LoopCouplingFlow(section, theory_geometry(theory).dimensions(), theory_colours(theory) == 2 ? 1 : 2,
                       splines_of(section).parameters(theory_colours(theory))),
      splines_(splines_of(section)) {}

}  // namespace flowloom
