// The counter-based generator Philox4x32-10 (Salmon et al., SC11, 2011) and what is made of its blocks. B holds 64-bit
// integers, plain or lanes; a 32-bit word is the low half of one.

// The four words of one block, from four words of counter and two of key. The high halves of counter and key are
// ignored.
template <class B>
constexpr std::array<B, 4> philox(std::array<B, 4> counter, std::array<std::uint32_t, 2> key) {
  const B multiplier0(std::uint64_t{0xd2511f53}), multiplier1(std::uint64_t{0xcd9e8d57});
  for (int round = 0; round < 10; ++round) {
    const B product0 = multiply_words(counter[0], multiplier0);
    const B product1 = multiply_words(counter[2], multiplier1);
    counter = {shift_right<32>(product1) ^ counter[1] ^ B(std::uint64_t{key[0]}), product1,
               shift_right<32>(product0) ^ counter[3] ^ B(std::uint64_t{key[1]}), product0};
    key = {key[0] + 0x9e3779b9, key[1] + 0xbb67ae85};
  }
  return counter;
}

// (top 53 bits of the 64-bit integer (high, low) + 1) 2^-53, a uniform in (0, 1].
template <class B>
constexpr auto uniform_of_words(B low, B high) {
  const B two52(std::uint64_t{0x4330000000000000});
  const B word_mask(std::uint64_t{0xffffffff});
  using V = decltype(from_bits(low));
  const V upper = from_bits((high & word_mask) | two52) - V(0x1p52);
  const V lower = from_bits(shift_right<11>(low & word_mask) | two52) - V(0x1p52);
  return (upper * V(0x1p21) + lower + V(1.0)) * V(0x1p-53);
}

// A block as two uniforms; and draw `draw` at an address (spec/noise.h).
template <class B>
constexpr auto uniform_pair(std::array<std::uint32_t, 2> key, std::uint64_t purpose, B index, std::uint64_t draw) {
  const auto words = philox(std::array<B, 4>{index, shift_right<32>(index), B(draw), B(purpose)}, key);
  return std::array{uniform_of_words(words[0], words[1]), uniform_of_words(words[2], words[3])};
}

// Two independent standard normals by Box and Muller's transform.
template <class V>
constexpr std::array<V, 2> normals_of_uniforms(std::array<V, 2> uniforms) {
  const V radius = sqrt(V(-2.0) * log(uniforms[0]));
  const auto [cos, sin] = turn(uniforms[1]);
  return {radius * cos, radius * sin};
}
