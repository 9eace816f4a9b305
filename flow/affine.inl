// The affine coupling's transform for one variable (arXiv:2101.08176). T: a value (math/value.h), or a tensor, whose
// exp is found by its type.

// y = x e^s + t; the layer's log_det is the sum of s over its active variables.
template <class T>
constexpr T affine_forward(const T& x, const T& s, const T& t) {
  return x * exp(s) + t;
}

// x = (y - t) e^-s; contributes -s to log_det.
template <class T>
constexpr T affine_inverse(const T& y, const T& s, const T& t) {
  return (y - t) * exp(-s);
}

// Slopes of a loss for one variable.
template <class T>
struct AffineSlopes {
  T variable, s, t;
};

// y = x e^s + t with a loss's slope g by y: its slopes by x, s and t, from y, e^s and t.
template <class T>
constexpr AffineSlopes<T> affine_pull_back(const T& y, const T& e_s, const T& t, const T& g) {
  return {g * e_s, g * (y - t), g};
}

// The density of y, log q(y) = log q(x) - s, with D = d(log q(x))/dx: D of y, and the slopes of -log q(y) by s and t at
// fixed y, from x and e^s (arXiv:2403.15881).
template <class T>
constexpr AffineSlopes<T> affine_density_slopes(const T& x, const T& e_s, const T& d) {
  const T of_y = d / e_s;
  return {of_y, d * x + T(1.0), of_y};
}

// The parts of a network's output that change not and change sign with its input, from the output for the input and for
// its negative. Exact: the even part of -x has the bits of that of x.
template <class T>
constexpr T even_part(const T& output, const T& mirrored) {
  return (output + mirrored) * 0.5;
}
template <class T>
constexpr T odd_part(const T& output, const T& mirrored) {
  return (output - mirrored) * 0.5;
}
