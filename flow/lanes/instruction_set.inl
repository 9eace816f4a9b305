// The lane engine for one instruction set, whose Lanes have been defined before; at its end what the set offers
// (flow/lanes/instruction_set.h).

// clang-format off: the order matters
#include "flow/lanes/walks.inl"
#include "flow/lanes/affine_flow.inl"
#include "flow/lanes/angle_links.inl"
#include "flow/lanes/loop_flow.inl"
// clang-format on

template <class Theory, class Real>
struct FlowOf<Theory, Real, AffineCouplingFlow> {
  using type = AffineFlow<Theory, Real>;
};
template <class Theory, class Real>
struct FlowOf<Theory, Real, GaugeCouplingFlow> {
  using type = LoopFlow<Theory, Real, AngleLinks>;
};

std::unique_ptr<Model> make_model(const AnyTheory& theory, const AnyFlow& architecture, std::span<const double> weights,
                                  Precision precision) {
  return visit_both<std::unique_ptr<Model>>(
      theory, architecture, [&]<class Theory, class Flow>(const Theory& own_theory, const Flow& own_flow) {
        if constexpr (Flow::kFieldType == FieldType::kMatrix) {
          return make_matrix_model(theory, architecture, weights, precision);
        } else {
          return make_model_of(own_theory, own_flow, weights, precision);
        }
      });
}

std::unique_ptr<Objective> make_objective(const AnyTheory& theory, const AnyFlow& architecture, Precision precision) {
  return visit_both<std::unique_ptr<Objective>>(
      theory, architecture, [&]<class Theory, class Flow>(const Theory& own_theory, const Flow& own_flow) {
        if constexpr (Flow::kFieldType == FieldType::kMatrix) {
          return make_matrix_objective(theory, architecture, precision);
        } else {
          return make_objective_of(own_theory, own_flow, precision);
        }
      });
}
