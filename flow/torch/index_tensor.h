// Numbers of rows as tensors, for gathers.
#pragma once

#include <cstdint>
#include <vector>

#include "flow/torch/libtorch.h"

namespace flowloom::torch_engine {

inline at::Tensor index_tensor(const std::vector<std::int64_t>& numbers) {
  return at::tensor(at::IntArrayRef(numbers), at::kLong);
}
inline at::Tensor index_tensor(const std::vector<std::uint32_t>& numbers) {
  return index_tensor(std::vector<std::int64_t>(numbers.begin(), numbers.end()));
}

}  // namespace flowloom::torch_engine
