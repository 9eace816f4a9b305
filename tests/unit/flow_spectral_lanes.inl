// Whether lanes of one instruction set give the bits of plain numbers. The first difference, in words, or nothing.

#include "flow_spectral_numbers.inl"

template <int N>
std::string first_spectral_difference(const std::vector<std::array<double, kInputs>>& cases) {
  using V = Lanes<double>;
  for (std::size_t first = 0; first < cases.size(); first += kLanes) {
    std::array<V, kInputs> in;
    std::array<std::vector<double>, kLanes> found;
    Row<double> row;
    for (std::size_t k = 0; k < kInputs; ++k) {
      for (std::size_t lane = 0; lane < kLanes; ++lane) row.lane[lane] = cases[first + lane][k];
      in[k] = V(row);
    }
    visit_spectral_numbers<N>(in, [&](const V& number) {
      number.store(row);
      for (std::size_t lane = 0; lane < kLanes; ++lane) found[lane].push_back(row.lane[lane]);
    });
    for (std::size_t lane = 0; lane < kLanes; ++lane) {
      std::vector<double> expected;
      plain::visit_spectral_numbers<N>(cases[first + lane], [&](double number) { expected.push_back(number); });
      for (std::size_t k = 0; k < expected.size(); ++k) {
        const double here = found[lane].at(k);
        if (flowloom::bits(flowloom::canonical(here)) == flowloom::bits(flowloom::canonical(expected[k]))) continue;
        std::ostringstream words;
        words << "SU(" << N << "), case " << first + lane << ", number " << k << ": " << here << ", not "
              << expected[k];
        return words.str();
      }
    }
  }
  return "";
}

std::string spectral_difference() {
  return first_spectral_difference<2>(spectral_cases<2>()) + first_spectral_difference<3>(spectral_cases<3>());
}
