// The cosine where equal bits matter everywhere: only additions, multiplications and divisions, no libm.
#pragma once

namespace flowloom {

// cos(pi x) for x in [0, 1], to 1e-15: -sin(pi (x - 1/2)) by its Taylor series.
constexpr double cos_pi(double x) {
  constexpr double kPi = 3.14159265358979323846;
  const double t = kPi * (x - 0.5);
  double series = 1;
  for (int k = 10; k >= 1; --k) series = 1 - t * t / (2.0 * k * (2.0 * k + 1)) * series;
  return -t * series;
}

}  // namespace flowloom
