// What the lane engine prepares before it samples: tables of sites, and weights in the order in which they are used; once for
// each model, that is for each version. Nothing here depends on the instruction set.
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

namespace flowloom::lanes {

inline constexpr std::size_t kLanes = 16;
// Sums over sites are taken within so many consecutive ones, then over these blocks.
inline constexpr std::size_t kSumBlock = 64;

template <class Real>
struct alignas(64) Row {
  Real lane[kLanes];
};

// Where a convolution writes and reads, for output sites that see the same taps: those whose input is a frozen variable or a
// hidden one. A tap that an active variable would fall on is left out, as is a site that nobody reads.
struct Stencil {
  std::vector<std::uint32_t> outputs;  // [i]       the place of output i among the sites of the output array
  std::vector<std::uint32_t> taps;     // [tap]     their numbers in Geometry::box, that is in a weight's last axes
  std::vector<std::uint32_t> inputs;   // [i][tap]  the places they read among the sites of the input array
};

// Throws `kInvalidInput` unless all extents are even.
struct Tables {
  Tables(const Geometry& geometry, const AffineCouplingFlow& architecture);

  std::size_t volume;
  std::array<std::vector<std::uint32_t>, 2> sites;                // [parity]
  std::vector<std::vector<std::uint32_t>> forward;                // [mu][site]: the number of x + mu
  std::array<std::vector<std::vector<Stencil>>, 2> convolutions;  // [active parity][convolution]: one or two
};

template <class Real>
struct Convolution {
  std::size_t in, out;
  Activation activation;
  std::vector<Real> bias;                  // [out], zeros if switched off
  std::vector<std::vector<Real>> weights;  // [stencil]: [tap][in][out]
};

// The free field's map for one mass (flow/free_field.h).
struct FreeField {
  FreeField(const Geometry& geometry, double mass2);

  FreeFieldBasis basis;
  std::vector<std::size_t> extents;
  std::vector<double> amplitude;  // [mode]
  double log_det = 0;             // of noise -> field
};

template <class Real>
struct PackedWeights {
  PackedWeights(const Tables& tables, const Geometry& geometry, const AffineCouplingFlow& architecture,
                std::span<const double> weights);

  std::optional<FreeField> prior;                        // nothing: the normal prior
  std::vector<std::vector<Convolution<Real>>> networks;  // [layer][convolution]
  double log_scale = 0;                                  // of the rescaling

  // Channels of the widest layer.
  std::size_t widest() const;

  // Multiply-adds of all convolutions for one sample, as executed: without the taps and sites that are left out.
  std::size_t multiply_adds(const Tables& tables) const;
};

}  // namespace flowloom::lanes
