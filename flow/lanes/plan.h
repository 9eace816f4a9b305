// What the lane engine, and that of a GPU, prepare before they sample: tables of sites, once for each model, that is
// for each version; and weights in the order in which they are used, for gradients once for each step. Nothing here
// depends on the instruction set.
//
// A block is kLanes samples side by side. Its arrays hold rows, one number of every sample:
//
//   field            [component][site]            float64
//   network input    [input][channel]             Real: float (precision mixed) or double; an input: a group of
//                                                 channels of a site (CouplingSites)
//   hidden layer     [site][channel]              Real
//   network output   [output site][channel]       Real
//
// Neighbours come from tables, so that any dimension, extent and dilation costs the same, and nothing is padded.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "flow/flows.h"
#include "math/lanes/lanes.h"

namespace flowloom::lanes {

// Sums over sites are taken within so many consecutive ones, then over these blocks.
inline constexpr std::size_t kSumBlock = 64;

// Where a convolution writes and reads, for outputs that see the same taps: those whose input is not known to be zero.
// A tap that would fall on another one is left out, as is an output that nobody reads. What is said of sites here holds
// for groups of their channels where there are several: of its inputs in a network's first convolution, of its outputs
// in that one's transposed.
struct Stencil {
  std::vector<std::uint32_t> outputs;  // [i]       the place of output i among the sites of the output array
  std::vector<std::uint32_t> taps;     // [tap]     numbers in Geometry::box, that is in a weight's last axes; with
                                       //           groups of inputs, these times groups plus the group's
  std::vector<std::uint32_t> inputs;   // [i][tap]  the places they read among the sites of the input array
  std::size_t group = 0;               // of the outputs
};

// For what a table is used: gradients need the transposed convolutions too.
enum class Use { kSampling, kGradients };

// The tables of a flow's networks.
struct NetworkTables {
  // Layer i has the mask i mod `masks.size()`.
  NetworkTables(const Geometry& geometry, const NetworkShape& shape, std::vector<CouplingSites> masks, Use use);

  using Stencils = std::vector<std::vector<std::vector<Stencil>>>;  // [mask][convolution]

  std::size_t mask_of(std::size_t layer) const { return layer % masks.size(); }

  // Of a convolution's input channels.
  std::size_t groups_of(std::size_t convolution) const { return convolution == 0 ? masks.front().groups : 1; }

  // A convolution's weight among its own, [out][group][channel of it][tap of the box]; `in` channels are in a group.
  std::size_t weight_of(std::size_t convolution, std::size_t in, std::size_t o, std::size_t group, std::size_t c,
                        std::size_t tap) const {
    return ((o * groups_of(convolution) + group) * in + c) * taps + tap;
  }

  NetworkShape shape;
  std::size_t sites, taps;  // taps: of the whole box
  std::vector<CouplingSites> masks;
  Stencils convolutions;
  Stencils transposed;  // from a convolution's outputs back to its inputs; empty without gradients
};

template <class Real>
struct Convolution {
  std::size_t in, out;                     // channels, of a group where there are several
  Activation activation;                   // of its outputs; of a transposed one: of the outputs that its own belong to
  std::vector<Real> bias;                  // [out], zeros if switched off
  std::vector<std::vector<Real>> weights;  // [stencil]: [tap][in][out]
};

// The weights of a flow's networks.
template <class Real>
struct PackedNetworks {
  // Takes the networks' numbers off the flat array `weights`.
  PackedNetworks(const NetworkTables& tables, std::size_t layers, std::span<const double>& weights);

  std::vector<std::vector<Convolution<Real>>> networks;    // [layer][convolution]
  std::vector<std::vector<Convolution<Real>>> transposed;  // the same; empty without gradients

  // Channels of the widest layer.
  std::size_t widest() const;

  // Multiply-adds of all convolutions, or of the transposed ones, for one sample, as executed: without the taps and
  // sites that are left out.
  std::size_t multiply_adds(const NetworkTables& tables) const;
  std::size_t transposed_multiply_adds(const NetworkTables& tables) const;
};

// Slopes by the networks' weights while they are added up, in the order of PackedNetworks: a row for each, so that a
// sum over samples is one over blocks for each lane, and over lanes in the end.
template <class Real>
struct NetworkSlopes {
  explicit NetworkSlopes(const PackedNetworks<Real>& weights);  // zeros

  // Appends the sums over lanes, always the same way, in the order of the flat array; leaves zeros.
  void take(const NetworkTables& tables, std::vector<double>& all);

  struct OfConvolution {
    std::vector<Row<Real>> bias;                  // [out]
    std::vector<std::vector<Row<Real>>> weights;  // [stencil]: [tap][in][out]
  };
  std::vector<std::vector<OfConvolution>> networks;  // [layer][convolution]
};

// The sum of the lanes, in pairs half of them apart, then of what remains; leaves zeros.
template <class Real>
double take_sum(Row<Real>& row);

// Takes the first `count` numbers off `weights`.
std::span<const double> take(std::size_t count, std::span<const double>& weights);

}  // namespace flowloom::lanes
