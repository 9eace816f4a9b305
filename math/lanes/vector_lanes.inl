// Lanes in the registers of one instruction set, `hn` being Highway's namespace of it: Lanes<Real> is a value
// (math/value.h) for kLanes samples, Words<Unsigned> its encoding. A row fills one register or several, r[0], r[1], ...

// Of a function: everything that it calls is inlined, the elementary functions above all.
#undef FLOWLOOM_FLATTEN
#define FLOWLOOM_FLATTEN [[gnu::flatten]]

#define FLOWLOOM_EACH_REGISTER _Pragma("GCC unroll 16") for (std::size_t i = 0; i < kRegisters<T>; ++i)

template <class T>
using Tag = hn::CappedTag<T, kLanes>;
template <class T>
inline constexpr std::size_t kRegisters = kLanes / hn::MaxLanes(Tag<T>());

template <class T>
struct Words {
  Words() = default;
  HWY_INLINE explicit Words(T all) { FLOWLOOM_EACH_REGISTER r[i] = hn::Set(Tag<T>(), all); }
  hn::VFromD<Tag<T>> r[kRegisters<T>];
};

template <class T>
struct Mask {
  hn::Mask<Tag<T>> r[kRegisters<T>];
};

template <class T>
struct Lanes {
  using Real = T;
  using Bits = Words<BitsOf<T>>;

  Lanes() = default;
  HWY_INLINE explicit Lanes(T all) { FLOWLOOM_EACH_REGISTER r[i] = hn::Set(Tag<T>(), all); }
  HWY_INLINE explicit Lanes(const Row<T>& row) {
    FLOWLOOM_EACH_REGISTER r[i] = hn::Load(Tag<T>(), row.lane + i * hn::MaxLanes(Tag<T>()));
  }
  HWY_INLINE void store(Row<T>& row) const {
    FLOWLOOM_EACH_REGISTER hn::Store(r[i], Tag<T>(), row.lane + i * hn::MaxLanes(Tag<T>()));
  }
  hn::VFromD<Tag<T>> r[kRegisters<T>];
};

template <class T>
HWY_INLINE void store_in(Row<T>& cell, const Lanes<T>& a) {
  a.store(cell);
}

template <class T>
HWY_INLINE Lanes<T> operator+(Lanes<T> a, const Lanes<T>& b) {
  FLOWLOOM_EACH_REGISTER a.r[i] = hn::Add(a.r[i], b.r[i]);
  return a;
}
template <class T>
HWY_INLINE Lanes<T> operator-(Lanes<T> a, const Lanes<T>& b) {
  FLOWLOOM_EACH_REGISTER a.r[i] = hn::Sub(a.r[i], b.r[i]);
  return a;
}
template <class T>
HWY_INLINE Lanes<T> operator*(Lanes<T> a, const Lanes<T>& b) {
  FLOWLOOM_EACH_REGISTER a.r[i] = hn::Mul(a.r[i], b.r[i]);
  return a;
}
template <class T>
HWY_INLINE Lanes<T> operator*(const Lanes<T>& a, std::type_identity_t<T> b) {
  return a * Lanes<T>(b);
}
template <class T>
HWY_INLINE Lanes<T> operator/(Lanes<T> a, const Lanes<T>& b) {
  FLOWLOOM_EACH_REGISTER a.r[i] = hn::Div(a.r[i], b.r[i]);
  return a;
}
template <class T>
HWY_INLINE Lanes<T> operator-(Lanes<T> a) {
  FLOWLOOM_EACH_REGISTER a.r[i] = hn::Neg(a.r[i]);
  return a;
}
template <class T>
HWY_INLINE Lanes<T> fma(const Lanes<T>& a, const Lanes<T>& b, Lanes<T> c) {
  FLOWLOOM_EACH_REGISTER c.r[i] = hn::MulAdd(a.r[i], b.r[i], c.r[i]);
  return c;
}
template <class T>
HWY_INLINE Lanes<T> sqrt(Lanes<T> a) {
  FLOWLOOM_EACH_REGISTER a.r[i] = hn::Sqrt(a.r[i]);
  return a;
}

template <class T>
HWY_INLINE Mask<T> operator<(const Lanes<T>& a, const Lanes<T>& b) {
  Mask<T> mask;
  FLOWLOOM_EACH_REGISTER mask.r[i] = hn::Lt(a.r[i], b.r[i]);
  return mask;
}
template <class T>
HWY_INLINE Mask<T> is_nan(const Lanes<T>& a) {
  Mask<T> mask;
  FLOWLOOM_EACH_REGISTER mask.r[i] = hn::IsNaN(a.r[i]);
  return mask;
}
template <class T>
HWY_INLINE Lanes<T> select(const Mask<T>& mask, Lanes<T> a, const Lanes<T>& b) {
  FLOWLOOM_EACH_REGISTER a.r[i] = hn::IfThenElse(mask.r[i], a.r[i], b.r[i]);
  return a;
}

template <class T>
HWY_INLINE Words<BitsOf<T>> bits(const Lanes<T>& a) {
  Words<BitsOf<T>> words;
  FLOWLOOM_EACH_REGISTER words.r[i] = hn::BitCast(Tag<BitsOf<T>>(), a.r[i]);
  return words;
}
HWY_INLINE Lanes<float> from_bits(const Words<std::uint32_t>& a) {
  using T = float;
  Lanes<T> lanes;
  FLOWLOOM_EACH_REGISTER lanes.r[i] = hn::BitCast(Tag<T>(), a.r[i]);
  return lanes;
}
HWY_INLINE Lanes<double> from_bits(const Words<std::uint64_t>& a) {
  using T = double;
  Lanes<T> lanes;
  FLOWLOOM_EACH_REGISTER lanes.r[i] = hn::BitCast(Tag<T>(), a.r[i]);
  return lanes;
}
template <class T>
HWY_INLINE Words<T> operator+(Words<T> a, const Words<T>& b) {
  FLOWLOOM_EACH_REGISTER a.r[i] = hn::Add(a.r[i], b.r[i]);
  return a;
}
template <class T>
HWY_INLINE Words<T> operator&(Words<T> a, const Words<T>& b) {
  FLOWLOOM_EACH_REGISTER a.r[i] = hn::And(a.r[i], b.r[i]);
  return a;
}
template <class T>
HWY_INLINE Words<T> operator|(Words<T> a, const Words<T>& b) {
  FLOWLOOM_EACH_REGISTER a.r[i] = hn::Or(a.r[i], b.r[i]);
  return a;
}
template <class T>
HWY_INLINE Words<T> operator^(Words<T> a, const Words<T>& b) {
  FLOWLOOM_EACH_REGISTER a.r[i] = hn::Xor(a.r[i], b.r[i]);
  return a;
}
template <int kBits, class T>
HWY_INLINE Words<T> shift_left(Words<T> a) {
  FLOWLOOM_EACH_REGISTER a.r[i] = hn::ShiftLeft<kBits>(a.r[i]);
  return a;
}
template <int kBits, class T>
HWY_INLINE Words<T> shift_right(Words<T> a) {
  FLOWLOOM_EACH_REGISTER a.r[i] = hn::ShiftRight<kBits>(a.r[i]);
  return a;
}
HWY_INLINE Words<std::uint64_t> multiply_words(Words<std::uint64_t> a, const Words<std::uint64_t>& b) {
  using T = std::uint64_t;
  const hn::Repartition<std::uint32_t, Tag<T>> halves;
  FLOWLOOM_EACH_REGISTER a.r[i] = hn::MulEven(hn::BitCast(halves, a.r[i]), hn::BitCast(halves, b.r[i]));
  return a;
}

#if HWY_TARGET == HWY_AVX3
// One instruction for what math/elementary.inl does in several, rounded like it.
HWY_INLINE Lanes<double> times_power_of_two(Lanes<double> x, const Lanes<double>& n) {
  using T = double;
  FLOWLOOM_EACH_REGISTER x.r[i].raw = _mm512_scalef_pd(x.r[i].raw, n.r[i].raw);
  return x;
}
HWY_INLINE Lanes<float> times_power_of_two(Lanes<float> x, const Lanes<float>& n) {
  using T = float;
  FLOWLOOM_EACH_REGISTER x.r[i].raw = _mm512_scalef_ps(x.r[i].raw, n.r[i].raw);
  return x;
}
#endif

// Between the precisions; to float it rounds to nearest.
HWY_INLINE Lanes<double> to_double(const Lanes<double>& a) { return a; }
HWY_INLINE Lanes<double> to_double(const Lanes<float>& a) {
  using T = float;
  const hn::Half<Tag<T>> half;
  Lanes<double> wide;
  FLOWLOOM_EACH_REGISTER {
    wide.r[2 * i] = hn::PromoteTo(Tag<double>(), hn::LowerHalf(half, a.r[i]));
    wide.r[2 * i + 1] = hn::PromoteTo(Tag<double>(), hn::UpperHalf(half, a.r[i]));
  }
  return wide;
}
template <class Real>
Lanes<Real> from_double(const Lanes<double>& a);
template <>
HWY_INLINE Lanes<double> from_double(const Lanes<double>& a) {
  return a;
}
template <>
HWY_INLINE Lanes<float> from_double(const Lanes<double>& a) {
  using T = float;
  const hn::Half<Tag<T>> half;
  Lanes<float> narrow;
  FLOWLOOM_EACH_REGISTER narrow.r[i] =
      hn::Combine(Tag<T>(), hn::DemoteTo(half, a.r[2 * i + 1]), hn::DemoteTo(half, a.r[2 * i]));
  return narrow;
}

// Rows of sums that the registers hold while a convolution runs, a quarter of them being left for inputs and weights.
template <class T>
inline constexpr std::size_t kRowsOfSums = (HWY_TARGET == HWY_AVX2 ? 12 : 24) / kRegisters<T>;

// Outputs that it computes at once, at most. Where four of 16 registers make a row, one output at three sites is faster
// than two at one: more sums hide the latency.
template <class T>
inline constexpr std::size_t kMostOutputs = HWY_TARGET == HWY_AVX2 && sizeof(T) == 8 ? 1 : kRowsOfSums<T>;

#undef FLOWLOOM_EACH_REGISTER
