#include "flow/torch/tensor_value.h"

#include "flow/torch/index_tensor.h"

namespace flowloom::torch_engine {

TensorSteps::TensorSteps(const Geometry& geometry)
    : extents(geometry.extents()), sites(static_cast<std::int64_t>(geometry.sites())) {
  std::vector<std::int64_t> displacement(geometry.dimensions(), 0);
  for (std::size_t mu = 0; mu < geometry.dimensions(); ++mu) {
    for (const std::int64_t step : {1, -1}) {
      displacement[mu] = step;
      (step > 0 ? forward : backward).push_back(index_tensor(geometry.neighbours(displacement)));
    }
    displacement[mu] = 0;
  }
}

}  // namespace flowloom::torch_engine
