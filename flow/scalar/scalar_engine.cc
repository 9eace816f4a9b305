#include "flow/scalar/scalar_engine.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <optional>

#include "flow/affine.h"
#include "flow/machine.h"
#include "flow/scalar/free_field.h"
#include "flow/scalar/network.h"
#include "spec/error.h"

namespace flowloom {
namespace {

using scalar::kLanes;
using Lanes = std::array<double, kLanes>;

template <class Theory, class Real>
class ScalarModel final : public Model {
 public:
  ScalarModel(const Theory& theory, const AffineCouplingFlow& architecture, std::span<const double> weights)
      : theory_(theory), volume_(theory.geometry().sites()), z2_(architecture.z2()) {
    const Geometry& geometry = theory.geometry();
    for (std::size_t x = 0; x < volume_; ++x) {
      const auto site = static_cast<std::uint32_t>(x);
      all_.push_back(site);
      sites_[static_cast<std::size_t>(geometry.parity(x))].push_back(site);
    }
    for (std::size_t mu = 0; mu < geometry.dimensions(); ++mu) forward_.push_back(geometry.forward(mu));
    if (architecture.prior() == Prior::kFreeField) {
      prior_.emplace(geometry, std::exp(weights.front()));
      weights = weights.subspan(1);
    }
    for (std::size_t conv = 0; conv < architecture.convolutions(); ++conv) {
      stencils_.emplace_back(geometry, architecture.kernel(), architecture.dilation(conv));
    }
    for (std::size_t layer = 0; layer < architecture.layers(); ++layer) {
      networks_.emplace_back(architecture, stencils_, weights);
    }
    if (architecture.rescales()) log_scale_ = weights.front();
  }

  Draws draw(NoiseKey key, Purpose purpose, std::uint64_t first, std::size_t count) const override {
    Draws draws;
    draws.log_p.resize(count);
    draws.log_q.resize(count);
    draws.sums.resize(Theory::kSums * count);
    draws.fields.resize(count * volume_);
    Block block(*this);
    std::vector<double> noise(volume_);
    for (std::size_t begin = 0; begin < count; begin += kLanes) {
      const std::size_t n = std::min(kLanes, count - begin);
      for (std::size_t lane = 0; lane < n; ++lane) {
        fill_normal(key, purpose, first + begin + lane, noise);
        block.put(lane, noise);
      }
      const Lanes log_noise = noise_log_density(block.field);
      const Lanes log_det = forward(block);
      const std::array<Lanes, Theory::kSums> sums = lattice_sums(block.field);
      const Lanes log_p = log_target(sums);
      for (std::size_t lane = 0; lane < n; ++lane) {
        const std::size_t i = begin + lane;
        for (std::size_t k = 0; k < Theory::kSums; ++k) draws.sums[k * count + i] = sums[k][lane];
        draws.log_p[i] = log_p[lane];
        draws.log_q[i] = log_noise[lane] - log_det[lane];
        block.get(lane, std::span(draws.fields).subspan(i * volume_, volume_));
      }
    }
    return draws;
  }

  Densities densities(std::span<const double> fields) const override {
    const std::size_t count = fields.size() / volume_;
    Densities densities{std::vector<double>(count), std::vector<double>(count), std::vector<double>(count)};
    Block block(*this);
    for (std::size_t begin = 0; begin < count; begin += kLanes) {
      const std::size_t n = std::min(kLanes, count - begin);
      for (std::size_t lane = 0; lane < n; ++lane) {
        block.put(lane, fields.subspan((begin + lane) * volume_, volume_));
      }
      const std::vector<double> given = block.field;
      const Lanes log_p = log_target(lattice_sums(block.field));
      const Lanes log_det = inverse(block);
      const Lanes log_noise = noise_log_density(block.field);
      forward(block);
      for (std::size_t lane = 0; lane < n; ++lane) {
        densities.log_p[begin + lane] = log_p[lane];
        densities.log_q[begin + lane] = log_noise[lane] + log_det[lane];
        double& largest = densities.round_trip[begin + lane];
        for (std::size_t x = 0; x < volume_; ++x) {
          const double gap = std::abs(block.field[x * kLanes + lane] - given[x * kLanes + lane]);
          if (gap > largest || std::isnan(gap)) largest = gap;
        }
      }
    }
    return densities;
  }

 private:
  static std::size_t active_parity(std::size_t layer) {
    return static_cast<std::size_t>(AffineCouplingFlow::active_parity(layer));
  }

  // A block of samples; lanes without a sample hold zeros or a sample of an earlier block.
  struct Block {
    explicit Block(const ScalarModel& model) : field(model.volume_ * kLanes) {}

    void put(std::size_t lane, std::span<const double> values) {
      for (std::size_t x = 0; x < values.size(); ++x) field[x * kLanes + lane] = values[x];
    }
    void get(std::size_t lane, std::span<double> values) const {
      for (std::size_t x = 0; x < values.size(); ++x) values[x] = field[x * kLanes + lane];
    }

    std::vector<double> field;    // [site][lane]
    std::vector<double> s_and_t;  // [2][active site][lane]
    typename scalar::Network<Real>::Scratch scratch;
  };

  // The network's two outputs, [2][active site][lane], for the frozen variables times `sign`.
  const Real* evaluate(std::size_t layer, Block& block, Real sign) const {
    const std::size_t parity = active_parity(layer);
    auto& input = block.scratch.in;
    input.assign(volume_ * kLanes, Real{0});
    for (const std::size_t x : sites_[1 - parity]) {
      for (std::size_t i = x * kLanes; i < (x + 1) * kLanes; ++i) input[i] = sign * static_cast<Real>(block.field[i]);
    }
    return networks_[layer](all_, sites_[parity], block.scratch);
  }

  // Applies `change(variable, s, t)` to the active variables of one layer and returns the sum of its s.
  template <class Change>
  Lanes couple(std::size_t layer, Block& block, Change change) const {
    const auto& active = sites_[active_parity(layer)];
    const std::size_t half = active.size() * kLanes;  // numbers of s, and of t
    const Real* outputs = evaluate(layer, block, Real{1});
    auto& s_and_t = block.s_and_t;
    s_and_t.assign(outputs, outputs + 2 * half);
    if (z2_) {
      const Real* mirrored = evaluate(layer, block, Real{-1});
      for (std::size_t i = 0; i < half; ++i) s_and_t[i] = even_part(s_and_t[i], static_cast<double>(mirrored[i]));
      for (std::size_t i = half; i < 2 * half; ++i) s_and_t[i] = odd_part(s_and_t[i], static_cast<double>(mirrored[i]));
    }
    Lanes sum{};
    for (std::size_t i = 0; i < active.size(); ++i) {
      double* variables = &block.field[active[i] * kLanes];
      for (std::size_t lane = 0; lane < kLanes; ++lane) {
        const double s = s_and_t[i * kLanes + lane];
        variables[lane] = change(variables[lane], s, s_and_t[half + i * kLanes + lane]);
        sum[lane] += s;
      }
    }
    return sum;
  }

  // Noise to field; returns log_det of this map.
  Lanes forward(Block& block) const {
    Lanes log_det{};
    if (prior_) {
      prior_->forward(block.field);
      log_det.fill(prior_->log_det());
    }
    for (std::size_t layer = 0; layer < networks_.size(); ++layer) {
      const Lanes sum = couple(layer, block, affine_forward<double>);
      for (std::size_t lane = 0; lane < kLanes; ++lane) log_det[lane] += sum[lane];
    }
    rescale(block, log_scale_, log_det);
    return log_det;
  }

  // Field to noise; returns log_det of this map.
  Lanes inverse(Block& block) const {
    Lanes log_det{};
    rescale(block, -log_scale_, log_det);
    for (std::size_t layer = networks_.size(); layer-- > 0;) {
      const Lanes sum = couple(layer, block, affine_inverse<double>);
      for (std::size_t lane = 0; lane < kLanes; ++lane) log_det[lane] -= sum[lane];
    }
    if (prior_) {
      prior_->inverse(block.field);
      for (double& value : log_det) value -= prior_->log_det();
    }
    return log_det;
  }

  void rescale(Block& block, double log_scale, Lanes& log_det) const {
    if (log_scale == 0) return;
    for (double& value : block.field) value *= std::exp(log_scale);
    for (double& value : log_det) value += log_scale * static_cast<double>(volume_);
  }

  Lanes noise_log_density(const std::vector<double>& z) const {
    Lanes sum{};
    for (std::size_t x = 0; x < volume_; ++x) {
      for (std::size_t lane = 0; lane < kLanes; ++lane) sum[lane] += normal_log_density(z[x * kLanes + lane]);
    }
    for (double& value : sum) value -= kLogSqrtTwoPi * static_cast<double>(volume_);
    return sum;
  }

  std::array<Lanes, Theory::kSums> lattice_sums(const std::vector<double>& field) const {
    std::array<Lanes, Theory::kSums> sums{};
    for (std::size_t x = 0; x < volume_; ++x) {
      for (std::size_t lane = 0; lane < kLanes; ++lane) {
        double forward_sum = 0;
        for (const auto& table : forward_) forward_sum += field[static_cast<std::size_t>(table[x]) * kLanes + lane];
        const auto local = Theory::densities(field[x * kLanes + lane], forward_sum);
        for (std::size_t k = 0; k < Theory::kSums; ++k) sums[k][lane] += local[k];
      }
    }
    return sums;
  }

  Lanes log_target(const std::array<Lanes, Theory::kSums>& sums) const {
    Lanes log_p;
    for (std::size_t lane = 0; lane < kLanes; ++lane) {
      std::array<double, Theory::kSums> own;
      for (std::size_t k = 0; k < Theory::kSums; ++k) own[k] = sums[k][lane];
      log_p[lane] = -theory_.action(own);
    }
    return log_p;
  }

  Theory theory_;
  std::size_t volume_;
  bool z2_;
  std::vector<std::uint32_t> all_;
  std::array<std::vector<std::uint32_t>, 2> sites_;  // by parity
  std::vector<std::vector<std::int64_t>> forward_;   // [mu][site]
  std::optional<scalar::FreeField> prior_;           // nothing: normal
  std::vector<scalar::Stencil> stencils_;            // [convolution]
  std::vector<scalar::Network<Real>> networks_;
  double log_scale_ = 0;
};

class ScalarEngine final : public Engine {
 public:
  std::string name() const override { return "scalar"; }
  std::string build() const override { return "scalar 1, " + machine_build(); }

  std::unique_ptr<Model> model(const AnyTheory& any_theory, const AffineCouplingFlow& architecture,
                               std::span<const double> weights, Precision precision) const override {
    architecture.refuse_other_count(weights.size());
    return std::visit(
        [&]<class Theory>(const Theory& theory) -> std::unique_ptr<Model> {
          if (precision == Precision::kMixed) {
            return std::make_unique<ScalarModel<Theory, float>>(theory, architecture, weights);
          }
          return std::make_unique<ScalarModel<Theory, double>>(theory, architecture, weights);
        },
        any_theory);
  }

  bool trains() const override { return false; }

  std::unique_ptr<Objective> objective(const AnyTheory&, const AffineCouplingFlow&, Precision) const override {
    throw Error(ErrorCode::kInvalidInput, "The scalar engine cannot train; use engine = \"torch\".");
  }
};

}  // namespace

std::shared_ptr<const Engine> scalar_engine() { return std::make_shared<ScalarEngine>(); }

}  // namespace flowloom
