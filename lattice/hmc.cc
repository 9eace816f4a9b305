#include "lattice/hmc.h"

#include <algorithm>
#include <cmath>
#include <string>
#include <utility>

#include "math/elementary.h"
#include "spec/error.h"

namespace flowloom {
namespace {

constexpr int kMaxSteps = 10000;
constexpr double kOmelyanLambda = 0.1931833275037836;

double kinetic_energy(std::span<const double> momenta) {
  double sum = 0;
  for (const double pi : momenta) sum += pi * pi;
  return 0.5 * sum;
}

}  // namespace

void integrate(const HmcAction& action, Integrator integrator, double length, int steps, std::span<double> field,
               std::span<double> momenta) {
  const double eps = length / steps;
  std::vector<double> slopes(field.size());
  const auto kick = [&](double time) {
    action.slopes(field, slopes);
    for (std::size_t k = 0; k < field.size(); ++k) momenta[k] -= time * slopes[k];
  };
  const auto drift = [&](double time) {
    for (std::size_t k = 0; k < field.size(); ++k) field[k] += time * momenta[k];
  };
  // The last kick of a step and the first of the next are one.
  const double outer = (integrator == Integrator::kOmelyan ? kOmelyanLambda : 0.5) * eps;
  kick(outer);
  for (int step = 1; step <= steps; ++step) {
    if (integrator == Integrator::kOmelyan) {
      drift(0.5 * eps);
      kick((1 - 2 * kOmelyanLambda) * eps);
      drift(0.5 * eps);
    } else {
      drift(eps);
    }
    kick(step < steps ? 2 * outer : outer);
  }
}

double hamiltonian(const HmcAction& action, std::span<const double> field, std::span<const double> momenta) {
  return kinetic_energy(momenta) + action.action(field);
}

Hmc::Hmc(std::unique_ptr<const HmcAction> action, HmcOptions options, NoiseKey key)
    : action_(std::move(action)),
      options_(options),
      key_(key),
      field_(action_->variables(), 0.0),
      proposal_(field_.size()),
      momenta_(field_.size()) {
  if (!(options.length > 0) || !std::isfinite(options.length)) {
    throw Error(ErrorCode::kInvalidInput,
                "A trajectory of HMC needs a finite length above 0, not " + std::to_string(options.length) + ".");
  }
  if (options.steps < 1 || options.steps > kMaxSteps) {
    throw Error(ErrorCode::kInvalidInput, "A trajectory of HMC has 1 to " + std::to_string(kMaxSteps) + " steps, not " +
                                              std::to_string(options.steps) + ".");
  }
  action_of_field_ = action_->action(field_);
}

Hmc::Trajectory Hmc::trajectory() {
  const std::uint64_t index = trajectories_++;
  fill_normal(key_, Purpose::kReferenceChain, index, momenta_);
  const auto next_draw = static_cast<std::uint32_t>((momenta_.size() + 1) / 2);
  const double log_u = log(uniforms(key_, Purpose::kReferenceChain, index, next_draw)[0]);

  const double before = kinetic_energy(momenta_) + action_of_field_;
  proposal_ = field_;
  integrate(*action_, options_.integrator, options_.length, options_.steps, proposal_, momenta_);
  const double action = action_->action(proposal_);
  const double delta_h = kinetic_energy(momenta_) + action - before;
  const bool accepted = log_u <= -delta_h;  // not if it is a NaN
  if (accepted) {
    std::swap(field_, proposal_);
    action_of_field_ = action;
  }
  return {delta_h, accepted};
}

// The probability of rejection goes like eps^2 where it is small (acceptance = erfc(sqrt(<dH>) / 2), and <dH> ~ eps^4):
// by that law short blocks find the size in the first half. Where the integrator becomes unstable it is steeper, so in
// the second half the number follows each trajectory by less and less (Robbins and Monro, Ann. Math. Statist. 22 (1951)
// 400). A tenth is added in the end: few steps are a coarse scale, and what hovers between two numbers is to end at the
// larger one.
void Hmc::thermalise(std::size_t trajectories) {
  constexpr std::size_t kBlock = 20;
  constexpr double kTarget = 1 - kTargetAcceptance;
  constexpr double kGain = 0.5 / kTarget;  // what Newton's step would be, by that law
  double wanted = options_.steps;
  double in_block = 0;
  for (std::size_t t = 1; t <= trajectories; ++t) {
    const double delta_h = trajectory().delta_h;
    const double rejection = delta_h <= 0 ? 0 : std::isfinite(delta_h) ? 1 - exp(-delta_h) : 1;
    in_block += rejection;
    if (2 * t > trajectories) {
      wanted *= exp(kGain / (static_cast<double>(t - trajectories / 2) + 10) * (rejection - kTarget));
    } else if (t % kBlock == 0) {
      wanted *= std::clamp(std::sqrt(in_block / (kBlock * kTarget)), 0.5, 2.0);
      in_block = 0;
    }
    wanted = std::clamp(t < trajectories ? wanted : 1.1 * wanted, 1.0, static_cast<double>(kMaxSteps));
    options_.steps = static_cast<int>(std::ceil(wanted));
  }
}

}  // namespace flowloom
