// The lane engine for one instruction set, whose Lanes have been defined before; at its end what the set offers
// (flow/lanes/instruction_set.h).

// clang-format off: the order matters
#include "flow/lanes/mathematics.inl"
#include "flow/lanes/convolution.inl"
#include "flow/lanes/network.inl"
#include "flow/lanes/flow.inl"
#include "flow/lanes/affine_flow.inl"
#include "flow/lanes/gauge_flow.inl"
#include "flow/lanes/model.inl"
#include "flow/lanes/objective.inl"
// clang-format on

// The walk that an architecture is for.
template <class Theory, class Real, class Architecture>
struct FlowOf;
template <class Theory, class Real>
struct FlowOf<Theory, Real, AffineCouplingFlow> {
  using type = AffineFlow<Theory, Real>;
};
template <class Theory, class Real>
struct FlowOf<Theory, Real, GaugeCouplingFlow> {
  using type = GaugeFlow<Theory, Real>;
};

template <class Theory, class Architecture>
std::unique_ptr<Model> make_model_of(const Theory& theory, const Architecture& architecture,
                                     std::span<const double> weights, Precision precision) {
  const auto make = [&]<class Real>(Real) -> std::unique_ptr<Model> {
    return std::make_unique<LanesModel<typename FlowOf<Theory, Real, Architecture>::type>>(theory, architecture, weights);
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

std::unique_ptr<Model> make_model(const AnyTheory& theory, const AnyFlow& architecture, std::span<const double> weights,
                                  Precision precision) {
  return visit_both<std::unique_ptr<Model>>(theory, architecture, [&](const auto& own_theory, const auto& own_flow) {
    return make_model_of(own_theory, own_flow, weights, precision);
  });
}

std::unique_ptr<Objective> make_objective(const AnyTheory& theory, const AnyFlow& architecture, Precision precision) {
  return visit_both<std::unique_ptr<Objective>>(theory, architecture, [&](const auto& own_theory, const auto& own_flow) {
    return make_objective_of(own_theory, own_flow, precision);
  });
}
