// Fields of SU(2) and SU(3) links, flat as lattice/su.h lays them out, to test with.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "group_cases.h"
#include "lattice/geometry.h"
#include "theory_cases.h"

namespace flowloom {

// Also on lattices that no run file can name, of more dimensions than two.
inline AnyTheory su_theory(int colours, const std::vector<std::int64_t>& lattice, double beta) {
  const Section section("[theory]", {{"lattice", lattice}, {"beta", beta}}, nlohmann::json::object());
  if (colours == 2) return Su2Gauge(section);
  return Su3Gauge(section);
}

template <int N>
Group<N> link_of(const Geometry& geometry, std::span<const double> field, std::size_t mu, std::size_t x) {
  const auto entry = [&](std::size_t k) { return field[(mu * 2 * N * N + k) * geometry.sites() + x]; };
  Group<N> link;
  for (std::size_t k = 0; k < N * N; ++k) link.at[k / N][k % N] = {entry(2 * k), entry(2 * k + 1)};
  return link;
}

template <int N>
void put_link(const Geometry& geometry, std::span<double> field, std::size_t mu, std::size_t x, const Group<N>& link) {
  const auto entry = [&](std::size_t k) -> double& { return field[(mu * 2 * N * N + k) * geometry.sites() + x]; };
  for (std::size_t k = 0; k < N * N; ++k) {
    entry(2 * k) = link.at[k / N][k % N].re;
    entry(2 * k + 1) = link.at[k / N][k % N].im;
  }
}

// Links from `link(mu, x)`.
template <int N, class Link>
std::vector<double> su_field(const Geometry& geometry, Link link) {
  std::vector<double> field(geometry.dimensions() * 2 * N * N * geometry.sites());
  for (std::size_t mu = 0; mu < geometry.dimensions(); ++mu) {
    for (std::size_t x = 0; x < geometry.sites(); ++x) put_link<N>(geometry, field, mu, x, link(mu, x));
  }
  return field;
}

// Independent links of the Haar measure.
template <int N>
std::vector<double> random_su_field(const Geometry& geometry, std::uint64_t number) {
  return su_field<N>(geometry, [&](std::size_t mu, std::size_t x) {
    return random_group<N>((number << 32) + mu * geometry.sites() + x);
  });
}

// U_mu(x) -> W(x) U_mu(x) W(x+mu)^dagger
template <int N>
std::vector<double> su_gauge_transformed(const Geometry& geometry, std::span<const double> field,
                                         std::uint64_t number) {
  std::vector<Group<N>> at;
  for (std::size_t x = 0; x < geometry.sites(); ++x) at.push_back(random_group<N>((~number << 32) + x));
  return su_field<N>(geometry, [&](std::size_t mu, std::size_t x) {
    const auto ahead = static_cast<std::size_t>(geometry.forward(mu)[x]);
    return times_adjoint(at[x] * link_of<N>(geometry, field, mu, x), at[ahead]);
  });
}

}  // namespace flowloom
