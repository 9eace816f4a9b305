// What the files *.inl of the lane engine use: everything that does not depend on the instruction set.
#pragma once

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <memory>
#include <mutex>
#include <span>
#include <type_traits>
#include <vector>

#include "flow/affine.h"
#include "flow/circle_map.h"
#include "flow/densities.h"
#include "flow/lanes/affine_tables.h"
#include "flow/lanes/context_update.h"
#include "flow/lanes/instruction_set.h"
#include "flow/lanes/matrix_coupling.h"
#include "flow/lanes/plan.h"
#include "flow/spectral_splines.h"
#include "lattice/wilson_2d.h"
#include "math/haar.h"
#include "math/philox.h"

// GCC keeps an array of sums in registers only if the loops over it are unrolled.
#define FLOWLOOM_UNROLL _Pragma("GCC unroll 32")
