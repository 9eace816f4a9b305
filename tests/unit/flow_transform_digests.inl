// One value in which every output of a transform has a part, so that lanes can be compared with plain numbers; for
// values (math/value.h) that may be any number, which the parameters depend on, too.

// Any value into [-1, 1]; the encodings of numbers, most of which are huge or tiny, all over it.
template <class V>
constexpr V squash(V x) {
  const V sine = turn(log(select(x < V(0.0), -x, x))).sin;
  return select(is_nan(sine), V(0.5), sine);
}

// `sum` and one more of the numbers in it.
template <class V>
constexpr V mixed(V sum, V more) {
  return fma(sum, V(0.73), more);
}

template <class V>
constexpr V digest_of_spline(std::size_t bins, bool circular, V x) {
  const SplineShape shape{bins, circular};
  const V place = squash(x);
  const auto raw = [&](std::size_t i) { return tanh(place * V(1.7 * static_cast<double>(i % 5)) - V(0.8)) * V(9.0); };
  const Spline<V> spline(shape, raw);
  const V at = (place + V(1.0)) * V(0.5 * shape.length());
  const auto there = spline_forward(spline, at), back = spline_inverse(spline, at);
  V sum = mixed(mixed(there.value, there.log_slope), mixed(back.value, back.log_slope));
  const auto put = [&](std::size_t, V slope) { sum = mixed(sum, slope); };
  const V of_x = spline_pull_back(spline, at, place, V(-1.0), put);
  const V of_y = spline_density_slopes(spline, at, place, put);
  return canonical(mixed(mixed(sum, of_x), of_y));
}

template <class V>
constexpr V digest_of_mixture(std::size_t components, V x) {
  const V place = squash(x);
  const auto raw = [&](std::size_t i) { return tanh(place * V(1.7 * static_cast<double>(i % 5)) - V(0.8)) * V(11.0); };
  const CircleMixture<V> mixture(components, raw);
  const V at = place * V(kTwoPi);
  const auto there = mixture_forward(mixture, at), back = mixture_inverse(mixture, at);
  V sum = mixed(mixed(there.value, there.log_slope), mixed(back.value, back.log_slope));
  const auto put = [&](std::size_t, V slope) { sum = mixed(sum, slope); };
  const V of_x = mixture_pull_back(mixture, at, place, V(-1.0), put);
  const V of_y = mixture_density_slopes(mixture, at, place, put);
  return canonical(mixed(mixed(sum, of_x), of_y));
}
