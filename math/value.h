// What the mathematics of this project computes with: values.
//
// A value is a real number per sample: a float or a double (one sample: a CUDA thread, a test, plain code) or an
// engine's Lanes<float>, Lanes<double> (a few samples side by side, flow/lanes/). The same template gives the same bits
// for each of them, because it uses nothing but
//
//   a + b, a - b, a * b, a / b, -a, fma(a, b, c), sqrt(a)        each rounded once, as IEEE 754 says
//   a < b, is_nan(a) -> a mask;   select(mask, a, b)             a where the mask holds, else b
//   V(x), a * x                                              with a plain number x for all samples
//   V(cell), store_in(cell, a)                               from and to what holds one in memory: a number, or a row
//   bits(a) -> Bits;   from_bits(Bits)                           the encoding, an unsigned integer per sample, with
//   a + b, a & b, a | b, a ^ b, shift_left<N>(a), shift_right<N>(a), multiply_words(a, b)
//
// This file defines these for plain numbers. A file *.inl is templates on them: it has neither guard nor namespace nor
// includes of its own. One of mathematics is included into namespace flowloom by the header of its name, and again into
// the namespace of each instruction set by flow/lanes/mathematics.inl. Its templates are constexpr, which lets nvcc
// compile them for a GPU.
#pragma once

#include <bit>
#include <cmath>
#include <concepts>
#include <cstdint>
#include <limits>

// Of a function: everything that it calls is inlined. Only lanes of vectors want it (math/lanes/vector_lanes.inl).
#ifndef FLOWLOOM_FLATTEN
#define FLOWLOOM_FLATTEN
#endif

namespace flowloom {

template <class V>
struct ValueTraits;
template <>
struct ValueTraits<float> {
  using Real = float;
  using Bits = std::uint32_t;
};
template <>
struct ValueTraits<double> {
  using Real = double;
  using Bits = std::uint64_t;
};
template <class V>
  requires requires { typename V::Real; }
struct ValueTraits<V> {
  using Real = typename V::Real;
  using Bits = typename V::Bits;
};

template <class V>
concept Value = requires { typename ValueTraits<V>::Real; };
template <class V>
using RealOf = typename ValueTraits<V>::Real;
template <class V>
using BitsOf = typename ValueTraits<V>::Bits;

// The encoding of a floating-point number.
template <class Real>
struct Format {
  using Bits = typename ValueTraits<Real>::Bits;
  static constexpr int kMantissaBits = std::numeric_limits<Real>::digits - 1;
  static constexpr Bits kBias = static_cast<Bits>(std::numeric_limits<Real>::max_exponent - 1);
  static constexpr Bits kSign = Bits{1} << (8 * sizeof(Real) - 1);
  static constexpr Bits kMantissa = (Bits{1} << kMantissaBits) - 1;
  // Adding it rounds |a| < 2^(kMantissaBits - 1) to an integer, whose low bits are then the sum's.
  static constexpr Real kRound = static_cast<Real>(3 * (std::uint64_t{1} << (kMantissaBits - 1)));
  static constexpr Real kNaN = std::numeric_limits<Real>::quiet_NaN();
};

template <std::floating_point Real>
constexpr Real fma(Real a, Real b, Real c) {
  return std::fma(a, b, c);
}
template <std::floating_point Real>
constexpr Real sqrt(Real a) {
  return std::sqrt(a);
}
template <std::floating_point Real>
constexpr bool is_nan(Real a) {
  return a != a;
}
template <std::floating_point Real>
constexpr Real select(bool mask, Real a, Real b) {
  return mask ? a : b;
}
template <std::floating_point Real>
constexpr void store_in(Real& cell, Real a) {
  cell = a;
}
template <std::floating_point Real>
constexpr BitsOf<Real> bits(Real a) {
  return std::bit_cast<BitsOf<Real>>(a);
}
constexpr float from_bits(std::uint32_t a) { return std::bit_cast<float>(a); }
constexpr double from_bits(std::uint64_t a) { return std::bit_cast<double>(a); }
template <int kBits, std::unsigned_integral Bits>
constexpr Bits shift_left(Bits a) {
  return a << kBits;
}
template <int kBits, std::unsigned_integral Bits>
constexpr Bits shift_right(Bits a) {
  return a >> kBits;
}
// The 64-bit product of the low 32 bits of each.
constexpr std::uint64_t multiply_words(std::uint64_t a, std::uint64_t b) { return (a & 0xffffffff) * (b & 0xffffffff); }

}  // namespace flowloom
