// What the lane engine prepares before it samples: tables of sites, and weights in the order in which they are used; once for
// each model, that is for each version; for gradients once for each step. Nothing here depends on the instruction set.
//
// A block is kLanes samples side by side. Its arrays hold rows, one number of every sample:
//
//   field            [site]               float64
//   network input    [frozen site]        Real: float (precision mixed) or double
//   hidden layer     [site][channel]      Real
//   s and t          [active site][2]     Real
//
// Neighbours come from tables, so that any dimension, extent and dilation costs the same, and nothing is padded.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "flow/architecture.h"
#include "flow/free_field.h"
#include "math/lanes/lanes.h"

namespace flowloom::lanes {

// Sums over sites are taken within so many consecutive ones, then over these blocks.
inline constexpr std::size_t kSumBlock = 64;

// Where a convolution writes and reads, for output sites that see the same taps: those whose input is a frozen variable or a
// hidden one. A tap that an active variable would fall on is left out, as is a site that nobody reads.
struct Stencil {
  std::vector<std::uint32_t> outputs;  // [i]       the place of output i among the sites of the output array
  std::vector<std::uint32_t> taps;     // [tap]     their numbers in Geometry::box, that is in a weight's last axes
  std::vector<std::uint32_t> inputs;   // [i][tap]  the places they read among the sites of the input array
};

// For what a table is used: gradients need the transposed convolutions too.
enum class Use { kSampling, kGradients };

// Throws `kInvalidInput` unless all extents are even.
struct Tables {
  Tables(const Geometry& geometry, const AffineCouplingFlow& architecture, Use use = Use::kSampling);

  using Stencils = std::array<std::vector<std::vector<Stencil>>, 2>;  // [active parity][convolution]: one or two

  std::size_t volume, taps;  // taps: of the whole box
  std::vector<std::size_t> extents;
  std::array<std::vector<std::uint32_t>, 2> sites;  // [parity]
  std::vector<std::vector<std::uint32_t>> forward;  // [mu][site]: the number of x + mu
  Stencils convolutions;
  Stencils transposed;                  // from a convolution's outputs back to its inputs; empty without gradients
  std::optional<FreeFieldBasis> basis;  // nothing: the normal prior
};

template <class Real>
struct Convolution {
  std::size_t in, out;
  Activation activation;                   // of its outputs; of a transposed one: of the outputs that its own belong to
  std::vector<Real> bias;                  // [out], zeros if switched off
  std::vector<std::vector<Real>> weights;  // [stencil]: [tap][in][out]
};

// The free field's map for one mass (flow/free_field.h).
struct FreeField {
  FreeField(const FreeFieldBasis& basis, double mass2);

  std::vector<double> amplitude;  // [mode]
  std::vector<double> log_slope;  // [mode]: d(log amplitude) / d(log mass2)
  double log_det = 0;             // of noise -> field
};

template <class Real>
struct PackedWeights {
  PackedWeights(const Tables& tables, const AffineCouplingFlow& architecture, std::span<const double> weights);

  std::optional<FreeField> prior;                          // nothing: the normal prior
  std::vector<std::vector<Convolution<Real>>> networks;    // [layer][convolution]
  std::vector<std::vector<Convolution<Real>>> transposed;  // the same; empty without gradients
  double log_scale = 0;                                    // of the rescaling

  // Channels of the widest layer.
  std::size_t widest() const;

  // Multiply-adds of all convolutions, or of the transposed ones, for one sample, as executed: without the taps and sites that
  // are left out.
  std::size_t multiply_adds(const Tables& tables) const;
  std::size_t transposed_multiply_adds(const Tables& tables) const;
};

// Slopes by the weights while they are added up, in the order of PackedWeights: a row for each, so that a sum over samples
// is one over blocks for each lane, and over lanes in the end.
template <class Real>
struct PackedSlopes {
  explicit PackedSlopes(const PackedWeights<Real>& weights);  // zeros

  // The sums over lanes, always the same way, in the order of the architecture's flat array; leaves zeros.
  std::vector<double> take(const Tables& tables, const AffineCouplingFlow& architecture);

  struct OfConvolution {
    std::vector<Row<Real>> bias;                  // [out]
    std::vector<std::vector<Row<Real>>> weights;  // [stencil]: [tap][in][out]
  };
  std::vector<std::vector<OfConvolution>> networks;  // [layer][convolution]
  Row<double> log_mass2{}, log_scale{};
};

}  // namespace flowloom::lanes
