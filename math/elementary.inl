// Elementary functions of values (math/value.h), equal to the last bit on every processor. Errors are measured over the
// whole range against a wider type, in units in the last place (tests/unit/math_elementary_test.cc):
//
//                 float     double
//   exp            1.1        1.1
//   tanh           2.5        2.7
//   log             -         0.9
//   turn            -         1.9   (the cosine and the sine of 2 pi u)
//   atan2           -         2.9
//
// A NaN gives the canonical one. Polynomials are Taylor's series, so that every coefficient can be checked by eye.

// c0 + c1 x + c2 x^2 + ... by Horner's rule.
template <Value V>
constexpr V polynomial(V, double c) {
  return V(static_cast<RealOf<V>>(c));
}
template <Value V, class... More>
constexpr V polynomial(V x, double c, More... more) {
  return fma(polynomial(x, more...), x, V(static_cast<RealOf<V>>(c)));
}

// The value, with every NaN made the same one.
template <Value V>
constexpr V canonical(V x) {
  return select(is_nan(x), V(Format<RealOf<V>>::kNaN), x);
}

// x, or the end of [low, high] that it is beyond; NaN for a NaN. Of tensors too.
template <class T>
constexpr T clamped(const T& x, const T& low, const T& high) {
  return select(x < low, low, select(high < x, high, x));
}

// 2^n for an integer n given as n + kRound, within the normal exponents.
template <Value V>
constexpr V power_of_two(V n_plus_round) {
  using F = Format<RealOf<V>>;
  return from_bits(shift_left<F::kMantissaBits>(bits(n_plus_round) + BitsOf<V>(F::kBias)));
}

// x 2^n, rounded once, for an integer n of at most twice the normal exponents and a normal x. (AVX-512 has its own.)
template <Value V>
constexpr V times_power_of_two(V x, V n) {
  using Real = RealOf<V>;
  const V round(Format<Real>::kRound);
  const V half = fma(n, V(Real(0.5)), round);  // n/2, rounded: 2^n itself may be no normal number
  const V rest = n - (half - round);
  return x * power_of_two(half) * power_of_two(rest + round);
}

// x = n log 2 + r with an integer n and |r| <= log(2)/2; and e^r - 1.
template <Value V>
struct ExpReduced {
  V n, expm1;
};

template <Value V>
constexpr ExpReduced<V> exp_reduce(V x) {
  using Real = RealOf<V>;
  constexpr bool kDouble = Format<Real>::kMantissaBits == 52;
  constexpr double kLn2High =
      kDouble ? 0x1.62e42feep-1 : 0x1.62e4p-1;  // their sum is log 2 to more than twice the digits
  constexpr double kLn2Low = kDouble ? 0x1.a39ef35793c76p-33 : 0x1.7f7d1cp-20;
  const V round(Format<Real>::kRound);
  const V n = fma(x, V(static_cast<Real>(1.4426950408889634074)), round) - round;
  const V r = fma(n, V(static_cast<Real>(-kLn2Low)), fma(n, V(static_cast<Real>(-kLn2High)), x));
  V tail;
  if constexpr (kDouble) {
    tail = polynomial(r, 1. / 2, 1. / 6, 1. / 24, 1. / 120, 1. / 720, 1. / 5040, 1. / 40320, 1. / 362880, 1. / 3628800,
                      1. / 39916800, 1. / 479001600, 1. / 6227020800);
  } else {
    tail = polynomial(r, 1. / 2, 1. / 6, 1. / 24, 1. / 120, 1. / 720, 1. / 5040);
  }
  return {n, fma(r * r, tail, r)};
}

// e^x; infinity above the largest number, subnormal numbers and then 0 below the smallest.
template <Value V>
constexpr V exp(V x) {
  using Real = RealOf<V>;
  constexpr bool kDouble = Format<Real>::kMantissaBits == 52;
  const V low(static_cast<Real>(kDouble ? -746 : -104)), high(static_cast<Real>(kDouble ? 710 : 89));
  const auto [n, expm1] = exp_reduce(clamped(x, low, high));
  return canonical(times_power_of_two(expm1 + V(Real(1)), n));
}

// The same for x <= 0 in fewer instructions, but that a NaN gives any one.
template <Value V>
constexpr V exp_of_negative(V x) {
  using Real = RealOf<V>;
  const V low(static_cast<Real>(Format<Real>::kMantissaBits == 52 ? -746 : -104));
  const auto [n, expm1] = exp_reduce(select(x < low, low, x));
  return times_power_of_two(expm1 + V(Real(1)), n);
}

// tanh |x| = (e - 1) / (e + 1) with e = e^(2|x|), without cancellation for small x.
template <Value V>
constexpr V tanh(V x) {
  using F = Format<RealOf<V>>;
  using Real = RealOf<V>;
  const V one(Real(1)), two(Real(2)), high(Real(F::kMantissaBits == 52 ? 20 : 10));  // beyond it the result is 1
  const BitsOf<V> sign = bits(x) & BitsOf<V>(F::kSign);
  const V magnitude = from_bits(bits(x) ^ sign);
  const auto [n, expm1] = exp_reduce(select(high < magnitude, high, magnitude) * two);
  const V scale = power_of_two(n + V(F::kRound));
  const V e_minus_one = fma(scale, expm1, scale - one);
  return canonical(from_bits(bits(e_minus_one / (e_minus_one + two)) | sign));
}

// The natural logarithm; -infinity at 0, NaN below.
template <Value V>
  requires std::same_as<RealOf<V>, double>
constexpr V log(V x) {
  using F = Format<double>;
  using B = BitsOf<V>;
  constexpr double kInfinity = std::numeric_limits<double>::infinity();
  const V zero(0.0), one(1.0);
  const auto subnormal = x < V(std::numeric_limits<double>::min());
  const V normal = select(subnormal, x * V(0x1p54), x);
  // normal = 2^e m with m in [sqrt(1/2), sqrt(2))
  constexpr std::uint64_t kSqrtHalf = 0x3fe6a09e667f3bcd, kOne = 0x3ff0000000000000, kTwo52 = 0x4330000000000000;
  const B shifted = bits(normal) + B(kOne - kSqrtHalf);
  const V e = from_bits(shift_right<F::kMantissaBits>(shifted) | B(kTwo52)) -
              select(subnormal, V(0x1p52 + 1023 + 54), V(0x1p52 + 1023));
  const V f = from_bits((shifted & B(F::kMantissa)) + B(kSqrtHalf)) - one;
  // log(1 + f) = 2 atanh(s) with s = f / (2 + f), and f - f^2/2 taken out, which has few rounding errors
  const V s = f / (V(2.0) + f);
  const V s2 = s * s;
  const V tail = s2 * polynomial(s2, 2. / 3, 2. / 5, 2. / 7, 2. / 9, 2. / 11, 2. / 13, 2. / 15, 2. / 17, 2. / 19,
                                 2. / 21, 2. / 23);
  const V half_square = V(0.5) * f * f;
  const V low = fma(e, V(0x1.a39ef35793c76p-33), s * (half_square + tail));
  const V result = e * V(0x1.62e42feep-1) - ((half_square - low) - f);
  return canonical(
      select(x < zero, V(F::kNaN),
             select(zero < x, select(x < V(kInfinity), result, V(kInfinity)), select(is_nan(x), x, V(-kInfinity)))));
}

template <Value V>
struct Turn {
  V cos, sin;
};

// The cosine and the sine of u turns, that is of the angle 2 pi u; NaN unless |u| < 2^49.
template <Value V>
  requires std::same_as<RealOf<V>, double>
constexpr Turn<V> turn(V u) {
  using F = Format<double>;
  using B = BitsOf<V>;
  const V round(F::kRound), one(1.0);
  const V quarters = fma(u, V(4.0), round);
  const V angle = fma(quarters - round, V(-0.25), u) * V(kTwoPi);  // |angle| <= pi/4
  const V a2 = angle * angle;
  const V sine = fma(a2 * angle,
                     polynomial(a2, -1. / 6, 1. / 120, -1. / 5040, 1. / 362880, -1. / 39916800, 1. / 6227020800,
                                -1. / 1307674368000, 1. / 355687428096000),
                     angle);
  const V cosine = fma(a2,
                       polynomial(a2, -1. / 2, 1. / 24, -1. / 720, 1. / 40320, -1. / 3628800, 1. / 479001600,
                                  -1. / 87178291200, 1. / 20922789888000),
                       one);
  // The quarter turns: swap in the odd ones; the signs go + + - - for the sine, + - - + for the cosine.
  const B quarter = bits(quarters);
  const auto odd = V(0.0) < from_bits(shift_left<F::kMantissaBits>(quarter & B(1)));
  const V far = from_bits((bits(u) & B(~F::kSign)));
  const auto valid = far < V(0x1p49);
  const V cos = from_bits(bits(select(odd, sine, cosine)) ^ (shift_left<62>(quarter + B(1)) & B(F::kSign)));
  const V sin = from_bits(bits(select(odd, cosine, sine)) ^ (shift_left<62>(quarter) & B(F::kSign)));
  return {select(valid, cos, V(F::kNaN)), select(valid, sin, V(F::kNaN))};
}

// The angle of the point (x, y), in [-pi, pi]: atan(y / x) in the right half plane, for zeros of either sign as IEEE
// 754 recommends. NaN if one of them is infinite.
template <Value V>
  requires std::same_as<RealOf<V>, double>
constexpr V atan2(V y, V x) {
  using F = Format<double>;
  using B = BitsOf<V>;
  const V zero(0.0), one(1.0), two(2.0);
  const B sign = bits(y) & B(F::kSign);
  const V height = from_bits(bits(y) ^ sign), width = from_bits(bits(x) & B(~F::kSign));
  const auto steep = width < height;
  const V larger = select(steep, height, width);
  // Scaled, sums of the two neither overflow nor lose digits.
  const V unit = select(larger < V(0x1p-900), V(0x1p200), select(V(0x1p900) < larger, V(0x1p-200), one));
  const V far = larger * unit + select(zero < larger, zero, one);
  const V near = select(steep, width, height) * unit;
  // The angle in the octant is eighths * pi/8 + atan(t) with |t| <= 1/4.
  const auto above_first = V(0.25) * far < near;
  const auto above_second = V(0.66817863791929891999) * far < near;  // tan(3 pi/16)
  const V eighths = select(above_second, two, select(above_first, one, zero));
  const V tangent = select(above_second, one, select(above_first, V(0.41421356237309504880), zero));
  const V t = fma(-tangent, far, near) / fma(tangent, near, far);
  const V t2 = t * t;
  const V rest = fma(t2 * t,
                     polynomial(t2, -1. / 3, 1. / 5, -1. / 7, 1. / 9, -1. / 11, 1. / 13, -1. / 15, 1. / 17, -1. / 19,
                                1. / 21, -1. / 23, 1. / 25),
                     t);
  // Reflected at the diagonal and at the vertical axis.
  const auto left = from_bits((bits(x) & B(F::kSign)) | bits(one)) < zero;
  const V in_quarter = select(steep, V(4.0) - eighths, eighths), rest_in_quarter = select(steep, -rest, rest);
  const V in_half = select(left, V(8.0) - in_quarter, in_quarter);
  const V rest_in_half = select(left, -rest_in_quarter, rest_in_quarter);
  const V angle = fma(in_half, V(0x1.921fb54442d18p-2), fma(in_half, V(0x1.1a62633145c07p-56), rest_in_half));
  return canonical(from_bits(bits(angle) ^ sign));
}
