// Whether lanes of one instruction set give the bits of plain numbers. The first difference, in words, or nothing.

// The inputs are encodings at equal distances through all there are: subnormals, infinities and NaNs included.
template <class Real, class OfLanes, class OfNumbers>
std::string first_difference(const char* name, OfLanes of_lanes, OfNumbers of_numbers, std::uint64_t inputs = 1 << 18) {
  const auto step = static_cast<BitsOf<Real>>(~BitsOf<Real>{0} / inputs) | 1;
  for (std::uint64_t i = 0; i < inputs; i += kLanes) {
    Row<Real> input, output;
    for (std::size_t lane = 0; lane < kLanes; ++lane) {
      input.lane[lane] = flowloom::from_bits(static_cast<BitsOf<Real>>((i + lane) * step));
    }
    of_lanes(Lanes<Real>(input)).store(output);
    for (std::size_t lane = 0; lane < kLanes; ++lane) {
      const auto expected = flowloom::bits(of_numbers(input.lane[lane]));
      const auto found = flowloom::bits(output.lane[lane]);
      if (found == expected) continue;
      std::ostringstream words;
      words << name << " of encoding " << std::hex << flowloom::bits(input.lane[lane]) << " is " << found << ", not "
            << expected;
      return words.str();
    }
  }
  return "";
}

template <class Real>
std::string first_difference_of_any() {
  const auto both = [](const char* name, auto of_lanes, auto of_numbers, auto... inputs) {
    return first_difference<Real>(name, of_lanes, of_numbers, inputs...);
  };
  using V = Lanes<Real>;
  std::vector<std::string> found{
      both(
          "exp", [](V x) { return exp(x); }, [](Real x) { return flowloom::exp(x); }),
      both(
          "tanh", [](V x) { return tanh(x); }, [](Real x) { return flowloom::tanh(x); }),
      both(
          "silu", [](V x) { return canonical(silu(x)); },
          [](Real x) { return flowloom::canonical(flowloom::silu(x)); }),
      both(
          "sqrt", [](V x) { return canonical(sqrt(x)); },
          [](Real x) { return flowloom::canonical(flowloom::sqrt(x)); }),
      both(
          "1/x", [](V x) { return canonical(V(Real(1)) / x); },
          [](Real x) { return flowloom::canonical(Real(1) / x); }),
      both(
          "leaky_relu", [](V x) { return canonical(leaky_relu(x, kLeakySlope)); },
          [](Real x) { return flowloom::canonical(flowloom::leaky_relu(x, kLeakySlope)); }),
      both(
          "to and from double", [](V x) { return canonical(from_double<Real>(to_double(x))); },
          [](Real x) { return flowloom::canonical(x); }),
  };
  if constexpr (sizeof(Real) == sizeof(double)) {
    found.push_back(both("log", [](V x) { return log(x); }, [](Real x) { return flowloom::log(x); }));
    found.push_back(
        both("turn's cosine", [](V x) { return turn(x).cos; }, [](Real x) { return flowloom::turn(x).cos; }));
    found.push_back(both("turn's sine", [](V x) { return turn(x).sin; }, [](Real x) { return flowloom::turn(x).sin; }));
    found.push_back(
        both("atan2 over 1", [](V x) { return atan2(x, V(1.0)); }, [](Real x) { return flowloom::atan2(x, 1.0); }));
    found.push_back(
        both("atan2 of 1", [](V x) { return atan2(V(1.0), x); }, [](Real x) { return flowloom::atan2(1.0, x); }));
    found.push_back(both(
        "wrap_angle", [](V x) { return canonical(wrap_angle(x)); },
        [](Real x) { return flowloom::canonical(flowloom::wrap_angle(x)); }));
    found.push_back(both(
        "positive_angle", [](V x) { return canonical(positive_angle(x)); },
        [](Real x) { return flowloom::canonical(flowloom::positive_angle(x)); }));
    for (const std::size_t bins : {1, 5, 8}) {
      found.push_back(both(
          "a spline", [=](V x) { return digest_of_spline(bins, bins == 5, x); },
          [=](Real x) { return flowloom::digest_of_spline(bins, bins == 5, x); }, 1 << 14));
    }
    for (const std::size_t components : {1, 2, 5}) {
      found.push_back(both(
          "a circle mixture", [=](V x) { return digest_of_mixture(components, x); },
          [=](Real x) { return flowloom::digest_of_mixture(components, x); }, 1 << 14));
    }
    found.push_back(both(
        "to float", [](V x) { return canonical(to_double(from_double<float>(x))); },
        [](Real x) { return flowloom::canonical(static_cast<double>(static_cast<float>(x))); }));
  }
  for (const std::string& difference : found) {
    if (!difference.empty()) return difference;
  }
  return "";
}

// What the Wilson operator gives: the determinant, once more with the slopes, the trace, the slopes, the pion.
template <class Solver, class Cell>
std::vector<Cell> of_wilson(const Wilson2d& wilson, const std::vector<Cell>& cos, const std::vector<Cell>& sin) {
  const auto store = [](const auto& value, Cell& cell) {
    if constexpr (std::is_same_v<Cell, double>) {
      cell = value;
    } else {
      value.store(cell);
    }
  };
  const auto workspace = [&](Wilson2dUse use) { return std::vector<Cell>(wilson.workspace(use)); };
  std::vector<Cell> one = workspace(Wilson2dUse::kLogDet), two = workspace(Wilson2dUse::kSlopes),
                    three = workspace(Wilson2dUse::kPion), found(3 + cos.size() + wilson.time());
  store(Solver::log_abs_det(wilson, cos.data(), sin.data(), one.data()), found[0]);
  const auto slopes = Solver::slopes(wilson, cos.data(), sin.data(), two.data(), &found[3]);
  store(slopes.log_abs_det, found[1]);
  store(slopes.by_mass, found[2]);
  Solver::pion(wilson, cos.data(), sin.data(), three.data(), &found[3 + cos.size()]);
  return found;
}

std::string difference_of_wilson(std::size_t space, std::size_t time, double mass) {
  const Wilson2d wilson(space, time, mass);
  std::vector<Row<double>> cos(2 * wilson.sites()), sin(cos.size());
  for (std::size_t i = 0; i < cos.size(); ++i) {
    Row<double> turns;
    for (std::size_t lane = 0; lane < kLanes; ++lane) {  // spread by multiples of the golden ratio
      turns.lane[lane] = static_cast<double>(((i * kLanes + lane + 1) * 0x9e3779b97f4a7c15) >> 11) * 0x1p-53;
    }
    const auto link = turn(Lanes<double>(turns));
    link.cos.store(cos[i]);
    link.sin.store(sin[i]);
  }
  const auto found = of_wilson<Wilson2dSolver<Lanes<double>>>(wilson, cos, sin);
  for (std::size_t lane = 0; lane < kLanes; ++lane) {
    const auto of_lane = [&](const std::vector<Row<double>>& rows) {
      std::vector<double> numbers;
      for (const Row<double>& row : rows) numbers.push_back(row.lane[lane]);
      return numbers;
    };
    const auto expected = of_wilson<flowloom::Wilson2dSolver<double>>(wilson, of_lane(cos), of_lane(sin));
    for (std::size_t i = 0; i < expected.size(); ++i) {
      if (flowloom::bits(found[i].lane[lane]) == flowloom::bits(expected[i])) continue;
      std::ostringstream words;
      words.precision(17);
      words << "number " << i << " of Wilson fermions on " << space << "x" << time << ", lane " << lane << ", is "
            << found[i].lane[lane] << ", not " << expected[i];
      return words.str();
    }
  }
  return "";
}

std::string difference_from_plain_numbers() {
  return first_difference_of_any<float>() + first_difference_of_any<double>() + difference_of_wilson(4, 6, 0.1) +
         difference_of_wilson(5, 3, -0.188);
}
