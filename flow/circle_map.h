// The maps of a gauge coupling by the names of a run file, for plain numbers and for tensors.
#pragma once

#include "flow/circle_mixture.h"
#include "flow/spline.h"
#include "math/angle.h"

namespace flowloom {

enum class CircleMap { kSpline, kMixture };

#include "flow/circle_map.inl"

}  // namespace flowloom
