// The flow as one would write it in LibTorch: circular padding, conv2d or conv3d, masks; the field in float64 and the
// networks in float32, as a run with precision mixed has them.
#pragma once

#include <cstddef>
#include <functional>
#include <span>

#include "flow/affine_coupling.h"
#include "lattice/theories.h"

namespace flowloom {

// Draws so many samples with their log_p and log_q on one thread. Null where LibTorch has no convolution (4D). For a
// normal prior without symmetry and rescaling.
std::function<void(std::size_t count)> plain_torch(const AnyTheory& theory, const AffineCouplingFlow& architecture,
                                                   std::span<const double> weights);

// Sets the memory allocator as flow/torch/torch_engine.cc does, for the rest of the process.
void tune_allocator();

// Whole training steps on so many samples and two threads: noise, loss, backward, clipping, Adam. `estimator`: the path
// gradient by the inverse flow (arXiv:2207.08219), or the reparameterised one. Null where plain_torch() is.
std::function<void(std::size_t count)> plain_torch_training(const AnyTheory& theory,
                                                            const AffineCouplingFlow& architecture,
                                                            std::span<const double> weights, Estimator estimator);

}  // namespace flowloom
