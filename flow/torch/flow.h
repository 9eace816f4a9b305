// What the LibTorch engine asks of a flow (flow/torch/torch_engine.cc): a class with
//
//   Flow(theory, architecture)               index tables; immutable
//   theory(), plan()                         TheorySums, NetworkPlan
//   State                                    an array of tensors: the variables as the maps take them
//   state(field), whole(state)               from and to [variable][sample]
//   noise(key, purpose, first, count)        a State;   noise_log_density(state), [sample]
//   forward(weights, state)                  noise to field in place; returns log_det of this map, [sample]
//   inverse(weights, state)                  field to noise; returns log_det of this map
//   difference(a, b)                         of two fields
//   path(weights, noise)                     PathSlopes: the path gradient in one pass; a flow may do without
#pragma once

#include <vector>

#include "flow/torch/network.h"
#include "flow/torch/theory.h"

namespace flowloom::torch_engine {

// Slopes of a loss summed over samples by each of the weights' leaves, and log_p - log_q of the samples.
struct PathSlopes {
  std::vector<at::Tensor> slopes;
  at::Tensor log_w;  // [sample]
};

}  // namespace flowloom::torch_engine
