// The spectral map of SU(2) and SU(3), for values (math/value.h); flow/spectral.h is its manual.

// Pairs of eigenvalues. For N = 2, 3 each is two that are neighbours on the circle: pair k stands for theta_(k+1) and
// the next one upwards, a distance 2 pi gap[k] away (with N = 3 the last one is theta_3 and theta_1 + 2 pi).
template <int N>
inline constexpr int kPairs = N * (N - 1) / 2;

// Coordinates of the cell: u = gap[0] and, for N = 3, v = gap[1] / (1 - gap[0]).
template <int N, class V>
struct Box {
  V at[N - 1];
};

// A point of the cell, from its coordinates.
template <int N, class V>
struct Cell {
  Box<N, V> box;
  V rest;                   // 1 - u
  Turn<V> half[kPairs<N>];  // cosine and sine of pi gap
};

template <int N, class V>
constexpr Box<N, V> box_of(const Spectrum<N, V>& spectrum) {
  if constexpr (N == 2) {
    return {{clamped(spectrum.gap[0], V(kLeastGap), V(1 - kLeastGap))}};
  } else {
    const V second = larger(spectrum.gap[1], V(kLeastGap)), third = larger(spectrum.gap[2], V(kLeastGap));
    return {{clamped(spectrum.gap[0], V(kLeastGap), V(1 - 2 * kLeastGap)), second / (second + third)}};
  }
}

template <int N, class V>
constexpr Cell<N, V> cell_of(const Box<N, V>& box) {
  Cell<N, V> cell;
  each<N - 1>([&](auto k) { cell.box.at[k] = clamped(box.at[k], V(0x1p-53), V(1 - 0x1p-53)); });
  const V one(1.0), u = cell.box.at[0];
  cell.rest = one - u;
  cell.half[0] = turn(u * 0.5);
  if constexpr (N == 3) {
    const V v = cell.box.at[1];
    cell.half[1] = turn(cell.rest * v * 0.5);
    cell.half[2] = turn(cell.rest * (one - v) * 0.5);
  }
  return cell;
}

// The Haar measure's density of the coordinates, but for a constant: the product of 4 sin^2 of half the distance of
// each two eigenvalues, times d(gaps)/d(coordinates), which is 1 - u for N = 3.
template <int N, class V>
constexpr V box_density(const Cell<N, V>& cell) {
  if constexpr (N == 2) {
    return cell.half[0].sin * cell.half[0].sin;
  } else {
    const V sines = cell.half[0].sin * (cell.half[1].sin * cell.half[2].sin);
    return cell.rest * (sines * sines);
  }
}

template <int N, class V>
constexpr V log_det_of_cells(const Cell<N, V>& from, const Cell<N, V>& to) {
  return log(box_density(to) / box_density(from));
}

// Slopes of log box_density() by the coordinates.
template <int N, class V>
constexpr Box<N, V> log_density_slopes(const Cell<N, V>& cell) {
  const auto cot = [&](int k) { return cell.half[k].cos / cell.half[k].sin; };
  if constexpr (N == 2) {
    return {{cot(0) * kTwoPi}};
  } else {
    const V one(1.0), v = cell.box.at[1], second = cot(1), third = cot(2);
    return {{(cot(0) - (v * second + (one - v) * third)) * kTwoPi - one / cell.rest,
             (second - third) * kTwoPi * cell.rest}};
  }
}

// V diag(e^(i theta)) V^dagger with the angles of two gaps, or of differences of such.
template <int N, class V>
constexpr Matrix<N, V> with_angles(const Matrix<N, V>& vectors, const V& first, const V& second) {
  Complex<V> eigenvalue[N];
  const auto set = [&](int k, const V& angle) {
    const Turn<V> phase = turn(angle);
    eigenvalue[k] = {phase.cos, phase.sin};
  };
  if constexpr (N == 2) {
    set(1, first * 0.5);
    eigenvalue[0] = conj(eigenvalue[1]);
  } else {
    set(0, fma(first, V(2.0), second) * (-1. / 3));
    set(1, (first - second) * (1. / 3));
    set(2, fma(second, V(2.0), first) * (1. / 3));
  }
  return times_adjoint(matrix_of<N, V>([&](auto i, auto j) { return vectors.at[i][j] * eigenvalue[j]; }), vectors);
}

// gap[1]; for N = 2 nobody needs it.
template <int N, class V>
constexpr V second_gap(const Cell<N, V>& cell) {
  return cell.rest * cell.box.at[N - 2];
}

template <int N, class V>
constexpr Matrix<N, V> recompose(const Matrix<N, V>& vectors, const Cell<N, V>& cell) {
  return with_angles(vectors, cell.box.at[0], second_gap(cell));
}

// L' L^dagger, which takes U to U'.
template <int N, class V>
constexpr Matrix<N, V> turn_between(const Matrix<N, V>& vectors, const Cell<N, V>& from, const Cell<N, V>& to) {
  return with_angles(vectors, to.box.at[0] - from.box.at[0], second_gap(to) - second_gap(from));
}

template <int N, class V>
struct RecomposeSlopes {
  Matrix<N, V> frame;
  Box<N, V> box;
};

template <int N, class V>
constexpr RecomposeSlopes<N, V> recompose_pull_back(const Matrix<N, V>& vectors, const Cell<N, V>& to,
                                                    const Matrix<N, V>& slope, const V& log_det_slope) {
  RecomposeSlopes<N, V> slopes{adjoint_times(vectors, slope * vectors), log_density_slopes(to)};
  each<N - 1>([&](auto k) { slopes.box.at[k] = slopes.box.at[k] * log_det_slope; });
  // The slopes by the angles are the frame's diagonal, with sum 0.
  const V by_first = slopes.frame.at[0][0].im * -kTwoPi;
  V& by_u = slopes.box.at[0];
  if constexpr (N == 2) {
    by_u = by_u + by_first;
  } else {
    const V by_second = slopes.frame.at[2][2].im * kTwoPi;
    by_u = by_u + (by_first - to.box.at[1] * by_second);
    slopes.box.at[1] = fma(to.rest, by_second, slopes.box.at[1]);
  }
  return slopes;
}

template <int N, class V>
struct LoopSlopes {
  Matrix<N, V> link, rest;
};

template <int N, class V>
constexpr LoopSlopes<N, V> decompose_pull_back(const Matrix<N, V>& vectors, const Cell<N, V>& from,
                                               const Cell<N, V>& to, const Matrix<N, V>& frame, const Box<N, V>& box,
                                               const V& log_det_slope) {
  constexpr double kTurnsPerRadian = 1 / kTwoPi;
  // Slopes by the angles.
  Box<N, V> by_box = log_density_slopes(from);
  each<N - 1>([&](auto k) { by_box.at[k] = box.at[k] - by_box.at[k] * log_det_slope; });
  V angle[N];
  if constexpr (N == 2) {
    angle[1] = by_box.at[0] * kTurnsPerRadian;
    angle[0] = -angle[1];
  } else {
    const V by_second = by_box.at[1] / from.rest * kTurnsPerRadian;
    const V by_first = fma(by_box.at[0], V(kTurnsPerRadian), from.box.at[1] * by_second);
    angle[0] = -by_first;
    angle[1] = by_first - by_second;
    angle[2] = by_second;
  }
  // In the frame, entry (j, k) of dL' L'^dagger is that of dL L^dagger times
  //   r = (lambda'_j / lambda'_k - 1) / (lambda_j / lambda_k - 1) = e^(i pi (gap' - gap)) sin(pi gap') / sin(pi gap),
  // if j is the upper one of pair and gap; entry (k, j) follows, because everything is anti-Hermitian.
  Matrix<N, V> by_link, by_rest;
  each<N>([&](auto k) {
    by_link.at[k][k] = {V(0.0), angle[k]};
    by_rest.at[k][k] = {V(0.0), angle[k] - frame.at[k][k].im};
  });
  each<kPairs<N>>([&](auto k) {
    constexpr int j = (k + 1) % N;
    const Complex<V> half{from.half[k].cos, from.half[k].sin}, half_to{to.half[k].cos, to.half[k].sin};
    const V ratio = half_to.im / half.im;
    const Complex<V> slope = conj(half_to) * frame.at[j][k];
    by_link.at[j][k] = half * slope * ratio;
    by_rest.at[j][k] = (conj(half) * ratio - conj(half_to)) * slope;
    by_link.at[k][j] = -conj(by_link.at[j][k]);
    by_rest.at[k][j] = -conj(by_rest.at[j][k]);
  });
  return {times_adjoint(vectors * by_link, vectors), times_adjoint(vectors * by_rest, vectors)};
}
