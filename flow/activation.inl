// What stands between a network's convolutions, and after the last one, for values (math/value.h).

template <Value V>
constexpr V leaky_relu(V x, double slope) {
  return select(V(0) < x, x, x * V(static_cast<RealOf<V>>(slope)));
}

template <Value V>
constexpr V relu(V x) {
  return select(x < V(0), V(0), x);  // a NaN stays one
}

// x / (1 + e^-x)
template <Value V>
constexpr V silu(V x) {
  return x / (V(1) + exp(-x));
}

// x (1 + erf(x / sqrt 2)) / 2, which only LibTorch's tensors have.
struct Gelu {
  template <class X>
  constexpr X operator()(const X& x) const {
    if constexpr (requires { gelu(x); }) {
      return gelu(x);
    } else {
      return X(std::numeric_limits<RealOf<X>>::quiet_NaN());
    }
  }
};

// Calls `visit` with the function itself, so that a loop over values is not a loop over choices.
template <class Visitor>
constexpr decltype(auto) with_activation(Activation activation, Visitor&& visit) {
  switch (activation) {
    case Activation::kLeakyRelu:
      return visit([](const auto& x) { return leaky_relu(x, kLeakySlope); });
    case Activation::kRelu:
      return visit([](const auto& x) { return relu(x); });
    case Activation::kTanh:
      return visit([](const auto& x) { return tanh(x); });
    case Activation::kSilu:
      return visit([](const auto& x) { return silu(x); });
    case Activation::kGelu:
      return visit(Gelu());
    case Activation::kIdentity:
      break;
  }
  return visit([](const auto& x) { return x; });
}

// Slopes. They follow from the function's value, but for SiLU, whose slope follows from its argument
// (keeps_argument()).

// Of leaky_relu() and, with slope 0, of relu().
template <Value V>
constexpr V leaky_relu_slope(V value, double slope) {
  return select(V(0) < value, V(1), V(static_cast<RealOf<V>>(slope)));
}

template <Value V>
constexpr V tanh_slope(V value) {
  return V(1) - value * value;
}

template <Value V>
constexpr V silu_slope(V x) {
  const V sigmoid = V(1) / (V(1) + exp(-x));
  return sigmoid * (V(1) + x * (V(1) - sigmoid));
}

// As with_activation(), for the slope.
template <class Visitor>
constexpr decltype(auto) with_slope(Activation activation, Visitor&& visit) {
  switch (activation) {
    case Activation::kLeakyRelu:
      return visit([](const auto& value) { return leaky_relu_slope(value, kLeakySlope); });
    case Activation::kRelu:
      return visit([](const auto& value) { return leaky_relu_slope(value, 0.0); });
    case Activation::kTanh:
      return visit([](const auto& value) { return tanh_slope(value); });
    case Activation::kSilu:
      return visit([](const auto& x) { return silu_slope(x); });
    case Activation::kGelu:
      return visit(Gelu());
    case Activation::kIdentity:
      break;
  }
  return visit([](const auto& x) { return std::remove_cvref_t<decltype(x)>(1); });
}
