// One variable's part of a density, and of how far an inverse misses. T: a value (math/value.h), or a tensor.

// log of the standard normal density without its constant.
template <class T>
constexpr T normal_log_density(const T& z) {
  return z * z * -0.5;
}

// The larger of `largest` and |change|; NaN if one of them is.
template <class T>
constexpr T larger_gap(const T& largest, const T& change) {
  const T gap = select(change < T(0.0), -change, change);
  return select(is_nan(gap), gap, select(largest < gap, gap, largest));
}
