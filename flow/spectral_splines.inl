// Splines of a spectral map's coordinates (flow/spectral_splines.h). T: a value (math/value.h), or a tensor.

// What a map of the box gives in either direction: the point, and always the logs of df/du and df/dv.
template <int N, class T>
struct BoxTransformed {
  Box<N, T> box, log_slopes;

  constexpr T log_slope() const {
    if constexpr (N == 2) {
      return log_slopes.at[0];
    } else {
      return log_slopes.at[0] + log_slopes.at[1];
    }
  }
};

// The map for raw parameters raw(i). Slopes by them go to put(i, slope), for every i once.
template <int N, class T>
class BoxMap {
 public:
  constexpr explicit BoxMap(const SpectralSplines& splines)
      : shape_(splines.shape()), autoregressive_(splines.autoregressive) {}

  template <class Raw>
  constexpr BoxTransformed<N, T> forward(const Raw& raw, const Box<N, T>& box) const {
    const auto [u, log_slope] = spline_forward(Spline<T>(shape_, raw), box.at[0]);
    if constexpr (N == 2) {
      return {{{u}}, {{log_slope}}};
    } else {
      const T cosine = turn(box.at[0] * 0.5).cos;
      const auto [v, other] = spline_forward(second(raw, cosine), box.at[1]);
      return {{{u, v}}, {{log_slope, other}}};
    }
  }

  template <class Raw>
  constexpr BoxTransformed<N, T> inverse(const Raw& raw, const Box<N, T>& box) const {
    const auto [u, log_slope] = spline_inverse(Spline<T>(shape_, raw), box.at[0]);
    if constexpr (N == 2) {
      return {{{u}}, {{log_slope}}};
    } else {
      const T cosine = turn(u * 0.5).cos;
      const auto [v, other] = spline_inverse(second(raw, cosine), box.at[1]);
      return {{{u, v}}, {{log_slope, other}}};
    }
  }

  // Of a loss with the slopes `of_box` by the mapped point and `of_log_slope` by the log_slope: those by `box`, and by
  // the parameters.
  template <class Raw, class Put>
  constexpr Box<N, T> pull_back(const Raw& raw, const Box<N, T>& box, const Box<N, T>& of_box, const T& of_log_slope,
                                const Put& put) const {
    const auto first = [&] {
      return spline_pull_back(Spline<T>(shape_, raw), box.at[0], of_box.at[0], of_log_slope, put);
    };
    if constexpr (N == 2) {
      return {{first()}};
    } else {
      const auto half = turn(box.at[0] * 0.5);
      T by_cosine(0.0);
      const T by_v = spline_pull_back(second(raw, half.cos), box.at[1], of_box.at[1], of_log_slope,
                                      put_second(raw, half.cos, by_cosine, put));
      return {{first() - by_cosine * half.sin * kPi, by_v}};
    }
  }

  // Of the density log q(box') = log q(box) - log_slope of the mapped point, from d = d(log q)/d(box): that by the
  // mapped point, and the slopes of -log q(box') by the parameters at fixed box' (arXiv:2403.15881).
  template <class Raw, class Put>
  constexpr Box<N, T> density_slopes(const Raw& raw, const Box<N, T>& box, const Box<N, T>& d, const Put& put) const {
    const auto first = [&](const T& by_u) {
      return spline_density_slopes(Spline<T>(shape_, raw), box.at[0], by_u, put);
    };
    if constexpr (N == 2) {
      return {{first(d.at[0])}};
    } else {
      // At a fixed v', the parameters of v's spline are another way on which log q depends on u.
      const auto half = turn(box.at[0] * 0.5);
      T by_cosine(0.0);  // of -log q
      const T by_v =
          spline_density_slopes(second(raw, half.cos), box.at[1], d.at[1], put_second(raw, half.cos, by_cosine, put));
      return {{first(d.at[0] + by_cosine * half.sin * kPi), by_v}};
    }
  }

 private:
  // v's spline, where cos(pi u) is `cosine`.
  template <class Raw>
  constexpr Spline<T> second(const Raw& raw, const T& cosine) const {
    const std::size_t count = shape_.parameters();
    return Spline<T>(shape_, [&](std::size_t i) -> T {
      return autoregressive_ ? fma(raw(2 * count + i), cosine, raw(count + i)) : raw(count + i);
    });
  }

  // Hands the slopes by v's parameters on, and adds up that by cos(pi u).
  template <class Raw, class Put>
  constexpr auto put_second(const Raw& raw, const T& cosine, T& by_cosine, const Put& put) const {
    return [&, count = shape_.parameters()](std::size_t i, const T& slope) {
      put(count + i, slope);
      if (!autoregressive_) return;
      put(2 * count + i, slope * cosine);
      by_cosine = fma(slope, raw(2 * count + i), by_cosine);
    };
  }

  SplineShape shape_;
  bool autoregressive_;
};
