// The heat bath against exact results: in two dimensions, and in four with two planes of the action alone, which are
// many lattices in two. False alarms: reference_cases.h.
#include <gtest/gtest.h>

#include "lattice/exact_2d.h"
#include "reference_cases.h"

namespace flowloom {
namespace {

using namespace reference;

template <std::size_t N>
Exact2d exact_2d(double beta) {
  if constexpr (N == 1) return Exact2d::u1(beta);
  if constexpr (N == 2) return Exact2d::su2(beta);
  if constexpr (N == 3) return Exact2d::su3(beta);
}

template <std::size_t N>
std::string group() {
  return N == 1 ? "U(1)" : N == 2 ? "SU(2)" : "SU(3)";
}

// A lattice whose planes are independent tori of `volume` plaquettes each.
template <std::size_t N>
void expect_exact_2d(const std::string& where, const GaugeLattice& lattice, std::int64_t volume, double beta,
                     std::size_t steps) {
  const Exact2d exact = exact_2d<N>(beta);
  std::vector<Known> known{
      {"plaquette", [&](auto field) { return plaquette<N>(lattice, field); }, exact.average_plaquette(volume)},
  };
  for (const Plane& plane : lattice.planes()) {
    known.push_back({"Wilson loop 2 x 2", [&](auto field) { return loop<N>(lattice, field, plane, 2, 2); },
                     exact.wilson_loop(4, volume)});
  }
  if (N == 1 && lattice.dimensions() == 2) {
    known.push_back({"chi_Q",
                     [&](auto field) { return std::pow(charge(lattice, field), 2) / static_cast<double>(volume); },
                     u1_susceptibility(beta, volume)});
  }
  const std::string name = group<N>() + " " + where + " beta " + std::to_string(beta).substr(0, 3);
  const auto chain = heat_bath_reference(N, lattice, beta, 1, key_of(name));
  expect_means(name, *chain, 200, steps, known);
}

template <std::size_t N>
void expect_exact_on_two_volumes(double beta, std::size_t steps) {
  expect_exact_2d<N>("4 x 4", GaugeLattice(Geometry({4, 4})), 16, beta, 2 * steps);
  expect_exact_2d<N>("8 x 8", GaugeLattice(Geometry({8, 8})), 64, beta, steps);
}

TEST(ReferenceHeatBath, U1InTwoDimensionsIsExact) {
  for (const double beta : {1.0, 2.0, 5.0}) expect_exact_on_two_volumes<1>(beta, 40000);
}

TEST(ReferenceHeatBath, Su2InTwoDimensionsIsExact) {
  for (const double beta : {1.0, 2.0, 4.0}) expect_exact_on_two_volumes<2>(beta, 20000);
}

TEST(ReferenceHeatBath, Su3InTwoDimensionsIsExact) {
  for (const double beta : {1.0, 4.0, 8.0}) expect_exact_on_two_volumes<3>(beta, 10000);
}

TEST(ReferenceHeatBath, OddExtentsAreExact) {
  const GaugeLattice lattice(Geometry({3, 5}));
  expect_exact_2d<1>("3 x 5", lattice, 15, 3, 40000);
  expect_exact_2d<2>("3 x 5", lattice, 15, 3, 20000);
  expect_exact_2d<3>("3 x 5", lattice, 15, 6, 10000);
}

TEST(ReferenceHeatBath, FourDimensionsWithTwoPlanesAreTwoDimensions) {
  const GaugeLattice lattice(Geometry({4, 4, 4, 4}), {{0, 1}, {2, 3}});
  expect_exact_2d<1>("4^4", lattice, 16, 2, 3000);
  expect_exact_2d<2>("4^4", lattice, 16, 3, 1500);
  expect_exact_2d<3>("4^4", lattice, 16, 6, 1500);
}

// Numbers of another heat bath, with their errors.
TEST(ReferenceHeatBath, Su3InFourDimensionsHasTheNumbersOfTheTable) {
  const GaugeLattice lattice(Geometry({4, 4, 4, 4}));
  const auto expect = [&](double beta, double known, double error) {
    const std::string name = "SU(3) 4^4 all planes beta " + std::to_string(beta).substr(0, 3);
    const auto chain = heat_bath_reference(3, lattice, beta, 1, key_of(name));
    expect_means(name, *chain, 100, 600,
                 {{"plaquette", [&](auto field) { return plaquette<3>(lattice, field); }, known, error}});
  };
  expect(2, .12878, .00004);
  expect(4, .29029, .00013);
}

}  // namespace
}  // namespace flowloom
