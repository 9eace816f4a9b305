// Moments of Haar-distributed matrices, known from the orthogonality of characters and of matrix entries:
//   <tr U> = 0, <|tr U|^2> = 1, <(Re tr U)^2> = 1/2 for SU(3) and 1 for SU(2),
//   <tr(X U) conj tr(Y U)> = tr(X Y^dagger)/N, <U_ij> = 0, <|U_ij|^2> = 1/N, <|U_ij|^4> = 2/(N (N+1)).
//
// Fixed noise; each of 66 averages of 400 000 matrices may be off by 5 standard errors: a false alarm in one of 26 000
// choices of the noise.
#include <gtest/gtest.h>

#include "../unit/group_cases.h"

namespace flowloom {
namespace {

constexpr std::uint64_t kMatrices = 400000;

struct Average {
  double sum = 0, squares = 0;
  void add(double value) {
    sum += value;
    squares += value * value;
  }
  void expect(double exact, const char* of) const {
    const double n = kMatrices, mean = sum / n;
    EXPECT_LT(std::abs(mean - exact), 5 * std::sqrt((squares / n - mean * mean) / n)) << of;
  }
};

template <int N>
void expect_moments() {
  const auto x = random_group<N>(kMatrices), y = random_group<N>(kMatrices + 1);
  Average re, im, square, re_square, shifted, shifted_square, product_re, product_im, entry[N][N], fourth[N][N],
      entry_re[N][N], entry_im[N][N];
  for (std::uint64_t k = 0; k < kMatrices; ++k) {
    const auto u = random_group<N>(k);
    const auto t = trace(u), of_x = trace(x * u), of_y = trace(y * u), product = of_x * conj(of_y);
    re.add(t.re);
    im.add(t.im);
    square.add(norm(t));
    re_square.add(t.re * t.re / (N * N));
    shifted.add(of_x.re);
    shifted_square.add(norm(of_x));
    product_re.add(product.re);
    product_im.add(product.im);
    for (int i = 0; i < N; ++i) {
      for (int j = 0; j < N; ++j) {
        const double size = norm(u.at[i][j]);
        entry[i][j].add(size);
        fourth[i][j].add(size * size);
        entry_re[i][j].add(u.at[i][j].re);
        entry_im[i][j].add(u.at[i][j].im);
      }
    }
  }
  re.expect(0, "Re tr U");
  if (N > 2) im.expect(0, "Im tr U");
  square.expect(1, "|tr U|^2");
  re_square.expect(N == 2 ? 1. / 4 : 1. / 18, "(Re tr U / N)^2");
  shifted.expect(0, "Re tr X U");
  shifted_square.expect(1, "|tr X U|^2");
  const auto exact = trace(times_adjoint(x, y));
  product_re.expect(exact.re / N, "Re tr(X U) conj tr(Y U)");
  if (N > 2) product_im.expect(exact.im / N, "Im tr(X U) conj tr(Y U)");
  for (int i = 0; i < N; ++i) {
    for (int j = 0; j < N; ++j) {
      entry[i][j].expect(1.0 / N, "|U_ij|^2");
      fourth[i][j].expect(2.0 / (N * (N + 1)), "|U_ij|^4");
      entry_re[i][j].expect(0, "Re U_ij");
      entry_im[i][j].expect(0, "Im U_ij");
    }
  }
}

TEST(HaarMeasure, HasItsMomentsForSu2) { expect_moments<2>(); }

TEST(HaarMeasure, HasItsMomentsForSu3) { expect_moments<3>(); }

}  // namespace
}  // namespace flowloom
