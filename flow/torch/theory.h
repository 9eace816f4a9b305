// What all flows of the LibTorch engine share besides networks: the theory's part, and fields from numbers.
#pragma once

#include <algorithm>
#include <array>
#include <span>
#include <vector>

#include "flow/torch/dense_wilson.h"
#include "flow/torch/tensor_value.h"
#include "lattice/theories.h"

namespace flowloom::torch_engine {

// A theory's sums of the whole field (lattice/sums.h): each that has some says it again.
template <class Theory>
struct TensorGlobalSums {
  explicit TensorGlobalSums(const Theory&) {}
};
template <>
struct TensorGlobalSums<Schwinger> {
  explicit TensorGlobalSums(const Schwinger& theory) : dirac(theory.geometry(), theory.wilson().mass()) {}

  // Of fields [variable][sample], each [sample].
  std::array<at::Tensor, 1> at(const at::Tensor& field) const { return {dirac.log_abs_det(field)}; }

  DenseWilson dirac;
};

// A theory's sums and action of fields [variable][sample], each [sample].
template <class Theory>
class TheorySums {
 public:
  explicit TheorySums(const Theory& theory) : theory_(theory), steps_(theory.geometry()), global_(theory) {}

  std::array<at::Tensor, Theory::kSums> sums(const at::Tensor& field) const {
    const auto local = LocalDensities<Theory>::at(TensorCursor(field, steps_));
    std::array<at::Tensor, Theory::kSums> sums;
    for (std::size_t k = 0; k < local.size(); ++k) sums[k] = local[k].tensor.sum(0);
    if constexpr (kLocalSums<Theory> < Theory::kSums)
      std::ranges::copy(global_.at(field), sums.begin() + kLocalSums<Theory>);
    return sums;
  }
  at::Tensor action_of(const std::array<at::Tensor, Theory::kSums>& sums) const { return theory_.action().of(sums); }
  at::Tensor action(const at::Tensor& field) const { return action_of(sums(field)); }

  std::size_t variables() const { return variables_of(theory_); }

 private:
  Theory theory_;
  TensorSteps steps_;
  TensorGlobalSums<Theory> global_;
};

// [variable][sample], sample i being what fill(i, out) writes.
template <class Fill>
at::Tensor samples_tensor(std::size_t variables, std::size_t count, Fill fill) {
  const auto rows = static_cast<std::int64_t>(count), columns = static_cast<std::int64_t>(variables);
  at::Tensor samples = at::empty({rows, columns}, at::kDouble);
  double* data = samples.mutable_data_ptr<double>();
  for (std::size_t i = 0; i < count; ++i) fill(i, std::span(data + i * variables, variables));
  return samples.t().contiguous();
}

}  // namespace flowloom::torch_engine
