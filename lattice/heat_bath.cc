#include "lattice/heat_bath.h"

#include <cmath>
#include <string>
#include <utility>

#include "lattice/link_update.h"
#include "lattice/noise_stream.h"
#include "spec/error.h"

namespace flowloom {

template <std::size_t N>
HeatBath<N>::HeatBath(GaugeLattice lattice, double beta, NoiseKey key)
    : lattice_(std::move(lattice)), beta_(beta), key_(key), links_(lattice_.links(), LinkMatrix<N>::identity()) {
  if (!(beta >= 0) || !std::isfinite(beta)) {
    throw Error(ErrorCode::kInvalidInput, "The heat bath needs a finite beta >= 0, not " + std::to_string(beta) + ".");
  }
}

// The sum of the staples that close U_mu(x) to the plaquettes it is in: S = -(beta / N) Re tr(U_mu(x) A) + terms
// without it. With y = x + mu:
//   A = sum_nu  U_nu(y) U_mu(x+nu)^dagger U_nu(x)^dagger  +  U_nu(y-nu)^dagger U_mu(x-nu)^dagger U_nu(x-nu)
template <std::size_t N>
LinkMatrix<N> HeatBath<N>::staples(std::size_t mu, std::size_t x) const {
  const auto at = [&](std::size_t direction, std::size_t site) -> const LinkMatrix<N>& {
    return links_[lattice_.link(direction, site)];
  };
  LinkMatrix<N> sum;
  const std::size_t y = lattice_.forward(mu, x);
  for (const std::size_t nu : lattice_.partners(mu)) {
    const std::size_t below = lattice_.backward(nu, x);
    sum += at(nu, y) * adjoint(at(nu, x) * at(mu, lattice_.forward(nu, x)));
    sum += adjoint(at(mu, below) * at(nu, lattice_.backward(nu, y))) * at(nu, below);
  }
  return sum;
}

template <std::size_t N>
template <class Update>
void HeatBath<N>::update_all(Update update) {
  for (std::size_t mu = 0; mu < lattice_.dimensions(); ++mu) {
    for (const std::size_t x : lattice_.checkerboard()) update(links_[lattice_.link(mu, x)], staples(mu, x));
  }
}

template <std::size_t N>
void HeatBath<N>::sweep(std::size_t overrelaxations) {
  update_all([&](LinkMatrix<N>& u, const LinkMatrix<N>& a) {
    NoiseStream noise(key_, Purpose::kReferenceChain, updates_++);
    heat_bath(u, a, beta_, noise);
  });
  for (std::size_t i = 0; i < overrelaxations; ++i) {
    update_all([](LinkMatrix<N>& u, const LinkMatrix<N>& a) { overrelax(u, a); });
  }
  for (LinkMatrix<N>& u : links_) reunitarise(u);
}

template class HeatBath<1>;
template class HeatBath<2>;
template class HeatBath<3>;

}  // namespace flowloom
