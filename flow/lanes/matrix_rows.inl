// A field's rows as the links' matrices. Slopes by a link are matrices of su(N), as lattice/su.h lays them out. What
// multiplies is in functions of its own: each is hundreds of instructions.

template <int N>
struct MatrixRows {
  using V = Lanes<double>;
  using M = Matrix<N, V>;
  using Step = MatrixCoupling::Step;
  using Path = MatrixCoupling::Path;

  static Complex<V> entry(const Row<double>* link, std::size_t i, std::size_t j, std::size_t sites) {
    const Row<double>* at = link + 2 * (N * i + j) * sites;
    return {V(*at), V(at[sites])};
  }
  static void put_entry(const Complex<V>& entry, Row<double>* link, std::size_t i, std::size_t j, std::size_t sites) {
    Row<double>* at = link + 2 * (N * i + j) * sites;
    entry.re.store(*at);
    entry.im.store(at[sites]);
  }
  static M load(const Row<double>* link, std::size_t sites) {
    return matrix_of<N, V>([&](auto i, auto j) { return entry(link, i, j, sites); });
  }
  static void store(const M& m, Row<double>* link, std::size_t sites) {
    each<N>([&](auto i) { each<N>([&](auto j) { put_entry(m.at[i][j], link, i, j, sites); }); });
  }

  // A matrix of su(N) among the slopes: what is left of and below the diagonal follows from the rest, and is not used.
  static M load_slope(const Row<double>* link, std::size_t sites) {
    return matrix_of<N, V>([&](auto i, auto j) -> Complex<V> {
      if constexpr (i == j) {
        return {V(0.0), entry(link, i, i, sites).im};
      } else if constexpr (i < j) {
        return entry(link, i, j, sites);
      } else {
        return -conj(entry(link, j, i, sites));
      }
    });
  }
  static void store_slope(const M& m, Row<double>* link, std::size_t sites) {
    each<N>([&](auto i) {
      each<N>([&](auto j) {
        if constexpr (i <= j) put_entry(m.at[i][j], link, i, j, sites);
      });
    });
  }

  // Products with a link's rows as they stand, in place: m = m U, m U^dagger, U m.
  [[gnu::noinline]] FLOWLOOM_FLATTEN static void times_link(M& m, const Row<double>* link, std::size_t sites) {
    each<N>([&](auto i) {
      Complex<V> row[N];
      each<N>([&](auto j) {
        row[j] = m.at[i][0] * entry(link, 0, j, sites);
        each<N - 1>([&](auto k) { row[j] = multiply_add(m.at[i][k + 1], entry(link, k + 1, j, sites), row[j]); });
      });
      each<N>([&](auto j) { m.at[i][j] = row[j]; });
    });
  }
  [[gnu::noinline]] FLOWLOOM_FLATTEN static void times_adjoint_link(M& m, const Row<double>* link, std::size_t sites) {
    each<N>([&](auto i) {
      Complex<V> row[N];
      each<N>([&](auto j) {
        row[j] = zero<V>();
        each<N>([&](auto k) { row[j] = conj_multiply_add(entry(link, j, k, sites), m.at[i][k], row[j]); });
      });
      each<N>([&](auto j) { m.at[i][j] = row[j]; });
    });
  }
  [[gnu::noinline]] FLOWLOOM_FLATTEN static void link_times(M& m, const Row<double>* link, std::size_t sites) {
    each<N>([&](auto j) {
      Complex<V> column[N];
      each<N>([&](auto i) {
        column[i] = entry(link, i, 0, sites) * m.at[0][j];
        each<N - 1>([&](auto k) { column[i] = multiply_add(entry(link, i, k + 1, sites), m.at[k + 1][j], column[i]); });
      });
      each<N>([&](auto i) { m.at[i][j] = column[i]; });
    });
  }
  [[gnu::noinline]] FLOWLOOM_FLATTEN static void adjoint_link_times(M& m, const Row<double>* link, std::size_t sites) {
    each<N>([&](auto j) {
      Complex<V> column[N];
      each<N>([&](auto i) {
        column[i] = zero<V>();
        each<N>([&](auto k) { column[i] = conj_multiply_add(entry(link, k, i, sites), m.at[k][j], column[i]); });
      });
      each<N>([&](auto i) { m.at[i][j] = column[i]; });
    });
  }

  // The product of a path's links before `end`.
  static M product(const Path& path, std::size_t end, const Row<double>* field, std::size_t sites) {
    M m = load(field + path[0].first, sites);
    if (path[0].backwards) m = adjoint(m);
    for (std::size_t k = 1; k < end; ++k) {
      const Row<double>* link = field + path[k].first;
      path[k].backwards ? times_adjoint_link(m, link, sites) : times_link(m, link, sites);
    }
    return m;
  }

  // tr(m U) or tr(m U^dagger)
  [[gnu::noinline]] FLOWLOOM_FLATTEN static Complex<V> trace_with(const M& m, const Step& step,
                                                                  const Row<double>* field, std::size_t sites) {
    const Row<double>* link = field + step.first;
    Complex<V> sum = zero<V>();
    if (step.backwards) {
      each<N>([&](auto i) {
        each<N>([&](auto j) { sum = conj_multiply_add(entry(link, i, j, sites), m.at[i][j], sum); });
      });
    } else {
      each<N>([&](auto i) { each<N>([&](auto j) { sum = multiply_add(m.at[i][j], entry(link, j, i, sites), sum); }); });
    }
    return sum;
  }

  // U = m U
  [[gnu::noinline]] FLOWLOOM_FLATTEN static void turn_link(const M& m, Row<double>* link, std::size_t sites) {
    each<N>([&](auto j) {
      Complex<V> column[N];
      each<N>([&](auto i) {
        column[i] = m.at[i][0] * entry(link, 0, j, sites);
        each<N - 1>([&](auto k) { column[i] = multiply_add(m.at[i][k + 1], entry(link, k + 1, j, sites), column[i]); });
      });
      each<N>([&](auto i) { put_entry(column[i], link, i, j, sites); });
    });
  }

  // A matrix of su(N) at a link's beginning carried to its end, U^dagger m U, and back, U m U^dagger.
  static void carry_on(M& m, const Row<double>* link, std::size_t sites) {
    times_link(m, link, sites);
    adjoint_link_times(m, link, sites);
  }
  static void carry_back(M& m, const Row<double>* link, std::size_t sites) {
    link_times(m, link, sites);
    times_adjoint_link(m, link, sites);
  }

  // What is at the path's beginning taken to its steps 0 ... end - 1, and what is at its end to the others: added to
  // the slopes by their links, whose change is that of the path at the link's own beginning.
  static void add_along(const Path& path, std::size_t end, const M& at_beginning, const M& at_end,
                        const Row<double>* field, Row<double>* slope, std::size_t sites) {
    M m = at_beginning;
    for (std::size_t k = 0; k < end; ++k) {
      const Row<double>* link = field + path[k].first;
      if (path[k].backwards) carry_back(m, link, sites);
      add(m, path[k], slope, sites);
      if (!path[k].backwards && k + 1 < end) carry_on(m, link, sites);
    }
    m = at_end;
    for (std::size_t k = path.size(); k-- > end;) {
      const Row<double>* link = field + path[k].first;
      if (!path[k].backwards) carry_back(m, link, sites);
      add(m, path[k], slope, sites);
      if (path[k].backwards && k > end) carry_on(m, link, sites);
    }
  }

 private:
  [[gnu::noinline]] FLOWLOOM_FLATTEN static void add(const M& m, const Step& step, Row<double>* slope,
                                                     std::size_t sites) {
    Row<double>* link = slope + step.first;
    each<N>([&](auto i) {
      each<N>([&](auto j) {
        if constexpr (i <= j) {
          const Complex<V> own = entry(link, i, j, sites);
          put_entry(step.backwards ? own - m.at[i][j] : own + m.at[i][j], link, i, j, sites);
        }
      });
    });
  }
};
