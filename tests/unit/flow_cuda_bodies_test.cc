// The GPU's work without a GPU: the same bodies in the same order, called thread by thread.
#include <gtest/gtest.h>

#include "flow/cuda/device_model.h"
#include "flow_gauge_contract.h"
#include "flow_spectral_contract.h"

namespace flowloom {
namespace {

// A device whose memory is the program's, for a few samples at once.
struct HostDevice {
  template <class T>
  using Array = std::vector<T>;

  template <class T>
  Array<T> allocate(std::size_t count) {
    return Array<T>(count);
  }
  template <class T>
  Array<T> upload(const std::vector<T>& values) {
    return values;
  }
  template <class T>
  void write(Array<T>& array, std::span<const T> values) {
    std::copy(values.begin(), values.end(), array.begin());
  }
  template <class T>
  void copy(const T* from, std::size_t count, Array<T>& to) {
    std::copy_n(from, count, to.begin());
  }
  template <class T>
  std::vector<T> download(const Array<T>& array, std::size_t count) {
    return std::vector<T>(array.begin(), array.begin() + static_cast<std::ptrdiff_t>(count));
  }
  // The last thread first: no body may rely on another of its own launch.
  template <class Body>
  void for_each(std::size_t items, std::size_t samples, const Body& body) {
    for (std::size_t item = items; item-- > 0;) {
      for (std::size_t sample = samples; sample-- > 0;) body(item, sample);
    }
  }
  std::size_t batch(std::size_t) { return 7; }
};

template <class Theory, class Real, class Architecture>
std::unique_ptr<Model> model_on_host(const Theory& theory, const Architecture& architecture,
                                     const std::vector<double>& weights) {
  using Flow = typename cuda::DeviceFlowOf<HostDevice, Theory, Real, Architecture>::type;
  return std::make_unique<cuda::DeviceModel<HostDevice, Theory, Flow>>(HostDevice{}, theory, architecture, weights);
}

// Parts: FlowParts, GaugeParts or SpectralParts.
template <class Parts>
void expect_the_lane_engines_bits(const Parts& parts) {
  const auto threads = std::visit(
      [&]<class Theory>(const Theory& theory) -> std::unique_ptr<Model> {
        if constexpr (Theory::kFieldType == decltype(Parts::architecture)::kFieldType) {
          return parts.precision == Precision::kMixed
                     ? model_on_host<Theory, float>(theory, parts.architecture, parts.weights)
                     : model_on_host<Theory, double>(theory, parts.architecture, parts.weights);
        }
        return nullptr;
      },
      parts.theory);
  const auto lanes = parts.model(lane_engine());
  const Draws draws = lanes->draw(kTestKey, Purpose::kBase, 3, 17);
  expect_equal_bits(threads->draw(kTestKey, Purpose::kBase, 3, 17), draws);
  expect_equal_bits(threads->densities(draws.fields), lanes->densities(draws.fields));
}

TEST(CudaBodies, GiveTheLaneEnginesBitsForEveryArchitecture) {
  for (std::uint64_t number = 0; number < kRandomFlows; ++number) {
    FlowCase flow_case = random_flow(number);
    for (const Precision precision : {Precision::kMixed, Precision::kFloat64}) {
      flow_case.precision = precision;
      SCOPED_TRACE("random flow " + std::to_string(number) + ", " + to_string(precision) + "\n" + flow_case.flow);
      expect_the_lane_engines_bits(FlowParts(flow_case));
    }
    if (HasFailure()) return;
  }
}

TEST(CudaBodies, GiveTheLaneEnginesBitsWhereSumsHaveSeveralBlocks) {
  expect_the_lane_engines_bits(
      FlowParts({.lattice = {16, 12}, .layers = 2, .hidden = {11}, .precision = Precision::kMixed}));
  expect_the_lane_engines_bits(FlowParts({.lattice = {6, 4, 8}, .layers = 2, .hidden = {9, 2}}));
  expect_the_lane_engines_bits(GaugeParts({.lattice = {16, 12}, .layers = 4}));
}

TEST(CudaBodies, GiveTheLaneEnginesBitsForGaugeFields) {
  for (GaugeCase gauge_case : gauge_cases()) {
    for (const Precision precision : {Precision::kMixed, Precision::kFloat64}) {
      gauge_case.precision = precision;
      SCOPED_TRACE(gauge_case.theory + ", " + to_string(precision) + "\n" + gauge_case.flow);
      expect_the_lane_engines_bits(GaugeParts(gauge_case));
    }
    if (HasFailure()) return;
  }
}

TEST(CudaBodies, GiveTheLaneEnginesBitsForMatrixFields) {
  for (SpectralCase spectral_case : spectral_cases()) {
    for (const Precision precision : {Precision::kMixed, Precision::kFloat64}) {
      spectral_case.precision = precision;
      SCOPED_TRACE("SU(" + std::to_string(spectral_case.colours) + "), " + to_string(precision) + "\n" +
                   spectral_case.flow);
      expect_the_lane_engines_bits(SpectralParts(spectral_case));
    }
    if (HasFailure()) return;
  }
}

TEST(CudaBodies, PassNaNsOn) {
  FlowParts parts{FlowCase{}};
  parts.weights.back() = std::nan("");
  const auto threads = model_on_host<Phi4, double>(std::get<Phi4>(parts.theory), parts.architecture, parts.weights);
  const auto lanes = parts.model(lane_engine());
  expect_equal_bits(threads->draw(kTestKey, Purpose::kBase, 0, 3), lanes->draw(kTestKey, Purpose::kBase, 0, 3));
  const std::vector<double> fields(2 * parts.volume(), 0.5);
  expect_equal_bits(threads->densities(fields), lanes->densities(fields));
}

}  // namespace
}  // namespace flowloom
