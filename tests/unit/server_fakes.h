// An engine whose training can be computed by hand, for the trainer's tests: no LibTorch, hardly any time.
//
// Weight i is pulled to kTarget with a little noise of its own: the gradient of sample k is
//   w_i - kTarget + 0.1 eps(first + k)
// for reverse_kl, w_i - (the sample's first variable) for forward_kl, whose log_w is the sample's second variable. A
// draw has log_w = d n, where d is the weights' root mean square distance from kTarget and n is standard normal, so
// that the ESS is exp(-d^2) up to fluctuations.
#pragma once

#include <atomic>
#include <cmath>
#include <functional>
#include <limits>
#include <memory>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "flow/catalog.h"
#include "flow/engine.h"
#include "server/trainer.h"
#include "support.h"
#include "temporary_directory.h"

namespace flowloom {

inline constexpr double kTarget = 1.0;
inline constexpr double kPathMark = 3;     // added to weight 0's gradient unless it is the reparameterised one
inline constexpr std::size_t kSites = 16;  // of `training_run`'s lattice

class FakeEngine final : public Engine {
 public:
  std::function<void(std::uint64_t first, Gradient&)> disturb_gradient = [](std::uint64_t, Gradient&) {};
  std::function<void(std::uint64_t first, Draws&)> disturb_draws = [](std::uint64_t, Draws&) {};
  std::function<void(Draws&)> disturb_gate_draws = [](Draws&) {};
  std::atomic<double> round_trip = 0;  // of every field

  std::string name() const override { return "fake"; }
  std::string build() const override { return "fake 1"; }
  std::string device() const override { return "cpu"; }

  std::unique_ptr<Model> model(const AnyTheory&, const AnyFlow&, std::span<const double> weights,
                               Precision) const override {
    double square = 0;
    for (const double w : weights) square += (w - kTarget) * (w - kTarget);
    return std::make_unique<FakeModel>(*this, std::sqrt(square / static_cast<double>(weights.size())));
  }

  std::unique_ptr<Objective> objective(const AnyTheory&, const AnyFlow&, Precision) const override {
    return std::make_unique<FakeObjective>(*this);
  }

 private:
  struct FakeModel final : Model {
    FakeModel(const FakeEngine& e, double d) : engine(e), distance(d) {}

    Draws draw(NoiseKey key, Purpose purpose, std::uint64_t first, std::size_t count, Fields fields) const override {
      Draws draws;
      if (fields == Fields::kKept) draws.fields.resize(count * kSites);
      for (std::size_t k = 0; k < count; ++k) {
        double n[1];
        fill_normal(key, purpose, first + k, n);
        draws.log_p.push_back(distance * n[0]);
        draws.log_q.push_back(0);
      }
      engine.disturb_draws(first, draws);
      if (purpose == Purpose::kGate) engine.disturb_gate_draws(draws);
      return draws;
    }
    Densities densities(std::span<const double> fields) const override {
      const std::vector<double> zeros(fields.size() / kSites);
      Densities densities{zeros, zeros, std::vector<double>(zeros.size(), engine.round_trip)};
      for (std::size_t k = 0; k < zeros.size(); ++k) densities.log_p[k] = distance * fields[k * kSites + 1];
      return densities;
    }

    const FakeEngine& engine;
    double distance;
  };

  struct FakeObjective final : Objective {
    explicit FakeObjective(const FakeEngine& e) : engine(e) {}

    Gradient forward_kl(std::span<const double> weights, std::span<const double> fields) const override {
      Gradient gradient{std::vector<double>(weights.size()), {}};
      for (std::size_t k = 0; k < fields.size() / kSites; ++k) {
        for (std::size_t i = 0; i < weights.size(); ++i) gradient.sum[i] += weights[i] - fields[k * kSites];
        gradient.log_w.push_back(fields[k * kSites + 1]);
      }
      return gradient;
    }
    Gradient reverse_kl(Estimator estimator, std::span<const double> weights, NoiseKey key, std::uint64_t first,
                        std::size_t count) const override {
      Gradient gradient{std::vector<double>(weights.size()), {}};
      for (std::size_t k = 0; k < count; ++k) {
        std::vector<double> eps(weights.size());
        fill_normal(key, Purpose::kTrain, first + k, eps);
        for (std::size_t i = 0; i < eps.size(); ++i) gradient.sum[i] += weights[i] - kTarget + 0.1 * eps[i];
        gradient.log_w.push_back(eps[0]);
        if (estimator != Estimator::kReparameterised) gradient.sum[0] += kPathMark;
      }
      engine.disturb_gradient(first, gradient);
      return gradient;
    }

    const FakeEngine& engine;
  };
};

// A small run; `more` goes below its sections: "[train]\nbatch = 8\n".
inline RunSpec training_run(const std::string& train = "", const std::string& chain = "", const std::string& run = "",
                            const std::string& theory = "lambda = 0.5\n") {
  return load_run_text("[run]\nname = \"test\"\nunit = 16\n" + run +
                           "[theory]\nkind = \"phi4\"\nlattice = [4, 4]\nm2 = -0.5\n" + theory +
                           "[flow]\nkind = \"affine-coupling\"\nlayers = 2\nhidden = [2]\n" +
                           "[train]\nbatch = 32\ngradient_unit = 4\nevaluate_every = 10\nevaluate_samples = 300\n" +
                           "learning_rate = 0.05\n" + train + "[chain]\nlength = 100\n" + chain,
                       "test.toml");
}

// Bit for bit, NaN being equal to NaN.
inline void expect_same(const TrainerState& a, const TrainerState& b) {
  std::vector<std::pair<std::string, double>> numbers;
  visit_numbers(a, [&](const char* name, auto value) { numbers.emplace_back(name, static_cast<double>(value)); });
  auto next = numbers.begin();
  visit_numbers(b, [&](const char* name, auto value) {
    const auto other = static_cast<double>(value);
    EXPECT_TRUE(next->second == other || (std::isnan(next->second) && std::isnan(other)))
        << name << ": " << next->second << ", " << other;
    ++next;
  });
  const auto arrays = arrays_of(a), others = arrays_of(b);
  for (std::size_t i = 0; i < arrays.size(); ++i) EXPECT_EQ(*arrays[i].second, *others[i].second) << arrays[i].first;
}

}  // namespace flowloom
