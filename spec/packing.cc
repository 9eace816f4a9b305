#include "spec/packing.h"

#include <bit>
#include <cstring>

namespace flowloom {

static_assert(std::endian::native == std::endian::little, "packing copies memory as it lies");

static_assert(bits(Format<double>::kNaN) == 0x7ff8000000000000);

void canonicalize(std::span<double> values) {
  for (double& value : values) value = canonical(value);
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
