// The mixtures of flow/circle_mixture.h for one variable. T: a value (math/value.h), or a tensor, which has turn() and
// atan2().

// A mixture, made once per variable and used for one point or several.
template <class T>
struct CircleMixture {
  // raw(k) for k below `count`, 1 to kMaxMixtureComponents.
  template <class Raw>
  constexpr CircleMixture(std::size_t count, const Raw& raw) : components(count) {
    const T high(kMostLogScale), low(-kMostLogScale), zero(0.0), one(1.0);
    for (std::size_t k = 0; k < components; ++k) {
      const T s = raw(k);
      const auto below = s < low, above = high < s;
      scale[k] = exp(select(below, low, select(above, high, s)));
      moves[k] = select(below, zero, select(above, zero, one));
    }
  }

  std::size_t components;
  T scale[kMaxMixtureComponents];  // e^s
  T moves[kMaxMixtureComponents];  // the slope of s by its raw parameter: 1, or 0 beyond the clamp
};

// The cosine and the sine of phi/2, or any multiples of both by one factor; the cosine of an angle on the sheet of 0 is
// positive.
template <class T>
struct HalfAngle {
  T cos, sin;
};

// Of an angle in [-kPi, kPi].
template <class T>
constexpr HalfAngle<T> half_angle(const T& angle) {
  const auto half = turn(angle * (0.5 / kTwoPi));
  return {select(half.cos < T(0.0), T(0.0), half.cos), half.sin};
}

// A component at phi.
template <class T>
struct MixtureComponent {
  T slope;         // dh/dphi = e^s (cos^2 + sin^2) / r with r = cos^2 + (e^s sin)^2
  T bend;          // d(log dh/dphi)/dphi = (1 - e^2s) cos sin / r
  T cosine, sine;  // of h: the slopes of log dh/dphi and of h by s
};

template <class T>
constexpr MixtureComponent<T> mixture_component(const T& scale, const HalfAngle<T>& at) {
  const T scaled = scale * at.sin;
  const T cos2 = at.cos * at.cos, scaled2 = scaled * scaled;
  const T by_r = T(1.0) / (cos2 + scaled2);
  return {scale * (cos2 + at.sin * at.sin) * by_r, (T(1.0) - scale * scale) * at.cos * at.sin * by_r,
          (cos2 - scaled2) * by_r, at.cos * scaled * by_r * 2.0};
}

template <class T>
constexpr T mixture_log_slope(const CircleMixture<T>& mixture, const HalfAngle<T>& at) {
  T sum = mixture_component(mixture.scale[0], at).slope;
  for (std::size_t k = 1; k < mixture.components; ++k) sum = sum + mixture_component(mixture.scale[k], at).slope;
  return log(sum * (1.0 / static_cast<double>(mixture.components)));
}

template <class T>
constexpr Transformed<T> mixture_forward(const CircleMixture<T>& mixture, const T& phi) {
  const T turns = turns_of(phi);
  const HalfAngle<T> half = half_angle(fma(turns, T(-kTwoPi), phi));
  T sum = atan2(mixture.scale[0] * half.sin, half.cos);
  for (std::size_t k = 1; k < mixture.components; ++k) sum = sum + atan2(mixture.scale[k] * half.sin, half.cos);
  const double twice_share = 2.0 / static_cast<double>(mixture.components);
  return {fma(turns, T(kTwoPi), sum * twice_share), mixture_log_slope(mixture, half)};
}

// The inverse. With q = tan(phi/2) / tan(y/2), in [e^-10, e^10], h(phi) = y in [0, pi/2] says that the angles (h_k - y)
// / 2 of
//
//   z_k = 1 + tau q e^s_k + i t (q e^s_k - 1),   t = tan(y/2), tau = t^2
//
// add up to 0. For y in [pi/2, pi] the same is true with t = cot(y/2), with e^-s_k for e^s_k and with 1/q for q. Angles
// add up where numbers are multiplied, so no function is called for a component; and two by two, the products are
// quadratic in q:
//
//   z z' = (1 - tau) (low - tau high q^2) + 2 tau sum q + i t (2 (tau high q^2 - low) + (1 - tau) sum q)
//
// with low = 1, sum = e^s + e^s' and high = e^(s+s'). Here all of it may have any positive factor.
template <class T>
struct MixturePair {
  T low, sum, high;
};

// `steep`: y is in [pi/2, pi].
template <class T, class Mask>
constexpr MixturePair<T> mixture_pair(const T& scale, const T& other, const Mask& steep) {
  const T one(1.0), product = scale * other;
  return {select(steep, product, one), scale + other, select(steep, one, product)};
}

// A product of z_k, the imaginary part by t; and its slopes by log q.
template <class T>
struct MixtureProduct {
  T real, imaginary, real_slope, imaginary_slope;
};

template <class T>
constexpr MixtureProduct<T> mixture_product(const MixturePair<T>& pair, const T& tau, const T& q) {
  const T linear = pair.sum * q, square = tau * (pair.high * q * q);
  const T rest = T(1.0) - tau;
  const T of_real = tau * linear * 2.0, of_imaginary = rest * linear, gap = pair.low - square;
  return {rest * gap + of_real, of_imaginary - gap * 2.0, of_real - rest * square * 2.0, of_imaginary + square * 4.0};
}

template <class T, class Mask>
constexpr MixtureProduct<T> mixture_product(const T& scale, const Mask& steep, const T& tau, const T& q) {
  const T one(1.0);
  const T low = select(steep, scale, one), linear = q * select(steep, one, scale);
  return {low + tau * linear, linear - low, tau * linear, linear};
}

// q of one pair: the root of the imaginary part.
template <class T>
constexpr T mixture_root(const MixturePair<T>& pair, const T& tau) {
  const T linear = (T(1.0) - tau) * pair.sum;
  return pair.low * 4.0 / (linear + sqrt(linear * linear + tau * pair.low * pair.high * 16.0));
}

// q of any number of components. In u = log q, |d log(dh/du)/du| <= 1, so that Newton's step takes an error e in u to
// one of at most exp|e| - 1 - |e|: after 6 bisections of [-10, 10], which leave 0.16, to 1.3e-2, 8.8e-5, 3.8e-9 and
// 7e-18.
template <class T, class Mask>
constexpr T mixture_root(const CircleMixture<T>& mixture, const Mask& steep, const T& tau) {
  const T zero(0.0), one(1.0);
  const std::size_t pairs = mixture.components / 2;
  MixturePair<T> pair[kMaxMixtureComponents / 2];
  for (std::size_t k = 0; k < pairs; ++k) {
    pair[k] = mixture_pair(mixture.scale[2 * k], mixture.scale[2 * k + 1], steep);
  }
  // Calls visit(factor) for the last component, if it is single, and for the pairs.
  const auto for_each_factor = [&](const T& q, auto visit) {
    if (mixture.components % 2 == 1) visit(mixture_product(mixture.scale[mixture.components - 1], steep, tau, q));
    for (std::size_t k = 0; k < pairs; ++k) visit(mixture_product(pair[k], tau, q));
  };

  T q = one;
  // e^5, e^(5/2), ...
  for (const double step : {148.41315910257660, 12.182493960703473, 3.4903429574618414, 1.8682459574322224,
                            1.3668379411737963, 1.1691184461695043}) {
    // The sum of the angles, in half turns rounded down: a factor turns by more than -1/2 of them and by less than 1.
    T real = one, imaginary = zero, half_turns = zero;
    for_each_factor(q, [&](const MixtureProduct<T>& z) {
      const T next = real * z.imaginary + imaginary * z.real;
      real = real * z.real - imaginary * (tau * z.imaginary);
      const T crossed = select(imaginary < zero, select(next < zero, zero, one), select(next < zero, one, zero));
      half_turns = half_turns + select(z.imaginary < zero, -crossed, crossed);
      imaginary = next;
    });
    q = q * select(half_turns < zero, T(step), T(1.0 / step));
  }
  for (int newton = 0; newton < 4; ++newton) {
    MixtureProduct<T> p{one, zero, zero, zero};
    for_each_factor(q, [&](const MixtureProduct<T>& z) {
      const T imaginary = tau * z.imaginary, imaginary_slope = tau * z.imaginary_slope;
      p = {p.real * z.real - p.imaginary * imaginary, p.real * z.imaginary + p.imaginary * z.real,
           (p.real_slope * z.real - p.imaginary_slope * imaginary) +
               (p.real * z.real_slope - p.imaginary * imaginary_slope),
           (p.real_slope * z.imaginary + p.imaginary_slope * z.real) +
               (p.real * z.imaginary_slope + p.imaginary * z.real_slope)};
    });
    // The angle, now below a quarter turn, by atan(x) = x (15 + 4 x^2) / (15 + 9 x^2); exp(e) by (2 + e) / (2 - e).
    const T by_real = one / p.real;
    const T tangent = p.imaginary * by_real;  // by t
    const T tangent_slope = (p.imaginary_slope - tangent * p.real_slope) * by_real;
    const T square = tau * tangent * tangent;
    const T above = tangent * (T(15.0) + square * 4.0) * (one + square);
    const T twice_below = (T(30.0) + square * 18.0) * tangent_slope;
    q = q * (twice_below - above) / (twice_below + above);
  }
  return q;
}

// To rounding: h(result) differs from y by a few units in the last place of y, and of the result times h'.
template <class T>
constexpr Transformed<T> mixture_inverse(const CircleMixture<T>& mixture, const T& y) {
  const T zero(0.0), one(1.0);
  const T turns = turns_of(y);
  const T rest = fma(turns, T(-kTwoPi), y);
  const auto negative = rest < zero;
  const HalfAngle<T> half = half_angle(select(negative, -rest, rest));
  const auto steep = half.cos < half.sin;
  const T t = select(steep, half.cos, half.sin) / select(steep, half.sin, half.cos), tau = t * t;
  // One component counts twice.
  const T q = mixture.components > 2
                  ? mixture_root(mixture, steep, tau)
                  : mixture_root(mixture_pair(mixture.scale[0], mixture.scale[mixture.components - 1], steep), tau);
  const HalfAngle<T> found{half.cos * select(steep, q, one), half.sin * select(steep, one, q)};
  const T phi = atan2(found.sin, found.cos) * 2.0;
  return {fma(turns, T(kTwoPi), select(negative, -phi, phi)), mixture_log_slope(mixture, found)};
}

// The components at phi, and by them the slopes of the whole.
template <class T>
struct MixturePoint {
  MixtureComponent<T> components[kMaxMixtureComponents];
  T slopes;  // the sum of the components' slopes: K dh/dphi
  T log_slope_by_phi;
};

template <class T>
constexpr MixturePoint<T> mixture_point(const CircleMixture<T>& mixture, const T& phi) {
  const HalfAngle<T> half = half_angle(wrap_angle(phi));
  MixturePoint<T> point;
  T bends(0.0);
  point.slopes = T(0.0);
  for (std::size_t k = 0; k < mixture.components; ++k) {
    const MixtureComponent<T> own = mixture_component(mixture.scale[k], half);
    point.components[k] = own;
    point.slopes = point.slopes + own.slope;
    bends = bends + own.slope * own.bend;
  }
  point.log_slope_by_phi = bends / point.slopes;
  return point;
}

template <class T, class Put>
constexpr void mixture_put_slopes(const CircleMixture<T>& mixture, const MixturePoint<T>& at, const T& of_value,
                                  const T& of_log_slope, const Put& put) {
  const T of_each = of_value * (1.0 / static_cast<double>(mixture.components));
  const T by_slopes = of_log_slope / at.slopes;
  for (std::size_t k = 0; k < mixture.components; ++k) {
    const MixtureComponent<T>& own = at.components[k];
    put(k, (of_each * own.sine + by_slopes * own.slope * own.cosine) * mixture.moves[k]);
  }
}

// As flow/transformed.inl says.
template <class T, class Put>
constexpr T mixture_pull_back(const CircleMixture<T>& mixture, const T& phi, const T& of_value, const T& of_log_slope,
                              const Put& put) {
  const MixturePoint<T> at = mixture_point(mixture, phi);
  mixture_put_slopes(mixture, at, of_value, of_log_slope, put);
  return of_value * at.slopes * (1.0 / static_cast<double>(mixture.components)) + of_log_slope * at.log_slope_by_phi;
}

// As flow/transformed.inl says.
template <class T, class Put>
constexpr T mixture_density_slopes(const CircleMixture<T>& mixture, const T& phi, const T& d, const Put& put) {
  const MixturePoint<T> at = mixture_point(mixture, phi);
  const T of_value = (d - at.log_slope_by_phi) * static_cast<double>(mixture.components) / at.slopes;
  mixture_put_slopes(mixture, at, of_value, T(1.0), put);
  return of_value;
}
