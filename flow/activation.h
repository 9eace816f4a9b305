// The activations by the names of a run file, and as functions of plain numbers; LibTorch's functions of the same names
// are found where the value is a tensor.
#pragma once

#include <array>
#include <cstddef>
#include <limits>
#include <string>
#include <type_traits>

#include "math/elementary.h"

namespace flowloom {

enum class Activation { kLeakyRelu, kRelu, kTanh, kSilu, kIdentity, kGelu };

inline constexpr std::array<const char*, 6> kActivationNames = {"leaky-relu", "relu",     "tanh",
                                                                "silu",       "identity", "gelu"};

inline Activation activation_named(const std::string& name) {
  std::size_t at = 0;
  while (kActivationNames.at(at) != name) ++at;
  return static_cast<Activation>(at);
}

// Whether it takes no more than an operation or two.
constexpr bool is_cheap(Activation activation) {
  return activation == Activation::kLeakyRelu || activation == Activation::kRelu || activation == Activation::kIdentity;
}

// Whether only LibTorch has it; elsewhere its values are NaN.
constexpr bool is_only_torchs(Activation activation) { return activation == Activation::kGelu; }

// Whether the slope follows from the argument, not from the value.
constexpr bool keeps_argument(Activation activation) { return activation == Activation::kSilu; }

// The slope for negative arguments (arXiv:2101.08176).
inline constexpr double kLeakySlope = 0.01;

#include "flow/activation.inl"

}  // namespace flowloom
