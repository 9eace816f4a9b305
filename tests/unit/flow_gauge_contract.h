// Flows of gauge fields to test engines with, and what every engine must do with them.
#pragma once

#include "flow_objective_contract.h"

namespace flowloom {

struct GaugeCase {
  std::vector<std::int64_t> lattice = {4, 4};
  int layers = 3;
  std::vector<int> hidden = {3};
  Precision precision = Precision::kFloat64;
  double beta = 1.5;
  std::string flow = "";  // more lines of the section
  std::string theory = "kind = \"u1\"";

  RunSpec run() const {
    return load_run_text("[run]\nname = \"test\"\nprecision = \"" + std::string(to_string(precision)) +
                             "\"\n[theory]\n" + theory + "\nlattice = " + nlohmann::json(lattice).dump() +
                             "\nbeta = " + nlohmann::json(beta).dump() +
                             "\n[flow]\nkind = \"gauge-coupling\"\nlayers = " + std::to_string(layers) +
                             "\nhidden = " + nlohmann::json(hidden).dump() + "\n" + flow + "\n[chain]\nlength = 1\n",
                         "test.toml");
  }
};

inline constexpr char kFermions[] = "kind = \"schwinger\"\nkappa = 0.276";

// On 4x4: columns in two, in four; each column in two, in four.
inline constexpr char kHalvingMasks[] =
    "masks = [{ directions = [1], at = [0, 2], every = [4, 4], loop = [2, 4], half_around = true }, "
    "{ directions = [1], at = [1, 2], every = [2, 4], loop = [1, 4] }, "
    "{ directions = [0], at = [0, 0], every = [1, 4], loop = [1, 2] }, "
    "{ directions = [0], at = [0, 1], every = [1, 2], half_around = true }]\n";

// A middle convolution with gaps, which lattices of at least 5 sites have room for.
inline constexpr char kDilated[] =
    "dilation = [1, 2, 1]\nmasks = [{ directions = [0, 1], steps = [1, 2], width = 6 }]\n";

inline std::vector<GaugeCase> pure_gauge_cases() {
  return {
      {},
      {.lattice = {8, 4}, .layers = 20, .flow = "bins = 3\ncontext = \"1x1\"\nactivation = \"silu\""},
      {.lattice = {4, 8}, .layers = 9, .hidden = {2, 3}, .flow = "map = \"mixture\"\ncomponents = 3"},
      {.layers = 4, .flow = "map = \"mixture\"\ncomponents = 1\nbias = false\nactivation = \"tanh\""},
      {.lattice = {6, 6},
       .layers = 8,
       .flow =
           "bins = 2\nmasks = [{ directions = [0, 1], steps = [1, 2], width = 6 }, { directions = [1], steps = [1, 0], "
           "width = 2 }]"},
      {.lattice = {6, 6}, .layers = 7, .hidden = {3, 2}, .flow = std::string(kDilated) + "bins = 3"},
      {.layers = 6, .flow = std::string(kHalvingMasks) + "bins = 3\nkernel = 1\ncontext = \"around\""},
      {.lattice = {4, 8},
       .layers = 5,
       .flow = std::string(kHalvingMasks) + "map = \"mixture\"\ncomponents = 2\ncontext = \"1x1+2x1+around\""},
      {.layers = 8, .flow = std::string(kHalvingMasks) + "bins = 3"},
  };
}

inline std::vector<GaugeCase> gauge_cases() {
  std::vector<GaugeCase> cases = pure_gauge_cases();
  cases.push_back({.lattice = {4, 8}, .flow = "bins = 3", .theory = kFermions});
  return cases;
}

// The case with weights, as the engines take it.
struct GaugeParts {
  explicit GaugeParts(const GaugeCase& gauge_case)
      : theory(theory_of(gauge_case.run())),
        architecture(std::get<GaugeCouplingFlow>(architecture_of(gauge_case.run()).kind())),
        weights(architecture.initial_weights(NoiseKey::from("weights"))),
        precision(gauge_case.precision) {}

  std::unique_ptr<Model> model(const Engine& engine) const {
    return engine.model(theory, architecture, weights, precision);
  }
  const Geometry& geometry() const { return theory_geometry(theory); }
  std::size_t variables() const { return theory_variables(theory); }

  AnyTheory theory;
  GaugeCouplingFlow architecture;
  std::vector<double> weights;
  Precision precision;
};

// theta_mu(x) -> alpha(x) + theta_mu(x) - alpha(x+mu), for each field of `fields`.
inline std::vector<double> gauge_transformed(const Geometry& geometry, std::vector<double> fields,
                                             std::uint64_t number) {
  std::vector<double> alpha(geometry.sites());
  fill_normal(kTestKey, Purpose::kInit, number, alpha);
  const std::size_t sites = geometry.sites();
  for (std::size_t i = 0; i < fields.size(); ++i) {
    const std::size_t mu = i / sites % geometry.dimensions(), x = i % sites;
    fields[i] += alpha[x] - alpha[static_cast<std::size_t>(geometry.forward(mu)[x])];
  }
  return fields;
}

inline void expect_gauge_fields_and_log_p_are_right(const Engine& engine) {
  for (const GaugeCase& gauge_case : gauge_cases()) {
    const GaugeParts parts(gauge_case);
    const Draws draws = parts.model(engine)->draw(kTestKey, Purpose::kBase, 0, 5);
    for (std::size_t i = 0; i < 5; ++i) {
      const auto field = std::span(draws.fields).subspan(i * parts.variables(), parts.variables());
      for (const double angle : field) {
        EXPECT_GE(angle, 0);
        EXPECT_LE(angle, kTwoPi);
      }
      expect_the_theorys_numbers(parts, draws, i);
    }
  }
}

inline void expect_gauge_inverse_finds_the_draws_log_q(const Engine& engine) {
  expect_the_inverse_finds_the_draws_log_q<GaugeParts>(engine, gauge_cases(), 1e-10);
}

inline void expect_log_q_is_gauge_invariant(const Engine& engine) {
  for (const GaugeCase& gauge_case : gauge_cases()) {
    const GaugeParts parts(gauge_case);
    const auto model = parts.model(engine);
    const Draws draws = model->draw(kTestKey, Purpose::kBase, 0, 5);
    const Densities moved = model->densities(gauge_transformed(parts.geometry(), draws.fields, 1));
    for (std::size_t i = 0; i < 5; ++i) {
      EXPECT_NEAR(moved.log_q[i], draws.log_q[i], 1e-10);
      EXPECT_NEAR(moved.log_p[i], draws.log_p[i], 1e-10);
    }
  }
}

inline void expect_no_network_sees_an_active_link(const Engine& engine) {
  for (GaugeCase gauge_case : gauge_cases()) {
    gauge_case.layers = 1;
    gauge_case.hidden = {4, 3};
    const GaugeParts parts(gauge_case);
    std::vector<double> field(parts.variables());
    fill_uniform(kTestKey, Purpose::kBase, 7, field);
    std::vector<bool> active(field.size());
    const LoopCoupling first = parts.architecture.couplings(parts.geometry())[0];
    for (const auto& link : first.active) active[link.number] = true;
    EXPECT_GT(expect_active_variables_do_not_mix(*parts.model(engine), field, active), 1e-4);
  }
}

// beta = 0 and a flow that is the identity: q = p.
inline void expect_gauge_path_gradients(const Engine& engine) {
  for (const GaugeCase& gauge_case : gauge_cases()) {
    SCOPED_TRACE(gauge_case.flow);
    expect_the_path_gradient_differs_by_the_score(engine, GaugeParts(gauge_case));
  }
  const GaugeParts parts({.beta = 0, .flow = "init_scale = 0"});
  for (const double slope : reverse_kl(engine, parts, 0, 16, Estimator::kPath).sum) EXPECT_NEAR(slope, 0, 1e-11);
  double square = 0;
  for (const double slope : reverse_kl(engine, parts, 0, 16).sum) square += slope * slope;
  EXPECT_GT(square, 1);
}

inline void expect_gauge_gradients_are_the_losss_slopes(const Engine& engine) {
  expect_the_gradient_is_the_losss_slope(engine, GaugeParts({.layers = 3, .hidden = {2}, .flow = "bins = 2"}));
  expect_the_gradient_is_the_losss_slope(
      engine, GaugeParts({.layers = 3, .hidden = {2}, .flow = "map = \"mixture\"\ncomponents = 2"}));
  expect_the_gradient_is_the_losss_slope(
      engine, GaugeParts({.layers = 3, .hidden = {2}, .flow = "bins = 2", .theory = kFermions}));
  const std::string halving = std::string(kHalvingMasks) + "bins = 2\ncontext = \"1x1+around\"";
  expect_the_gradient_is_the_losss_slope(engine, GaugeParts({.layers = 4, .hidden = {2}, .flow = halving}));
  const std::string dilated = std::string(kDilated) + "bins = 1\ncontext = \"1x1\"";
  expect_the_gradient_is_the_losss_slope(
      engine, GaugeParts({.lattice = {6, 6}, .layers = 2, .hidden = {2, 2}, .flow = dilated}));
}

}  // namespace flowloom
