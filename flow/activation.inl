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
    case Activation::kIdentity:
      break;
  }
  return visit([](const auto& x) { return x; });
}
