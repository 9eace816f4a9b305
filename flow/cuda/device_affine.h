// Affine couplings of a scalar field (flow/lanes/affine_flow.inl) on a device; a flow as flow/cuda/device_model.h says.
#pragma once

#include <optional>

#include "flow/affine.h"
#include "flow/cuda/device.h"
#include "flow/densities.h"
#include "flow/lanes/affine_tables.h"

namespace flowloom::cuda {

// Item: a frozen site. The networks' input: frozen variables times `sign`.
template <class Real>
struct TakeFrozen {
  const double* field;          // [site][sample]
  const std::uint32_t* frozen;  // [frozen site] -> site
  Real sign;
  Real* input;  // [frozen site][sample]
  Index samples;

  constexpr void operator()(Index i, Index sample) const {
    input[i * samples + sample] = static_cast<Real>(field[frozen[i] * samples + sample]) * sign;
  }
};

// Item: an active site. Changes the variable by s and t, and keeps s for the sum.
template <class Real>
struct Couple {
  const Real *s_and_t, *mirrored;  // [active site][2][sample]; of the negative, or null without the symmetry
  const std::uint32_t* active;     // [active site] -> site
  bool inverse;
  double* field;   // [site][sample]
  double* kept_s;  // [active site][sample]
  Index samples;

  constexpr void operator()(Index i, Index sample) const {
    const Index at_s = 2 * i * samples + sample, at_t = at_s + samples;
    double s = static_cast<double>(s_and_t[at_s]), t = static_cast<double>(s_and_t[at_t]);
    if (mirrored) {
      s = even_part(s, static_cast<double>(mirrored[at_s]));
      t = odd_part(t, static_cast<double>(mirrored[at_t]));
    }
    double& variable = field[active[i] * samples + sample];
    variable = inverse ? affine_inverse(variable, s, t) : affine_forward(variable, s, t);
    kept_s[i * samples + sample] = s;
  }
};

struct NoiseTerm {
  const double* field;  // [site][sample]
  Index samples;
  constexpr std::array<double, 1> operator()(Index x, Index sample) const {
    return {normal_log_density(field[x * samples + sample])};
  }
};

// Item: a site. One direction of the free field's transformation (flow/free_field.h).
struct TransformLine {
  const double *from, *cas;  // [site][sample], [k][x]
  Index length, stride;
  double* to;
  Index samples;

  constexpr void operator()(Index site, Index sample) const {
    const Index k = site / stride % length;
    const double* line = from + (site - k * stride) * samples + sample;
    double sum = 0.0;
    for (Index x = 0; x < length; ++x) sum = fma(cas[k * length + x], line[x * stride * samples], sum);
    to[site * samples + sample] = sum;
  }
};

// Item: a site (or a mode). Times or divided by a factor for it, or one for all.
struct Scale {
  const double* factor;  // [site], or null: `all`
  double all;
  bool divide;
  double* field;
  Index samples;

  constexpr void operator()(Index site, Index sample) const {
    const double by = factor ? factor[site] : all;
    double& own = field[site * samples + sample];
    own = divide ? own / by : own * by;
  }
};

struct NormalsOfUniforms {
  constexpr std::array<double, 2> operator()(const std::array<double, 2>& uniforms) const {
    return normals_of_uniforms(uniforms);
  }
};

template <class Device, class Real>
class DeviceAffine {
 public:
  template <class T>
  using Array = typename Device::template Array<T>;

  DeviceAffine(Device& device, const Geometry& geometry, const AffineCouplingFlow& architecture,
               std::span<const double> weights)
      : device_(device),
        tables_(geometry, architecture),
        weights_(tables_, architecture, weights),
        z2_(architecture.z2()),
        networks_(device, tables_.networks, weights_.networks),
        sums_(device, tables_.volume) {
    for (const CouplingSites& mask : tables_.networks.masks) {
      frozen_.push_back(device.upload(mask.inputs));
      active_.push_back(device.upload(mask.outputs));
    }
    if (weights_.prior) {
      amplitude_ = device.upload(weights_.prior->amplitude);
      for (const auto& matrix : tables_.basis->cas) cas_.push_back(device.upload(matrix));
    }
  }

  struct Difference {
    constexpr double operator()(double a, double b) const { return a - b; }
  };

  Index bytes() const {
    return sizeof(double) * (other_cells() + kept_cells() + sums_.cells() + 1) +
           sizeof(Real) * (mirrored_cells() + networks_.cells());
  }
  void allocate(Index n) {
    other_ = device_.template allocate<double>(other_cells() * n);
    kept_s_ = device_.template allocate<double>(kept_cells() * n);
    s_sum_ = device_.template allocate<double>(n);
    mirrored_ = device_.template allocate<Real>(mirrored_cells() * n);
    sums_.allocate(n);
    networks_.allocate(n);
  }

  void draw_noise(NoiseKey key, Purpose purpose, std::uint64_t first, Array<double>& field, Index n) {
    device_.for_each((tables_.volume + 1) / 2, n,
                     DrawNoise<NormalsOfUniforms>{
                         {}, key.words, static_cast<std::uint64_t>(purpose), first, field.data(), tables_.volume, n});
  }
  void noise_log_density(const Array<double>& field, double* log_noise, Index n) {
    sums_(NoiseTerm{field.data(), n}, tables_.volume, log_noise, n);
    accumulate(Accumulate::How::kSubtract, normal_log_constant(tables_.volume), nullptr, log_noise, n);
  }

  void forward(Array<double>& field, double* log_det, Index n) {
    accumulate(Accumulate::How::kStart, apply_prior(field, false, n), nullptr, log_det, n);
    for (Index layer = 0; layer < weights_.networks.networks.size(); ++layer) {
      couple(layer, false, field, n);
      accumulate(Accumulate::How::kAdd, 0.0, s_sum_.data(), log_det, n);
    }
    accumulate(Accumulate::How::kAdd, rescale(weights_.log_scale, field, n), nullptr, log_det, n);
  }

  void inverse(Array<double>& field, double* log_det, Index n) {
    accumulate(Accumulate::How::kStart, rescale(-weights_.log_scale, field, n), nullptr, log_det, n);
    for (Index layer = weights_.networks.networks.size(); layer-- > 0;) {
      couple(layer, true, field, n);
      accumulate(Accumulate::How::kSubtract, 0.0, s_sum_.data(), log_det, n);
    }
    accumulate(Accumulate::How::kSubtract, apply_prior(field, true, n), nullptr, log_det, n);
  }

 private:
  Index other_cells() const { return weights_.prior ? tables_.volume : 0; }
  Index kept_cells() const { return tables_.volume / 2; }
  Index mirrored_cells() const { return z2_ ? tables_.volume : 0; }

  void accumulate(Accumulate::How how, double constant, const double* term, double* value, Index n) {
    device_.for_each(1, n, Accumulate{how, constant, term, value});
  }

  // s and t of one layer for the frozen variables times `sign`, [active site][2][sample].
  const Real* evaluate(Index layer, Real sign, const Array<double>& field, Index n) {
    const Index mask = tables_.networks.mask_of(layer);
    device_.for_each(frozen_[mask].size(), n,
                     TakeFrozen<Real>{field.data(), frozen_[mask].data(), sign, networks_.input(), n});
    return networks_.evaluate(layer, n);
  }

  // Changes the active variables of one layer; the sum of s goes to s_sum_.
  void couple(Index layer, bool inverse, Array<double>& field, Index n) {
    const Index mask = tables_.networks.mask_of(layer), count = active_[mask].size();
    if (z2_) device_.copy(evaluate(layer, Real(-1), field, n), 2 * count * n, mirrored_);
    const Real* s_and_t = evaluate(layer, Real(1), field, n);
    device_.for_each(count, n,
                     Couple<Real>{s_and_t, z2_ ? mirrored_.data() : nullptr, active_[mask].data(), inverse,
                                  field.data(), kept_s_.data(), n});
    sums_(KeptTerm{kept_s_.data(), n}, count, s_sum_.data(), n);
  }

  // Multiplies the field by e^log_scale; returns log_det.
  double rescale(double log_scale, Array<double>& field, Index n) {
    if (log_scale == 0) return 0;
    device_.for_each(tables_.volume, n, Scale{nullptr, exp(log_scale), false, field.data(), n});
    return log_scale * static_cast<double>(tables_.volume);
  }

  // The free field's map or its inverse; nothing with the normal prior. Returns the log_det of noise -> field.
  double apply_prior(Array<double>& field, bool inverse, Index n) {
    if (!weights_.prior) return 0;
    transform(field, n);
    device_.for_each(tables_.volume, n, Scale{amplitude_->data(), 0.0, inverse, field.data(), n});
    transform(field, n);
    return weights_.prior->log_det;
  }

  void transform(Array<double>& field, Index n) {
    Index stride = tables_.volume;
    for (Index mu = 0; mu < cas_.size(); ++mu) {
      const Index length = tables_.extents[mu];
      stride /= length;
      device_.for_each(tables_.volume, n,
                       TransformLine{field.data(), cas_[mu].data(), length, stride, other_.data(), n});
      std::swap(field, other_);
    }
  }

  Device& device_;
  lanes::AffineTables tables_;
  lanes::AffineWeights<Real> weights_;
  bool z2_;
  DeviceNetworks<Device, Real> networks_;
  DeviceSums<Device, 1> sums_;
  std::vector<Array<std::uint32_t>> frozen_, active_;  // [mask]
  std::optional<Array<double>> amplitude_;
  std::vector<Array<double>> cas_;
  Array<double> other_{}, kept_s_{}, s_sum_{};  // [site][sample], [active site][sample], [sample]
  Array<Real> mirrored_{};                      // of the negative: [active site][2][sample]
};

}  // namespace flowloom::cuda
