// Small flows to test engines with, and a second, slow implementation of the flow written from its definition alone.
#pragma once

#include <algorithm>
#include <cmath>
#include <numbers>
#include <numeric>
#include <string>
#include <vector>

#include "flow/catalog.h"
#include "flow/engine.h"
#include "support.h"

namespace flowloom {

struct FlowCase {
  std::vector<std::int64_t> lattice = {4, 4};
  int layers = 4;
  std::vector<int> hidden = {3};
  int kernel = 3;
  Precision precision = Precision::kFloat64;
  double lambda = 0.5;
  std::string flow = "";  // more lines of the section

  RunSpec run() const {
    return load_run_text("[run]\nname = \"test\"\nprecision = \"" + std::string(to_string(precision)) +
                             "\"\n[theory]\nkind = \"phi4\"\nlattice = " + nlohmann::json(lattice).dump() +
                             "\nm2 = -0.5\nlambda = " + nlohmann::json(lambda).dump() +
                             "\n[flow]\nkind = \"affine-coupling\"\nlayers = " + std::to_string(layers) +
                             "\nhidden = " + nlohmann::json(hidden).dump() + "\nkernel = " + std::to_string(kernel) +
                             "\n" + flow + "\n[chain]\nlength = 1\n",
                         "test.toml");
  }
};

// A flow of random architecture on a random small lattice; equal numbers give equal flows.
inline FlowCase random_flow(std::uint64_t number) {
  std::vector<double> uniforms(64);
  fill_uniform(NoiseKey::from("random flows"), Purpose::kInit, number, uniforms);
  auto next = uniforms.begin();
  const auto choose = [&]<class T>(const std::vector<T>& from) {
    return from[std::min(from.size() - 1, static_cast<std::size_t>(*next++ * static_cast<double>(from.size())))];
  };
  FlowCase flow;
  flow.lattice = choose(std::vector<std::vector<std::int64_t>>{
      {6}, {8}, {4, 6}, {6, 4}, {6, 6}, {8, 6}, {4, 4, 4}, {6, 4, 4}, {4, 4, 4, 4}, {2, 4}, {4, 2, 6}, {2, 4, 2, 4}});
  const std::int64_t shortest = *std::min_element(flow.lattice.begin(), flow.lattice.end());
  flow.layers = choose(std::vector{1, 2, 3, 4});
  flow.hidden.resize(choose(std::vector<std::size_t>{0, 1, 1, 2}));
  for (int& channels : flow.hidden) channels = choose(std::vector{1, 2, 3});
  flow.kernel = shortest >= 5 ? choose(std::vector{3, 3, 5}) : shortest >= 3 ? 3 : 1;
  const bool bias = choose(std::vector{true, true, false});
  flow.flow = std::string("bias = ") + (bias ? "true" : "false");
  const std::vector<std::string> dilations = {"[1]", "[1, 2]", "[2, 1, 1]"};  // for so many hidden layers
  const bool dilate = choose(std::vector{true, true, false});
  if (flow.kernel == 3 && shortest >= 5 && dilate) flow.flow += "\ndilation = " + dilations[flow.hidden.size()];
  flow.flow += "\nactivation = \"" + choose(std::vector<std::string>{"leaky-relu", "relu", "tanh", "silu"}) + "\"";
  flow.flow += "\noutput = \"" + choose(std::vector<std::string>{"tanh", "tanh", "identity"}) + "\"";
  if (bias || !flow.hidden.empty())
    flow.flow += "\nsymmetry = \"" + choose(std::vector<std::string>{"none", "z2"}) + "\"";
  flow.flow += "\nprior = \"" + choose(std::vector<std::string>{"normal", "free-field"}) + "\"";
  flow.flow += "\nrescale = " + choose(std::vector<std::string>{"true", "false"});
  return flow;
}
inline constexpr std::uint64_t kRandomFlows = 40;

// A run of the free theory m2 = 1.25 with the prior that can be it; with weights[0] = log m2 it is, the couplings
// being 1.
inline RunSpec free_theory(const std::vector<std::int64_t>& lattice) {
  FlowCase flow_case{.lattice = lattice, .layers = 2, .kernel = 1, .flow = "prior = \"free-field\"\ninit_scale = 0"};
  std::string text = flow_case.run().toml;
  text.replace(text.find("m2 = -0.5"), 9, "m2 = 1.25");
  return load_run_text(text.replace(text.find("lambda = 0.5"), 12, "lambda = 0.0"), "free.toml");
}

// The case with weights, as the engines take it.
struct FlowParts {
  explicit FlowParts(const FlowCase& flow_case, const std::string& seed = "weights")
      : theory(theory_of(flow_case.run())),
        architecture(std::get<AffineCouplingFlow>(architecture_of(flow_case.run()).kind())),
        weights(architecture.initial_weights(NoiseKey::from(seed))),
        precision(flow_case.precision) {
    std::size_t at = 0;  // what starts at zero could hide a mistake
    for (const Parameter& parameter : architecture.parameters()) {
      if (parameter.fan_in == 0) weights[at] += 0.25;
      at += parameter.size();
    }
  }

  std::unique_ptr<Model> model(const Engine& engine) const {
    return engine.model(theory, architecture, weights, precision);
  }
  const Geometry& geometry() const { return theory_geometry(theory); }
  std::size_t volume() const { return geometry().sites(); }

  AnyTheory theory;
  AffineCouplingFlow architecture;
  std::vector<double> weights;
  Precision precision;
};

inline const NoiseKey kTestKey = NoiseKey::from("test");

inline std::vector<double> noise_at(std::uint64_t index, std::size_t volume, Purpose purpose = Purpose::kBase) {
  std::vector<double> z(volume);
  fill_normal(kTestKey, purpose, index, z);
  return z;
}

// K z of the free-field prior by its definition: the sum over all modes.
inline std::vector<double> direct_free_field(const Geometry& geometry, double mass2, const std::vector<double>& z) {
  const std::size_t volume = geometry.sites();
  std::vector<double> field(volume);
  std::vector<std::vector<std::int64_t>> at;
  for (std::size_t x = 0; x < volume; ++x) at.push_back(geometry.coordinates(x));
  for (const auto& n : at) {  // the modes have the sites' numbers
    std::vector<double> k(n.size());
    double khat2 = 0;
    for (std::size_t mu = 0; mu < n.size(); ++mu) {
      k[mu] = 2 * std::numbers::pi * static_cast<double>(n[mu]) / static_cast<double>(geometry.extents()[mu]);
      khat2 += 4 * std::sin(k[mu] / 2) * std::sin(k[mu] / 2);
    }
    const double amplitude = 1 / std::sqrt(2 * (khat2 + mass2));
    for (std::size_t x = 0; x < volume; ++x) {
      for (std::size_t y = 0; y < volume; ++y) {
        double phase = 0;
        for (std::size_t mu = 0; mu < n.size(); ++mu) {
          phase += k[mu] * static_cast<double>(at[x][mu] - at[y][mu]);
        }
        field[x] += amplitude * std::cos(phase) * z[y] / static_cast<double>(volume);
      }
    }
  }
  return field;
}

inline double direct_activation(Activation activation, double x) {
  switch (activation) {
    case Activation::kLeakyRelu:
      return std::max(x, 0.01 * x);
    case Activation::kRelu:
      return std::max(x, 0.0);
    case Activation::kTanh:
      return std::tanh(x);
    case Activation::kSilu:
      return x / (1 + std::exp(-x));
    case Activation::kGelu:
      return x * 0.5 * std::erfc(-x / std::sqrt(2.0));
    case Activation::kIdentity:
      break;
  }
  return x;
}

// The two outputs, [2][site], of the network whose weights begin at `at`, which is moved past them.
inline std::vector<std::vector<double>> direct_network(const FlowParts& parts, std::size_t& at,
                                                       const std::vector<double>& input) {
  const Geometry& geometry = parts.geometry();
  const auto& channels = parts.architecture.network().channels;
  std::vector<std::vector<double>> x = {input};
  for (std::size_t conv = 0; conv + 1 < channels.size(); ++conv) {
    const auto in = static_cast<std::size_t>(channels[conv]);
    const auto out = static_cast<std::size_t>(channels[conv + 1]);
    const auto box = geometry.box(parts.architecture.network().kernel);
    std::vector<std::vector<double>> y(out, std::vector<double>(geometry.sites()));
    const std::size_t bias = at + out * in * box.size();
    for (std::size_t o = 0; o < out; ++o) {
      for (std::size_t i = 0; i < geometry.sites(); ++i) {
        double sum = parts.architecture.network().bias ? parts.weights[bias + o] : 0.0;
        for (std::size_t c = 0; c < in; ++c) {
          for (std::size_t k = 0; k < box.size(); ++k) {
            auto there = geometry.coordinates(i);
            for (std::size_t mu = 0; mu < there.size(); ++mu) {
              there[mu] += box[k][mu] * parts.architecture.network().dilation[conv];
            }
            sum += parts.weights[at + (o * in + c) * box.size() + k] * x[c][geometry.site(there)];
          }
        }
        y[o][i] = direct_activation(parts.architecture.network().activation_of(conv), sum);
      }
    }
    at = bias + (parts.architecture.network().bias ? out : 0);
    x = y;
  }
  return x;
}

// The field of the flow at noise `z`, in float64: loops over coordinates, one site at a time.
inline std::vector<double> direct_flow(const FlowParts& parts, std::vector<double> z) {
  const Geometry& geometry = parts.geometry();
  std::size_t at = 0;
  if (parts.architecture.prior() == Prior::kFreeField) {
    z = direct_free_field(geometry, std::exp(parts.weights[at++]), z);
  }
  for (std::size_t layer = 0; layer < parts.architecture.layers(); ++layer) {
    const int active = static_cast<int>(layer % 2);
    std::vector<double> frozen = z, mirrored = z;
    for (std::size_t i = 0; i < z.size(); ++i) {
      if (geometry.parity(i) == active) frozen[i] = 0;
      mirrored[i] = -frozen[i];
    }
    std::size_t again = at;
    auto s_and_t = direct_network(parts, at, frozen);
    if (parts.architecture.z2()) {
      const auto other = direct_network(parts, again, mirrored);
      for (std::size_t i = 0; i < z.size(); ++i) {
        s_and_t[0][i] = (s_and_t[0][i] + other[0][i]) / 2;
        s_and_t[1][i] = (s_and_t[1][i] - other[1][i]) / 2;
      }
    }
    for (std::size_t i = 0; i < z.size(); ++i) {
      if (geometry.parity(i) == active) z[i] = z[i] * std::exp(s_and_t[0][i]) + s_and_t[1][i];
    }
  }
  if (parts.architecture.rescales()) {
    for (double& value : z) value *= std::exp(parts.weights[at]);
  }
  return z;
}

// log |det| of a matrix [row][column], by elimination with pivots.
inline double direct_log_abs_det(std::vector<std::vector<double>> matrix) {
  const std::size_t n = matrix.size();
  double log_det = 0;
  for (std::size_t k = 0; k < n; ++k) {
    std::size_t pivot = k;
    for (std::size_t i = k; i < n; ++i) {
      if (std::abs(matrix[i][k]) > std::abs(matrix[pivot][k])) pivot = i;
    }
    std::swap(matrix[k], matrix[pivot]);
    log_det += std::log(std::abs(matrix[k][k]));
    for (std::size_t i = k + 1; i < n; ++i) {
      const double factor = matrix[i][k] / matrix[k][k];
      for (std::size_t j = k; j < n; ++j) matrix[i][j] -= factor * matrix[k][j];
    }
  }
  return log_det;
}

// log |det d map / dz| at `z`, by central differences.
inline double direct_log_det(const auto& map, const std::vector<double>& z) {
  constexpr double kStep = 1e-5;
  const std::size_t n = z.size();
  std::vector<std::vector<double>> jacobian(n, std::vector<double>(n));
  for (std::size_t j = 0; j < n; ++j) {
    auto above = z, below = z;
    above[j] += kStep;
    below[j] -= kStep;
    above = map(above);
    below = map(below);
    for (std::size_t i = 0; i < n; ++i) jacobian[i][j] = (above[i] - below[i]) / (2 * kStep);
  }
  return direct_log_abs_det(std::move(jacobian));
}

inline double direct_log_det(const FlowParts& parts, const std::vector<double>& z) {
  return direct_log_det([&](const std::vector<double>& from) { return direct_flow(parts, from); }, z);
}

inline double standard_normal_log_density(const std::vector<double>& z) {
  double sum = 0;
  for (const double value : z) sum -= 0.5 * value * value + 0.5 * std::log(2 * 3.14159265358979323846);
  return sum;
}

}  // namespace flowloom
