// What the tests of transforms of one variable need.
#pragma once

#include <rapidcheck.h>

#include <cstddef>
#include <functional>
#include <vector>

namespace flowloom {

using Wide = long double;

// Real numbers at equal distances between two others.
inline rc::Gen<double> reals_between(double low, double high) {
  return rc::gen::map(rc::gen::resize(1000, rc::gen::inRange(0, 1'000'003)),
                      [=](int i) { return low + (high - low) * i / 1'000'002; });
}

// The derivative by one variable of a function in the wider type.
inline double difference(const std::function<Wide(Wide)>& function, double at) {
  const Wide step = 1e-8L;
  return static_cast<double>((function(at + step) - function(at - step)) / (2 * step));
}

// Receives slopes; refuses one for which there is no place.
inline auto put_into(std::vector<double>& slopes) {
  return [&](std::size_t i, double slope) { slopes.at(i) = slope; };
}

}  // namespace flowloom
