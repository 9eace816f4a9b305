// The GPU's work without a GPU: the same bodies in the same order, called thread by thread.
#include <gtest/gtest.h>

#include "flow/cuda/device_model.h"
#include "flow_engine_contract.h"

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

void expect_the_lane_engines_bits(const FlowCase& flow_case) {
  const FlowParts parts(flow_case);
  const auto expect = [&]<class Real>(Real) {
    const auto& theory = std::get<Phi4>(parts.theory);
    const cuda::DeviceModel<HostDevice, Phi4, Real> own({}, theory, parts.architecture, parts.weights);
    const Model& threads = own;
    const auto lanes = parts.model(lane_engine());
    const Draws draws = lanes->draw(kTestKey, Purpose::kBase, 3, 17);
    expect_equal_bits(threads.draw(kTestKey, Purpose::kBase, 3, 17), draws);
    expect_equal_bits(threads.densities(draws.fields), lanes->densities(draws.fields));
  };
  parts.precision == Precision::kMixed ? expect(float{}) : expect(double{});
}

TEST(CudaBodies, GiveTheLaneEnginesBitsForEveryArchitecture) {
  for (std::uint64_t number = 0; number < kRandomFlows; ++number) {
    FlowCase flow_case = random_flow(number);
    for (const Precision precision : {Precision::kMixed, Precision::kFloat64}) {
      flow_case.precision = precision;
      SCOPED_TRACE("random flow " + std::to_string(number) + ", " + to_string(precision) + "\n" + flow_case.flow);
      expect_the_lane_engines_bits(flow_case);
    }
    if (HasFailure()) return;
  }
}

TEST(CudaBodies, GiveTheLaneEnginesBitsWhereSumsHaveSeveralBlocks) {
  expect_the_lane_engines_bits({.lattice = {16, 12}, .layers = 2, .hidden = {11}, .precision = Precision::kMixed});
  expect_the_lane_engines_bits({.lattice = {6, 4, 8}, .layers = 2, .hidden = {9, 2}});
}

TEST(CudaBodies, PassNaNsOn) {
  FlowParts parts{FlowCase{}};
  parts.weights.back() = std::nan("");
  const cuda::DeviceModel<HostDevice, Phi4, double> own({}, std::get<Phi4>(parts.theory), parts.architecture,
                                                        parts.weights);
  const Model& threads = own;
  const auto lanes = parts.model(lane_engine());
  expect_equal_bits(threads.draw(kTestKey, Purpose::kBase, 0, 3), lanes->draw(kTestKey, Purpose::kBase, 0, 3));
  const std::vector<double> fields(2 * parts.volume(), 0.5);
  expect_equal_bits(threads.densities(fields), lanes->densities(fields));
}

}  // namespace
}  // namespace flowloom
