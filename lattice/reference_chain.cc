#include "lattice/reference_chain.h"

#include <algorithm>
#include <cmath>
#include <sstream>
#include <utility>
#include <vector>

#include "lattice/heat_bath.h"
#include "math/angle.h"
#include "spec/error.h"

namespace flowloom {
namespace {

// An angle in [0, 2 pi).
double reduced(double angle) {
  const double rest = angle - kTwoPi * std::floor(angle / kTwoPi);
  return rest >= 0 && rest < kTwoPi ? rest : 0;
}

class HmcReference final : public ReferenceChain {
 public:
  HmcReference(std::unique_ptr<const HmcAction> action, const HmcOptions& options, NoiseKey key, FieldType type)
      : hmc_(std::move(action), options, key), options_(options), type_(type) {
    take_field();
  }

  void thermalise(std::size_t steps) override {
    hmc_.thermalise(steps);
    steps_ = accepted_ = 0;
    take_field();
  }

  void step() override {
    accepted_ += hmc_.trajectory().accepted ? 1 : 0;
    ++steps_;
    take_field();
  }

  std::span<const double> field() const override { return field_; }
  double acceptance() const override {
    return steps_ == 0 ? 1 : static_cast<double>(accepted_) / static_cast<double>(steps_);
  }

  std::string algorithm() const override {
    std::ostringstream text;
    text << "HMC, " << (options_.integrator == Integrator::kOmelyan ? "2MN" : "leapfrog") << ", " << hmc_.steps()
         << " steps in a trajectory of length " << options_.length;
    return text.str();
  }

 private:
  void take_field() {
    field_.assign(hmc_.field().begin(), hmc_.field().end());
    if (type_ == FieldType::kAngle) std::transform(field_.begin(), field_.end(), field_.begin(), reduced);
  }

  Hmc hmc_;
  HmcOptions options_;
  FieldType type_;
  std::vector<double> field_;
  std::size_t steps_ = 0, accepted_ = 0;
};

template <std::size_t N>
class HeatBathReference final : public ReferenceChain {
 public:
  HeatBathReference(GaugeLattice lattice, double beta, std::size_t overrelaxations, NoiseKey key)
      : heat_bath_(std::move(lattice), beta, key), overrelaxations_(overrelaxations) {
    take_field();
  }

  void thermalise(std::size_t steps) override {
    for (std::size_t i = 0; i < steps; ++i) heat_bath_.sweep(overrelaxations_);
    take_field();
  }

  void step() override { thermalise(1); }
  std::span<const double> field() const override { return field_; }
  double acceptance() const override { return 1; }

  std::string algorithm() const override {
    return "heat bath with " + std::to_string(overrelaxations_) + " sweep" + (overrelaxations_ == 1 ? "" : "s") +
           " of overrelaxation";
  }

 private:
  void take_field() {
    field_.clear();
    if constexpr (N == 1) {
      for (const LinkMatrix<N>& u : heat_bath_.links()) {
        // The C library's arc tangent, whose last digit may differ between systems: the chain itself does not use it.
        field_.push_back(reduced(std::atan2(u.im(0, 0), u.re(0, 0))));
      }
    } else {
      const GaugeLattice& lattice = heat_bath_.lattice();
      for (std::size_t mu = 0; mu < lattice.dimensions(); ++mu) {
        for (std::size_t k = 0; k < LinkMatrix<N>::kDoubles; ++k) {
          for (std::size_t x = 0; x < lattice.sites(); ++x) {
            field_.push_back(heat_bath_.links()[lattice.link(mu, x)].entries[k]);
          }
        }
      }
    }
  }

  HeatBath<N> heat_bath_;
  std::size_t overrelaxations_;
  std::vector<double> field_;
};

}  // namespace

std::unique_ptr<ReferenceChain> hmc_reference(std::unique_ptr<const HmcAction> action, FieldType type,
                                              const HmcOptions& options, NoiseKey key) {
  return std::make_unique<HmcReference>(std::move(action), options, key, type);
}

std::unique_ptr<ReferenceChain> heat_bath_reference(int colours, GaugeLattice lattice, double beta,
                                                    std::size_t overrelaxations, NoiseKey key) {
  switch (colours) {
    case 1:
      return std::make_unique<HeatBathReference<1>>(std::move(lattice), beta, overrelaxations, key);
    case 2:
      return std::make_unique<HeatBathReference<2>>(std::move(lattice), beta, overrelaxations, key);
    case 3:
      return std::make_unique<HeatBathReference<3>>(std::move(lattice), beta, overrelaxations, key);
    default:
      throw Error(ErrorCode::kInvalidInput, "The heat bath is for U(1) (1 colour), SU(2) and SU(3), not for " +
                                                std::to_string(colours) + " colours.");
  }
}

}  // namespace flowloom
