// The map of an active loop's angle in a gauge coupling (flow/gauge_coupling.h): one of two kinds, which a rotation
// follows. T: a value (math/value.h), or a tensor. Raw parameters: those of the map, then the rotation's angle.

// A loop's angle as it is counted from half the angle around, that in [-pi, pi] (flow/loop_coupling.h).
template <class T>
constexpr T from_half_around(const T& angle, const T& around) {
  return fma(wrap_angle(around), T(-0.5), angle);
}

// Calls visit(a map) for the parameters raw(i); a map has forward(x), inverse(y), pull_back(...), density_slopes(...).
template <class T>
struct SplineMap {
  Spline<T> own;
  constexpr Transformed<T> forward(const T& x) const { return spline_forward(own, x); }
  constexpr Transformed<T> inverse(const T& y) const { return spline_inverse(own, y); }
  template <class Put>
  constexpr T pull_back(const T& x, const T& of_value, const T& of_log_slope, const Put& put) const {
    return spline_pull_back(own, x, of_value, of_log_slope, put);
  }
  template <class Put>
  constexpr T density_slopes(const T& x, const T& d, const Put& put) const {
    return spline_density_slopes(own, x, d, put);
  }
};
template <class T>
struct MixtureMap {
  CircleMixture<T> own;
  constexpr Transformed<T> forward(const T& x) const { return mixture_forward(own, x); }
  constexpr Transformed<T> inverse(const T& y) const { return mixture_inverse(own, y); }
  template <class Put>
  constexpr T pull_back(const T& x, const T& of_value, const T& of_log_slope, const Put& put) const {
    return mixture_pull_back(own, x, of_value, of_log_slope, put);
  }
  template <class Put>
  constexpr T density_slopes(const T& x, const T& d, const Put& put) const {
    return mixture_density_slopes(own, x, d, put);
  }
};
template <class T, class Raw, class Visit>
constexpr decltype(auto) with_circle_map(CircleMap map, std::size_t pieces, const Raw& raw, Visit&& visit) {
  if (map == CircleMap::kSpline) return visit(SplineMap<T>{Spline<T>(SplineShape{pieces, true}, raw)});
  return visit(MixtureMap<T>{CircleMixture<T>(pieces, raw)});
}
