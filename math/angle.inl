// Angles. T: a value (math/value.h), or a tensor, which has a turn() and a turns_of() of its own (the latter without a
// slope).

// The integer n, as a value, with theta - kTwoPi n in [-kPi, kPi). |theta| < 2^50.
template <Value V>
constexpr V turns_of(V theta) {
  const V round(Format<RealOf<V>>::kRound), one(1.0), pi(kPi);
  const V n = fma(theta, V(1 / kTwoPi), round) - round;
  const V rest = fma(n, V(-kTwoPi), theta);
  return select(rest < -pi, n - one, select(rest < pi, n, n + one));
}

// The cosine and the sine.
template <class T>
constexpr auto turn_of_angle(const T& theta) {
  return turn(theta * (1 / kTwoPi));
}

// theta in [-kPi, kPi), up to whole turns. Exact for |theta| < 4 kTwoPi.
template <class T>
constexpr T wrap_angle(const T& theta) {
  return fma(turns_of(theta), T(-kTwoPi), theta);
}

// theta in [0, kTwoPi], up to whole turns; kTwoPi itself only by rounding, from just below 0. An angle that is there
// stays.
template <class T>
constexpr T positive_angle(const T& theta) {
  const T n = turns_of(theta);
  const T rest = fma(n, T(-kTwoPi), theta);
  return fma(select(rest < T(0.0), n - T(1.0), n), T(-kTwoPi), theta);
}

// theta + shift in [0, kTwoPi], up to whole turns. Its slopes by both are 1.
template <class T>
constexpr T shift_angle(const T& theta, const T& shift) {
  return positive_angle(theta + shift);
}
