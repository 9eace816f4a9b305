// A flow on a device: the order in which the bodies (flow/cuda/bodies.h) run and what they run on.
//
// A Device has, besides a constructor,
//
//   Array<T>                         numbers on the device: data(), size()
//   Array<T> upload(vector<T>)       a copy;   Array<T> allocate(count)
//   vector<T> download(Array<T>, n)  the first n, once all bodies have run
//   write(Array<T>, span<T>)         overwrites the first numbers
//   copy(T*, n, Array<T>)            the same from the device
//   for_each(items, samples, body)   body(item, sample) for each, after what was asked for before
//   batch(bytes per sample)          samples at once
//
// Threads: calls take turns, because they share the device's arrays.
#pragma once

#include <algorithm>
#include <mutex>
#include <optional>
#include <utility>
#include <vector>

#include "flow/cuda/bodies.h"
#include "flow/engine.h"

namespace flowloom::cuda {

template <class Device, class Theory, class Real>
class DeviceModel final : public Model {
 public:
  DeviceModel(Device device, const Theory& theory, const AffineCouplingFlow& architecture,
              std::span<const double> weights)
      : device_(std::move(device)),
        theory_(theory),
        neighbours_(theory.geometry()),
        tables_(theory.geometry(), architecture),
        weights_(tables_, architecture, weights),
        z2_(architecture.z2()),
        forward_(device_.upload(neighbours_.forward())),
        backward_(device_.upload(neighbours_.backward())),
        extents_(device_.upload(neighbours_.extents())) {
    for (std::size_t mask = 0; mask < tables_.networks.masks.size(); ++mask) {
      frozen_.push_back(device_.upload(tables_.networks.masks[mask].inputs));
      active_.push_back(device_.upload(tables_.networks.masks[mask].outputs));
      auto& own = stencils_.emplace_back();
      for (const auto& stencils : tables_.networks.convolutions[mask]) {
        auto& uploaded = own.emplace_back();
        for (const lanes::Stencil& stencil : stencils) {
          uploaded.push_back({device_.upload(stencil.outputs), device_.upload(stencil.inputs)});
        }
      }
    }
    for (const auto& network : weights_.networks.networks) {
      auto& uploaded = networks_.emplace_back();
      for (const auto& convolution : network) {
        auto& own = uploaded.emplace_back();
        own.bias = device_.upload(convolution.bias);
        for (const auto& packed : convolution.weights) own.weights.push_back(device_.upload(packed));
      }
    }
    if (weights_.prior) {
      amplitude_ = device_.upload(weights_.prior->amplitude);
      for (const auto& matrix : tables_.basis->cas) cas_.push_back(device_.upload(matrix));
    }
  }

  Draws draw(NoiseKey key, Purpose purpose, std::uint64_t first, std::size_t count, Fields fields) const override {
    const std::lock_guard lock(mutex_);
    const Index volume = tables_.volume;
    Draws draws{std::vector<double>(count), std::vector<double>(count), std::vector<double>(Theory::kSums * count),
                std::vector<double>(fields == Fields::kKept ? count * volume : 0)};
    for (Index begin = 0; begin < count;) {
      const Index n = prepare(count - begin);
      Scratch& s = *scratch_;
      device_.for_each(
          (volume + 1) / 2, n,
          DrawNoise{key.words, static_cast<std::uint64_t>(purpose), first + begin, s.field.data(), volume, n});
      sum_noise(n);
      forward(n);
      device_.for_each(
          1, n, LogQ{s.noise_sum.data(), s.log_det.data(), normal_log_constant(tables_.volume), false, s.log_q.data()});
      sum_theory(n);
      put(s.log_q, n, draws.log_q.data() + begin);
      const std::vector<double> sums = device_.download(s.sums, Theory::kSums * n);
      for (Index k = 0; k < Theory::kSums; ++k) {
        for (Index i = 0; i < n; ++i) draws.sums[k * count + begin + i] = canonical(sums[k * n + i]);
      }
      for (Index i = begin; i < begin + n; ++i) draws.log_p[i] = log_target(theory_, draws.sums, count, i);
      if (fields == Fields::kKept) {
        device_.for_each(volume, n, Transpose{true, s.field.data(), s.callers.data(), volume, n});
        put(s.callers, n * volume, draws.fields.data() + begin * volume);
      }
      begin += n;
    }
    return draws;
  }

  Densities densities(std::span<const double> fields) const override {
    const std::lock_guard lock(mutex_);
    const Index volume = tables_.volume, count = fields.size() / volume;
    Densities densities{std::vector<double>(count), std::vector<double>(count), std::vector<double>(count)};
    std::vector<double> all_sums(Theory::kSums * count);
    for (Index begin = 0; begin < count;) {
      const Index n = prepare(count - begin);
      Scratch& s = *scratch_;
      device_.write(s.callers, fields.subspan(begin * volume, n * volume));
      device_.for_each(volume, n, Transpose{false, s.field.data(), s.callers.data(), volume, n});
      device_.for_each(volume, n, Transpose{false, s.given.data(), s.callers.data(), volume, n});
      sum_theory(n);
      const std::vector<double> sums = device_.download(s.sums, Theory::kSums * n);
      for (Index k = 0; k < Theory::kSums; ++k) {
        for (Index i = 0; i < n; ++i) all_sums[k * count + begin + i] = canonical(sums[k * n + i]);
      }
      for (Index i = begin; i < begin + n; ++i) densities.log_p[i] = log_target(theory_, all_sums, count, i);
      inverse(n);
      sum_noise(n);
      device_.for_each(
          1, n, LogQ{s.noise_sum.data(), s.log_det.data(), normal_log_constant(tables_.volume), true, s.log_q.data()});
      put(s.log_q, n, densities.log_q.data() + begin);
      forward(n);
      device_.for_each(1, n, LargestGap{s.field.data(), s.given.data(), volume, s.log_q.data(), n});
      put(s.log_q, n, densities.round_trip.data() + begin);
      begin += n;
    }
    return densities;
  }

 private:
  template <class T>
  using Array = typename Device::template Array<T>;

  struct StencilArrays {
    Array<std::uint32_t> outputs, inputs;
  };
  struct ConvolutionArrays {
    Array<Real> bias;
    std::vector<Array<Real>> weights;  // [stencil]
  };
  struct Scratch {
    Index samples;
    Array<double> field, other, given, callers;            // [site][sample], [sample][site]
    Array<Real> frozen, layers[2], mirrored;               // as flow/lanes/plan.h says
    Array<double> kept_s, partial;                         // [active site][sample], [sum][block][sample]
    Array<double> sums, noise_sum, s_sum, log_det, log_q;  // [sum][sample], [sample]
  };

  // Samples of the next turn, at most `wanted`, with arrays for them.
  Index prepare(Index wanted) const {
    const Index volume = tables_.volume;
    const Index bytes =
        (volume * (9 * sizeof(double) + (4 * weights_.networks.widest() + 3) * sizeof(Real))) / 2;  // docs/lanes.md
    const Index n = std::min(wanted, device_.batch(bytes));
    if (scratch_ && scratch_->samples >= n) return n;
    scratch_.reset();
    const auto reals = [&](Index rows) { return device_.template allocate<Real>(rows * n); };
    const auto doubles = [&](Index rows) { return device_.template allocate<double>(rows * n); };
    scratch_.emplace(Scratch{n,
                             doubles(volume),
                             doubles(weights_.prior ? volume : 0),
                             doubles(volume),
                             doubles(volume),
                             reals(volume / 2),
                             {reals(weights_.networks.widest() * volume), reals(weights_.networks.widest() * volume)},
                             reals(z2_ ? volume : 0),
                             doubles(volume / 2),
                             doubles(Theory::kSums * sum_blocks(volume)),
                             doubles(Theory::kSums),
                             doubles(1),
                             doubles(1),
                             doubles(1),
                             doubles(1)});
    return n;
  }

  // s and t of one layer for the frozen variables times `sign`, [active site][2][sample].
  const Real* evaluate(Index layer, Real sign, Index n) const {
    Scratch& s = *scratch_;
    const Index mask = tables_.networks.mask_of(layer);
    device_.for_each(tables_.networks.masks[mask].inputs.size(), n,
                     TakeFrozen<Real>{s.field.data(), frozen_[mask].data(), sign, s.frozen.data(), n});
    const Real* input = s.frozen.data();
    for (Index i = 0; i < networks_[layer].size(); ++i) {
      Real* output = s.layers[i % 2].data();
      for (Index k = 0; k < stencils_[mask][i].size(); ++k) convolve(layer, mask, i, k, input, output, n);
      input = output;
    }
    return input;
  }

  void convolve(Index layer, Index mask, Index i, Index k, const Real* input, Real* output, Index n) const {
    const auto& convolution = weights_.networks.networks[layer][i];
    const auto& stencil = tables_.networks.convolutions[mask][i][k];
    Index first = 0;
    const auto outputs = [&]<Index kOut>() {
      for (; first + kOut <= convolution.out; first += kOut) {
        device_.for_each(
            stencil.outputs.size(), n,
            Convolve<Real, kOut>{input, networks_[layer][i].weights[k].data(), networks_[layer][i].bias.data(),
                                 stencils_[mask][i][k].outputs.data(), stencils_[mask][i][k].inputs.data(),
                                 stencil.taps.size(), convolution.in, convolution.out, first, convolution.activation,
                                 output, n});
      }
    };
    outputs.template operator()<8>();
    outputs.template operator()<4>();
    outputs.template operator()<2>();
    outputs.template operator()<1>();
  }

  // Changes the active variables of one layer; the sum of s goes to s_sum.
  void couple(Index layer, bool inverse, Index n) const {
    Scratch& s = *scratch_;
    const Index mask = tables_.networks.mask_of(layer), count = tables_.networks.masks[mask].outputs.size();
    if (z2_) device_.copy(evaluate(layer, Real(-1), n), 2 * count * n, s.mirrored);
    const Real* s_and_t = evaluate(layer, Real(1), n);
    device_.for_each(count, n,
                     Couple<Real>{s_and_t, z2_ ? s.mirrored.data() : nullptr, active_[mask].data(), inverse,
                                  s.field.data(), s.kept_s.data(), n});
    sum(KeptTerm{s.kept_s.data(), n}, count, s.s_sum.data(), n);
  }

  void forward(Index n) const {
    Scratch& s = *scratch_;
    accumulate(Accumulate::How::kStart, 0.0, nullptr, n);
    if (weights_.prior) {
      transform(n);
      device_.for_each(tables_.volume, n, Scale{amplitude_->data(), 0.0, false, s.field.data(), n});
      transform(n);
      accumulate(Accumulate::How::kStart, weights_.prior->log_det, nullptr, n);
    }
    for (Index layer = 0; layer < networks_.size(); ++layer) {
      couple(layer, false, n);
      accumulate(Accumulate::How::kAdd, 0.0, s.s_sum.data(), n);
    }
    accumulate(Accumulate::How::kAdd, rescale(weights_.log_scale, n), nullptr, n);
  }

  void inverse(Index n) const {
    Scratch& s = *scratch_;
    accumulate(Accumulate::How::kStart, rescale(-weights_.log_scale, n), nullptr, n);
    for (Index layer = networks_.size(); layer-- > 0;) {
      couple(layer, true, n);
      accumulate(Accumulate::How::kSubtract, 0.0, s.s_sum.data(), n);
    }
    if (weights_.prior) {
      transform(n);
      device_.for_each(tables_.volume, n, Scale{amplitude_->data(), 0.0, true, s.field.data(), n});
      transform(n);
      accumulate(Accumulate::How::kSubtract, weights_.prior->log_det, nullptr, n);
    }
  }

  // Multiplies the field by e^log_scale; returns log_det.
  double rescale(double log_scale, Index n) const {
    if (log_scale == 0) return 0;
    device_.for_each(tables_.volume, n, Scale{nullptr, exp(log_scale), false, scratch_->field.data(), n});
    return log_scale * static_cast<double>(tables_.volume);
  }

  void transform(Index n) const {
    Scratch& s = *scratch_;
    Index stride = tables_.volume;
    for (Index mu = 0; mu < cas_.size(); ++mu) {
      const Index length = tables_.extents[mu];
      stride /= length;
      device_.for_each(tables_.volume, n,
                       TransformLine{s.field.data(), cas_[mu].data(), length, stride, s.other.data(), n});
      std::swap(s.field, s.other);
    }
  }

  template <class Term>
  void sum(Term term, Index count, double* sums, Index n) const {
    constexpr Index kSums = std::tuple_size_v<decltype(term(Index{}, Index{}))>;
    device_.for_each(sum_blocks(count), n, SumBlocks<Term, kSums>{term, count, scratch_->partial.data(), n});
    device_.for_each(kSums, n, AddBlocks{scratch_->partial.data(), sum_blocks(count), sums, n});
  }
  void sum_noise(Index n) const {
    sum(NoiseTerm{scratch_->field.data(), n}, tables_.volume, scratch_->noise_sum.data(), n);
  }
  void sum_theory(Index n) const {
    const Steps steps{forward_.data(), backward_.data(), extents_.data(), tables_.extents.size(), tables_.volume};
    sum(TheoryTerm<Theory>{scratch_->field.data(), steps, n}, tables_.volume, scratch_->sums.data(), n);
  }
  void accumulate(Accumulate::How how, double constant, const double* sum, Index n) const {
    device_.for_each(1, n, Accumulate{how, constant, sum, scratch_->log_det.data()});
  }

  void put(const Array<double>& array, Index count, double* out) const {
    const std::vector<double> values = device_.download(array, count);
    std::copy(values.begin(), values.end(), out);
  }

  mutable Device device_;
  Theory theory_;
  Neighbours neighbours_;
  lanes::AffineTables tables_;
  lanes::AffineWeights<Real> weights_;
  bool z2_;
  Array<std::uint32_t> forward_, backward_, extents_;
  std::vector<Array<std::uint32_t>> frozen_, active_;             // [mask]
  std::vector<std::vector<std::vector<StencilArrays>>> stencils_;  // [mask][convolution][stencil]
  std::vector<std::vector<ConvolutionArrays>> networks_;             // [layer][convolution]
  std::optional<Array<double>> amplitude_;
  std::vector<Array<double>> cas_;
  mutable std::mutex mutex_;
  mutable std::optional<Scratch> scratch_;
};

}  // namespace flowloom::cuda
