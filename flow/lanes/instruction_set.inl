// The lane engine for one instruction set, whose Lanes have been defined before; at its end what the set offers
// (flow/lanes/instruction_set.h).

// clang-format off: the order matters
#include "flow/lanes/mathematics.inl"
#include "flow/lanes/convolution.inl"
#include "flow/lanes/flow.inl"
#include "flow/lanes/model.inl"
#include "flow/lanes/objective.inl"
// clang-format on

// `Made<Theory, Real>` for the theory and the precision.
template <template <class, class> class Made, class Base, class... Arguments>
std::unique_ptr<Base> make(const AnyTheory& any_theory, Precision precision, const Arguments&... arguments) {
  return std::visit(
      [&]<class Theory>(const Theory& theory) -> std::unique_ptr<Base> {
        if (precision == Precision::kMixed) return std::make_unique<Made<Theory, float>>(theory, arguments...);
        return std::make_unique<Made<Theory, double>>(theory, arguments...);
      },
      any_theory);
}

std::unique_ptr<Model> make_model(const AnyTheory& theory, const AffineCouplingFlow& architecture,
                                  std::span<const double> weights, Precision precision) {
  return make<LanesModel, Model>(theory, precision, architecture, weights);
}

std::unique_ptr<Objective> make_objective(const AnyTheory& theory, const AffineCouplingFlow& architecture,
                                          Precision precision) {
  return make<LanesObjective, Objective>(theory, precision, architecture);
}
