// Complex numbers and N x N matrices of them, for values (math/value.h). N is a template's parameter and small.

// Calls visit(std::integral_constant<int, 0>()), ..., N - 1: a loop that every compiler unrolls, so that what it
// indexes can stay in registers.
template <int N, class Visit>
constexpr void each(Visit visit) {
  [&]<int... i>(std::integer_sequence<int, i...>) {
    (visit(std::integral_constant<int, i>()), ...);
  }(std::make_integer_sequence<int, N>());
}

// Keeps the larger; `a` where one is NaN.
template <Value V>
constexpr V larger(const V& a, const V& b) {
  return select(a < b, b, a);
}

template <class V>
struct Complex {
  V re, im;
};

template <class V>
constexpr Complex<V> operator+(const Complex<V>& a, const Complex<V>& b) {
  return {a.re + b.re, a.im + b.im};
}
template <class V>
constexpr Complex<V> operator-(const Complex<V>& a, const Complex<V>& b) {
  return {a.re - b.re, a.im - b.im};
}
template <class V>
constexpr Complex<V> operator-(const Complex<V>& a) {
  return {-a.re, -a.im};
}
template <class V>
constexpr Complex<V> conj(const Complex<V>& a) {
  return {a.re, -a.im};
}
template <class V>
constexpr Complex<V> operator*(const Complex<V>& a, const Complex<V>& b) {
  return {fma(-a.im, b.im, a.re * b.re), fma(a.im, b.re, a.re * b.im)};
}
template <class V>
constexpr Complex<V> operator*(const Complex<V>& a, const V& b) {
  return {a.re * b, a.im * b};
}
// a b + c
template <class V>
constexpr Complex<V> multiply_add(const Complex<V>& a, const Complex<V>& b, const Complex<V>& c) {
  return {fma(a.re, b.re, fma(-a.im, b.im, c.re)), fma(a.re, b.im, fma(a.im, b.re, c.im))};
}
// conj(a) b + c
template <class V>
constexpr Complex<V> conj_multiply_add(const Complex<V>& a, const Complex<V>& b, const Complex<V>& c) {
  return {fma(a.re, b.re, fma(a.im, b.im, c.re)), fma(a.re, b.im, fma(-a.im, b.re, c.im))};
}
// |a|^2
template <class V>
constexpr V norm(const Complex<V>& a) {
  return fma(a.re, a.re, a.im * a.im);
}
template <class Mask, class V>
constexpr Complex<V> select(const Mask& mask, const Complex<V>& a, const Complex<V>& b) {
  return {select(mask, a.re, b.re), select(mask, a.im, b.im)};
}
template <Value V>
constexpr Complex<V> zero() {
  return {V(0.0), V(0.0)};
}

// at[row][column]
template <int N, class V>
struct Matrix {
  Complex<V> at[N][N];
};

// The matrix whose entry is of(row, column), these being integral constants.
template <int N, class V, class Of>
constexpr Matrix<N, V> matrix_of(Of of) {
  Matrix<N, V> m;
  each<N>([&](auto i) { each<N>([&](auto j) { m.at[i][j] = of(i, j); }); });
  return m;
}

template <int N, class V>
constexpr Matrix<N, V> operator+(const Matrix<N, V>& a, const Matrix<N, V>& b) {
  return matrix_of<N, V>([&](auto i, auto j) { return a.at[i][j] + b.at[i][j]; });
}
template <int N, class V>
constexpr Matrix<N, V> operator-(const Matrix<N, V>& a, const Matrix<N, V>& b) {
  return matrix_of<N, V>([&](auto i, auto j) { return a.at[i][j] - b.at[i][j]; });
}
template <int N, class V>
constexpr Matrix<N, V> adjoint(const Matrix<N, V>& a) {
  return matrix_of<N, V>([&](auto i, auto j) { return conj(a.at[j][i]); });
}
// Products are functions of their own: of lanes they are hundreds of instructions, and the matrices do not fit the
// registers.

// a b
template <int N, class V>
[[gnu::noinline]] FLOWLOOM_FLATTEN constexpr Matrix<N, V> operator*(const Matrix<N, V>& a, const Matrix<N, V>& b) {
  return matrix_of<N, V>([&](auto i, auto j) {
    Complex<V> sum = a.at[i][0] * b.at[0][j];
    each<N - 1>([&](auto k) { sum = multiply_add(a.at[i][k + 1], b.at[k + 1][j], sum); });
    return sum;
  });
}
// a b^dagger
template <int N, class V>
[[gnu::noinline]] FLOWLOOM_FLATTEN constexpr Matrix<N, V> times_adjoint(const Matrix<N, V>& a, const Matrix<N, V>& b) {
  return matrix_of<N, V>([&](auto i, auto j) {
    Complex<V> sum = zero<V>();
    each<N>([&](auto k) { sum = conj_multiply_add(b.at[j][k], a.at[i][k], sum); });
    return sum;
  });
}
// a^dagger b
template <int N, class V>
[[gnu::noinline]] FLOWLOOM_FLATTEN constexpr Matrix<N, V> adjoint_times(const Matrix<N, V>& a, const Matrix<N, V>& b) {
  return matrix_of<N, V>([&](auto i, auto j) {
    Complex<V> sum = zero<V>();
    each<N>([&](auto k) { sum = conj_multiply_add(a.at[k][i], b.at[k][j], sum); });
    return sum;
  });
}

template <int N, class V>
constexpr Complex<V> trace(const Matrix<N, V>& a) {
  Complex<V> sum = a.at[0][0];
  each<N - 1>([&](auto i) { sum = sum + a.at[i + 1][i + 1]; });
  return sum;
}
template <int N, class V>
constexpr V real_trace(const Matrix<N, V>& a) {
  V sum = a.at[0][0].re;
  each<N - 1>([&](auto i) { sum = sum + a.at[i + 1][i + 1].re; });
  return sum;
}

template <class V>
constexpr Complex<V> determinant(const Matrix<2, V>& a) {
  return a.at[0][0] * a.at[1][1] - a.at[0][1] * a.at[1][0];
}
template <class V>
constexpr Complex<V> determinant(const Matrix<3, V>& a) {
  Complex<V> sum = zero<V>();
  each<3>([&](auto j) {
    constexpr int k = (j + 1) % 3, l = (j + 2) % 3;
    sum = multiply_add(a.at[0][j], a.at[1][k] * a.at[2][l] - a.at[1][l] * a.at[2][k], sum);
  });
  return sum;
}

// The square of Frobenius' norm, sum |a_ij|^2.
template <int N, class V>
constexpr V norm(const Matrix<N, V>& a) {
  V sum(0.0);
  each<N>([&](auto i) { each<N>([&](auto j) { sum = sum + norm(a.at[i][j]); }); });
  return sum;
}

// The part of a matrix in su(N), anti-Hermitian and traceless: (a - a^dagger)/2 - tr(a - a^dagger)/2N.
template <int N, class V>
constexpr Matrix<N, V> algebra_part(const Matrix<N, V>& a) {
  const V mean = trace(a).im * (1.0 / N);
  return matrix_of<N, V>([&](auto i, auto j) -> Complex<V> {
    if constexpr (i == j) {
      return {V(0.0), a.at[i][i].im - mean};
    } else {
      return {(a.at[i][j].re - a.at[j][i].re) * 0.5, (a.at[i][j].im + a.at[j][i].im) * 0.5};
    }
  });
}
