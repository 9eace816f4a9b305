// The circular convolution network of one coupling layer, for a block of samples (flow/architecture.h).
#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "flow/activation.h"
#include "flow/architecture.h"

namespace flowloom::scalar {

// Samples side by side.
inline constexpr std::size_t kLanes = 16;

// Neighbour tables of a convolution: tap k of site x reads site `neighbours[x * taps + k]`, taps in the order
// of Geometry::box, which is that of a weight's last axes.
struct Stencil {
  Stencil(const Geometry& geometry, std::int64_t kernel, std::int64_t dilation) {
    const auto box = geometry.box(kernel, dilation);
    taps = box.size();
    neighbours.resize(geometry.sites() * taps);
    for (std::size_t k = 0; k < taps; ++k) {
      const auto table = geometry.neighbours(box[k]);
      for (std::size_t x = 0; x < table.size(); ++x) {
        neighbours[x * taps + k] = static_cast<std::uint32_t>(table[x]);
      }
    }
  }

  std::size_t taps;
  std::vector<std::uint32_t> neighbours;
};

// One convolution. Real: float or double.
template <class Real>
struct Convolution {
  std::size_t in, out;
  std::vector<Real> weight;  // [out][in][tap]
  std::vector<Real> bias;    // [out]

  // A few lanes in one register of 16 bytes, which every machine has; the compiler's own vectors: + and * are per lane.
  using Part [[gnu::vector_size(16), gnu::aligned(alignof(Real)), gnu::may_alias]] = Real;
  static constexpr std::size_t kParts = kLanes * sizeof(Real) / sizeof(Part);

  // `input` [in][site of the lattice][lane]; `output` [out][site of `sites`][lane]: only these are computed.
  void apply(const Stencil& stencil, std::size_t volume, std::span<const std::uint32_t> sites, const Real* input,
             Real* output) const {
    const std::size_t taps = stencil.taps;
    for (std::size_t o = 0; o < out; ++o) {
      for (std::size_t i = 0; i < sites.size(); ++i) {
        const std::uint32_t* from = &stencil.neighbours[sites[i] * taps];
        // Unrolled, because compilers otherwise keep the sums in memory.
        Part sum[kParts];
        for (std::size_t part = 0; part < kParts; ++part) sum[part] = Part{} + bias[o];
        for (std::size_t c = 0; c < in; ++c) {
          const Real* channel = input + c * volume * kLanes;
          const Real* w = &weight[(o * in + c) * taps];
          for (std::size_t k = 0; k < taps; ++k) {
            const Part* x = reinterpret_cast<const Part*>(channel + from[k] * kLanes);
#pragma GCC unroll 8
            for (std::size_t part = 0; part < kParts; ++part) sum[part] += w[k] * x[part];
          }
        }
        Part* y = reinterpret_cast<Part*>(output + (o * sites.size() + i) * kLanes);
#pragma GCC unroll 8
        for (std::size_t part = 0; part < kParts; ++part) y[part] = sum[part];
      }
    }
  }
};

template <class Real>
class Network {
 public:
  // `weights` begins with this network's weights and is moved past them. `stencils` [convolution] outlive this.
  Network(const AffineCouplingFlow& architecture, std::span<const Stencil> stencils, std::span<const double>& weights)
      : stencils_(stencils) {
    const auto& channels = architecture.channels();
    for (std::size_t conv = 0; conv < architecture.convolutions(); ++conv) {
      const auto in = static_cast<std::size_t>(channels[conv]);
      const auto out = static_cast<std::size_t>(channels[conv + 1]);
      std::vector<Real> weight = take(out * in * stencils[conv].taps, weights);
      std::vector<Real> bias = architecture.bias() ? take(out, weights) : std::vector<Real>(out);
      convolutions_.push_back({in, out, std::move(weight), std::move(bias)});
      activations_.push_back(architecture.activation(conv));
    }
  }

  // Working memory of one call, reused.
  struct Scratch {
    std::vector<Real> in, out;
  };

  // `scratch.in` holds the frozen variables [site][lane], zero on active sites. Returns both outputs, each
  // [active site][lane], in `scratch.in`.
  const Real* operator()(std::span<const std::uint32_t> all, std::span<const std::uint32_t> active,
                         Scratch& scratch) const {
    for (std::size_t i = 0; i < convolutions_.size(); ++i) {
      const Convolution<Real>& convolution = convolutions_[i];
      const auto sites = i + 1 == convolutions_.size() ? active : all;
      scratch.out.resize(convolution.out * sites.size() * kLanes);
      convolution.apply(stencils_[i], all.size(), sites, scratch.in.data(), scratch.out.data());
      with_activation(activations_[i], [&](auto activate) {
        for (Real& value : scratch.out) value = activate(value);
      });
      scratch.in.swap(scratch.out);
    }
    return scratch.in.data();
  }

 private:
  static std::vector<Real> take(std::size_t count, std::span<const double>& weights) {
    std::vector<Real> taken;
    taken.reserve(count);
    for (const double weight : weights.first(count)) taken.push_back(static_cast<Real>(weight));
    weights = weights.subspan(count);
    return taken;
  }

  std::span<const Stencil> stencils_;
  std::vector<Convolution<Real>> convolutions_;
  std::vector<Activation> activations_;
};

}  // namespace flowloom::scalar
