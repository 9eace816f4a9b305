// What HMC needs of a theory: its action and the slope of that in every variable.
//
// Pure: one action may serve any number of chains and threads.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <span>
#include <utility>
#include <vector>

#include "lattice/cursor.h"
#include "lattice/linear_action.h"
#include "lattice/sums.h"

namespace flowloom {

class HmcAction {
 public:
  virtual ~HmcAction() = default;
  virtual std::size_t variables() const = 0;
  virtual double action(std::span<const double> field) const = 0;

  // dS / d field: minus the force.
  virtual void slopes(std::span<const double> field, std::span<double> out) const = 0;
};

// A theory (lattice/theories.h) in plain numbers, from its sums (lattice/sums.h). Field: [component][site].
template <class Theory>
class TheoryAction final : public HmcAction {
 public:
  explicit TheoryAction(const Theory& theory)
      : action_(theory.action()), components_(theory.components()), neighbours_(theory.geometry()), global_(theory) {}

  std::size_t variables() const override { return components_ * neighbours_.steps().sites; }

  // What the log keeps of a configuration.
  std::array<double, Theory::kSums> sums(std::span<const double> field) const {
    return first_sums<Theory::kSums>(field);
  }

  double action(std::span<const double> field) const override {
    return action_.of(first_sums<decltype(action_)::kUsedSums>(field));
  }

  void slopes(std::span<const double> field, std::span<double> out) const override {
    const std::size_t sites = neighbours_.steps().sites;
    std::fill(out.begin(), out.end(), 0.0);
    for_each_site(field, [&](const auto& x) {
      LocalDensities<Theory>::pull_back(x, action_.template slopes_from<kLocal>(0),
                                        [&](const auto& place, std::size_t component, double slope) {
                                          out[component * sites + place.site()] += slope;
                                        });
    });
    if constexpr (kGlobal > 0) {
      std::vector<double> work(global_.cells_for_slopes());
      global_.template pull_back<double>(
          action_.template slopes_from<kGlobal>(kLocal), ReadNumbers{field.data(), sites}, work.data(),
          [&](std::size_t component, std::size_t site, double slope) { out[component * sites + site] += slope; });
    }
  }

 private:
  static constexpr std::size_t kLocal = kLocalSums<Theory>, kGlobal = GlobalSums<Theory>::kCount;

  struct ReadNumbers {
    const double* field;
    std::size_t sites;
    double operator()(std::size_t component, std::size_t site) const { return field[component * sites + site]; }
  };

  template <class Visit>
  void for_each_site(std::span<const double> field, Visit visit) const {
    const Steps steps = neighbours_.steps();
    for (std::size_t x = 0; x < steps.sites; ++x) visit(Cursor(ReadNumbers{field.data(), steps.sites}, steps, x));
  }

  // The others are 0: what only they need, the compiler leaves out.
  template <std::size_t kCount>
  std::array<double, Theory::kSums> first_sums(std::span<const double> field) const {
    std::array<double, Theory::kSums> sums{};
    for_each_site(field, [&](const auto& x) {
      const auto local = LocalDensities<Theory>::at(x);
      for (std::size_t k = 0; k < std::min(kCount, kLocal); ++k) sums[k] += local[k];
    });
    if constexpr (kGlobal > 0) {
      std::vector<double> work(global_.cells_for_sums());
      const auto found = global_.template at<double>(ReadNumbers{field.data(), neighbours_.steps().sites}, work.data());
      std::ranges::copy(found, sums.begin() + kLocal);
    }
    return sums;
  }

  decltype(std::declval<const Theory&>().action()) action_;
  std::size_t components_;
  Neighbours neighbours_;
  GlobalSums<Theory> global_;
};

}  // namespace flowloom
