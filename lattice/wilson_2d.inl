// The elimination of lattice/wilson_2d.h, slice by slice. A vector's upper component is +, its lower -; G is D^-1. All
// matrices are complex and L0 x L0. In the gauge of the constructor, H is the shift to x0 + 1, with a phase at the end
// of the line only.
//
// Slice t < L1 - 1, with the time links u, and what it hands on (from W = Z = 0 and f = -u^+ of the last slice):
//
//   S = [ B  Y ]   Y = C - W     S^-1 = [ a  b   ]   a = 1/(B - Y K)     W <- u^+ b u
//       [ C  B ]   K = C/B              [ c  a^+ ]   b = -a Y/B          f <- u^+ a f
//                                                    c = -K a            Z <- Z + f^+ c f
//
// The last slice's matrix is [ B + f, C - W; C - Z, B + f^+ ]. That g D g = D^+ makes b, c, W and Z anti-Hermitian; one
// half of each is computed, so that they are exactly.

template <Value V, class Work>
class Wilson2dElimination : WilsonMatrices<V, Work> {
  using Base = WilsonMatrices<V, Work>;
  using Base::get, Base::put, Base::real, Base::imaginary_part, Base::square, Base::dot, Base::product,
      Base::anti_hermitian_product;
  using typename Base::Complex, typename Base::Matrix, typename Base::Range;

 public:
  // Loads the links, gauged such that U_0 = 1 but at the end of a line.
  template <class Links>
  constexpr Wilson2dElimination(const Wilson2d& wilson, Wilson2dUse use, Links cos, Links sin, Work work)
      : Base(work),
        wilson_(wilson),
        n_(wilson.space()),
        last_(wilson.time() - 1),
        slots_(wilson.slices_kept(use)),
        scratches_(wilson.scratch_matrices(use)) {
    const auto link = [&](std::size_t mu, std::size_t x, std::size_t t) {
      return Complex{V(cos[link_at(mu, x, t)]), V(sin[link_at(mu, x, t)])};
    };
    for (std::size_t t = 0; t <= last_; ++t) {
      const std::size_t next = t < last_ ? t + 1 : 0;
      Complex here = real(1), there = here;  // the products of U_0 up to x in this slice and in the next
      for (std::size_t x = 0; x < n_; ++x) {
        const Complex u = here * link(1, x, t) * conj(there);
        put(time_link(t, x), t < last_ ? u : -u);
        here = here * link(0, x, t);
        there = there * link(0, x, next);
      }
      put(loop(t), here);
      // What goes around a line once and again is divided by this.
      const Complex rest = real(1) - scaled(here, V(wilson_.decay(n_)));
      const V size = square(rest);
      if (t < last_) add_pivot(size * size);  // the rest of det B; the last slice's B is within its matrix
      put(closure(t), scaled(here * conj(rest), V(1.0) / size));
    }
  }

  // log|det D|. With `invert`, the blocks of G in the last slice are left in end().
  constexpr V log_abs_det(bool invert) {
    for (std::size_t i = 0; i < n_; ++i) {
      for (std::size_t j = 0; j < n_; ++j) {
        put(w(0), i, j, real(0));
        put(z(), i, j, real(0));
        put(f(0), i, j, i == j ? -conj(get(time_link(last_, i))) : real(0));
      }
    }
    for (std::size_t t = 0; t < last_; ++t) eliminate_slice(t);
    const Matrix upper = end().block(0, 0), lower = end().block(n_, n_), right = end().block(0, n_),
                 left = end().block(n_, 0);
    for (std::size_t i = 0; i < n_; ++i) {
      for (std::size_t j = 0; j < n_; ++j) {
        put(upper, i, j, get(f(last_), i, j));
        put(lower, i, j, conj(get(f(last_), j, i)));
        put(right, i, j, -get(w(last_), i, j));
        put(left, i, j, -get(z(), i, j));
      }
    }
    add_b(upper, last_);
    add_b(lower, last_);
    add_c(right, last_);
    add_c(left, last_);
    this->eliminate(end(), 2 * n_, invert, panel(), [&](const V& pivot) { add_pivot(pivot); });
    return (log_sum_ + log(pivots_)) * 0.5 + V(wilson_.log_det_of_lines());
  }

  // After log_abs_det(true): the slopes by all links; returns Re tr G. Goes back through the slices, with these blocks
  // of G (t+ is the upper component in slice t):
  //   r1 = G(t-, t+),  r3 = G(last+, t+),  r4 = G(last+, last-),  h = r4 f^+
  template <class Slopes>
  constexpr V slopes(Slopes out) {
    V trace = slopes_of_line(
        last_, out, [&](std::size_t i, std::size_t j) { return get(r3(), i, j); },
        [&](std::size_t i, std::size_t j) { return get(r4(), i, j) + get(r1(), i, j); });
    set_h(last_);
    for (std::size_t t = last_; t-- > 0;) trace = trace + step_back(t, out);
    for (std::size_t x = 0; x < n_; ++x) {
      const Complex around = conj(get(time_link(last_, x))) * get(r3(), x, x);
      store_in(out[link_at(1, x, last_)], around.im * -2.0);
    }
    return trace;
  }

  // After log_abs_det(true): the correlator of wilson_2d.h, from the rows G(t, s) for all t <= s.
  template <class Correlator>
  constexpr void pion(Correlator out) {
    for (std::size_t t = 0; t <= last_; ++t) store_in(out[t], V(0.0));
    V sum(0.0);
    for (std::size_t i = 0; i < 2 * n_; ++i) {
      for (std::size_t j = 0; j < 2 * n_; ++j) {
        const Complex g = get(end(), i, j);
        put(i < n_ ? of_last(last_) : of_next(last_), i < n_ ? i : i - n_, j, g);
        sum = sum + square(g);
      }
    }
    add_to(out, 0, sum);
    for (std::size_t t = last_; t-- > 0;) {
      turn_w_into_b(t);
      left_sweep(t, a(t), [&](std::size_t i, std::size_t j, const Complex& forward, const Complex& backward) {
        put(scratch(0), i, j, forward - backward);  // c
      });
      for (std::size_t s = last_; s > t; --s) {
        const V squares = row_of_g(t, s);
        add_to(out, s - t, squares);
        add_to(out, last_ + 1 - (s - t), squares);
      }
      add_to(out, 0, row_of_g(t, t));
    }
    for (std::size_t t = 0; t <= last_; ++t) store_in(out[t], V(out[t]) / V(static_cast<double>(wilson_.sites())));
  }

 private:
  constexpr std::size_t link_at(std::size_t mu, std::size_t x, std::size_t t) const {
    return (mu * n_ + x) * (last_ + 1) + t;
  }

  // Where things are. loop: the phase at the end of a line. closure: loop / (1 - lambda^L0 loop).
  constexpr std::size_t loop(std::size_t t) const { return t; }
  constexpr std::size_t closure(std::size_t t) const { return last_ + 1 + t; }
  constexpr std::size_t time_link(std::size_t t, std::size_t x) const { return 2 * (last_ + 1) + t * n_ + x; }
  constexpr std::size_t lines() const { return (last_ + 1) * (n_ + 2); }
  constexpr Matrix panel() const { return {lines() + 2 * n_, Wilson2d::kPanel}; }
  constexpr Matrix matrix(std::size_t k) const {
    return {panel().begin + 2 * n_ * Wilson2d::kPanel + k * n_ * Wilson2d::row_of(n_), Wilson2d::row_of(n_)};
  }
  constexpr Matrix a(std::size_t t) const { return matrix(t % slots_); }
  constexpr Matrix w(std::size_t t) const { return matrix(slots_ + t % slots_); }
  constexpr Matrix f(std::size_t t) const { return matrix(2 * slots_ + t % slots_); }
  constexpr Matrix scratch(std::size_t k) const { return matrix(3 * slots_ + k); }
  constexpr Matrix z() const { return scratch(2); }
  constexpr Matrix end() const { return {matrix(3 * slots_ + scratches_).begin, Wilson2d::row_of(2 * n_)}; }
  constexpr Matrix r1() const { return end().block(n_, 0); }
  constexpr Matrix r3() const { return end().block(0, 0); }
  constexpr Matrix r4() const { return end().block(0, n_); }
  constexpr Matrix rows(std::size_t k) const {  // n_ rows of G
    return {end().begin + 2 * n_ * Wilson2d::row_of(2 * n_) + k * n_ * Wilson2d::row_of(2 * n_),
            Wilson2d::row_of(2 * n_)};
  }

  constexpr void add_pivot(const V& squared) {
    pivots_ = pivots_ * squared;
    if (++pivots_in_product_ == 8) {  // so few that it neither overflows nor underflows
      log_sum_ = log_sum_ + log(pivots_);
      pivots_ = V(1.0);
      pivots_in_product_ = 0;
    }
  }

  // m + there H + back H^+ in slice t.
  constexpr void add_hopping(const Matrix& m, std::size_t t, double there, double back) {
    for (std::size_t x = 0; x < n_; ++x) {
      const std::size_t y = x + 1 < n_ ? x + 1 : 0;
      const Complex hop = x + 1 < n_ ? real(1) : get(loop(t));
      put(m, x, y, get(m, x, y) + scaled(hop, V(there)));
      put(m, y, x, get(m, y, x) + scaled(conj(hop), V(back)));
    }
  }
  constexpr void add_b(const Matrix& m, std::size_t t) {
    add_hopping(m, t, -0.5, -0.5);
    for (std::size_t x = 0; x < n_; ++x) put(m, x, x, get(m, x, x) + real(wilson_.mass() + 2));
  }
  constexpr void add_c(const Matrix& m, std::size_t t) { add_hopping(m, t, 0.5, -0.5); }

  // For a vector v(j) on a line: out(j, forward, backward) with the sums over all steps n = 1, 2, ... around the line
  //   forward(j) = sum lambda^n v(j - n),   backward(j) = sum lambda^n v(j + n),
  // each time around with the factor of `closure` or its conjugate.
  template <class In, class Out>
  constexpr void sweep(const Complex& closure, In in, Out out) {
    const auto pass = [&](std::size_t into, std::size_t j, const Complex& moving) {
      put(into + j, moving);
      return scaled(moving + in(j), V(wilson_.decay(1)));
    };
    Complex forward = real(0), backward = real(0);
    for (std::size_t j = 0; j < n_; ++j) forward = pass(lines(), j, forward);
    for (std::size_t j = n_; j-- > 0;) backward = pass(lines() + n_, j, backward);
    forward = forward * closure;
    backward = backward * conj(closure);
    for (std::size_t j = 0; j < n_; ++j) {
      out(j, get(lines() + j) + scaled(forward, V(wilson_.decay(j))),
          get(lines() + n_ + j) + scaled(backward, V(wilson_.decay(n_ - 1 - j))));
    }
  }
  // m K = forward - backward and m / B = (m + forward + backward) / sinh alpha. `out` may overwrite m(i, j).
  template <class Out>
  FLOWLOOM_FLATTEN constexpr void right_sweep(std::size_t t, const Matrix& m, Out out) {
    const Complex closed = get(closure(t));
    for (std::size_t i = 0; i < n_; ++i) {
      sweep(
          closed, [&](std::size_t j) { return get(m, i, j); },
          [&](std::size_t j, const Complex& forward, const Complex& backward) { out(i, j, forward, backward); });
    }
  }
  // K m = backward - forward and m / B as before.
  template <class Out>
  FLOWLOOM_FLATTEN constexpr void left_sweep(std::size_t t, const Matrix& m, Out out) {
    const Complex closed = conj(get(closure(t)));
    for (std::size_t j = 0; j < n_; ++j) {
      sweep(
          closed, [&](std::size_t i) { return get(m, i, j); },
          [&](std::size_t i, const Complex& forward, const Complex& backward) { out(i, j, forward, backward); });
    }
  }
  constexpr Complex over_b(const Complex& own, const Complex& forward, const Complex& backward) const {
    return scaled(own + forward + backward, V(wilson_.inverse_sinh()));
  }

  constexpr void put_anti_hermitian(const Matrix& m, std::size_t i, std::size_t j, const Complex& value) {
    put(m, j, i, -conj(value));
    put(m, i, j, value);
  }

  constexpr void eliminate_slice(std::size_t t) {
    const Matrix y = scratch(0), a = this->a(t), f = this->f(t), next_f = this->f(t + 1), next_w = w(t + 1);
    for (std::size_t i = 0; i < n_; ++i) {
      for (std::size_t j = 0; j < n_; ++j) put(y, i, j, -get(w(t), i, j));
    }
    add_c(y, t);
    right_sweep(t, y, [&](std::size_t i, std::size_t j, const Complex& forward, const Complex& backward) {
      put(a, i, j, backward - forward);
      put(y, i, j, over_b(get(y, i, j), forward, backward));
    });
    add_b(a, t);
    this->eliminate(a, n_, /*inverse=*/true, panel(), [&](const V& pivot) { add_pivot(pivot); });
    anti_hermitian_product(
        n_, [&](std::size_t i, std::size_t k) { return get(a, i, k); },
        [&](std::size_t k, std::size_t j) { return get(y, k, j); },
        [&](std::size_t i, std::size_t j, const Complex& minus_b) {
          const Complex gauged = i == j ? minus_b : conj(get(time_link(t, i))) * minus_b * get(time_link(t, j));
          put_anti_hermitian(next_w, i, j, -gauged);
        });
    const Matrix af = scratch(1);
    product(
        n_, [&](std::size_t i, std::size_t k) { return get(a, i, k); },
        [&](std::size_t k, std::size_t j) { return get(f, k, j); },
        [&](std::size_t i, std::size_t j, const Complex& sum) {
          put(af, i, j, sum);
          put(next_f, i, j, conj(get(time_link(t, i))) * sum);
        });
    left_sweep(t, af, [&](std::size_t i, std::size_t j, const Complex& forward, const Complex& backward) {
      put(af, i, j, backward - forward);
    });
    anti_hermitian_product(
        n_, [&](std::size_t i, std::size_t k) { return conj(get(f, k, i)); },
        [&](std::size_t k, std::size_t j) { return get(af, k, j); },
        [&](std::size_t i, std::size_t j, const Complex& sum) { put_anti_hermitian(z(), i, j, get(z(), i, j) - sum); });
  }

  // d log|det D| = Re tr(2 G(t+, t+) dB + (G(t+, t-) + G(t-, t+)) dC) for the links of a line, from these blocks'
  // elements between neighbours. Returns the slice's Re tr G.
  template <class Slopes, class Plus, class Mixed>
  constexpr V slopes_of_line(std::size_t t, Slopes& out, Plus plus, Mixed mixed) {
    V trace(0.0);
    for (std::size_t x = 0; x < n_; ++x) {
      const std::size_t y = x + 1 < n_ ? x + 1 : 0;
      const Complex hop = x + 1 < n_ ? real(1) : get(loop(t));
      const Complex there = hop * plus(y, x), back = conj(hop) * (plus(x, y) + mixed(x, y));
      store_in(out[link_at(0, x, t)], there.im - back.im);
      trace = trace + plus(x, x).re * 2.0;
    }
    return trace;
  }

  // h of slice t.
  constexpr void set_h(std::size_t t) {
    product(
        n_, [&](std::size_t i, std::size_t k) { return get(r4(), i, k); },
        [&](std::size_t k, std::size_t j) { return conj(get(f(t), j, k)); },
        [&](std::size_t i, std::size_t j, const Complex& sum) { put(scratch(0), i, j, sum); });
  }

  // b = u W u^+ in the place of the W that slice t handed on.
  constexpr void turn_w_into_b(std::size_t t) {
    const Matrix b = w(t + 1);
    for (std::size_t i = 0; i < n_; ++i) {
      for (std::size_t j = i + 1; j < n_; ++j) {
        put_anti_hermitian(b, i, j, get(time_link(t, i)) * get(b, i, j) * conj(get(time_link(t, j))));
      }
    }
  }

  // The slopes of slice t and of the time links to t + 1, from r1, r3 and h of t + 1, which become those of t. With
  //
  //   p = -f (r3 u^+ + h K / 2)      X = u r1 u^+ - K p + (K p)^+      N = -1/B f [ (r3 W - h) u^+ + h/B / 2 ]
  //
  // where W and the h of N are those of t + 1, the blocks of G = S^-1 + S^-1 (...) S^-1 are
  //
  //   r3 of t = (r3 u^+ + h K) a      G(t-, t+) = c + a^+ X a      G(t+, t-) = b + b X b + N - N^+
  //   G(t+, t+) = a + b X a - 1/B f r3 of t
  //
  // and the links' slopes are -2 Im of the diagonal of G(t+, t+1 +) u^+ = u (W r1 - f r3) u^+, all of t + 1.
  template <class Slopes>
  constexpr V step_back(std::size_t t, Slopes& out) {
    const Matrix a = this->a(t), b = w(t + 1), f = this->f(t), r1 = this->r1(), r3 = this->r3();
    const Matrix h = scratch(0), bracket = scratch(1), one = scratch(2), two = scratch(3), three = scratch(4);
    const auto of = [&](const Matrix& m) { return [this, m](std::size_t i, std::size_t j) { return get(m, i, j); }; };
    const auto adjoint = [&](const Matrix& m) {
      return [this, m](std::size_t i, std::size_t j) { return conj(get(m, j, i)); };
    };
    const auto into = [&](const Matrix& m) {
      return [this, m](std::size_t i, std::size_t j, const Complex& value) { put(m, i, j, value); };
    };
    const auto element = [&](const Matrix& l, std::size_t i, const Matrix& r, std::size_t j) {  // of l r
      return dot(n_, [&](std::size_t k) { return get(l, i, k); }, [&](std::size_t k) { return get(r, k, j); });
    };

    for (std::size_t x = 0; x < n_; ++x) {
      const Complex forward = element(w(t + 1), x, r1, x) - element(this->f(t + 1), x, r3, x);
      store_in(out[link_at(1, x, t)], forward.im * -2.0);
    }
    product(n_, of(r3), of(b), [&](std::size_t i, std::size_t j, const Complex& sum) {
      put(bracket, i, j, (sum - get(h, i, j)) * conj(get(time_link(t, j))));
    });
    turn_w_into_b(t);
    set_h(t);
    right_sweep(t, h, [&](std::size_t i, std::size_t j, const Complex& forward, const Complex& backward) {
      const Complex half = scaled(forward - backward, V(0.5));
      put(one, i, j, half);
      put(two, i, j, get(r3, i, j) * conj(get(time_link(t, j))) + half);
      put(bracket, i, j, get(bracket, i, j) + scaled(over_b(get(h, i, j), forward, backward), V(0.5)));
    });
    product(n_, of(f), of(two), [&](std::size_t i, std::size_t j, const Complex& sum) { put(three, i, j, -sum); });
    for (std::size_t i = 0; i < n_; ++i) {
      for (std::size_t j = 0; j < n_; ++j) put(two, i, j, get(two, i, j) + get(one, i, j));
    }
    product(n_, of(two), of(a), into(r3));
    left_sweep(t, three, [&](std::size_t i, std::size_t j, const Complex& forward, const Complex& backward) {
      put(three, i, j, backward - forward);
    });
    for (std::size_t i = 0; i < n_; ++i) {  // X, in the place of r1
      for (std::size_t j = i; j < n_; ++j) {
        const Complex r = i == j ? get(r1, i, i) : get(time_link(t, i)) * get(r1, i, j) * conj(get(time_link(t, j)));
        put_anti_hermitian(r1, i, j, r - (get(three, i, j) - conj(get(three, j, i))));
      }
    }
    product(n_, of(b), of(r1), into(two));
    product(n_, of(r1), of(a), into(three));
    left_sweep(t, f, [&](std::size_t i, std::size_t j, const Complex& forward, const Complex& backward) {
      put(one, i, j, over_b(get(f, i, j), forward, backward));
    });
    left_sweep(t, a, [&](std::size_t i, std::size_t j, const Complex& forward, const Complex& backward) {
      put(r1, i, j, forward - backward);  // c
    });
    anti_hermitian_product(n_, adjoint(a), of(three), [&](std::size_t i, std::size_t j, const Complex& sum) {
      const Complex whole = get(r1, i, j) + sum;
      put_anti_hermitian(r1, i, j, i == j ? imaginary_part(whole) : whole);
    });
    return slopes_of_line(
        t, out,
        [&](std::size_t i, std::size_t j) { return get(a, i, j) + element(two, i, a, j) - element(one, i, r3, j); },
        [&](std::size_t i, std::size_t j) {
          const Complex n_there = -element(one, i, bracket, j), n_back = -element(one, j, bracket, i);
          return get(b, i, j) + element(two, i, b, j) + (n_there - conj(n_back)) + get(r1, i, j);
        });
  }

  // For the correlator. Rows G(last+, s) and G(t+1 -, s), whose columns are the 2 L0 components of slice s.
  constexpr Matrix of_last(std::size_t s) const { return rows(2 * s); }
  constexpr Matrix of_next(std::size_t s) const { return rows(2 * s + 1); }

  // Solves for G(t, s) with t <= s and returns the sum of its elements' squares. Its lower half becomes of_next(s);
  // what it is in the other order becomes of_last(t) and of_next(t) when the time has come.
  constexpr V row_of_g(std::size_t t, std::size_t s) {
    const Matrix right = end(), c = scratch(0);
    const Range all{0, 2 * n_};
    product(
        {0, n_}, all, n_, [&](std::size_t i, std::size_t k) { return get(f(t), i, k); },
        [&](std::size_t k, std::size_t j) { return get(of_last(s), k, j); },
        [&](std::size_t i, std::size_t j, const Complex& sum) {
          put(right, i, j, s == t && i == j ? real(1) - sum : -sum);
        });
    for (std::size_t i = 0; i < n_; ++i) {
      for (std::size_t j = 0; j < 2 * n_; ++j) {
        const Complex hop = get(time_link(t, i)) * get(of_next(s), i, j);
        put(right, n_ + i, j, s == t && n_ + i == j ? real(1) + hop : hop);
      }
    }
    V squares(0.0);
    product(
        all, all, 2 * n_,
        [&](std::size_t i, std::size_t k) {
          if (i < n_) return k < n_ ? get(a(t), i, k) : get(w(t + 1), i, k - n_);
          return k < n_ ? get(c, i - n_, k) : conj(get(a(t), k - n_, i - n_));
        },
        [&](std::size_t k, std::size_t j) { return get(right, k, j); },
        [&](std::size_t i, std::size_t j, const Complex& g) {
          squares = squares + square(g);
          if (i >= n_) put(of_next(s), i - n_, j, g);
          // G(s, t): the components exchanged and the adjoint, with a sign where they differ
          if (s == t + 1 && j < n_) put(of_next(t), j, i < n_ ? n_ + i : i - n_, i < n_ ? conj(g) : -conj(g));
          if (s == last_ && j >= n_) put(of_last(t), j - n_, i < n_ ? n_ + i : i - n_, i < n_ ? -conj(g) : conj(g));
        });
    return squares;
  }

  template <class Correlator>
  static constexpr void add_to(Correlator& out, std::size_t t, const V& more) {
    store_in(out[t], V(out[t]) + more);
  }

  const Wilson2d& wilson_;
  std::size_t n_, last_, slots_, scratches_;
  V log_sum_ = V(0.0), pivots_ = V(1.0);  // of |pivot|^2
  std::size_t pivots_in_product_ = 0;
};

template <Value V>
struct Wilson2dSolver {
  template <class Links, class Work>
  static constexpr V log_abs_det(const Wilson2d& wilson, Links cos, Links sin, Work work) {
    return Wilson2dElimination<V, Work>(wilson, Wilson2dUse::kLogDet, cos, sin, work).log_abs_det(/*invert=*/false);
  }

  struct Slopes {
    V log_abs_det, by_mass;
  };
  template <class Links, class Work, class Cells>
  static constexpr Slopes slopes(const Wilson2d& wilson, Links cos, Links sin, Work work, Cells slopes) {
    Wilson2dElimination<V, Work> elimination(wilson, Wilson2dUse::kSlopes, cos, sin, work);
    const V value = elimination.log_abs_det(/*invert=*/true);
    return {value, elimination.slopes(slopes)};
  }

  template <class Links, class Work, class Cells>
  static constexpr void pion(const Wilson2d& wilson, Links cos, Links sin, Work work, Cells correlator) {
    Wilson2dElimination<V, Work> elimination(wilson, Wilson2dUse::kPion, cos, sin, work);
    elimination.log_abs_det(/*invert=*/true);
    elimination.pion(correlator);
  }
};
