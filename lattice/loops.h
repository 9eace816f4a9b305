// Loops of links for a cursor (lattice/cursor.h), once for all theories of links.
#pragma once

#include <cstddef>

namespace flowloom {

#include "lattice/loops.inl"

}  // namespace flowloom
