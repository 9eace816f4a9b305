#include "lattice/measurements.h"

#include <algorithm>
#include <string>

namespace flowloom {
namespace {

// The quantities of a correlator at times t <= T/2.
std::vector<Quantity> correlator(const std::string& name, const std::string& symbol, const std::string& sentence,
                                 std::size_t extent) {
  std::vector<Quantity> quantities;
  for (std::size_t t = 0; t <= extent / 2; ++t) {
    const std::string number = std::to_string(t);
    quantities.push_back({name + "_" + number, symbol + "(" + number + ")", sentence + " at t = " + number});
  }
  return quantities;
}

// Of all T times, those t <= T/2, averaged with T - t.
std::vector<double> folded(const std::vector<double>& values) {
  const std::size_t extent = values.size();
  std::vector<double> half;
  for (std::size_t t = 0; t <= extent / 2; ++t) half.push_back((values[t] + values[(extent - t) % extent]) / 2);
  return half;
}

template <class Theory>
Measurements measurements_of(const Theory&) {
  return {};
}

Measurements measurements_of(const Phi4& theory) {
  const std::size_t sites = theory.geometry().sites();
  const auto extent = static_cast<std::size_t>(theory.geometry().extents().back());
  return {correlator("correlator", "G", "two-point function at zero momentum", extent),
          [=](std::span<const double> field) {
            std::vector<double> slices(extent), values(extent);
            for (std::size_t x = 0; x < sites; ++x) slices[x % extent] += field[x];
            for (std::size_t t = 0; t < extent; ++t) {
              for (std::size_t t0 = 0; t0 < extent; ++t0) values[t] += slices[t0] * slices[(t0 + t) % extent];
              values[t] /= static_cast<double>(sites);
            }
            return folded(values);
          }};
}

Measurements measurements_of(const Schwinger& theory) {
  const Wilson2d wilson = theory.wilson();
  std::vector<Quantity> quantities = correlator("pion", "π", "pion's correlator", wilson.time());
  quantities.insert(quantities.begin(), {"condensate", "⟨ψ̄ψ⟩", "chiral condensate of one flavour, -(1/V) Re tr D^-1"});
  return {std::move(quantities), [=](std::span<const double> field) {
            using Solver = Wilson2dSolver<double>;
            const std::size_t links = field.size();
            std::vector<double> cos(links), sin(links), slopes(links), correlator(wilson.time());
            for (std::size_t link = 0; link < links; ++link) {
              const auto turned = turn_of_angle(field[link]);
              cos[link] = turned.cos;
              sin[link] = turned.sin;
            }
            std::vector<double> work(
                std::max(wilson.workspace(Wilson2dUse::kSlopes), wilson.workspace(Wilson2dUse::kPion)));
            const double by_mass = Solver::slopes(wilson, cos.data(), sin.data(), work.data(), slopes.data()).by_mass;
            Solver::pion(wilson, cos.data(), sin.data(), work.data(), correlator.data());
            std::vector<double> values = folded(correlator);
            values.insert(values.begin(), -by_mass / static_cast<double>(wilson.sites()));
            return values;
          }};
}

}  // namespace

Measurements theory_measurements(const AnyTheory& theory) {
  return std::visit([](const auto& own) { return measurements_of(own); }, theory);
}

}  // namespace flowloom
