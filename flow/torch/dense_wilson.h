// Wilson fermions in two dimensions (lattice/wilson_2d.h) as dense matrices: the reference of log|det D|, written from
// the operator's formula alone. O(V^3) for each sample; memory does not grow with the number of samples.
#pragma once

#include "flow/torch/libtorch.h"
#include "lattice/geometry.h"

namespace flowloom::torch_engine {

class DenseWilson {
 public:
  DenseWilson(const Geometry& geometry, double mass);

  // Of fields [variable][sample], angles; [sample]. Has slopes where the fields want some.
  at::Tensor log_abs_det(const at::Tensor& fields) const;

  // D of each sample, [sample][row][column], row 2 site + spin.
  at::Tensor matrices(const at::Tensor& fields) const;

 private:
  struct LogAbsDet;

  at::Tensor log_abs_det_at_once(const at::Tensor& fields) const;
  std::int64_t samples_at_once() const;

  std::int64_t rows_;
  at::Tensor diagonal_;  // [row][column]
  // Of each hop: its place in a matrix, its link among all links and their conjugates, and what that is multiplied by.
  at::Tensor elements_, links_, factors_;
};

}  // namespace flowloom::torch_engine
