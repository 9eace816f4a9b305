// What the walks of all flows need for one instruction set, whose Lanes have been defined before; and what makes a
// model or an objective of a walk.

// clang-format off: the order matters
#include "flow/lanes/mathematics.inl"
#include "flow/lanes/convolution.inl"
#include "flow/lanes/network.inl"
#include "flow/lanes/flow.inl"
#include "flow/lanes/model.inl"
#include "flow/lanes/objective.inl"
// clang-format on

// The walk that an architecture is for.
template <class Theory, class Real, class Architecture>
struct FlowOf;

template <class Theory, class Architecture>
std::unique_ptr<Model> make_model_of(const Theory& theory, const Architecture& architecture,
                                     std::span<const double> weights, Precision precision) {
  const auto make = [&]<class Real>(Real) -> std::unique_ptr<Model> {
    using Flow = typename FlowOf<Theory, Real, Architecture>::type;
    return std::make_unique<LanesModel<Flow>>(theory, architecture, weights);
  };
  return precision == Precision::kMixed ? make(float{}) : make(double{});
}

template <class Theory, class Architecture>
std::unique_ptr<Objective> make_objective_of(const Theory& theory, const Architecture& architecture,
                                             Precision precision) {
  const auto make = [&]<class Real>(Real) -> std::unique_ptr<Objective> {
    using Flow = typename FlowOf<Theory, Real, Architecture>::type;
    return std::make_unique<LanesObjective<Flow, Architecture>>(theory, architecture);
  };
  return precision == Precision::kMixed ? make(float{}) : make(double{});
}

// Those of flows of matrices, which are compiled in files of their own: they take as long as all others.
std::unique_ptr<Model> make_matrix_model(const AnyTheory& theory, const AnyFlow& architecture,
                                         std::span<const double> weights, Precision precision);
std::unique_ptr<Objective> make_matrix_objective(const AnyTheory& theory, const AnyFlow& architecture,
                                                 Precision precision);
