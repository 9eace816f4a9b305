// The splines of flow/spline.h for one variable. T: a value (math/value.h), or a tensor.

// Softmax of `count` logits, at most kMaxSplineBins, which logit(k) gives.
template <class T>
class Shares {
 public:
  template <class Logit>
  constexpr Shares(std::size_t count, const Logit& logit) {
    T largest = logit(0);
    for (std::size_t k = 1; k < count; ++k) {
      const T other = logit(k);
      largest = select(largest < other, other, largest);
    }
    T sum = exps_[0] = exp_of_negative(logit(0) - largest);
    for (std::size_t k = 1; k < count; ++k) {
      exps_[k] = exp_of_negative(logit(k) - largest);
      sum = sum + exps_[k];
    }
    scale_ = T(1.0) / sum;
  }

  constexpr T operator[](std::size_t k) const { return exps_[k] * scale_; }

 private:
  T exps_[kMaxSplineBins], scale_;
};

// A spline, made once per variable and used for one point or several.
template <class T>
struct Spline {
  // raw(i) for i below shape.parameters(); derivatives of a circle at both of its ends.
  template <class Raw>
  constexpr Spline(const SplineShape& shape_, const Raw& raw)
      : shape(shape_),
        width_share(shape_.bins, raw),
        height_share(shape_.bins, [&](std::size_t k) { return raw(shape_.bins + k); }) {
    for (std::size_t k = 0; k <= shape.bins; ++k) {
      derivative[k] = raw(2 * shape.bins + (shape.circular && k == shape.bins ? 0 : k));
    }
  }

  SplineShape shape;
  Shares<T> width_share, height_share;
  T derivative[kMaxSplineBins + 1];  // raw, at the K + 1 knots
};

// delta of a raw derivative; and its slope.
template <class T>
constexpr T spline_derivative(const T& raw) {
  return exp(clamped(raw, T(-kMostLogDerivative), T(kMostLogDerivative)));
}
template <class T>
constexpr T spline_derivative_slope(const T& raw) {
  const T low(-kMostLogDerivative), high(kMostLogDerivative), zero(0.0);
  return select(raw < low, zero, select(high < raw, zero, spline_derivative(raw)));
}

// The bin of a point: its number, its lower corner and its sides, and the raw derivatives at both ends.
template <class T>
struct SplineBin {
  T number, x, y, width, height, left, right;
};

template <class T>
constexpr SplineBin<T> spline_bin(const Spline<T>& spline, const T& point, bool point_is_y) {
  const std::size_t bins = spline.shape.bins;
  const double length = spline.shape.length();
  const T least(kSplineFloor * length), scale((1.0 - static_cast<double>(bins) * kSplineFloor) * length);
  T x(0.0), y(0.0);  // knot k
  SplineBin<T> bin{x, x, y, x, y, spline.derivative[0], spline.derivative[1]};
  T end_x(length), end_y(length);
  for (std::size_t k = 0; k < bins; ++k) {
    const bool last = k + 1 == bins;
    const T next_x = last ? T(length) : fma(spline.width_share[k], scale, x + least);
    const T next_y = last ? T(length) : fma(spline.height_share[k], scale, y + least);
    if (k == 0) {
      end_x = next_x;
      end_y = next_y;
    } else {
      const auto before = point < (point_is_y ? y : x);
      bin.number = select(before, bin.number, T(static_cast<double>(k)));
      bin.x = select(before, bin.x, x);
      bin.y = select(before, bin.y, y);
      bin.left = select(before, bin.left, spline.derivative[k]);
      bin.right = select(before, bin.right, spline.derivative[k + 1]);
      end_x = select(before, end_x, next_x);
      end_y = select(before, end_y, next_y);
    }
    x = next_x;
    y = next_y;
  }
  bin.width = end_x - bin.x;
  bin.height = end_y - bin.y;
  return bin;
}

// A bin at the place `xi`, the distance from its left end in widths, and eta = 1 - xi from its right one; s is height
// by width:
//
//   (y - y_k) / height = xi (s xi + d_k eta) / D,   dy/dx = s^2 m / D^2
//   D = s (xi^2 + eta^2) + (d_k + d_k+1) xi eta,    m = d_k+1 xi^2 + 2 s xi eta + d_k eta^2
//
// (arXiv:1906.04032, with 1 = (xi + eta)^2: sums of positive terms, nothing cancels.)
template <class T>
struct SplinePoint {
  T xi, eta, s, left, right;  // the derivatives d_k and d_k+1
  T d, m;

  constexpr SplinePoint(const T& xi_, const T& eta_, const T& s_, const T& left_, const T& right_)
      : xi(xi_), eta(eta_), s(s_), left(left_), right(right_) {
    const T product = xi * eta;
    d = s * (xi * xi + eta * eta) + (left + right) * product;
    m = right * (xi * xi) + s * product * 2.0 + left * (eta * eta);
  }

  // Exactly 1 where eta is 0: then d is the same product.
  constexpr T rise() const { return (s * (xi * xi) + left * (xi * eta)) / d; }
  constexpr T slope() const { return s * s * m / (d * d); }
};

template <class T>
constexpr SplinePoint<T> spline_point(const SplineBin<T>& bin, const T& x) {
  const T by_width = T(1.0) / bin.width;
  const T from_left = clamped(x - bin.x, T(0.0), bin.width);
  return {from_left * by_width, (bin.width - from_left) * by_width, bin.height * by_width, spline_derivative(bin.left),
          spline_derivative(bin.right)};
}

template <class T>
constexpr Transformed<T> spline_forward(const Spline<T>& spline, const T& x) {
  const SplineBin<T> bin = spline_bin(spline, x, false);
  const SplinePoint<T> point = spline_point(bin, x);
  return {bin.y + bin.height * point.rise(), log(point.slope())};
}

// With p = y - y_k, q = y_k+1 - y and r = xi / eta the equation is s q r^2 + (d_k q - d_k+1 p) r - s p = 0, whose
// discriminant is a sum of squares; the positive root without cancellation.
template <class T>
constexpr Transformed<T> spline_inverse(const Spline<T>& spline, const T& y) {
  const T zero(0.0);
  const SplineBin<T> bin = spline_bin(spline, y, true);
  const T s = bin.height / bin.width, left = spline_derivative(bin.left), right = spline_derivative(bin.right);
  const T p = clamped(y - bin.y, T(0.0), bin.height);
  const T q = bin.height - p;
  const T linear = left * q - right * p;
  const auto negative = linear < zero;
  const T root = select(negative, -linear, linear) + sqrt(linear * linear + s * s * p * q * 4.0);
  const T of_xi = select(negative, root, s * p * 2.0), of_eta = select(negative, s * q * 2.0, root);
  const T xi = of_xi / (of_xi + of_eta);
  const SplinePoint<T> point(xi, T(1.0) - xi, s, left, right);
  return {bin.x + bin.width * xi, log(point.slope())};
}

// d(log f')/d(xi) at fixed s.
template <class T>
constexpr T spline_log_slope_by_xi(const SplinePoint<T>& at, const T& by_d, const T& by_m) {
  const T tilt = at.eta - at.xi;
  return ((at.right * at.xi - at.left * at.eta + at.s * tilt) * by_m -
          (at.left + at.right - at.s * 2.0) * tilt * by_d) *
         2.0;
}

// `slope` in bin `number`, else 0.
template <class T>
constexpr T spline_only_in(const T& number, std::size_t bin, const T& slope) {
  const T own(static_cast<double>(bin)), zero(0.0);
  return select(number < own, zero, select(own < number, zero, slope));
}

// A loss's slopes by the shares' logits, from those by the left end and by the width of the bin.
template <class T, class Put>
constexpr void spline_put_logits(const Spline<T>& spline, const Shares<T>& share, const T& number, const T& of_left_end,
                                 const T& of_width, std::size_t first, const Put& put) {
  const std::size_t bins = spline.shape.bins;
  const auto of_bin = [&](std::size_t k) {
    const T own(static_cast<double>(k));
    return select(own < number, of_left_end, select(number < own, T(0.0), of_width));
  };
  T mean = share[0] * of_bin(0);
  for (std::size_t k = 1; k < bins; ++k) mean = mean + share[k] * of_bin(k);
  const T scale((1.0 - static_cast<double>(bins) * kSplineFloor) * spline.shape.length());
  for (std::size_t k = 0; k < bins; ++k) put(first + k, share[k] * (of_bin(k) - mean) * scale);
}

// The slopes by all raw parameters, and by x, of a loss with these by f(x) and log f'(x).
template <class T, class Put>
constexpr T spline_put_slopes(const Spline<T>& spline, const SplineBin<T>& bin, const SplinePoint<T>& at,
                              const T& of_value, const T& of_log_slope, const Put& put) {
  const T one(1.0);
  const T by_d = one / at.d, by_m = one / at.m, by_width = one / bin.width;
  const T xx = at.xi * at.xi, ee = at.eta * at.eta, xe = at.xi * at.eta;
  const T of_rise = of_value * bin.height;
  const T of_rise_by_d2 = of_rise * by_d * by_d * xe;
  // by xi, s, d_k and d_k+1
  const T of_xi = of_rise * at.s * at.m * by_d * by_d + of_log_slope * spline_log_slope_by_xi(at, by_d, by_m);
  const T of_s = of_rise_by_d2 * (at.right * xx - at.left * ee) +
                 of_log_slope * ((one / at.s + xe * by_m - (xx + ee) * by_d) * 2.0);
  const T of_left =
      of_rise_by_d2 * at.eta * (at.s * at.eta + at.right * at.xi) + of_log_slope * (ee * by_m - xe * by_d * 2.0);
  const T of_right =
      of_log_slope * (xx * by_m - xe * by_d * 2.0) - of_rise_by_d2 * at.xi * (at.s * at.xi + at.left * at.eta);

  const T of_x = of_xi * by_width;
  const T of_width = -(of_xi * at.xi + of_s * at.s) * by_width;
  const T of_height = of_s * by_width + of_value * at.rise();
  const std::size_t bins = spline.shape.bins;
  spline_put_logits(spline, spline.width_share, bin.number, -of_x, of_width, 0, put);
  spline_put_logits(spline, spline.height_share, bin.number, of_value, of_height, bins, put);
  const T of_raw_left = of_left * spline_derivative_slope(bin.left);
  const T of_raw_right = of_right * spline_derivative_slope(bin.right);
  for (std::size_t k = 0; k < spline.shape.derivatives(); ++k) {
    // knot k is the right end of the bin before it
    const bool is_right_end = k > 0 || spline.shape.circular;
    const T own = k < bins ? spline_only_in(bin.number, k, of_raw_left) : T(0.0);
    const T other = is_right_end ? spline_only_in(bin.number, k > 0 ? k - 1 : bins - 1, of_raw_right) : T(0.0);
    put(2 * bins + k, own + other);
  }
  return of_x;
}

// As flow/transformed.inl says.
template <class T, class Put>
constexpr T spline_pull_back(const Spline<T>& spline, const T& x, const T& of_value, const T& of_log_slope,
                             const Put& put) {
  const SplineBin<T> bin = spline_bin(spline, x, false);
  return spline_put_slopes(spline, bin, spline_point(bin, x), of_value, of_log_slope, put);
}

// As flow/transformed.inl says.
template <class T, class Put>
constexpr T spline_density_slopes(const Spline<T>& spline, const T& x, const T& d, const Put& put) {
  const T one(1.0);
  const SplineBin<T> bin = spline_bin(spline, x, false);
  const SplinePoint<T> at = spline_point(bin, x);
  const T log_slope_by_x = spline_log_slope_by_xi(at, one / at.d, one / at.m) / bin.width;
  const T of_value = (d - log_slope_by_x) / at.slope();
  spline_put_slopes(spline, bin, at, of_value, one, put);
  return of_value;
}
