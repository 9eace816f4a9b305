// HMC against exact results, against the heat bath, and against itself. False alarms: reference_cases.h.
#include <gtest/gtest.h>

#include <algorithm>

#include "../unit/theory_cases.h"
#include "lattice/exact_2d.h"
#include "lattice/references.h"
#include "reference_cases.h"

namespace flowloom {
namespace {

using namespace reference;

// U(1) in 2 to 4 dimensions, from its definition: the theory of run files is the one in two. Field: [direction][site].
class U1Action final : public HmcAction {
 public:
  U1Action(GaugeLattice lattice, double beta) : lattice_(std::move(lattice)), beta_(beta) {}

  std::size_t variables() const override { return lattice_.links(); }

  double action(std::span<const double> field) const override {
    double sum = 0;
    for_plaquettes([&](std::size_t a, std::size_t b, std::size_t c, std::size_t d) {
      sum += std::cos(field[a] + field[b] - field[c] - field[d]);
    });
    return -beta_ * sum;
  }

  void slopes(std::span<const double> field, std::span<double> out) const override {
    std::fill(out.begin(), out.end(), 0.0);
    for_plaquettes([&](std::size_t a, std::size_t b, std::size_t c, std::size_t d) {
      const double slope = beta_ * std::sin(field[a] + field[b] - field[c] - field[d]);
      out[a] += slope;
      out[b] += slope;
      out[c] -= slope;
      out[d] -= slope;
    });
  }

 private:
  template <class Visit>
  void for_plaquettes(Visit visit) const {
    for (const auto [mu, nu] : lattice_.planes()) {
      for (std::size_t x = 0; x < lattice_.sites(); ++x) {
        visit(lattice_.link(mu, x), lattice_.link(nu, lattice_.forward(mu, x)),
              lattice_.link(mu, lattice_.forward(nu, x)), lattice_.link(nu, x));
      }
    }
  }

  GaugeLattice lattice_;
  double beta_;
};

// In equilibrium: <exp(-dH)> = 1 (Creutz), <pi^2> = 1 at the end of a trajectory under the weight exp(-dH), and
// Schwinger and Dyson's <phi dS/dphi> = 1 per variable, or, for angles, <(dS/dtheta)^2> = <d^2S/dtheta^2>, given by
// `excess`, whose mean is 0.
template <class Excess>
void expect_identities(const std::string& what, std::unique_ptr<const HmcAction> action, const HmcOptions& options,
                       std::size_t trajectories, Excess excess) {
  const HmcAction& s = *action;
  Hmc hmc(std::move(action), options, key_of(what));
  for (int i = 0; i < 200; ++i) hmc.trajectory();
  const auto n = static_cast<double>(s.variables());
  std::vector<double> creutz, energy, dyson, kinetic(s.variables()), slopes(s.variables());
  for (std::size_t t = 0; t < trajectories; ++t) {
    creutz.push_back(std::exp(-hmc.trajectory().delta_h));
    s.slopes(hmc.field(), slopes);
    dyson.push_back(excess(hmc.field(), slopes) / n);

    // A trajectory by hand, so that its momenta can be seen.
    std::vector<double> field(hmc.field().begin(), hmc.field().end()), momenta(s.variables());
    fill_normal(key_of(what + " momenta"), Purpose::kReferenceChain, t, momenta);
    const double before = hamiltonian(s, field, momenta);
    integrate(s, options.integrator, options.length, options.steps, field, momenta);
    double squares = 0;
    for (const double pi : momenta) squares += pi * pi;
    energy.push_back(std::exp(before - hamiltonian(s, field, momenta)) * squares / n);
  }
  expect_mean(what + " <exp(-dH)>", creutz, 1);
  expect_mean(what + " <pi^2 exp(-dH)>", energy, 1);
  expect_mean(what + " Schwinger-Dyson", dyson, 0);
}

TEST(ReferenceHmc, Phi4KeepsItsIdentities) {
  const auto excess = [](std::span<const double> phi, const std::vector<double>& slopes) {
    double sum = 0;
    for (std::size_t x = 0; x < phi.size(); ++x) sum += phi[x] * slopes[x] - 1;
    return sum;
  };
  expect_identities("phi4 A 2MN", hmc_action(theory_of_keys(phi4_keys({6, 6}, "m2 = -4.0, lambda = 8.0"))),
                    {.steps = 5, .integrator = Integrator::kOmelyan}, 15000, excess);
  expect_identities("phi4 B leapfrog",
                    hmc_action(theory_of_keys(phi4_keys({3, 4, 4}, "form = 'B', beta = 0.3, lambda = 0.5"))),
                    {.steps = 6, .integrator = Integrator::kLeapfrog}, 15000, excess);
}

TEST(ReferenceHmc, U1KeepsItsIdentities) {
  const double beta = 1.2;
  const GaugeLattice lattice(Geometry({3, 4, 2}));
  const U1Action action(lattice, beta);
  // Each plaquette has the second derivative beta cos(P) in each of its four links.
  const auto excess = [&](std::span<const double> theta, const std::vector<double>& slopes) {
    double sum = 4 * action.action(theta);
    for (const double slope : slopes) sum += slope * slope;
    return sum;
  };
  expect_identities("U(1) leapfrog", std::make_unique<U1Action>(action),
                    {.steps = 5, .integrator = Integrator::kLeapfrog}, 15000, excess);
}

TEST(ReferenceHmc, U1InTwoDimensionsIsExact) {
  for (const double beta : {1.0, 2.0}) {
    for (const std::int64_t extent : {4, 8}) {
      const GaugeLattice lattice(Geometry({extent, extent}));
      const Exact2d exact = Exact2d::u1(beta);
      const std::int64_t volume = extent * extent;
      const std::string name = "HMC U(1) beta " + std::to_string(beta).substr(0, 3) + " L " + std::to_string(extent);
      const auto chain = make_reference(theory_of_keys(u1_keys({extent, extent}, beta)), "hmc", key_of(name));
      expect_means(
          name, *chain, 400, 20000,
          {{"plaquette", [&](auto field) { return plaquette<1>(lattice, field); }, exact.average_plaquette(volume)},
           {"Wilson loop 2 x 2", [&](auto field) { return loop<1>(lattice, field, {0, 1}, 2, 2); },
            exact.wilson_loop(4, volume)},
           {"chi_Q", [&](auto field) { return std::pow(charge(lattice, field), 2) / static_cast<double>(volume); },
            u1_susceptibility(beta, volume)}});
    }
  }
}

// Where nothing is known exactly: the same numbers from two algorithms that share the plaquette's definition and
// nothing else.
TEST(ReferenceHmc, U1IsTheHeatBathInThreeAndFourDimensions) {
  for (const auto& [extents, beta] :
       {std::pair{std::vector<std::int64_t>{4, 4, 4}, 1.5}, std::pair{std::vector<std::int64_t>{2, 4, 3}, 2.0},
        std::pair{std::vector<std::int64_t>{4, 4, 4, 4}, 0.8}}) {
    const GaugeLattice lattice{Geometry(extents)};
    const std::string name =
        "U(1) in " + std::to_string(extents.size()) + " dimensions, beta " + std::to_string(beta).substr(0, 3);
    const auto heat_bath = heat_bath_reference(1, lattice, beta, 1, key_of(name));
    const auto hmc = hmc_reference(std::make_unique<U1Action>(lattice, beta), FieldType::kAngle, {}, key_of(name));
    std::vector<double> plaquettes, loops;
    heat_bath->thermalise(200);
    for (int i = 0; i < (extents.size() == 4 ? 2000 : 10000); ++i) {
      heat_bath->step();
      plaquettes.push_back(plaquette<1>(lattice, heat_bath->field()));
      loops.push_back(loop<1>(lattice, heat_bath->field(), {0, 2}, 2, 1));
    }
    const auto p = stats::gamma_method(plaquettes), l = stats::gamma_method(loops);
    expect_means(
        name, *hmc, 200, extents.size() == 4 ? 2000 : 10000,
        {{"plaquette", [&](auto field) { return plaquette<1>(lattice, field); }, p.value, p.error},
         {"Wilson loop 2 x 1", [&](auto field) { return loop<1>(lattice, field, {0, 2}, 2, 1); }, l.value, l.error}});
  }
}

// Numbers of another HMC, of 1e5 to 4e5 trajectories, with their errors. The action of form B is there without its
// constant.
void expect_phi4(const std::string& name, const std::string& couplings, double constant, std::size_t steps, double chi2,
                 double chi2_error, double abs_m, double abs_m_error, double phi2, double phi2_error, double s,
                 double s_error) {
  const AnyTheory theory = theory_of_keys(phi4_keys({8, 8}, couplings));
  const auto volume = static_cast<double>(theory_variables(theory));
  const auto mean = [=](std::span<const double> phi) {
    double sum = 0;
    for (const double x : phi) sum += x;
    return sum / volume;
  };
  const auto action = hmc_action(theory);
  const auto chain = make_reference(theory, "auto", key_of(name));
  expect_means(name, *chain, 500, steps,
               {{"chi2", [=](auto phi) { return volume * mean(phi) * mean(phi); }, chi2, chi2_error},
                {"|M|", [=](auto phi) { return std::abs(mean(phi)); }, abs_m, abs_m_error},
                {"phi^2",
                 [=](auto phi) {
                   double sum = 0;
                   for (const double x : phi) sum += x * x;
                   return sum / volume;
                 },
                 phi2, phi2_error},
                {"S", [&](auto phi) { return action->action(phi) - constant; }, s, s_error}});
  EXPECT_NEAR(chain->acceptance(), 0.9, 0.07);
}

TEST(ReferenceHmc, Phi4HasTheNumbersOfTheTable) {
  expect_phi4("phi4 A lambda 8", "m2 = -4.0, lambda = 8.0", 0, 60000, .7451, .0025, .08704, .00016, .14347, .00005,
              10.317, .013);
  expect_phi4("phi4 A lambda 6.008", "m2 = -4.0, lambda = 6.008", 0, 60000, 1.905, .011, .14249, .00045, .18393, .00007,
              6.312, .026);
  expect_phi4("phi4 B beta .576", "form = 'B', beta = 0.576, lambda = 0.5", 32, 60000, 6.574, .063, .2650, .0014,
              .63675, .00045, 6.358, .029);
}

}  // namespace
}  // namespace flowloom
