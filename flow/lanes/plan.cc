#include "flow/lanes/plan.h"

#include <algorithm>
#include <map>

namespace flowloom::lanes {
namespace {

// A set of sites, or of groups of their channels: whether each is in it.
using Sites = std::vector<bool>;

std::vector<std::uint32_t> narrow(const std::vector<std::int64_t>& numbers) {
  std::vector<std::uint32_t> narrowed;
  for (const std::int64_t number : numbers) narrowed.push_back(static_cast<std::uint32_t>(number));
  return narrowed;
}

// `weight(stencil, tap, input, output)` in the order in which the stencils use them.
template <class Real, class Weight>
Convolution<Real> packed(const std::vector<Stencil>& stencils, std::size_t in, std::size_t out, Activation activation,
                         std::span<const double> bias, Weight weight) {
  Convolution<Real> convolution{in, out, activation, std::vector<Real>(out), {}};
  std::ranges::transform(bias, convolution.bias.begin(), [](double number) { return static_cast<Real>(number); });
  for (const Stencil& stencil : stencils) {
    auto& numbers = convolution.weights.emplace_back();
    for (const std::uint32_t tap : stencil.taps) {
      for (std::size_t i = 0; i < in; ++i) {
        for (std::size_t o = 0; o < out; ++o) numbers.push_back(static_cast<Real>(weight(stencil, tap, i, o)));
      }
    }
  }
  return convolution;
}

template <class Real>
std::size_t multiply_adds_of(const NetworkTables& tables, const NetworkTables::Stencils& stencils,
                             const std::vector<std::vector<Convolution<Real>>>& networks) {
  std::size_t sum = 0;
  for (std::size_t layer = 0; layer < networks.size(); ++layer) {
    const auto& own = stencils[tables.mask_of(layer)];
    for (std::size_t i = 0; i < networks[layer].size(); ++i) {
      for (std::size_t k = 0; k < own[i].size(); ++k) {
        sum += own[i][k].outputs.size() * networks[layer][i].weights[k].size();
      }
    }
  }
  return sum;
}

// Makes the stencils of convolutions of one dilation.
class StencilMaker {
 public:
  StencilMaker(const Geometry& geometry, std::int64_t kernel, std::int64_t dilation) : sites_(geometry.sites()) {
    for (const auto& displacement : geometry.box(kernel, dilation)) {
      neighbours_.push_back(narrow(geometry.neighbours(displacement)));
    }
  }

  // The sites that those of `wanted` read.
  Sites read_by(const Sites& wanted) const {
    Sites read(sites_);
    for (const auto& tap : neighbours_) {
      for (std::size_t x = 0; x < sites_; ++x) {
        if (wanted[x]) read[tap[x]] = true;
      }
    }
    return read;
  }

  // What a convolution reads or writes: the inputs that are not known to be zero, the outputs that somebody reads. Both
  // by site * groups + group.
  struct Side {
    const Sites& used;
    const std::vector<std::uint32_t>& places;
    std::size_t groups;
  };

  // A stencil for each set of taps that fall on a used input, and for each group of the outputs.
  std::vector<Stencil> make(const Side& input, const Side& output) const {
    std::vector<Stencil> stencils;
    std::map<std::pair<std::vector<std::uint32_t>, std::size_t>, std::size_t> numbers;  // by taps and group
    for (std::size_t number = 0; number < output.used.size(); ++number) {
      if (!output.used[number]) continue;
      const std::size_t x = number / output.groups, group = number % output.groups;
      std::vector<std::uint32_t> taps, places;
      for (std::size_t k = 0; k < neighbours_.size() * input.groups; ++k) {
        const std::size_t read = neighbours_[k / input.groups][x] * input.groups + k % input.groups;
        if (!input.used[read]) continue;
        taps.push_back(static_cast<std::uint32_t>(k));
        places.push_back(input.places[read]);
      }
      const auto [found, fresh] = numbers.try_emplace({taps, group}, stencils.size());
      if (fresh) stencils.push_back({{}, taps, {}, group});
      Stencil& stencil = stencils[found->second];
      stencil.outputs.push_back(output.places[number]);
      stencil.inputs.insert(stencil.inputs.end(), places.begin(), places.end());
    }
    return stencils;
  }

 private:
  std::size_t sites_;
  std::vector<std::vector<std::uint32_t>> neighbours_;  // [tap][site]
};

}  // namespace

std::span<const double> take(std::size_t count, std::span<const double>& weights) {
  const auto taken = weights.first(count);
  weights = weights.subspan(count);
  return taken;
}

template <class Real>
double take_sum(Row<Real>& row) {
  std::array<double, kLanes> sums;
  std::copy_n(row.lane, kLanes, sums.begin());
  row = {};
  for (std::size_t half = kLanes / 2; half > 0; half /= 2) {
    for (std::size_t i = 0; i < half; ++i) sums[i] += sums[i + half];
  }
  return sums[0];
}

NetworkTables::NetworkTables(const Geometry& geometry, const NetworkShape& shape_, std::vector<CouplingSites> masks_,
                             Use use)
    : shape(shape_), sites(geometry.sites()), taps(geometry.box(shape.kernel).size()), masks(std::move(masks_)) {
  const Sites all(sites, true);
  std::vector<std::uint32_t> every(sites);  // a site's place among all sites
  for (std::size_t x = 0; x < sites; ++x) every[x] = static_cast<std::uint32_t>(x);
  const auto set_of = [](const std::vector<std::uint32_t>& numbers, std::size_t end) {
    Sites set(end);
    for (const std::uint32_t x : numbers) set[x] = true;
    return set;
  };
  const auto places_of = [](const std::vector<std::uint32_t>& numbers, std::size_t end) {  // of each among these
    std::vector<std::uint32_t> places(end);
    for (std::size_t i = 0; i < numbers.size(); ++i) places[numbers[i]] = static_cast<std::uint32_t>(i);
    return places;
  };
  std::map<std::int64_t, StencilMaker> makers;  // by dilation
  const std::size_t count = shape.convolutions();
  for (const CouplingSites& mask : masks) {
    const Sites seen = set_of(mask.inputs, sites * mask.groups);
    const std::vector<std::uint32_t> input_places = places_of(mask.inputs, sites * mask.groups);
    const std::vector<std::uint32_t> output_places = places_of(mask.outputs, sites);
    auto& own = convolutions.emplace_back(count);
    if (use == Use::kGradients) transposed.emplace_back(count);
    Sites wanted = set_of(mask.outputs, sites);
    for (std::size_t i = count; i-- > 0;) {
      const StencilMaker& maker =
          makers.try_emplace(shape.dilation[i], geometry, shape.kernel, shape.dilation[i]).first->second;
      const auto& inputs = i == 0 ? input_places : every;
      const auto& outputs = i + 1 == count ? output_places : every;
      const Sites read = i == 0 ? seen : maker.read_by(wanted);
      own[i] = maker.make({i == 0 ? read : all, inputs, groups_of(i)}, {wanted, outputs, 1});
      if (use == Use::kGradients) transposed.back()[i] = maker.make({wanted, outputs, 1}, {read, inputs, groups_of(i)});
      wanted = read;
    }
  }
}

template <class Real>
PackedNetworks<Real>::PackedNetworks(const NetworkTables& tables, std::size_t layers,
                                     std::span<const double>& weights) {
  const NetworkShape& shape = tables.shape;
  for (std::size_t layer = 0; layer < layers; ++layer) {
    const std::size_t mask = tables.mask_of(layer);
    const bool gradients = !tables.transposed.empty();
    auto& network = networks.emplace_back();
    if (gradients) transposed.emplace_back();
    for (std::size_t i = 0; i < shape.convolutions(); ++i) {
      const std::size_t groups = tables.groups_of(i), in = static_cast<std::size_t>(shape.channels[i]) / groups;
      const auto out = static_cast<std::size_t>(shape.channels[i + 1]);
      const auto weight = take(out * groups * in * tables.taps, weights);
      const auto bias = take(shape.bias ? out : 0, weights);
      const auto at = [&](std::size_t o, std::size_t group, std::size_t c, std::size_t tap) {
        return weight[tables.weight_of(i, in, o, group, c, tap)];
      };
      network.push_back(packed<Real>(tables.convolutions[mask][i], in, out, shape.activation_of(i), bias,
                                     [&](const Stencil&, std::size_t tap, std::size_t c, std::size_t o) {
                                       return at(o, tap % groups, c, tap / groups);
                                     }));
      if (!gradients) continue;
      // The box is symmetric: the opposite of a displacement has the opposite number.
      transposed.back().push_back(
          packed<Real>(tables.transposed[mask][i], out, in, i > 0 ? shape.activation_of(i - 1) : Activation::kIdentity,
                       {}, [&](const Stencil& stencil, std::size_t tap, std::size_t o, std::size_t c) {
                         return at(o, stencil.group, c, tables.taps - 1 - tap);
                       }));
    }
  }
}

template <class Real>
std::size_t PackedNetworks<Real>::widest() const {
  std::size_t widest = 0;
  for (const auto& convolution : networks.front()) widest = std::max(widest, convolution.out);
  return widest;
}

template <class Real>
std::size_t PackedNetworks<Real>::multiply_adds(const NetworkTables& tables) const {
  return multiply_adds_of(tables, tables.convolutions, networks);
}
template <class Real>
std::size_t PackedNetworks<Real>::transposed_multiply_adds(const NetworkTables& tables) const {
  return multiply_adds_of(tables, tables.transposed, transposed);
}

template <class Real>
NetworkSlopes<Real>::NetworkSlopes(const PackedNetworks<Real>& weights) {
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
void NetworkSlopes<Real>::take(const NetworkTables& tables, std::vector<double>& all) {
  for (std::size_t layer = 0; layer < networks.size(); ++layer) {
    for (std::size_t i = 0; i < networks[layer].size(); ++i) {
      OfConvolution& own = networks[layer][i];
      const std::size_t out = own.bias.size(), groups = tables.groups_of(i);
      const std::size_t in = static_cast<std::size_t>(tables.shape.channels[i]) / groups;
      const std::size_t begin = all.size();
      all.resize(begin + out * groups * in * tables.taps);
      const auto& stencils = tables.convolutions[tables.mask_of(layer)][i];
      for (std::size_t k = 0; k < stencils.size(); ++k) {
        Row<Real>* row = own.weights[k].data();
        for (const std::uint32_t tap : stencils[k].taps) {
          for (std::size_t c = 0; c < in; ++c) {
            for (std::size_t o = 0; o < out; ++o) {
              all[begin + tables.weight_of(i, in, o, tap % groups, c, tap / groups)] += take_sum(*row++);
            }
          }
        }
      }
      if (!tables.shape.bias) continue;
      for (Row<Real>& row : own.bias) all.push_back(take_sum(row));
    }
  }
}

template double take_sum(Row<float>&);
template double take_sum(Row<double>&);
template struct PackedNetworks<float>;
template struct PackedNetworks<double>;
template struct NetworkSlopes<float>;
template struct NetworkSlopes<double>;

}  // namespace flowloom::lanes
