// What stands between a network's convolutions, and after the last one, by the names of a run file.
//
// Each is a template over its value: a float, a double, a tensor. LibTorch's functions of the same names are found where
// the value is a tensor.
#pragma once

#include <array>
#include <cmath>
#include <concepts>
#include <cstddef>
#include <string>

namespace flowloom {

enum class Activation { kLeakyRelu, kRelu, kTanh, kSilu, kIdentity };

inline constexpr std::array<const char*, 5> kActivationNames = {"leaky-relu", "relu", "tanh", "silu", "identity"};

inline Activation activation_named(const std::string& name) {
  std::size_t at = 0;
  while (kActivationNames.at(at) != name) ++at;
  return static_cast<Activation>(at);
}

// The slope for negative arguments (arXiv:2101.08176).
inline constexpr double kLeakySlope = 0.01;

template <std::floating_point Real>
Real leaky_relu(Real x, double slope) {
  return x > 0 ? x : x * static_cast<Real>(slope);
}

template <std::floating_point Real>
Real relu(Real x) {
  return x > 0 ? x : (x == x ? Real{0} : x);  // a NaN stays one
}

// x / (1 + e^-x)
template <std::floating_point Real>
Real silu(Real x) {
  return x / (1 + std::exp(-x));
}

// Calls `visit` with the function itself, so that a loop over values is not a loop over choices.
template <class Visitor>
decltype(auto) with_activation(Activation activation, Visitor&& visit) {
  using std::tanh;
  switch (activation) {
    case Activation::kLeakyRelu:
      return visit([](const auto& x) { return leaky_relu(x, kLeakySlope); });
    case Activation::kRelu:
      return visit([](const auto& x) { return relu(x); });
    case Activation::kTanh:
      return visit([](const auto& x) { return tanh(x); });
    case Activation::kSilu:
      return visit([](const auto& x) { return silu(x); });
    case Activation::kIdentity:
      break;
  }
  return visit([](const auto& x) { return x; });
}

}  // namespace flowloom
