// Lanes as plain arrays, for processors that flow/lanes/vector.cc has no instruction set for: a value (math/value.h)
// for kLanes samples. It is what the vector sets are tested against.

#undef FLOWLOOM_FLATTEN
#define FLOWLOOM_FLATTEN  // in vector_lanes.inl: for speed

template <class T>
struct Words {
  Words() = default;
  explicit Words(T all) { std::fill_n(lane, kLanes, all); }
  T lane[kLanes];
};

template <class T>
struct Mask {
  bool lane[kLanes];
};

template <class T>
struct Lanes {
  using Real = T;
  using Bits = Words<BitsOf<T>>;

  Lanes() = default;
  explicit Lanes(T all) { std::fill_n(lane, kLanes, all); }
  explicit Lanes(const Row<T>& row) { std::copy_n(row.lane, kLanes, lane); }
  void store(Row<T>& row) const { std::copy_n(lane, kLanes, row.lane); }
  T lane[kLanes];
};

// The result, of type Result, whose lane i is of(i).
template <class Result, class Of>
Result each_lane(Of of) {
  Result result;
  for (std::size_t i = 0; i < kLanes; ++i) result.lane[i] = of(i);
  return result;
}

template <class T>
void store_in(Row<T>& cell, const Lanes<T>& a) {
  a.store(cell);
}

template <class T>
Lanes<T> operator+(const Lanes<T>& a, const Lanes<T>& b) {
  return each_lane<Lanes<T>>([&](std::size_t i) { return a.lane[i] + b.lane[i]; });
}
template <class T>
Lanes<T> operator-(const Lanes<T>& a, const Lanes<T>& b) {
  return each_lane<Lanes<T>>([&](std::size_t i) { return a.lane[i] - b.lane[i]; });
}
template <class T>
Lanes<T> operator*(const Lanes<T>& a, const Lanes<T>& b) {
  return each_lane<Lanes<T>>([&](std::size_t i) { return a.lane[i] * b.lane[i]; });
}
template <class T>
Lanes<T> operator*(const Lanes<T>& a, std::type_identity_t<T> b) {
  return a * Lanes<T>(b);
}
template <class T>
Lanes<T> operator/(const Lanes<T>& a, const Lanes<T>& b) {
  return each_lane<Lanes<T>>([&](std::size_t i) { return a.lane[i] / b.lane[i]; });
}
template <class T>
Lanes<T> operator-(const Lanes<T>& a) {
  return each_lane<Lanes<T>>([&](std::size_t i) { return -a.lane[i]; });
}
template <class T>
Lanes<T> fma(const Lanes<T>& a, const Lanes<T>& b, const Lanes<T>& c) {
  return each_lane<Lanes<T>>([&](std::size_t i) { return std::fma(a.lane[i], b.lane[i], c.lane[i]); });
}
template <class T>
Lanes<T> sqrt(const Lanes<T>& a) {
  return each_lane<Lanes<T>>([&](std::size_t i) { return std::sqrt(a.lane[i]); });
}

template <class T>
Mask<T> operator<(const Lanes<T>& a, const Lanes<T>& b) {
  return each_lane<Mask<T>>([&](std::size_t i) { return a.lane[i] < b.lane[i]; });
}
template <class T>
Mask<T> is_nan(const Lanes<T>& a) {
  return each_lane<Mask<T>>([&](std::size_t i) { return a.lane[i] != a.lane[i]; });
}
template <class T>
Lanes<T> select(const Mask<T>& mask, const Lanes<T>& a, const Lanes<T>& b) {
  return each_lane<Lanes<T>>([&](std::size_t i) { return mask.lane[i] ? a.lane[i] : b.lane[i]; });
}

template <class T>
Words<BitsOf<T>> bits(const Lanes<T>& a) {
  return each_lane<Words<BitsOf<T>>>([&](std::size_t i) { return std::bit_cast<BitsOf<T>>(a.lane[i]); });
}
inline Lanes<float> from_bits(const Words<std::uint32_t>& a) {
  return each_lane<Lanes<float>>([&](std::size_t i) { return std::bit_cast<float>(a.lane[i]); });
}
inline Lanes<double> from_bits(const Words<std::uint64_t>& a) {
  return each_lane<Lanes<double>>([&](std::size_t i) { return std::bit_cast<double>(a.lane[i]); });
}
template <class T>
Words<T> operator+(const Words<T>& a, const Words<T>& b) {
  return each_lane<Words<T>>([&](std::size_t i) { return a.lane[i] + b.lane[i]; });
}
template <class T>
Words<T> operator&(const Words<T>& a, const Words<T>& b) {
  return each_lane<Words<T>>([&](std::size_t i) { return a.lane[i] & b.lane[i]; });
}
template <class T>
Words<T> operator|(const Words<T>& a, const Words<T>& b) {
  return each_lane<Words<T>>([&](std::size_t i) { return a.lane[i] | b.lane[i]; });
}
template <class T>
Words<T> operator^(const Words<T>& a, const Words<T>& b) {
  return each_lane<Words<T>>([&](std::size_t i) { return a.lane[i] ^ b.lane[i]; });
}
template <int kBits, class T>
Words<T> shift_left(const Words<T>& a) {
  return each_lane<Words<T>>([&](std::size_t i) { return a.lane[i] << kBits; });
}
template <int kBits, class T>
Words<T> shift_right(const Words<T>& a) {
  return each_lane<Words<T>>([&](std::size_t i) { return a.lane[i] >> kBits; });
}
inline Words<std::uint64_t> multiply_words(const Words<std::uint64_t>& a, const Words<std::uint64_t>& b) {
  return each_lane<Words<std::uint64_t>>([&](std::size_t i) { return flowloom::multiply_words(a.lane[i], b.lane[i]); });
}

// Between the precisions; to float it rounds to nearest.
template <class Real>
Lanes<double> to_double(const Lanes<Real>& a) {
  return each_lane<Lanes<double>>([&](std::size_t i) { return static_cast<double>(a.lane[i]); });
}
template <class Real>
Lanes<Real> from_double(const Lanes<double>& a) {
  return each_lane<Lanes<Real>>([&](std::size_t i) { return static_cast<Real>(a.lane[i]); });
}

// Rows of sums that a convolution computes at once, and outputs, at most.
template <class T>
inline constexpr std::size_t kRowsOfSums = 4;
template <class T>
inline constexpr std::size_t kMostOutputs = 4;
