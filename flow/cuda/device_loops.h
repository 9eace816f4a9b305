// Couplings of gauge fields (flow/loop_coupling.h) on a device, whatever the links are; a flow as
// flow/cuda/device_model.h says. The links' part is a class Links (flow/cuda/angle_links.h, matrix_links.h):
//
//   Architecture, Difference
//   Links(architecture, geometry)
//   steps_of(coupling)                         a layer as arrays of rows (LayerSteps)
//   draw_noise(device, key, purpose, first, field, n), noise_log_density()
//   take_context<Real>(rows, field, input, n)  a body; item: a loop
//   couple<Real>(active, inverse, field, kept, n)
//                                              a body; item: an active link, whose log_det it keeps for the sum
#pragma once

#include "flow/cuda/device.h"
#include "flow/loop_coupling.h"

namespace flowloom::cuda {

// Loops one after the other, each a path of steps: 2 row + 1 against the link whose first row that is, 2 row along it.
struct LoopRows {
  const std::uint32_t *begin, *steps;  // [loop], [step]

  constexpr bool empty(Index loop) const { return begin[loop] == begin[loop + 1]; }
};
constexpr Index row_of(std::uint32_t step) { return step / 2; }
constexpr bool is_backwards(std::uint32_t step) { return step % 2 == 1; }

// A layer on the way to the device.
struct LayerSteps {
  using Path = std::vector<std::uint32_t>;
  std::vector<Path> context, rests;  // [input], [active link]
  std::vector<Path> arounds;         // [active link], or none at all
  std::vector<std::uint32_t> row;    // [active link]: its first
};

// The active links of a layer, and what the network says of them.
template <class Real>
struct ActiveRows {
  const std::uint32_t *row, *number;  // [active link]: its first row, and its first number among the outputs
  LoopRows rests, arounds;            // of no `arounds`, nobody reads
  const Real* outputs;                // [number][sample]

  constexpr auto raw(Index link, Index samples, Index sample) const {
    return [own = outputs + number[link] * samples + sample, samples](Index i) {
      return static_cast<double>(own[i * samples]);
    };
  }
};

template <class Device, class Real, class Links>
class DeviceLoops {
 public:
  template <class T>
  using Array = typename Device::template Array<T>;
  using Difference = typename Links::Difference;

  DeviceLoops(Device& device, const Geometry& geometry, const typename Links::Architecture& architecture,
              std::span<const double> weights)
      : DeviceLoops(device, geometry, architecture, weights, architecture.couplings(geometry)) {}

  Index bytes() const { return sizeof(double) * (most_active_ + sums_.cells() + 1) + sizeof(Real) * networks_.cells(); }
  void allocate(Index n) {
    kept_ = device_.template allocate<double>(most_active_ * n);
    sum_ = device_.template allocate<double>(n);
    sums_.allocate(n);
    networks_.allocate(n);
  }

  void draw_noise(NoiseKey key, Purpose purpose, std::uint64_t first, Array<double>& field, Index n) {
    links_.draw_noise(device_, key, purpose, first, field.data(), n);
  }
  void noise_log_density(const Array<double>&, double* log_noise, Index n) {
    accumulate(Accumulate::How::kStart, links_.noise_log_density(), nullptr, log_noise, n);
  }

  void forward(Array<double>& field, double* log_det, Index n) {
    accumulate(Accumulate::How::kStart, 0.0, nullptr, log_det, n);
    for (Index layer = 0; layer < weights_.networks.size(); ++layer) {
      couple(layer, false, field, n);
      accumulate(Accumulate::How::kAdd, 0.0, sum_.data(), log_det, n);
    }
  }

  void inverse(Array<double>& field, double* log_det, Index n) {
    accumulate(Accumulate::How::kStart, 0.0, nullptr, log_det, n);
    for (Index layer = weights_.networks.size(); layer-- > 0;) {
      couple(layer, true, field, n);
      accumulate(Accumulate::How::kSubtract, 0.0, sum_.data(), log_det, n);
    }
  }

 private:
  struct LoopArrays {
    Array<std::uint32_t> begin, steps;
    Index count;
    LoopRows rows() const { return {begin.data(), steps.data()}; }
  };
  struct LayerArrays {
    LoopArrays context, rests, arounds;
    Array<std::uint32_t> row, number;  // [active link]
  };

  DeviceLoops(Device& device, const Geometry& geometry, const typename Links::Architecture& architecture,
              std::span<const double> weights, const std::vector<LoopCoupling>& couplings)
      : device_(device),
        links_(architecture, geometry),
        tables_(geometry, architecture.network(), sites_of(couplings), lanes::Use::kSampling),
        weights_(tables_, architecture.layers(), checked(architecture, weights)),
        networks_(device, tables_, weights_),
        most_active_(most_active(couplings)),
        sums_(device, most_active_) {
    const auto channels = static_cast<std::uint32_t>(architecture.network().channels.back());
    for (const LoopCoupling& coupling : couplings) {
      const LayerSteps steps = links_.steps_of(coupling);
      std::vector<std::uint32_t> number;
      for (const LoopCoupling::Active& link : coupling.active) number.push_back(link.output * channels + link.channel);
      layers_.push_back({upload(steps.context), upload(steps.rests), upload(steps.arounds), device.upload(steps.row),
                         device.upload(number)});
    }
  }

  static std::span<const double>& checked(const Architecture& architecture, std::span<const double>& weights) {
    architecture.refuse_other_count(weights.size());
    return weights;
  }
  static Index most_active(const std::vector<LoopCoupling>& couplings) {
    Index most = 0;
    for (const LoopCoupling& coupling : couplings) most = std::max(most, coupling.active.size());
    return most;
  }

  LoopArrays upload(const std::vector<LayerSteps::Path>& loops) {
    std::vector<std::uint32_t> begin{0}, steps;
    for (const LayerSteps::Path& loop : loops) {
      steps.insert(steps.end(), loop.begin(), loop.end());
      begin.push_back(static_cast<std::uint32_t>(steps.size()));
    }
    return {device_.upload(begin), device_.upload(steps), loops.size()};
  }

  void accumulate(Accumulate::How how, double constant, const double* term, double* value, Index n) {
    device_.for_each(1, n, Accumulate{how, constant, term, value});
  }

  // Moves the active links of one layer; the sum of the log_dets, always of the map from noise, goes to sum_.
  void couple(Index layer, bool inverse, Array<double>& field, Index n) {
    const LayerArrays& own = layers_[tables_.mask_of(layer)];
    device_.for_each(own.context.count, n,
                     links_.template take_context<Real>(own.context.rows(), field.data(), networks_.input(), n));
    const ActiveRows<Real> active{own.row.data(), own.number.data(), own.rests.rows(), own.arounds.rows(),
                                  networks_.evaluate(layer, n)};
    device_.for_each(own.rests.count, n, links_.template couple<Real>(active, inverse, field.data(), kept_.data(), n));
    sums_(KeptTerm{kept_.data(), n}, own.rests.count, sum_.data(), n);
  }

  Device& device_;
  Links links_;
  lanes::NetworkTables tables_;
  lanes::PackedNetworks<Real> weights_;
  DeviceNetworks<Device, Real> networks_;
  Index most_active_;
  DeviceSums<Device, 1> sums_;
  std::vector<LayerArrays> layers_;  // [mask]
  Array<double> kept_{}, sum_{};     // [active link][sample], [sample]
};

}  // namespace flowloom::cuda
