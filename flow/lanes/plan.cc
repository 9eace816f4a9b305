#include "flow/lanes/plan.h"

#include <algorithm>
#include <map>

#include "math/elementary.h"
#include "spec/error.h"

namespace flowloom::lanes {
namespace {

// A set of parities, as two bits.
using Parities = unsigned;
constexpr Parities kBoth = 3;
constexpr Parities only(std::size_t parity) { return 1u << parity; }

std::vector<std::uint32_t> narrow(const std::vector<std::int64_t>& numbers) {
  std::vector<std::uint32_t> narrowed;
  for (const std::int64_t number : numbers) narrowed.push_back(static_cast<std::uint32_t>(number));
  return narrowed;
}

// Takes the first `count` numbers off `weights`.
std::span<const double> take(std::size_t count, std::span<const double>& weights) {
  const auto taken = weights.first(count);
  weights = weights.subspan(count);
  return taken;
}

// `weight(tap, input, output)` in the order in which the stencils use them.
template <class Real, class Weight>
Convolution<Real> packed(const std::vector<Stencil>& stencils, std::size_t in, std::size_t out, Activation activation,
                         std::span<const double> bias, Weight weight) {
  Convolution<Real> convolution{in, out, activation, std::vector<Real>(out), {}};
  std::ranges::transform(bias, convolution.bias.begin(), [](double number) { return static_cast<Real>(number); });
  for (const Stencil& stencil : stencils) {
    auto& numbers = convolution.weights.emplace_back();
    for (const std::uint32_t tap : stencil.taps) {
      for (std::size_t i = 0; i < in; ++i) {
        for (std::size_t o = 0; o < out; ++o) numbers.push_back(static_cast<Real>(weight(tap, i, o)));
      }
    }
  }
  return convolution;
}

template <class Real>
std::size_t multiply_adds_of(const Tables::Stencils& stencils,
                             const std::vector<std::vector<Convolution<Real>>>& networks) {
  std::size_t sum = 0;
  for (std::size_t layer = 0; layer < networks.size(); ++layer) {
    const auto active = static_cast<std::size_t>(AffineCouplingFlow::active_parity(layer));
    for (std::size_t i = 0; i < networks[layer].size(); ++i) {
      for (std::size_t k = 0; k < stencils[active][i].size(); ++k) {
        sum += stencils[active][i][k].outputs.size() * networks[layer][i].weights[k].size();
      }
    }
  }
  return sum;
}

// The sum of the lanes, in pairs half of them apart, then of what remains; leaves zeros.
template <class Real>
double taken(Row<Real>& row) {
  std::array<double, kLanes> sums;
  std::copy_n(row.lane, kLanes, sums.begin());
  row = {};
  for (std::size_t half = kLanes / 2; half > 0; half /= 2) {
    for (std::size_t i = 0; i < half; ++i) sums[i] += sums[i + half];
  }
  return sums[0];
}

// Makes the stencils of convolutions of one dilation.
class StencilMaker {
 public:
  StencilMaker(const Geometry& geometry, std::int64_t kernel, std::int64_t dilation) : geometry_(geometry) {
    for (const auto& displacement : geometry.box(kernel, dilation)) {
      neighbours_.push_back(narrow(geometry.neighbours(displacement)));
      tap_parity_.push_back(parity(neighbours_.back()[0]));  // site 0 is even
    }
  }

  // The parities that sites of `parities` read.
  Parities read_by(Parities parities) const {
    Parities read = 0;
    for (const std::size_t p : {0u, 1u}) {
      if (!(parities & only(p))) continue;
      for (const std::size_t tap : tap_parity_) read |= only((p + tap) % 2);
    }
    return read;
  }

  // `readable` inputs are not known to be zero, `wanted` outputs are read by somebody; `input_place` and `output_place` are the
  // places of sites in the two arrays.
  std::vector<Stencil> make(Parities readable, Parities wanted, const std::vector<std::uint32_t>& input_place,
                            const std::vector<std::uint32_t>& output_place) const {
    if (readable == kBoth) return {stencil(readable, wanted, input_place, output_place)};
    std::vector<Stencil> stencils;  // the taps that fall on a readable site differ between the parities
    for (const std::size_t p : {0u, 1u}) {
      if (wanted & only(p)) stencils.push_back(stencil(readable, only(p), input_place, output_place));
    }
    return stencils;
  }

 private:
  std::size_t parity(std::size_t site) const { return static_cast<std::size_t>(geometry_.parity(site)); }

  // All sites of `wanted` read the same of the taps.
  Stencil stencil(Parities readable, Parities wanted, const std::vector<std::uint32_t>& input_place,
                  const std::vector<std::uint32_t>& output_place) const {
    Stencil made;
    const std::size_t some_parity = wanted & only(0) ? 0 : 1;
    for (std::size_t k = 0; k < neighbours_.size(); ++k) {
      if (readable & only((some_parity + tap_parity_[k]) % 2)) made.taps.push_back(static_cast<std::uint32_t>(k));
    }
    for (std::size_t x = 0; x < geometry_.sites(); ++x) {
      if (!(wanted & only(parity(x)))) continue;
      made.outputs.push_back(output_place[x]);
      for (const std::uint32_t k : made.taps) made.inputs.push_back(input_place[neighbours_[k][x]]);
    }
    return made;
  }

  const Geometry& geometry_;
  std::vector<std::vector<std::uint32_t>> neighbours_;  // [tap][site]
  std::vector<std::size_t> tap_parity_;                 // of the displacement
};

}  // namespace

Tables::Tables(const Geometry& geometry, const AffineCouplingFlow& architecture, Use use)
    : volume(geometry.sites()), taps(geometry.box(architecture.kernel()).size()) {
  if (!geometry.all_even()) {
    throw Error(ErrorCode::kInvalidInput, "A checkerboard needs a lattice whose extents are all even.");
  }
  std::vector<std::uint32_t> every, within_parity;  // a site's place among all sites, among those of its parity
  for (std::size_t x = 0; x < volume; ++x) {
    auto& same = sites[static_cast<std::size_t>(geometry.parity(x))];
    every.push_back(static_cast<std::uint32_t>(x));
    within_parity.push_back(static_cast<std::uint32_t>(same.size()));
    same.push_back(every.back());
  }
  for (std::size_t mu = 0; mu < geometry.dimensions(); ++mu) {
    forward.push_back(narrow(geometry.forward(mu)));
    extents.push_back(static_cast<std::size_t>(geometry.extents()[mu]));
  }
  if (architecture.prior() == Prior::kFreeField) basis.emplace(geometry);

  std::map<std::int64_t, StencilMaker> makers;  // by dilation
  const std::size_t count = architecture.convolutions();
  for (std::size_t active = 0; active < 2; ++active) {
    convolutions[active].resize(count);
    if (use == Use::kGradients) transposed[active].resize(count);
    Parities wanted = only(active);
    for (std::size_t i = count; i-- > 0;) {
      const std::int64_t dilation = architecture.dilation(i);
      const StencilMaker& maker = makers.try_emplace(dilation, geometry, architecture.kernel(), dilation).first->second;
      const auto& inputs = i == 0 ? within_parity : every;
      const auto& outputs = i + 1 == count ? within_parity : every;
      const Parities read = i == 0 ? only(1 - active) : maker.read_by(wanted);
      convolutions[active][i] = maker.make(i == 0 ? read : kBoth, wanted, inputs, outputs);
      if (use == Use::kGradients) transposed[active][i] = maker.make(wanted, read, outputs, inputs);
      wanted = read;
    }
  }
}

FreeField::FreeField(const FreeFieldBasis& basis, double mass2) {
  for (const double khat2 : basis.khat2) {
    amplitude.push_back(free_field_amplitude(khat2, mass2));
    log_slope.push_back(free_field_log_slope(khat2, mass2));
    log_det += log(amplitude.back());
  }
}

template <class Real>
PackedWeights<Real>::PackedWeights(const Tables& tables, const AffineCouplingFlow& architecture,
                                   std::span<const double> weights) {
  architecture.refuse_other_count(weights.size());
  if (tables.basis) prior.emplace(*tables.basis, exp(take(1, weights).front()));
  const auto& channels = architecture.channels();
  for (std::size_t layer = 0; layer < architecture.layers(); ++layer) {
    const auto active = static_cast<std::size_t>(AffineCouplingFlow::active_parity(layer));
    auto& network = networks.emplace_back();
    if (!tables.transposed[active].empty()) transposed.emplace_back();
    for (std::size_t i = 0; i < architecture.convolutions(); ++i) {
      const auto in = static_cast<std::size_t>(channels[i]), out = static_cast<std::size_t>(channels[i + 1]);
      const auto weight = take(out * in * tables.taps, weights);  // [out][in][tap]
      const auto bias = take(architecture.bias() ? out : 0, weights);
      const auto at = [&](std::size_t o, std::size_t c, std::size_t tap) {
        return weight[(o * in + c) * tables.taps + tap];
      };
      network.push_back(packed<Real>(tables.convolutions[active][i], in, out, architecture.activation(i), bias,
                                     [&](std::size_t tap, std::size_t c, std::size_t o) { return at(o, c, tap); }));
      if (tables.transposed[active].empty()) continue;
      // The box is symmetric: the opposite of a displacement has the opposite number.
      transposed.back().push_back(packed<Real>(
          tables.transposed[active][i], out, in, i > 0 ? architecture.activation(i - 1) : Activation::kIdentity, {},
          [&](std::size_t tap, std::size_t o, std::size_t c) { return at(o, c, tables.taps - 1 - tap); }));
    }
  }
  if (architecture.rescales()) log_scale = take(1, weights).front();
}

template <class Real>
std::size_t PackedWeights<Real>::widest() const {
  std::size_t widest = 0;
  for (const auto& convolution : networks.front()) widest = std::max(widest, convolution.out);
  return widest;
}

template <class Real>
std::size_t PackedWeights<Real>::multiply_adds(const Tables& tables) const {
  return multiply_adds_of(tables.convolutions, networks);
}
template <class Real>
std::size_t PackedWeights<Real>::transposed_multiply_adds(const Tables& tables) const {
  return multiply_adds_of(tables.transposed, transposed);
}

template <class Real>
PackedSlopes<Real>::PackedSlopes(const PackedWeights<Real>& weights) {
  for (const auto& network : weights.networks) {
    auto& own = networks.emplace_back();
    for (const auto& convolution : network) {
      auto& rows = own.emplace_back();
      rows.bias.resize(convolution.out);
      for (const auto& numbers : convolution.weights) rows.weights.emplace_back(numbers.size());
    }
  }
}

template <class Real>
std::vector<double> PackedSlopes<Real>::take(const Tables& tables, const AffineCouplingFlow& architecture) {
  std::vector<double> all;
  if (tables.basis) all.push_back(taken(log_mass2));
  for (std::size_t layer = 0; layer < networks.size(); ++layer) {
    const auto active = static_cast<std::size_t>(AffineCouplingFlow::active_parity(layer));
    for (std::size_t i = 0; i < networks[layer].size(); ++i) {
      OfConvolution& own = networks[layer][i];
      const std::size_t out = own.bias.size(), in = static_cast<std::size_t>(architecture.channels()[i]);
      const std::size_t begin = all.size();
      all.resize(begin + out * in * tables.taps);  // [out][in][tap]
      const auto& stencils = tables.convolutions[active][i];
      for (std::size_t k = 0; k < stencils.size(); ++k) {
        Row<Real>* row = own.weights[k].data();
        for (const std::uint32_t tap : stencils[k].taps) {
          for (std::size_t c = 0; c < in; ++c) {
            for (std::size_t o = 0; o < out; ++o) all[begin + (o * in + c) * tables.taps + tap] += taken(*row++);
          }
        }
      }
      if (!architecture.bias()) continue;
      for (Row<Real>& row : own.bias) all.push_back(taken(row));
    }
  }
  if (architecture.rescales()) all.push_back(taken(log_scale));
  return all;
}

template struct PackedWeights<float>;
template struct PackedWeights<double>;
template struct PackedSlopes<float>;
template struct PackedSlopes<double>;

}  // namespace flowloom::lanes
