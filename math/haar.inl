// Matrices distributed by the Haar measure of SU(N), from standard normals, for values (math/value.h).

// Rows 1 ... N - 1 are normals, [row][column][re, im], by Gram and Schmidt; the last row makes the determinant 1.
// Multiplying from the right by a fixed matrix turns each row of normals into one of the same distribution, and only
// the Haar measure is left alone by all these. Orthogonalised twice: rows that happen to be nearly parallel are as
// unitary as others.
template <int N, class V>
constexpr Matrix<N, V> haar(const std::array<V, kNormalsPerLink<N>>& normals) {
  static_assert(N == 2 || N == 3);
  Matrix<N, V> u;
  each<N - 1>([&](auto i) {
    each<N>([&](auto j) { u.at[i][j] = {normals[2 * (N * i + j)], normals[2 * (N * i + j) + 1]}; });
    each<2>([&](auto) {
      each<decltype(i)::value>([&](auto k) {
        Complex<V> overlap = zero<V>();
        each<N>([&](auto j) { overlap = conj_multiply_add(u.at[k][j], u.at[i][j], overlap); });
        each<N>([&](auto j) { u.at[i][j] = multiply_add(-overlap, u.at[k][j], u.at[i][j]); });
      });
      V square(0.0);
      each<N>([&](auto j) { square = square + norm(u.at[i][j]); });
      const V scale = V(1.0) / sqrt(square);
      each<N>([&](auto j) { u.at[i][j] = u.at[i][j] * scale; });
    });
  });
  if constexpr (N == 2) {
    u.at[1][0] = -conj(u.at[0][1]);
    u.at[1][1] = conj(u.at[0][0]);
  } else {
    each<3>([&](auto j) {
      constexpr int k = (j + 1) % 3, l = (j + 2) % 3;
      u.at[2][j] = conj(u.at[0][k] * u.at[1][l] - u.at[0][l] * u.at[1][k]);
    });
  }
  return u;
}
