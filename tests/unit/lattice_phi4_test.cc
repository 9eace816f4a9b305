#include "lattice/phi4.h"

#include <gtest/gtest.h>

#include <cmath>
#include <map>

#include "flow_cases.h"

namespace flowloom {
namespace {

using Field = std::vector<double>;

Phi4 phi4(const std::vector<std::int64_t>& lattice, const std::string& couplings) {
  const RunSpec run =
      load_run_text("[run]\nname = \"x\"\n[theory]\nkind = \"phi4\"\nlattice = " + nlohmann::json(lattice).dump() +
                        "\n" + couplings + "\n[flow]\nkind = \"affine-coupling\"\nkernel = 1\n[chain]\nlength = 1\n",
                    "x.toml");
  return std::get<Phi4>(theory_of(run));
}

std::vector<double> sums_of(const Phi4& theory, const Field& field) { return theory_sums_of(theory, field); }

double action(const Phi4& theory, const Field& field) { return -theory_log_p(theory, sums_of(theory, field)); }

// The neighbour of `x` in direction mu, forwards or backwards, from its coordinates.
std::size_t step(const Geometry& geometry, std::size_t x, std::size_t mu, std::int64_t by) {
  auto coordinates = geometry.coordinates(x);
  coordinates[mu] = (coordinates[mu] + by + geometry.extents()[mu]) % geometry.extents()[mu];
  return geometry.site(coordinates);
}

// Form A as printed: phi (2 phi - phi(x+mu) - phi(x-mu)) + m2 phi^2 + lambda phi^4.
double direct_action_a(const Geometry& geometry, const Field& phi, double m2, double lambda) {
  double sum = 0;
  for (std::size_t x = 0; x < phi.size(); ++x) {
    for (std::size_t mu = 0; mu < geometry.dimensions(); ++mu) {
      sum += phi[x] * (2 * phi[x] - phi[step(geometry, x, mu, 1)] - phi[step(geometry, x, mu, -1)]);
    }
    sum += m2 * phi[x] * phi[x] + lambda * std::pow(phi[x], 4);
  }
  return sum;
}

// Form B as printed.
double direct_action_b(const Geometry& geometry, const Field& phi, double beta, double lambda) {
  double sum = 0;
  for (std::size_t x = 0; x < phi.size(); ++x) {
    for (std::size_t mu = 0; mu < geometry.dimensions(); ++mu) sum -= beta * phi[step(geometry, x, mu, 1)] * phi[x];
    sum += phi[x] * phi[x] + lambda * std::pow(phi[x] * phi[x] - 1, 2);
  }
  return sum;
}

const std::vector<std::vector<std::int64_t>> kLattices = {{6}, {4, 6}, {2, 2}, {2, 4, 4}, {2, 4, 2, 4}};

TEST(Phi4, FormAIsTheDirectSum) {
  for (const auto& lattice : kLattices) {
    const Phi4 theory = phi4(lattice, "m2 = -4.0\nlambda = 8.0");
    const Field field = noise_at(1, theory.geometry().sites());
    EXPECT_NEAR(action(theory, field), direct_action_a(theory.geometry(), field, -4, 8), 1e-10);
  }
}

TEST(Phi4, FormBIsTheDirectSumWithItsConstant) {
  for (const auto& lattice : kLattices) {
    const Phi4 theory = phi4(lattice, "form = \"B\"\nbeta = 0.576\nlambda = 0.5");
    const Field field = noise_at(1, theory.geometry().sites());
    EXPECT_NEAR(action(theory, field), direct_action_b(theory.geometry(), field, 0.576, 0.5), 1e-10);
    EXPECT_NEAR(action(theory, Field(field.size(), 0.0)), 0.5 * static_cast<double>(field.size()), 1e-12);
  }
}

// phi_B = sqrt(2/beta) phi_A, lambda_A = 4 lambda_B / beta^2, m2 = (2/beta)(1 - 2 lambda_B) - 2 d; the constant stays.
TEST(Phi4, RescalingTheFieldTurnsFormBIntoFormA) {
  const double beta = 0.576, lambda_b = 0.4;
  for (const auto& lattice : kLattices) {
    const double d = static_cast<double>(lattice.size());
    const Phi4 b = phi4(lattice, "form = \"B\"\nbeta = 0.576\nlambda = 0.4");
    const Phi4 a = phi4(lattice, "m2 = " + nlohmann::json((2 / beta) * (1 - 2 * lambda_b) - 2 * d).dump() +
                                     "\nlambda = " + nlohmann::json(4 * lambda_b / (beta * beta)).dump());
    const Field field_a = noise_at(2, a.geometry().sites());
    Field field_b = field_a;
    for (double& phi : field_b) phi *= std::sqrt(2 / beta);
    EXPECT_NEAR(action(b, field_b), action(a, field_a) + lambda_b * static_cast<double>(field_a.size()), 1e-10);
  }
}

// dS/dphi(x) = 2 (2d + m2) phi - 2 sum_{+-mu} phi(x +- mu) + 4 lambda phi^3
TEST(Phi4, ItsSlopeIsTheForce) {
  const double h = 1e-5;
  const Phi4 theory = phi4({4, 6}, "m2 = -4.0\nlambda = 8.0");
  const Geometry& geometry = theory.geometry();
  Field field = noise_at(3, geometry.sites());
  for (std::size_t x = 0; x < field.size(); ++x) {
    const double phi = field[x];
    double neighbours = 0;
    for (std::size_t mu = 0; mu < 2; ++mu)
      neighbours += field[step(geometry, x, mu, 1)] + field[step(geometry, x, mu, -1)];
    field[x] = phi + h;
    const double above = action(theory, field);
    field[x] = phi - h;
    const double below = action(theory, field);
    field[x] = phi;
    const double force = 2 * (4 - 4) * phi - 2 * neighbours + 4 * 8 * std::pow(phi, 3);
    EXPECT_NEAR((above - below) / (2 * h), force, 1e-5);
    EXPECT_NEAR(theory_force(theory, field)[x], force, 1e-11);
  }
}

TEST(Phi4, FlippingTheFieldChangesOnlyItsSum) {
  const Phi4 theory = phi4({4, 4}, "m2 = -4.0\nlambda = 8.0");
  Field field = noise_at(4, 16);
  const auto before = sums_of(theory, field);
  for (double& phi : field) phi = -phi;
  const auto after = sums_of(theory, field);
  EXPECT_EQ(theory_log_p(theory, before), theory_log_p(theory, after));
  EXPECT_EQ(before[3], -after[3]);
}

TEST(Phi4, ObservablesOfAConstantFieldAreItsPowers) {
  const Phi4 theory = phi4({4, 6}, "m2 = -4.0\nlambda = 8.0");
  const auto sums = sums_of(theory, Field(24, -0.5));
  const double log_p = theory_log_p(theory, sums);
  std::map<std::string, double> values;
  for (const Observable& observable : theory.observables()) values[observable.name] = observable.value(log_p, sums);
  EXPECT_DOUBLE_EQ(values["chi2"], 24 * 0.25);
  EXPECT_DOUBLE_EQ(values["abs_m"], 0.5);
  EXPECT_DOUBLE_EQ(values["m"], -0.5);
  EXPECT_DOUBLE_EQ(values["m2"], 0.25);
  EXPECT_DOUBLE_EQ(values["phi2"], 0.25);
  EXPECT_DOUBLE_EQ(values["phi4"], 0.0625);
  EXPECT_DOUBLE_EQ(values["hopping"], 0.5);
  EXPECT_DOUBLE_EQ(values["action"], 24 * (-4 * 0.25 + 8 * 0.0625));
  EXPECT_EQ(theory.observables().front().name, "chi2");
}

TEST(Theories, AnObservableIsFoundByNameAndTheFirstByDefault) {
  const AnyTheory theory = phi4({4, 4}, "m2 = 1.0\nlambda = 1.0");
  EXPECT_EQ(find_observable(theory, "phi2").name, "phi2");
  EXPECT_EQ(find_observable(theory, "").name, "chi2");
  EXPECT_EQ(sentence_of([&] { find_observable(theory, "chi3"); }),
            "there is no observable 'chi3'; did you mean 'chi2'?");
  EXPECT_EQ(theory_sums(theory).size(), Phi4::kSums);
}

}  // namespace
}  // namespace flowloom
