// phi^4 at one site (lattice/phi4.h): the summands of the sums that the log keeps. T: a value (math/value.h), or a tensor.

template <class Theory>
struct LocalDensities;  // each theory says it again

// In the order of Phi4::sums(). `forward_sum` is sum_mu phi(x+mu).
template <>
struct LocalDensities<Phi4> {
  template <class T>
  static constexpr std::array<T, 4> at(const T& phi, const T& forward_sum) {
    const T square = phi * phi;
    return {phi * forward_sum, square, square * square, phi};
  }
};
