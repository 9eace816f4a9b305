// The spectral decomposition of SU(2) and SU(3), for values (math/value.h).

// The decomposition of a matrix (math/spectrum.h); the eigenvectors are the columns of `vectors`.
template <int N, class V>
struct Spectrum {
  V gap[N];
  Matrix<N, V> vectors;
};

// An SU(2) matrix a0 + i a.sigma from its entries, and the eigenvectors of a.sigma, (c, conj(s)) with eigenvalue
// `signed_sine` and (-s, c) with the opposite one.
template <class V>
struct Axis {
  V a0, signed_sine, c;
  Complex<V> s;
};
template <class V>
constexpr Axis<V> axis_of(const Matrix<2, V>& u) {
  const V zero(0.0), one(1.0);
  const V z = (u.at[0][0].im - u.at[1][1].im) * 0.5;
  const Complex<V> m{(u.at[0][1].im + u.at[1][0].im) * 0.5, (u.at[1][0].re - u.at[0][1].re) * 0.5};
  const V sine = sqrt(fma(z, z, norm(m)));
  // Of the two rows of a.sigma -+ |a| the one without cancellation.
  const auto down = z < zero;
  const V height = sine + select(down, -z, z);
  const auto is_centre = height < V(1e-150);  // no axis: any will do
  const V safe = select(is_centre, one, height);
  const V scale = one / sqrt(fma(safe, safe, norm(m)));
  const V s_scale = select(down, -scale, scale);
  return {(u.at[0][0].re + u.at[1][1].re) * 0.5, select(down, -sine, sine), safe * scale, m * s_scale};
}

template <class V>
constexpr Spectrum<2, V> decompose(const Matrix<2, V>& u) {
  const V zero(0.0), one(1.0);
  const Axis<V> axis = axis_of(u);
  const auto swapped = zero < axis.signed_sine;  // the eigenvector of the positive angle stands last
  const V sine = select(swapped, axis.signed_sine, -axis.signed_sine) + zero;  // no negative zero
  const V gap = atan2(sine, axis.a0) * (1 / kPi);
  const Complex<V> c{axis.c, zero};
  return {{gap, one - gap},
          {{{select(swapped, -axis.s, c), select(swapped, c, -axis.s)},
            {select(swapped, c, conj(axis.s)), select(swapped, conj(axis.s), c)}}}};
}

// A unitary matrix whose first column is an eigenvector of the Hermitian matrix with this diagonal and these entries
// right of it (01, 02, 12): that of the eigenvalue farthest from the other two, which is well separated whatever the
// distance of these.
template <class V>
constexpr Matrix<3, V> isolate_eigenvector(const V (&diagonal)[3], const Complex<V> (&right)[3]) {
  const V zero(0.0), one(1.0);
  // k: without trace, scaled so that its characteristic polynomial is x^3 - x - q, |q| <= 2/sqrt(27).
  const V mean = (diagonal[0] + diagonal[1] + diagonal[2]) * (1. / 3);
  V a = diagonal[0] - mean, b = diagonal[1] - mean, c = diagonal[2] - mean;
  const V half_square = fma(fma(a, a, fma(b, b, c * c)), V(0.5), norm(right[0]) + norm(right[1]) + norm(right[2]));
  const V scale = one / sqrt(larger(half_square, V(1e-60)));  // of a multiple of 1: then v = (1, 0, 0)
  a = a * scale;
  b = b * scale;
  c = c * scale;
  const Complex<V> d = right[0] * scale, e = right[1] * scale, f = right[2] * scale;
  const V d2 = norm(d), e2 = norm(e), f2 = norm(f);
  const Complex<V> df = d * f;
  const V q = fma(a, fma(b, c, -f2), fma(-b, e2, fma(-c, d2, fma(df.re, e.re, df.im * e.im) * 2.0)));
  const auto negative = q < zero;
  const V r = select(negative, -q, q);
  // The root in [1, 2/sqrt(3)] of x^3 - x - r, the others being at least 1 away: a series, then Newton's steps.
  V root = polynomial(r, 1., 1. / 2, -3. / 8, 1. / 2);
  each<3>([&](auto) {
    const V square = root * root;
    root = fma(square * 2.0, root, r) / fma(square, V(3.0), -one);
  });
  const V x = select(negative, -root, root);
  // The adjugate of k - x is a positive multiple of v v^dagger: its column with the largest diagonal.
  a = a - x;
  b = b - x;
  c = c - x;
  const V minor[3] = {fma(b, c, -f2), fma(a, c, -e2), fma(a, b, -d2)};
  const Complex<V> o01 = e * conj(f) - d * c, o02 = df - e * b, o12 = e * conj(d) - f * a;
  const auto later = minor[0] < minor[1];
  const V most = larger(minor[0], minor[1]);
  const auto last = most < minor[2];
  const V pivot = larger(most, minor[2]);
  const Complex<V> column[3] = {
      select(last, o02, select(later, o01, {minor[0], zero})),
      select(last, o12, select(later, {minor[1], zero}, conj(o01))),
      select(last, {minor[2], zero}, select(later, conj(o12), conj(o02))),
  };
  const V inverse = one / sqrt(norm(column[0]) + norm(column[1]) + norm(column[2]));
  const Complex<V> v[3] = {column[0] * inverse, column[1] * inverse, column[2] * inverse};
  // Householder's reflection takes e_k, k the column's number, to -v and the other two to what completes it; v_k > 0.
  const V is_last = select(last, one, zero);
  const V is_later = select(last, zero, select(later, one, zero));
  const V is_first = one - is_last - is_later;
  const Complex<V> w[3] = {{v[0].re + is_first, v[0].im}, {v[1].re + is_later, v[1].im}, {v[2].re + is_last, v[2].im}};
  const V factor = one / fma(pivot, inverse, one);
  const auto diagonal_entry = [&](const Complex<V>& w_i) { return Complex<V>{fma(-norm(w_i), factor, one), zero}; };
  const Complex<V> p01 = -(w[0] * conj(w[1]) * factor), p02 = -(w[0] * conj(w[2]) * factor),
                   p12 = -(w[1] * conj(w[2]) * factor), p11 = diagonal_entry(w[1]);
  const auto takes_first = is_first < one, takes_last = is_last < one;  // of its columns other than k
  return {{{v[0], select(takes_first, diagonal_entry(w[0]), p01), select(takes_last, p02, p01)},
           {v[1], select(takes_first, conj(p01), p11), select(takes_last, p12, p11)},
           {v[2], select(takes_first, conj(p02), conj(p12)), select(takes_last, diagonal_entry(w[2]), conj(p12))}}};
}

// Two numbers with what they carry, in ascending order of the numbers.
template <class V>
constexpr void put_in_order(V& a, V& carried_by_a, V& b, V& carried_by_b) {
  const auto wrong = b < a;
  const V low = select(wrong, b, a), with_low = select(wrong, carried_by_b, carried_by_a);
  b = select(wrong, a, b);
  carried_by_b = select(wrong, carried_by_a, carried_by_b);
  a = low;
  carried_by_a = with_low;
}

// Without iteration but for three of Newton's steps on a number. For a phase alpha the Hermitian part of e^(i alpha/2)
// u has the eigenvectors of u and the eigenvalues cos(theta_j + alpha/2), of which two differ by
//   2 sin((alpha - theta_l)/2) sin((theta_j - theta_k)/2),   l the third:
// nowhere near each other unless these of u are, if alpha is far from all theta. Its isolated eigenvector reduces u to
// a block of U(2), which has a closed form for any distance of the two eigenvalues.
template <class V>
constexpr Spectrum<3, V> decompose(const Matrix<3, V>& u) {
  const V zero(0.0), one(1.0);
  const Complex<V> t = trace(u);
  // Of alpha = 60 degrees k the one with the largest |prod 2 sin((alpha - theta)/2)|, which is
  // 2 |sin(3 alpha/2) - Im(t e^(i alpha/2))|; `half` is e^(i alpha/2).
  constexpr double kRoot = 0.86602540378443864676;
  constexpr double kCos[6] = {1, kRoot, 0.5, 0, -0.5, -kRoot}, kSin[6] = {0, 0.5, kRoot, 1, kRoot, 0.5},
                   kSinOfThree[6] = {0, 1, 0, -1, 0, 1};
  V largest(-1.0);
  Complex<V> half{zero, zero};
  each<6>([&](auto k) {
    const V product = fma(t.im, V(-kCos[k]), fma(t.re, V(-kSin[k]), V(kSinOfThree[k])));
    const V size = select(product < zero, -product, product);
    const auto better = largest < size;
    half = select(better, {V(kCos[k]), V(kSin[k])}, half);
    largest = select(better, size, largest);
  });
  V diagonal[3];
  each<3>([&](auto i) { diagonal[i] = fma(half.re, u.at[i][i].re, -(half.im * u.at[i][i].im)); });
  const auto hermitian_part = [&](const Complex<V>& right, const Complex<V>& left) {
    return (half * right + conj(half * left)) * V(0.5);
  };
  const Complex<V> right[3] = {hermitian_part(u.at[0][1], u.at[1][0]), hermitian_part(u.at[0][2], u.at[2][0]),
                               hermitian_part(u.at[1][2], u.at[2][1])};
  const Matrix<3, V> isolated = isolate_eigenvector(diagonal, right);

  // The block of the other two; its determinant is the conjugate of the isolated eigenvalue, so that times either root
  // of that it is in SU(2), with eigenvalues e^(+-2 pi i psi).
  const Matrix<3, V> images = u * isolated;  // the first column is not used
  const Matrix<2, V> block = matrix_of<2, V>([&](auto i, auto j) {
    Complex<V> sum{zero, zero};
    each<3>([&](auto k) { sum = conj_multiply_add(isolated.at[k][i + 1], images.at[k][j + 1], sum); });
    return sum;
  });
  const Complex<V> eigenvalue = t - trace(block);
  const auto left = eigenvalue.re < zero;
  Complex<V> root{select(left, eigenvalue.im, one + eigenvalue.re), select(left, one - eigenvalue.re, eigenvalue.im)};
  root = root * (one / sqrt(norm(root)));
  const Axis<V> axis = axis_of(matrix_of<2, V>([&](auto i, auto j) { return root * block.at[i][j]; }));
  const V psi = atan2(axis.signed_sine, axis.a0) * (0.5 / kPi);

  // In turns, with sum 0: v's angle y in [-1/4, 3/4], the others' -y/2 +- psi. In order their spread may exceed 1, but
  // not 2: then one turn from the last to the first is enough.
  const V y = atan2(root.im, root.re) * (1 / kPi);
  V place[3] = {y, fma(y, V(-0.5), psi), fma(y, V(-0.5), -psi)};
  V label[3] = {zero, one, V(2.0)};
  const auto order = [&](int i, int j) { put_in_order(place[i], label[i], place[j], label[j]); };
  order(0, 1);
  order(1, 2);
  order(0, 1);
  const auto wide = one < place[2] - place[0];
  const V new_last = select(wide, place[0] + one, place[2]), new_first = select(wide, place[2] - one, place[0]);
  const V label_of_last = select(wide, label[0], label[2]);
  label[0] = select(wide, label[2], label[0]);
  label[2] = label_of_last;
  place[0] = new_first;
  place[2] = new_last;
  order(0, 1);
  order(1, 2);

  Spectrum<3, V> spectrum;
  spectrum.gap[0] = place[1] - place[0];
  spectrum.gap[1] = place[2] - place[1];
  spectrum.gap[2] = larger(one - (place[2] - place[0]), zero);
  each<3>([&](auto i) {
    const Complex<V> first = conj_multiply_add(axis.s, isolated.at[i][2], isolated.at[i][1] * axis.c);
    const Complex<V> second = multiply_add(-axis.s, isolated.at[i][1], isolated.at[i][2] * axis.c);
    each<3>([&](auto k) {
      spectrum.vectors.at[i][k] =
          select(label[k] < V(0.5), isolated.at[i][0], select(label[k] < V(1.5), first, second));
    });
  });
  return spectrum;
}
