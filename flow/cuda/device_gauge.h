// Gauge-equivariant couplings of angles (flow/lanes/gauge_flow.inl) on a device; a flow as flow/cuda/device_model.h
// says.
#pragma once

#include "flow/affine.h"
#include "flow/cuda/device.h"

namespace flowloom::cuda {

// Loops one after the other.
struct LoopRows {
  const std::uint32_t *begin, *variable;  // [loop], [link]
  const double* sign;                     // [link]

  constexpr bool empty(Index loop) const { return begin[loop] == begin[loop + 1]; }
  constexpr double angle(Index loop, const double* field, Index samples, Index sample) const {
    double sum = 0.0;
    for (Index i = begin[loop]; i < begin[loop + 1]; ++i) {
      sum = fma(sign[i], field[variable[i] * samples + sample], sum);
    }
    return sum;
  }
};

// Item: a loop of an input site. The networks' input: its cosine and its sine, 0 where there is none.
template <class Real>
struct TakeContext {
  LoopRows loops;
  const double* field;  // [variable][sample]
  Real* input;          // [input site][loop][2][sample]
  Index samples;

  constexpr void operator()(Index i, Index sample) const {
    double cos = 0.0, sin = 0.0;
    if (!loops.empty(i)) {
      const auto turned = turn_of_angle(loops.angle(i, field, samples, sample));
      cos = turned.cos;
      sin = turned.sin;
    }
    input[2 * i * samples + sample] = static_cast<Real>(cos);
    input[(2 * i + 1) * samples + sample] = static_cast<Real>(sin);
  }
};

// Item: an active link. Takes its loop's angle through the map, and keeps the log of the map's slope for the sum.
template <class Real>
struct CoupleLink {
  CircleMap map;
  Index pieces, parameters;                // of the map, without the rotation
  const Real* outputs;                     // [number][sample]
  const std::uint32_t *variable, *number;  // [active link]: `number` is its first one among the outputs
  LoopRows rests;                          // of the active loops
  bool inverse;
  double *field, *kept;  // [variable][sample], [active link][sample]
  Index samples;

  constexpr void operator()(Index i, Index sample) const {
    const Real* own = outputs + number[i] * samples + sample;
    const auto raw = [&](Index p) { return static_cast<double>(own[p * samples]); };
    double& link = field[variable[i] * samples + sample];
    const double from = positive_angle(link + rests.angle(i, field, samples, sample)), rotation = raw(parameters);
    const Transformed<double> to =
        with_circle_map<double>(map, pieces, raw, [&](const auto& of) -> Transformed<double> {
          if (inverse) return of.inverse(shift_angle(from, -rotation));
          const auto [value, log_slope] = of.forward(from);
          return {shift_angle(value, rotation), log_slope};
        });
    link = positive_angle(link + (to.value - from));
    kept[i * samples + sample] = to.log_slope;
  }
};

struct AnglesOfUniforms {
  constexpr std::array<double, 2> operator()(const std::array<double, 2>& uniforms) const {
    return {uniforms[0] * kTwoPi, uniforms[1] * kTwoPi};
  }
};

template <class Device, class Real>
class DeviceGauge {
 public:
  template <class T>
  using Array = typename Device::template Array<T>;

  DeviceGauge(Device& device, const Geometry& geometry, const GaugeCouplingFlow& architecture,
              std::span<const double> weights)
      : device_(device),
        architecture_(architecture),
        couplings_(architecture.couplings(geometry)),
        tables_(geometry, architecture.network(), sites_of(couplings_), lanes::Use::kSampling),
        weights_(packed(weights)),
        networks_(device, tables_, weights_),
        variables_(geometry.dimensions() * geometry.sites()),
        sums_(device, variables_) {
    for (const GaugeCoupling& coupling : couplings_) layers_.push_back(arrays_of(coupling));
  }

  struct Difference {
    constexpr double operator()(double a, double b) const { return wrap_angle(a - b); }
  };

  Index bytes() const {
    return sizeof(double) * (most_active() + sums_.cells() + 1) + sizeof(Real) * networks_.cells();
  }
  void allocate(Index n) {
    kept_ = device_.template allocate<double>(most_active() * n);
    log_slopes_ = device_.template allocate<double>(n);
    sums_.allocate(n);
    networks_.allocate(n);
  }

  void draw_noise(NoiseKey key, Purpose purpose, std::uint64_t first, Array<double>& field, Index n) {
    device_.for_each((variables_ + 1) / 2, n,
                     DrawNoise<AnglesOfUniforms>{
                         {}, key.words, static_cast<std::uint64_t>(purpose), first, field.data(), variables_, n});
  }
  void noise_log_density(const Array<double>&, double* log_noise, Index n) {
    accumulate(Accumulate::How::kStart, uniform_angles_log_density(variables_), nullptr, log_noise, n);
  }

  void forward(Array<double>& field, double* log_det, Index n) {
    accumulate(Accumulate::How::kStart, 0.0, nullptr, log_det, n);
    for (Index layer = 0; layer < architecture_.layers(); ++layer) {
      couple(layer, false, field, n);
      accumulate(Accumulate::How::kAdd, 0.0, log_slopes_.data(), log_det, n);
    }
  }

  void inverse(Array<double>& field, double* log_det, Index n) {
    accumulate(Accumulate::How::kStart, 0.0, nullptr, log_det, n);
    for (Index layer = architecture_.layers(); layer-- > 0;) {
      couple(layer, true, field, n);
      accumulate(Accumulate::How::kSubtract, 0.0, log_slopes_.data(), log_det, n);
    }
  }

 private:
  struct LoopArrays {
    Array<std::uint32_t> begin, variable;
    Array<double> sign;
    Index count;

    LoopRows rows() const { return {begin.data(), variable.data(), sign.data()}; }
  };
  struct CouplingArrays {
    LoopArrays context, rests;
    Array<std::uint32_t> variable, number;  // [active link]
  };

  lanes::PackedNetworks<Real> packed(std::span<const double> weights) const {
    architecture_.refuse_other_count(weights.size());
    return lanes::PackedNetworks<Real>(tables_, architecture_.layers(), weights);
  }

  template <class Loops>
  LoopArrays upload(const Loops& loops) {
    std::vector<std::uint32_t> begin{0}, variable;
    std::vector<double> sign;
    for (const Loop& loop : loops) {
      for (const LoopLink& link : loop) {
        variable.push_back(link.variable);
        sign.push_back(link.sign);
      }
      begin.push_back(static_cast<std::uint32_t>(variable.size()));
    }
    return {device_.upload(begin), device_.upload(variable), device_.upload(sign), begin.size() - 1};
  }

  CouplingArrays arrays_of(const GaugeCoupling& coupling) {
    const auto channels = static_cast<std::uint32_t>(architecture_.network().channels.back());
    std::vector<Loop> context, rests;
    std::vector<std::uint32_t> variable, number;
    for (const auto& site : coupling.context) context.insert(context.end(), site.begin(), site.end());
    for (const GaugeCoupling::Active& link : coupling.active) {
      rests.push_back(link.rest);
      variable.push_back(link.variable);
      number.push_back(link.output * channels + link.channel);
    }
    return {upload(context), upload(rests), device_.upload(variable), device_.upload(number)};
  }

  Index most_active() const {
    Index most = 0;
    for (const GaugeCoupling& coupling : couplings_) most = std::max(most, coupling.active.size());
    return most;
  }

  void accumulate(Accumulate::How how, double constant, const double* term, double* value, Index n) {
    device_.for_each(1, n, Accumulate{how, constant, term, value});
  }

  // Changes the active links of one layer; the sum of the log slopes goes to log_slopes_.
  void couple(Index layer, bool inverse, Array<double>& field, Index n) {
    const CouplingArrays& own = layers_[tables_.mask_of(layer)];
    const Index count = own.rests.count;
    device_.for_each(own.context.count, n, TakeContext<Real>{own.context.rows(), field.data(), networks_.input(), n});
    const Real* outputs = networks_.evaluate(layer, n);
    device_.for_each(count, n,
                     CoupleLink<Real>{architecture_.map(), architecture_.pieces(), architecture_.map_parameters(),
                                      outputs, own.variable.data(), own.number.data(), own.rests.rows(), inverse,
                                      field.data(), kept_.data(), n});
    sums_(KeptTerm{kept_.data(), n}, count, log_slopes_.data(), n);
  }

  Device& device_;
  GaugeCouplingFlow architecture_;
  std::vector<GaugeCoupling> couplings_;
  lanes::NetworkTables tables_;
  lanes::PackedNetworks<Real> weights_;
  DeviceNetworks<Device, Real> networks_;
  Index variables_;
  DeviceSums<Device, 1> sums_;
  std::vector<CouplingArrays> layers_;   // [mask]
  Array<double> kept_{}, log_slopes_{};  // [active link][sample], [sample]
};

}  // namespace flowloom::cuda
