// The digests of plain numbers.
#pragma once

#include "flow/circle_mixture.h"
#include "flow/spline.h"

namespace flowloom {

#include "flow_transform_digests.inl"

}  // namespace flowloom
