template <class Theory>
struct LocalDensities;

// Those of phi^4's sums at one site, in the order of Phi4::sums(). `forward_sum` is sum_mu phi(x+mu).
template <>
struct LocalDensities<Phi4> {
  template <class T>
  static constexpr std::array<T, 4> at(const T& phi, const T& forward_sum) {
    const T square = phi * phi;
    return {phi * forward_sum, square, square * square, phi};
  }
};
