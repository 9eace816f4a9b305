// A flow on a device: the order in which the bodies (flow/cuda/bodies.h) run and what they run on.
//
// A flow on a Device (flow/cuda/device.h), for n samples at a time, is a class with
//
//   Flow(device, geometry, architecture, weights)
//   bytes(), allocate(n)                    of each sample, besides a field
//   draw_noise(key, purpose, first, field, n)
//   noise_log_density(field, log_noise, n)  to log_noise, [sample]
//   forward(field, log_det, n)              noise to field; log_det of this map, [sample]
//   inverse(field, log_det, n)              field to noise; log_det of this map
//   Difference                              a body's function: of two values of a variable
//
// Threads: calls take turns, because they share the device's arrays.
#pragma once

#include <mutex>

#include "flow/cuda/angle_links.h"
#include "flow/cuda/device_affine.h"
#include "flow/cuda/matrix_links.h"
#include "flow/engine.h"

namespace flowloom::cuda {

// The flow on a device that an architecture is for.
template <class Device, class Theory, class Real, class Architecture>
struct DeviceFlowOf;
template <class Device, class Theory, class Real>
struct DeviceFlowOf<Device, Theory, Real, AffineCouplingFlow> {
  using type = DeviceAffine<Device, Real>;
};
template <class Device, class Theory, class Real>
struct DeviceFlowOf<Device, Theory, Real, GaugeCouplingFlow> {
  using type = DeviceLoops<Device, Real, AngleLinks>;
};
template <class Device, class Theory, class Real>
struct DeviceFlowOf<Device, Theory, Real, SpectralCouplingFlow> {
  using type = DeviceLoops<Device, Real, MatrixLinks<Theory::kColours>>;
};

template <class Device, class Theory, class Flow>
class DeviceModel final : public Model {
 public:
  template <class Architecture>
  DeviceModel(Device device, const Theory& theory, const Architecture& architecture, std::span<const double> weights)
      : device_(std::move(device)),
        theory_(theory),
        global_(theory),
        neighbours_(theory.geometry()),
        forward_(device_.upload(neighbours_.forward())),
        backward_(device_.upload(neighbours_.backward())),
        extents_(device_.upload(neighbours_.extents())),
        variables_(variables_of(theory)),
        flow_(device_, theory.geometry(), architecture, weights),
        sums_(device_, neighbours_.steps().sites) {}
  DeviceModel(const DeviceModel&) = delete;  // its parts refer to the device
  DeviceModel& operator=(const DeviceModel&) = delete;

  Draws draw(NoiseKey key, Purpose purpose, std::uint64_t first, std::size_t count, Fields fields) const override {
    const std::lock_guard lock(mutex_);
    Draws draws{std::vector<double>(count), std::vector<double>(count), std::vector<double>(Theory::kSums * count),
                std::vector<double>(fields == Fields::kKept ? count * variables_ : 0)};
    for (Index begin = 0; begin < count;) {
      const Index n = prepare(count - begin);
      flow_.draw_noise(key, purpose, first + begin, arrays_.field, n);
      flow_.noise_log_density(arrays_.field, arrays_.log_noise.data(), n);
      flow_.forward(arrays_.field, arrays_.log_det.data(), n);
      put_log_q(false, n, draws.log_q.data() + begin);
      put_target(begin, n, draws.sums, draws.log_p);
      if (fields == Fields::kKept) {
        device_.for_each(variables_, n, Transpose{true, arrays_.field.data(), arrays_.callers.data(), variables_, n});
        put(arrays_.callers, n * variables_, draws.fields.data() + begin * variables_);
      }
      begin += n;
    }
    return draws;
  }

  Densities densities(std::span<const double> fields) const override {
    const std::lock_guard lock(mutex_);
    const Index count = fields.size() / variables_;
    Densities densities{std::vector<double>(count), std::vector<double>(count), std::vector<double>(count)};
    std::vector<double> sums(Theory::kSums * count);
    for (Index begin = 0; begin < count;) {
      const Index n = prepare(count - begin);
      device_.write(arrays_.callers, fields.subspan(begin * variables_, n * variables_));
      for (double* field : {arrays_.field.data(), arrays_.given.data()}) {
        device_.for_each(variables_, n, Transpose{false, field, arrays_.callers.data(), variables_, n});
      }
      put_target(begin, n, sums, densities.log_p);
      flow_.inverse(arrays_.field, arrays_.log_det.data(), n);
      flow_.noise_log_density(arrays_.field, arrays_.log_noise.data(), n);
      put_log_q(true, n, densities.log_q.data() + begin);
      flow_.forward(arrays_.field, arrays_.log_det.data(), n);
      device_.for_each(1, n,
                       LargestGap<typename Flow::Difference>{
                           {}, arrays_.field.data(), arrays_.given.data(), variables_, arrays_.result.data(), n});
      put(arrays_.result, n, densities.round_trip.data() + begin);
      begin += n;
    }
    return densities;
  }

 private:
  template <class T>
  using Array = typename Device::template Array<T>;
  static constexpr Index kLocal = kLocalSums<Theory>, kGlobal = GlobalSums<Theory>::kCount;

  struct Arrays {
    Array<double> field{}, given{}, callers{};       // [variable][sample], [sample][variable]
    Array<double> sums{}, work{};                    // [sum][sample], [cell][sample]
    Array<double> log_noise{}, log_det{}, result{};  // [sample]
  };

  Index work_cells() const {
    if constexpr (kGlobal > 0) return global_.cells_for_sums();
    return 0;
  }

  // Samples of the next turn, at most `wanted`, with arrays for them.
  Index prepare(Index wanted) const {
    const Index cells = 3 * variables_ + Theory::kSums + sums_.cells() + work_cells() + 3;
    const Index n = std::min(wanted, device_.batch(sizeof(double) * cells + flow_.bytes()));  // docs/lanes.md
    if (samples_ >= n) return n;
    arrays_ = {};  // what they had is free before more is asked for
    samples_ = 0;
    const auto doubles = [&](Index rows) { return device_.template allocate<double>(rows * n); };
    arrays_ = {doubles(variables_),   doubles(variables_), doubles(variables_), doubles(Theory::kSums),
               doubles(work_cells()), doubles(1),          doubles(1),          doubles(1)};
    sums_.allocate(n);
    flow_.allocate(n);
    samples_ = n;
    return n;
  }

  void put_log_q(bool to_noise, Index n, double* out) const {
    device_.for_each(1, n, LogQ{arrays_.log_noise.data(), arrays_.log_det.data(), to_noise, arrays_.result.data()});
    put(arrays_.result, n, out);
  }

  // The sums [sum][sample] and log_p of the samples begin .. begin + n - 1.
  void put_target(Index begin, Index n, std::vector<double>& sums, std::vector<double>& log_p) const {
    const Index sites = neighbours_.steps().sites, count = log_p.size();
    const Steps steps{forward_.data(), backward_.data(), extents_.data(), extents_.size(), sites};
    sums_(TheoryTerm<Theory>{arrays_.field.data(), steps, n}, sites, arrays_.sums.data(), n);
    if constexpr (kGlobal > 0) {
      device_.for_each(1, n,
                       SumGlobally<Theory>{global_, arrays_.field.data(), sites, arrays_.work.data(),
                                           arrays_.sums.data() + kLocal * n, n});
    }
    const std::vector<double> own = device_.download(arrays_.sums, Theory::kSums * n);
    for (Index k = 0; k < Theory::kSums; ++k) {
      for (Index i = 0; i < n; ++i) sums[k * count + begin + i] = canonical(own[k * n + i]);
    }
    for (Index i = begin; i < begin + n; ++i) log_p[i] = log_target(theory_, sums, count, i);
  }

  void put(const Array<double>& array, Index count, double* out) const {
    const std::vector<double> values = device_.download(array, count);
    std::copy(values.begin(), values.end(), out);
  }

  mutable Device device_;
  Theory theory_;
  GlobalSums<Theory> global_;
  Neighbours neighbours_;
  Array<std::uint32_t> forward_, backward_, extents_;
  Index variables_;
  mutable std::mutex mutex_;
  mutable Flow flow_;
  mutable DeviceSums<Device, kLocal> sums_;
  mutable Arrays arrays_;
  mutable Index samples_ = 0;
};

}  // namespace flowloom::cuda
