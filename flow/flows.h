// The kinds of flows of this build. A new one: CONTRIBUTING.md, "Add a layer or a flow".
#pragma once

#include <concepts>
#include <utility>
#include <variant>

#include "flow/affine_coupling.h"
#include "flow/gauge_coupling.h"
#include "flow/spectral_coupling.h"
#include "lattice/theories.h"
#include "spec/error.h"

namespace flowloom {

// The architecture of a flow of one of these kinds; `*` and `->` reach what all of them have.
class AnyFlow {
 public:
  using Kinds = std::variant<AffineCouplingFlow, GaugeCouplingFlow, SpectralCouplingFlow>;

  template <class Flow>
    requires std::constructible_from<Kinds, Flow>
  AnyFlow(Flow flow) : kind_(std::move(flow)) {}

  // The flow that a checked [flow] section names, for a theory.
  AnyFlow(const Section& flow, const AnyTheory& theory);

  const Kinds& kind() const { return kind_; }
  const Architecture& operator*() const {
    return std::visit([](const Architecture& flow) -> const Architecture& { return flow; }, kind_);
  }
  const Architecture* operator->() const { return &**this; }

  // Whether its networks see anything that they could couple to.
  bool couples() const {
    return std::visit([](const auto& flow) { return flow.couples(); }, kind_);
  }

 private:
  Kinds kind_;
};

std::vector<Kind> flow_kinds();

// Calls visit(theory, flow) with what they are; a run file's checks see to it that the flow acts on the theory's
// variables.
template <class Result, class Visit>
Result visit_both(const AnyTheory& theory, const AnyFlow& flow, Visit visit) {
  return std::visit(
      [&]<class Theory, class Flow>(const Theory& own_theory, const Flow& own_flow) -> Result {
        if constexpr (Theory::kFieldType == Flow::kFieldType) {
          return visit(own_theory, own_flow);
        } else {
          throw Error(ErrorCode::kInternal, "A flow was given a theory with other variables.");
        }
      },
      theory, flow.kind());
}

}  // namespace flowloom
