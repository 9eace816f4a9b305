#include "spec/packing.h"

#include <bit>
#include <cmath>
#include <cstdint>
#include <cstring>

namespace flowloom {

static_assert(std::endian::native == std::endian::little, "packing copies memory as it lies");

namespace {

constexpr double kNan = std::bit_cast<double>(std::uint64_t{0x7ff8000000000000});

}  // namespace

double canonical(double value) { return value == value ? value : kNan; }

void canonicalize(std::span<double> values) {
  for (double& value : values) value = value == value ? value : kNan;
}

std::string pack(std::span<const double> values) {
  std::string bytes(values.size_bytes(), '\0');
  if (!values.empty()) std::memcpy(bytes.data(), values.data(), bytes.size());
  return bytes;
}

std::vector<double> unpack(std::string_view bytes) {
  std::vector<double> values(bytes.size() / sizeof(double));
  if (!values.empty()) std::memcpy(values.data(), bytes.data(), values.size() * sizeof(double));
  return values;
}

}  // namespace flowloom
