// The lane engine's flows of matrices for one instruction set, whose Lanes have been defined before.

// clang-format off: the order matters
#include "flow/lanes/walks.inl"
#include "flow/lanes/matrix_rows.inl"
#include "flow/lanes/spectral_maps.inl"
#include "flow/lanes/matrix_links.inl"
#include "flow/lanes/loop_flow.inl"
// clang-format on

template <class Theory, class Real>
struct FlowOf<Theory, Real, SpectralCouplingFlow> {
  using type = LoopFlow<Theory, Real, MatrixLinks<Theory::kColours>>;
};

// Calls visit(theory, flow), and makes nothing of others.
template <class Result, class Visit>
Result visit_matrices(const AnyTheory& theory, const AnyFlow& architecture, Visit visit) {
  return visit_both<Result>(theory, architecture,
                            [&]<class Theory, class Flow>(const Theory& own_theory, const Flow& own_flow) -> Result {
                              if constexpr (Flow::kFieldType == FieldType::kMatrix) {
                                return visit(own_theory, own_flow);
                              } else {
                                return nullptr;
                              }
                            });
}

std::unique_ptr<Model> make_matrix_model(const AnyTheory& theory, const AnyFlow& architecture,
                                         std::span<const double> weights, Precision precision) {
  return visit_matrices<std::unique_ptr<Model>>(theory, architecture,
                                                [&](const auto& own_theory, const auto& own_flow) {
                                                  return make_model_of(own_theory, own_flow, weights, precision);
                                                });
}

std::unique_ptr<Objective> make_matrix_objective(const AnyTheory& theory, const AnyFlow& architecture,
                                                 Precision precision) {
  return visit_matrices<std::unique_ptr<Objective>>(
      theory, architecture,
      [&](const auto& own_theory, const auto& own_flow) { return make_objective_of(own_theory, own_flow, precision); });
}
