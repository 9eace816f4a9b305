#pragma once

namespace flowloom::stats {

// A number with its standard deviation ("one sigma"), both in the units of the quantity.
struct Estimate {
  double value = 0.0;
  double error = 0.0;
};

}  // namespace flowloom::stats
