#include "lattice/heat_bath.h"

#include <gtest/gtest.h>

#include <cmath>

#include "support.h"

namespace flowloom {
namespace {

// The sum of Re tr P over the planes that are on, site by site from coordinates.
template <std::size_t N>
double sum_of_plaquettes(const HeatBath<N>& chain) {
  const Geometry& geometry = chain.lattice().geometry();
  const auto link = [&](std::size_t mu, std::vector<std::int64_t> x) {
    return chain.links()[mu * geometry.sites() + geometry.site(x)];
  };
  double sum = 0;
  for (const auto [mu, nu] : chain.lattice().planes()) {
    for (std::size_t site = 0; site < geometry.sites(); ++site) {
      const auto x = geometry.coordinates(site);
      auto right = x, up = x;
      ++right[mu];
      ++up[nu];
      const auto p = link(mu, x) * link(nu, right) * adjoint(link(mu, up)) * adjoint(link(nu, x));
      for (std::size_t i = 0; i < N; ++i) sum += p.re(i, i);
    }
  }
  return sum;
}

template <std::size_t N>
double error_of_unitarity(const HeatBath<N>& chain) {
  double largest = 0;
  for (const auto& u : chain.links()) {
    const auto one = u * adjoint(u);
    for (std::size_t k = 0; k < one.entries.size(); ++k) {
      largest = std::max(largest, std::abs(one.entries[k] - LinkMatrix<N>::identity().entries[k]));
    }
  }
  return largest;
}

template <std::size_t N>
bool same_links(const HeatBath<N>& a, const HeatBath<N>& b) {
  for (std::size_t k = 0; k < a.links().size(); ++k) {
    if (a.links()[k].entries != b.links()[k].entries) return false;
  }
  return true;
}

// Sweeps of overrelaxation keep the action to rounding errors because the staples are those of the action, whatever the
// extents.
template <std::size_t N>
void expect_overrelaxation_keeps_the_action() {
  for (const GaugeLattice& lattice :
       {GaugeLattice(Geometry({4, 6})), GaugeLattice(Geometry({3, 5})), GaugeLattice(Geometry({2, 2})),
        GaugeLattice(Geometry({2, 3, 4})), GaugeLattice(Geometry({2, 4, 2, 3})),
        GaugeLattice(Geometry({2, 4, 2, 4}), {{0, 1}, {2, 3}}), GaugeLattice(Geometry({2, 3, 4}), {{0, 2}})}) {
    HeatBath<N> chain(lattice, 2.5, NoiseKey::from("overrelaxation"));
    for (int i = 0; i < 5; ++i) chain.sweep(1);
    HeatBath<N> other = chain;
    chain.sweep(0);
    other.sweep(3);
    EXPECT_NEAR(sum_of_plaquettes(chain), sum_of_plaquettes(other), 1e-11);
    EXPECT_FALSE(same_links(chain, other));
  }
}

TEST(HeatBath, OverrelaxationKeepsTheActionAndMovesTheLinks) {
  expect_overrelaxation_keeps_the_action<1>();
  expect_overrelaxation_keeps_the_action<2>();
  expect_overrelaxation_keeps_the_action<3>();
}

template <std::size_t N>
void expect_elements_of_the_group() {
  HeatBath<N> chain(GaugeLattice(Geometry({2, 2})), 5, NoiseKey::from("long"));
  for (int i = 0; i < 3000; ++i) chain.sweep(2);
  EXPECT_LT(error_of_unitarity(chain), 2e-15);
}

TEST(HeatBath, LinksStayInTheGroup) {
  expect_elements_of_the_group<1>();
  expect_elements_of_the_group<2>();
  expect_elements_of_the_group<3>();
}

TEST(HeatBath, TheKeyDecidesTheChain) {
  const GaugeLattice lattice(Geometry({4, 4}));
  HeatBath<3> a(lattice, 5, NoiseKey::from("a")), again(lattice, 5, NoiseKey::from("a")),
      b(lattice, 5, NoiseKey::from("b"));
  EXPECT_TRUE(same_links(a, b));  // both are cold
  for (int i = 0; i < 3; ++i) {
    a.sweep(1);
    again.sweep(1);
    b.sweep(1);
  }
  EXPECT_TRUE(same_links(a, again));
  EXPECT_FALSE(same_links(a, b));
}

// To 1e-11, which is far from what another draw would give: the chain is one and the same on every machine.
TEST(HeatBath, TheChainIsThisOne) {
  HeatBath<1> u1(GaugeLattice(Geometry({4, 4})), 2, NoiseKey::from("this one"));
  HeatBath<2> su2(GaugeLattice(Geometry({2, 2, 2})), 2, NoiseKey::from("this one"));
  HeatBath<3> su3(GaugeLattice(Geometry({2, 2, 2, 2})), 6, NoiseKey::from("this one"));
  for (int i = 0; i < 3; ++i) {
    u1.sweep(1);
    su2.sweep(1);
    su3.sweep(1);
  }
  EXPECT_NEAR(sum_of_plaquettes(u1), 11.3584694597063, 1e-11);
  EXPECT_NEAR(sum_of_plaquettes(su2), 24.3850999948093, 1e-11);
  EXPECT_NEAR(sum_of_plaquettes(su3), 182.222428779858, 1e-11);
}

TEST(HeatBath, RefusesACouplingThatIsNone) {
  const GaugeLattice lattice(Geometry({4, 4}));
  EXPECT_EQ(sentence_of([&] { HeatBath<2>(lattice, -1, {}); }),
            "The heat bath needs a finite beta >= 0, not -1.000000.");
  EXPECT_NE(sentence_of([&] { HeatBath<3>(lattice, std::nan(""), {}); }), "");
}

}  // namespace
}  // namespace flowloom
