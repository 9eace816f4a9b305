// Complex matrices of values in a borrowed workspace, for the Wilson operator (lattice/wilson_2d.inl): products and
// elimination. Nothing is pivoted; wilson_2d.h says why.

template <Value V>
struct WilsonComplex {
  V re, im;
};

template <Value V>
constexpr WilsonComplex<V> operator+(const WilsonComplex<V>& a, const WilsonComplex<V>& b) {
  return {a.re + b.re, a.im + b.im};
}
template <Value V>
constexpr WilsonComplex<V> operator-(const WilsonComplex<V>& a, const WilsonComplex<V>& b) {
  return {a.re - b.re, a.im - b.im};
}
template <Value V>
constexpr WilsonComplex<V> operator-(const WilsonComplex<V>& a) {
  return {-a.re, -a.im};
}
template <Value V>
constexpr WilsonComplex<V> operator*(const WilsonComplex<V>& a, const WilsonComplex<V>& b) {
  return {a.re * b.re - a.im * b.im, fma(a.im, b.re, a.re * b.im)};
}
template <Value V>
constexpr WilsonComplex<V> conj(const WilsonComplex<V>& a) {
  return {a.re, -a.im};
}
template <Value V>
constexpr WilsonComplex<V> scaled(const WilsonComplex<V>& a, const V& b) {
  return {a.re * b, a.im * b};
}

template <Value V, class Work>
class WilsonMatrices {
 protected:
  using Complex = WilsonComplex<V>;

  // Of complex numbers in the workspace, which are numbered.
  struct Matrix {
    std::size_t begin, row;
    constexpr std::size_t at(std::size_t i, std::size_t j) const { return begin + i * row + j; }
    constexpr Matrix block(std::size_t i, std::size_t j) const { return {at(i, j), row}; }
  };

  struct Range {
    std::size_t begin, end;
  };

  constexpr explicit WilsonMatrices(Work work) : work_(work) {}

  constexpr Complex get(std::size_t at) const { return {V(work_[2 * at]), V(work_[2 * at + 1])}; }
  constexpr Complex get(const Matrix& m, std::size_t i, std::size_t j) const { return get(m.at(i, j)); }
  constexpr void put(std::size_t at, const Complex& value) {
    store_in(work_[2 * at], value.re);
    store_in(work_[2 * at + 1], value.im);
  }
  constexpr void put(const Matrix& m, std::size_t i, std::size_t j, const Complex& value) { put(m.at(i, j), value); }

  static constexpr Complex real(double value) { return {V(value), V(0.0)}; }
  static constexpr Complex imaginary_part(const Complex& a) { return {V(0.0), a.im}; }
  static constexpr V square(const Complex& a) { return fma(a.re, a.re, a.im * a.im); }

  // sum + a * b.
  static constexpr Complex add_product(const Complex& sum, const Complex& a, const V& minus_a_im, const Complex& b) {
    return {fma(minus_a_im, b.im, fma(a.re, b.re, sum.re)), fma(a.im, b.re, fma(a.re, b.im, sum.im))};
  }

  // The sum of left(k) * right(k) over k < count.
  template <class Left, class Right>
  static constexpr Complex dot(std::size_t count, Left left, Right right) {
    Complex sum = real(0);
    for (std::size_t k = 0; k < count; ++k) {
      const Complex a = left(k);
      sum = add_product(sum, a, -a.im, right(k));
    }
    return sum;
  }

  // out(i, j, the sum of left(i, k) * right(k, j) over k < count) for i and j in these ranges; with `half`, at least
  // where i <= j.
  template <class Left, class Right, class Out>
  FLOWLOOM_FLATTEN static constexpr void product(Range rows, Range columns, std::size_t count, Left left, Right right,
                                                 Out out, bool half = false) {
    for (std::size_t i = rows.begin; i < rows.end; i += 2) {
      const std::size_t below = i + 1 < rows.end ? i + 1 : i;  // at an odd end the last row is computed twice
      for (std::size_t j = half ? i : columns.begin; j < columns.end; j += 2) {
        const std::size_t beside = j + 1 < columns.end ? j + 1 : j;
        Complex s00 = real(0), s01 = s00, s10 = s00, s11 = s00;
        for (std::size_t k = 0; k < count; ++k) {
          const Complex a0 = left(i, k), a1 = left(below, k), b0 = right(k, j), b1 = right(k, beside);
          const V minus0 = -a0.im, minus1 = -a1.im;
          s00 = add_product(s00, a0, minus0, b0);
          s01 = add_product(s01, a0, minus0, b1);
          s10 = add_product(s10, a1, minus1, b0);
          s11 = add_product(s11, a1, minus1, b1);
        }
        out(i, j, s00);
        if (beside != j) out(i, beside, s01);
        if (below != i) out(below, j, s10);
        if (below != i && beside != j) out(below, beside, s11);
      }
    }
  }
  template <class Left, class Right, class Out>
  static constexpr void product(std::size_t n, Left left, Right right, Out out) {
    product({0, n}, {0, n}, n, left, right, out);
  }
  // A product that is anti-Hermitian but for rounding errors: the half i <= j, with an imaginary diagonal.
  template <class Left, class Right, class Out>
  static constexpr void anti_hermitian_product(std::size_t n, Left left, Right right, Out out) {
    const auto upper = [&](std::size_t i, std::size_t j, const Complex& sum) {
      if (i <= j) out(i, j, i < j ? sum : imaginary_part(sum));
    };
    product({0, n}, {0, n}, n, left, right, upper, /*half=*/true);
  }

  // Gauss and Jordan's elimination, Wilson2d::kPanel pivots at a time: m becomes its inverse. Without `inverse` only
  // the pivots come out, and m is left useless. Calls pivot(|pivot|^2) for each. `panel` has size rows.
  template <class Pivot>
  FLOWLOOM_FLATTEN constexpr void eliminate(Matrix m, std::size_t size, bool inverse, Matrix panel, Pivot pivot) {
    for (std::size_t begin = 0; begin < size; begin += Wilson2d::kPanel) {
      const std::size_t end = begin + Wilson2d::kPanel < size ? begin + Wilson2d::kPanel : size;
      for (std::size_t k = begin; k < end; ++k) {  // the block on the diagonal becomes its inverse
        const Complex p = get(m, k, k);
        const V p2 = square(p);
        pivot(p2);
        const Complex reciprocal = scaled(conj(p), V(1.0) / p2);
        for (std::size_t j = begin; j < end; ++j) put(m, k, j, j == k ? reciprocal : get(m, k, j) * reciprocal);
        for (std::size_t i = begin; i < end; ++i) {
          if (i == k) continue;
          const Complex factor = get(m, i, k);
          for (std::size_t j = begin; j < end; ++j) {
            put(m, i, j, (j == k ? real(0) : get(m, i, j)) - factor * get(m, k, j));
          }
        }
      }
      const Range others[2] = {{0, inverse ? begin : 0}, {end, size}};
      for (const Range& columns : others) {  // times which its rows are multiplied
        for (std::size_t j = columns.begin; j < columns.end; ++j) {
          Complex column[Wilson2d::kPanel];
          for (std::size_t i = begin; i < end; ++i) {
            column[i - begin] = dot(
                end - begin, [&](std::size_t k) { return get(m, i, begin + k); },
                [&](std::size_t k) { return get(m, begin + k, j); });
          }
          for (std::size_t i = begin; i < end; ++i) put(m, i, j, column[i - begin]);
        }
      }
      for (const Range& rows : others) {  // and taken off the others
        for (std::size_t i = rows.begin; i < rows.end; ++i) {
          for (std::size_t k = begin; k < end; ++k) {
            put(panel, i, k - begin, -get(m, i, k));
            put(m, i, k, real(0));
          }
        }
        product(
            rows, {inverse ? 0 : end, size}, end - begin,
            [&](std::size_t i, std::size_t k) { return get(panel, i, k); },
            [&](std::size_t k, std::size_t j) { return get(m, begin + k, j); },
            [&](std::size_t i, std::size_t j, const Complex& sum) { put(m, i, j, get(m, i, j) + sum); });
      }
    }
  }

 private:
  Work work_;
};
