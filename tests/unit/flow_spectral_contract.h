// Flows of SU(2) and SU(3) fields to test engines with, and what every engine must do with them; also on lattices of
// more dimensions than the two that a run file can name.
#pragma once

#include "flow_objective_contract.h"
#include "su_cases.h"

namespace flowloom {

struct SpectralCase {
  int colours = 2;
  std::vector<std::int64_t> lattice = {4, 4};
  int layers = 3;
  std::vector<int> hidden = {3};
  Precision precision = Precision::kFloat64;
  double beta = 1.5;
  std::string flow = "";  // more lines of the section

  AnyTheory theory() const { return su_theory(colours, lattice, beta); }
  SpectralCouplingFlow architecture() const {
    const Document document =
        Document::parse("[flow]\nkind = \"spectral-coupling\"\nlayers = " + std::to_string(layers) +
                            "\nhidden = " + nlohmann::json(hidden).dump() + "\n" + flow,
                        "test.toml");
    return {kind_section(document, "flow", flow_kinds()), theory()};
  }
};

// A middle convolution with gaps, which lattices of at least 5 sites have room for.
inline constexpr char kDilatedMatrices[] =
    "dilation = [1, 2, 1]\nmasks = [{ directions = [0, 1], steps = [1, 2], width = 6 }]\n";

inline constexpr char kFourDimensions[] =
    "kernel = 1\nmasks = [{ directions = [2], steps = [1, 1, 1, 1], width = 2 }, "
    "{ directions = [0, 1, 2, 3], at = [1, 0, 0, 1], every = [2, 2, 2, 2] }]\n";

inline std::vector<SpectralCase> spectral_cases() {
  return {
      {},
      {.colours = 3},
      {.colours = 2, .lattice = {8, 4}, .layers = 18, .flow = "bins = 3\ncontext = \"1x1\"\nactivation = \"silu\""},
      {.colours = 3, .lattice = {4, 8}, .layers = 9, .hidden = {2, 3}, .flow = "bins = 4\nautoregressive = false"},
      {.colours = 3, .layers = 17, .flow = "bins = 2\nbias = false\nactivation = \"tanh\""},
      {.colours = 3,
       .lattice = {6, 6},
       .layers = 8,
       .flow =
           "bins = 1\nmasks = [{ directions = [0, 1], steps = [1, 2], width = 6 }, { directions = [1], steps = [1, 0], "
           "width = 2 }]"},
      {.lattice = {6, 6}, .layers = 4, .hidden = {2, 2}, .flow = std::string(kDilatedMatrices) + "bins = 2"},
      // Loops around the torus, which meet themselves.
      {.layers = 4,
       .flow = "bins = 2\ncontext = \"1x1+around\"\nmasks = [{ directions = [1], at = [0, 2], every = [4, 4], loop = "
               "[2, 4] }, { directions = [0], at = [0, 0], every = [1, 4], loop = [1, 2] }]"},
      // Three dimensions, lines of links; four, links of one direction and parity, then all that leave every 16th site.
      {.lattice = {4, 4, 4}, .layers = 14, .hidden = {2}, .flow = "bins = 2\ncontext = \"1x1\""},
      {.lattice = {4, 2, 2, 4}, .layers = 6, .hidden = {2}, .flow = std::string(kFourDimensions) + "bins = 2"},
      {.colours = 3,
       .lattice = {2, 4, 2, 2},
       .layers = 6,
       .hidden = {1},
       .flow = std::string(kFourDimensions) + "bins = 1"},
  };
}

// The case with weights, as the engines take it.
struct SpectralParts {
  explicit SpectralParts(const SpectralCase& spectral_case)
      : theory(spectral_case.theory()),
        architecture(spectral_case.architecture()),
        weights(architecture.initial_weights(NoiseKey::from("weights"))),
        precision(spectral_case.precision) {}

  std::unique_ptr<Model> model(const Engine& engine) const {
    return engine.model(theory, architecture, weights, precision);
  }
  const Geometry& geometry() const { return theory_geometry(theory); }
  std::size_t variables() const { return theory_variables(theory); }

  // Calls visit(std::integral_constant<int, N>()) with the theory's group.
  template <class Visit>
  void with_group(Visit visit) const {
    theory_colours(theory) == 2 ? visit(std::integral_constant<int, 2>()) : visit(std::integral_constant<int, 3>());
  }

  AnyTheory theory;
  SpectralCouplingFlow architecture;
  std::vector<double> weights;
  Precision precision;
};

// The largest |U^dagger U - 1| of a field's links.
template <int N>
double distance_from_group(const Geometry& geometry, std::span<const double> field) {
  double largest = 0;
  for (std::size_t mu = 0; mu < geometry.dimensions(); ++mu) {
    for (std::size_t x = 0; x < geometry.sites(); ++x) {
      const Group<N> link = link_of<N>(geometry, field, mu, x);
      const Complex<double> det = determinant(link);
      largest = std::max({largest, distance(adjoint_times(link, link), unit<N>()), std::hypot(det.re - 1, det.im)});
    }
  }
  return largest;
}

inline void expect_spectral_fields_and_log_p_are_right(const Engine& engine) {
  for (const SpectralCase& spectral_case : spectral_cases()) {
    const SpectralParts parts(spectral_case);
    const Draws draws = parts.model(engine)->draw(kTestKey, Purpose::kBase, 0, 5);
    for (std::size_t i = 0; i < 5; ++i) {
      const auto field = std::span(draws.fields).subspan(i * parts.variables(), parts.variables());
      parts.with_group([&](auto n) { EXPECT_LT(distance_from_group<n>(parts.geometry(), field), 1e-13); });
      expect_the_theorys_numbers(parts, draws, i);
      EXPECT_GT(std::abs(draws.log_q[i]), 1e-3);
    }
  }
}

// Without networks a draw is the Haar measure's own, of density 1.
inline void expect_a_spectral_flow_of_zeros_is_the_identity(const Engine& engine) {
  for (const int colours : {2, 3}) {
    const SpectralParts parts({.colours = colours, .layers = 16, .flow = "init_scale = 0\nbias = false"});
    const Draws draws = parts.model(engine)->draw(kTestKey, Purpose::kBase, 3, 2);
    parts.with_group([&](auto n) {
      std::vector<double> normals(32 * kNormalsPerLink<n>);
      fill_normal(kTestKey, Purpose::kBase, 4, normals);
      const auto field = su_field<n>(parts.geometry(), [&](std::size_t mu, std::size_t x) {
        std::array<double, kNormalsPerLink<n>> own;
        std::copy_n(&normals[(mu * 16 + x) * own.size()], own.size(), own.begin());
        return haar<n>(own);
      });
      for (std::size_t i = 0; i < field.size(); ++i) EXPECT_NEAR(draws.fields[field.size() + i], field[i], 1e-14);
    });
    for (const double log_q : draws.log_q) EXPECT_NEAR(log_q, 0, 1e-12);
  }
}

inline void expect_spectral_inverse_finds_the_draws_log_q(const Engine& engine) {
  expect_the_inverse_finds_the_draws_log_q<SpectralParts>(engine, spectral_cases(), 1e-11);
}

inline void expect_spectral_log_q_is_gauge_invariant(const Engine& engine) {
  for (const SpectralCase& spectral_case : spectral_cases()) {
    const SpectralParts parts(spectral_case);
    const auto model = parts.model(engine);
    const Draws draws = model->draw(kTestKey, Purpose::kBase, 0, 5);
    std::vector<double> moved;
    for (std::size_t i = 0; i < 5; ++i) {
      const auto field = std::span(draws.fields).subspan(i * parts.variables(), parts.variables());
      parts.with_group([&](auto n) {
        const auto own = su_gauge_transformed<n>(parts.geometry(), field, 1);
        moved.insert(moved.end(), own.begin(), own.end());
      });
    }
    const Densities densities = model->densities(moved);
    for (std::size_t i = 0; i < 5; ++i) {
      EXPECT_NEAR(densities.log_q[i], draws.log_q[i], 1e-10);
      EXPECT_NEAR(densities.log_p[i], draws.log_p[i], 1e-10);
    }
  }
}

// If no network sees an active link, log_q of one layer is a sum of functions of one active link each, given the
// others: every mixed second difference of two vanishes.
inline void expect_no_spectral_network_sees_an_active_link(const Engine& engine) {
  for (SpectralCase spectral_case : spectral_cases()) {
    spectral_case.layers = 1;
    spectral_case.hidden = {4, 3};
    const SpectralParts parts(spectral_case);
    const auto model = parts.model(engine);
    parts.with_group([&](auto n) {
      constexpr int N = n;
      const Geometry& geometry = parts.geometry();
      const std::size_t sites = geometry.sites(), links = geometry.dimensions() * sites;
      const auto field = random_su_field<N>(geometry, 7);
      std::vector<bool> active(links);
      const auto coupling = parts.architecture.couplings(geometry)[0];
      for (const auto& link : coupling.active) active[link.number] = true;
      // log_q of the field with link b, and with a and b, turned; for every b in one call.
      const auto turned = [&](std::vector<double> from, std::size_t link) {
        const Group<N> own = link_of<N>(geometry, from, link / sites, link % sites);
        put_link<N>(geometry, from, link / sites, link % sites, random_group<N>(1000 + link) * own);
        return from;
      };
      const auto log_q = [&](std::optional<std::size_t> a) {
        std::vector<double> fields;
        for (std::size_t b = 0; b < links; ++b) {
          const auto moved = turned(a ? turned(field, *a) : field, b);
          fields.insert(fields.end(), moved.begin(), moved.end());
        }
        return model->densities(fields).log_q;
      };
      const double unmoved = model->densities(field).log_q[0];
      const std::vector<double> one = log_q({});
      double largest_with_frozen = 0;
      for (std::size_t a = 0; a < links; ++a) {
        if (!active[a]) continue;
        const std::vector<double> both = log_q(a);
        for (std::size_t b = 0; b < links; ++b) {
          if (a == b) continue;
          const double mixed_difference = both[b] - one[a] - one[b] + unmoved;
          if (active[b]) {
            EXPECT_NEAR(mixed_difference, 0, 1e-11) << "active links " << a << " and " << b;
          } else {
            largest_with_frozen = std::max(largest_with_frozen, std::abs(mixed_difference));
          }
        }
      }
      EXPECT_GT(largest_with_frozen, 1e-3);
    });
  }
}

// beta = 0 and a flow that is the identity: q = p.
inline void expect_spectral_path_gradients(const Engine& engine) {
  for (const SpectralCase& spectral_case : spectral_cases()) {
    SCOPED_TRACE(std::to_string(spectral_case.colours) + " colours, " + spectral_case.flow);
    expect_the_path_gradient_differs_by_the_score(engine, SpectralParts(spectral_case));
  }
  for (const int colours : {2, 3}) {
    const SpectralParts parts({.colours = colours, .beta = 0, .flow = "init_scale = 0"});
    for (const double slope : reverse_kl(engine, parts, 0, 16, Estimator::kPath).sum) EXPECT_NEAR(slope, 0, 1e-10);
    double square = 0;
    for (const double slope : reverse_kl(engine, parts, 0, 16).sum) square += slope * slope;
    EXPECT_GT(square, 1);
  }
}

inline void expect_spectral_gradients_are_the_losss_slopes(const Engine& engine) {
  expect_the_gradient_is_the_losss_slope(engine, SpectralParts({.hidden = {1}, .flow = "bins = 2\ncontext = \"1x1\""}));
  expect_the_gradient_is_the_losss_slope(
      engine, SpectralParts({.colours = 3, .layers = 2, .hidden = {1}, .flow = "bins = 1\ncontext = \"1x1\""}));
  expect_the_gradient_is_the_losss_slope(
      engine, SpectralParts({.lattice = {6, 6},
                             .layers = 2,
                             .hidden = {1, 2},
                             .flow = std::string(kDilatedMatrices) + "bins = 1\ncontext = \"1x1\""}));
}

}  // namespace flowloom
