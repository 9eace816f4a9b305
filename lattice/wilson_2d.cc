#include "lattice/wilson_2d.h"

#include <cmath>
#include <string>

#include "spec/error.h"

namespace flowloom {

Wilson2d::Wilson2d(std::size_t space, std::size_t time, double mass) : space_(space), time_(time), mass_(mass) {
  if (space < 1 || space > kMostSpace || time < 1) {
    throw Error(ErrorCode::kInvalidInput, "Wilson fermions need 1 to " + std::to_string(kMostSpace) +
                                              " sites in space and at least 1 in time, not " + std::to_string(space) +
                                              " x " + std::to_string(time) + ".");
  }
  if (!(mass > -1 && mass <= 1e6)) {
    throw Error(ErrorCode::kInvalidInput, "the mass of Wilson fermions must be above -1 and at most 1e6.");
  }
  const double cosh = mass + 2, sinh = std::sqrt((1 + mass) * (3 + mass));
  const double decay = 1 / (cosh + sinh);
  decay_[0] = 1;
  for (std::size_t n = 1; n <= space; ++n) decay_[n] = decay_[n - 1] * decay;
  inverse_sinh_ = 1 / sinh;
  log_det_of_lines_ = -static_cast<double>(space * (time - 1)) * flowloom::log(2 * decay);
}

}  // namespace flowloom
