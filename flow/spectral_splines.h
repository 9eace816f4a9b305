// The monotone maps of a spectral map's coordinates (flow/spectral.h) by splines, for plain numbers and for tensors.
#pragma once

#include <cstddef>

#include "flow/spectral.h"
#include "flow/spline.h"

namespace flowloom {

// What the raw parameters of a link are: those of u's spline; for SU(3), behind them, a of v's; and b, if it is
// autoregressive, where v's are a + b cos(pi u).
struct SpectralSplines {
  std::size_t bins;
  bool autoregressive;

  constexpr SplineShape shape() const { return {bins, /*circular=*/false}; }
  constexpr std::size_t parameters(int colours) const {
    return shape().parameters() * (colours == 2 ? 1 : autoregressive ? 3 : 2);
  }
};

#include "flow/spectral_splines.inl"

}  // namespace flowloom
