// Affine couplings of a scalar field (arXiv:2101.08176).
//
//   field = rescaling( layer_{n-1}( ... layer_0( prior(z) ) ... ) ),  z independent standard normals
//
// prior        the identity, or the free field with a learnt mass (flow/free_field.h).
// layer i      a checkerboard coupling: sites of parity i mod 2 are active, the others frozen. Its network sees the
//              frozen variables (zero on active sites) and returns s and t for every active site:   y = x e^s + t.
//              With symmetry z2, s = (s(x) + s(-x)) / 2 and t = (t(x) - t(-x)) / 2 of the frozen x: s even and t odd,
//              so that field(-z) = -field(z) and log_q(-field) = log_q(field): to the last bit where a sample's bits do
//              not depend on its place in a batch, else to the networks' rounding.
// rescaling    all variables times e^alpha, if `rescale` (arXiv:2211.12806).
//
// Weights: theta = log M^2 if there is a free field; the networks; alpha if there is a rescaling.
#pragma once

#include "flow/architecture.h"
#include "lattice/field_type.h"
#include "lattice/theories.h"

namespace flowloom {

enum class Prior { kNormal, kFreeField };

class AffineCouplingFlow : public Architecture {
 public:
  static constexpr FieldType kFieldType = FieldType::kScalar;

  // `section` is the [flow] of a run file after checking against `kind().keys`; `dimensions` that of the lattice.
  AffineCouplingFlow(const Section& section, const AnyTheory& theory);
  static const Kind& kind();

  Prior prior() const { return prior_; }
  bool z2() const { return z2_; }
  bool rescales() const { return rescales_; }

  // Whether networks see frozen variables at all: not with kernel 1, nor if every dilation is even.
  bool couples() const;

  // Layer `i` has the mask i mod 2, whose active sites are those of that parity. Throws `kInvalidInput` unless all
  // extents are even.
  static constexpr std::size_t kMasks = 2;
  static std::vector<CouplingSites> masks(const Geometry& geometry);

 private:
  Prior prior_;
  bool z2_, rescales_;
};

}  // namespace flowloom
