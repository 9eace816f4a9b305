// Packed little-endian float64: how arrays of numbers lie in the log, on the wire and in checkpoints.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "math/elementary.h"

namespace flowloom {

// Makes each canonical(): every NaN becomes 0x7ff8000000000000; other numbers stay as they are.
void canonicalize(std::span<double> values);

// Keeps every bit; what is to be compared by its bytes has been made canonical before.
std::string pack(std::span<const double> values);
std::vector<double> unpack(std::string_view bytes);

}  // namespace flowloom
