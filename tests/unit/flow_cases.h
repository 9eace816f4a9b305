// Small flows to test engines with, and a second, slow implementation of the flow written from its definition alone.
#pragma once

#include <cmath>
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

  RunSpec run() const {
    return load_run_text("[run]\nname = \"test\"\nprecision = \"" + std::string(to_string(precision)) +
                             "\"\n[theory]\nkind = \"phi4\"\nlattice = " + nlohmann::json(lattice).dump() +
                             "\nm2 = -0.5\nlambda = " + nlohmann::json(lambda).dump() +
                             "\n[flow]\nkind = \"affine-coupling\"\nlayers = " + std::to_string(layers) +
                             "\nhidden = " + nlohmann::json(hidden).dump() + "\nkernel = " + std::to_string(kernel) +
                             "\n[chain]\nlength = 1\n",
                         "test.toml");
  }
};

// The case with weights, as the engines take it.
struct FlowParts {
  explicit FlowParts(const FlowCase& flow_case, const std::string& seed = "weights")
      : theory(theory_of(flow_case.run())),
        architecture(architecture_of(flow_case.run())),
        weights(architecture.initial_weights(NoiseKey::from(seed))),
        precision(flow_case.precision) {}

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

// The field of the flow at noise `z`, in float64: loops over coordinates, one site at a time.
inline std::vector<double> direct_flow(const FlowParts& parts, std::vector<double> z) {
  const Geometry& geometry = parts.geometry();
  const auto& channels = parts.architecture.channels();
  const auto box = geometry.box(parts.architecture.kernel());
  std::size_t at = 0;
  for (std::size_t layer = 0; layer < parts.architecture.layers(); ++layer) {
    const int active = static_cast<int>(layer % 2);
    std::vector<std::vector<double>> x(1, std::vector<double>(geometry.sites()));
    for (std::size_t i = 0; i < z.size(); ++i) x[0][i] = geometry.parity(i) == active ? 0.0 : z[i];
    for (std::size_t conv = 0; conv + 1 < channels.size(); ++conv) {
      const auto in = static_cast<std::size_t>(channels[conv]);
      const auto out = static_cast<std::size_t>(channels[conv + 1]);
      std::vector<std::vector<double>> y(out, std::vector<double>(geometry.sites()));
      const std::size_t bias = at + out * in * box.size();
      for (std::size_t o = 0; o < out; ++o) {
        for (std::size_t i = 0; i < geometry.sites(); ++i) {
          double sum = parts.weights[bias + o];
          for (std::size_t c = 0; c < in; ++c) {
            for (std::size_t k = 0; k < box.size(); ++k) {
              auto there = geometry.coordinates(i);
              for (std::size_t mu = 0; mu < there.size(); ++mu) there[mu] += box[k][mu];
              sum += parts.weights[at + (o * in + c) * box.size() + k] * x[c][geometry.site(there)];
            }
          }
          const bool last = conv + 2 == channels.size();
          y[o][i] = last ? std::tanh(sum) : std::max(sum, 0.01 * sum);
        }
      }
      at = bias + out;
      x = y;
    }
    for (std::size_t i = 0; i < z.size(); ++i) {
      if (geometry.parity(i) == active) z[i] = z[i] * std::exp(x[0][i]) + x[1][i];
    }
  }
  return z;
}

// log |det d direct_flow / dz| at `z`, by central differences and elimination with pivots.
inline double direct_log_det(const FlowParts& parts, const std::vector<double>& z) {
  constexpr double kStep = 1e-5;
  const std::size_t n = z.size();
  std::vector<std::vector<double>> jacobian(n, std::vector<double>(n));
  for (std::size_t j = 0; j < n; ++j) {
    auto above = z, below = z;
    above[j] += kStep;
    below[j] -= kStep;
    above = direct_flow(parts, above);
    below = direct_flow(parts, below);
    for (std::size_t i = 0; i < n; ++i) jacobian[i][j] = (above[i] - below[i]) / (2 * kStep);
  }
  double log_det = 0;
  for (std::size_t k = 0; k < n; ++k) {
    std::size_t pivot = k;
    for (std::size_t i = k; i < n; ++i) {
      if (std::abs(jacobian[i][k]) > std::abs(jacobian[pivot][k])) pivot = i;
    }
    std::swap(jacobian[k], jacobian[pivot]);
    log_det += std::log(std::abs(jacobian[k][k]));
    for (std::size_t i = k + 1; i < n; ++i) {
      const double factor = jacobian[i][k] / jacobian[k][k];
      for (std::size_t j = k; j < n; ++j) jacobian[i][j] -= factor * jacobian[k][j];
    }
  }
  return log_det;
}

inline double standard_normal_log_density(const std::vector<double>& z) {
  double sum = 0;
  for (const double value : z) sum -= 0.5 * value * value + 0.5 * std::log(2 * 3.14159265358979323846);
  return sum;
}

}  // namespace flowloom
