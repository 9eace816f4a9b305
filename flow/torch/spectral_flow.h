// Gauge-equivariant couplings of SU(2) and SU(3) matrices as LibTorch operations (flow/spectral_coupling.h); what the
// engine asks of a flow stands in flow/torch/affine_flow.h.
#pragma once

#include <array>

#include "flow/spectral_coupling.h"
#include "flow/torch/network.h"
#include "flow/torch/spectral_function.h"
#include "flow/torch/tensor_matrix.h"
#include "flow/torch/theory.h"
#include "math/haar.h"

namespace flowloom::torch_engine {

template <class Theory>
class SpectralFlow {
  static constexpr int N = Theory::kColours;
  using M = TensorMatrix<N>;

 public:
  using State = std::array<at::Tensor, 1>;  // [variable][sample], float64

  SpectralFlow(const Theory& theory, const SpectralCouplingFlow& architecture)
      : SpectralFlow(theory, architecture, architecture.couplings(theory.geometry())) {}

  const TheorySums<Theory>& theory() const { return theory_; }
  const NetworkPlan& plan() const { return plan_; }

  State state(const at::Tensor& field) const { return {field}; }
  const at::Tensor& whole(const State& x) const { return x[0]; }

  State noise(NoiseKey key, Purpose purpose, std::uint64_t first, std::size_t count) const {
    const auto sites = static_cast<std::size_t>(plan_.sites), links = theory_.variables() / (2 * N * N);
    std::vector<double> normals(links * kNormalsPerLink<N>);
    return {noise_tensor(theory_.variables(), count, [&](std::size_t i, std::span<double> out) {
      fill_normal(key, purpose, first + i, normals);
      for (std::size_t link = 0; link < links; ++link) {
        std::array<double, kNormalsPerLink<N>> own;
        std::copy_n(normals.begin() + static_cast<std::ptrdiff_t>(link * own.size()), own.size(), own.begin());
        const Matrix<N, double> u = haar<N>(own);
        for (std::size_t k = 0; k < N * N; ++k) {
          double* entry = &out[(link / sites * 2 * N * N + 2 * k) * sites + link % sites];
          entry[0] = u.at[k / N][k % N].re;
          entry[sites] = u.at[k / N][k % N].im;
        }
      }
    })};
  }
  at::Tensor noise_log_density(const State& z) const { return at::zeros({z[0].size(1)}, at::kDouble); }

  at::Tensor forward(const Weights& weights, State& x) const {
    at::Tensor log_det = at::zeros({x[0].size(1)}, at::kDouble),
               links = matrices_of_field<N>(x[0], plan_.sites).entries;
    for (std::size_t layer = 0; layer < weights.networks.size(); ++layer) {
      log_det = log_det + couple(weights, layer, links, [&](const auto& raw, const Box<N, TensorValue>& box) {
                  return BoxMap<N, TensorValue>(architecture_.splines()).forward(raw, box);
                });
    }
    x[0] = field_of_matrices<N>({links}, plan_.sites);
    return log_det;
  }

  at::Tensor inverse(const Weights& weights, State& x) const {
    at::Tensor log_det = at::zeros({x[0].size(1)}, at::kDouble),
               links = matrices_of_field<N>(x[0], plan_.sites).entries;
    for (std::size_t layer = weights.networks.size(); layer-- > 0;) {
      log_det = log_det + couple(weights, layer, links, [&](const auto& raw, const Box<N, TensorValue>& image) {
                  const BoxMap<N, TensorValue> map(architecture_.splines());
                  return inverse_with_slopes(map, raw, image);
                });
    }
    x[0] = field_of_matrices<N>({links}, plan_.sites);
    return log_det;
  }

  static at::Tensor difference(const at::Tensor& a, const at::Tensor& b) { return a - b; }

 private:
  using Transformed = BoxTransformed<N, TensorValue>;

  SpectralFlow(const Theory& theory, const SpectralCouplingFlow& architecture,
               const std::vector<LoopCoupling>& couplings)
      : theory_(theory),
        architecture_(architecture),
        plan_(theory.geometry(), architecture.network(), sites_of(couplings)) {
    const std::int64_t outputs = architecture.network().channels.back();
    for (const LoopCoupling& coupling : couplings) {
      std::vector<Loop> context, rest;
      std::vector<std::int64_t> channels, links, numbers;
      const std::int64_t per_loop = N == 2 ? 1 : 2;
      const auto inputs = per_loop * static_cast<std::int64_t>(coupling.context.front().size());
      for (std::size_t site = 0; site < coupling.context.size(); ++site) {
        for (std::size_t c = 0; c < coupling.context[site].size(); ++c) {
          if (coupling.context[site][c].empty()) continue;
          context.push_back(coupling.context[site][c]);
          channels.push_back(static_cast<std::int64_t>(site) * inputs + static_cast<std::int64_t>(c) * per_loop);
        }
      }
      for (const LoopCoupling::Active& link : coupling.active) {
        rest.push_back(link.rest);
        links.push_back(link.number);
        numbers.push_back(link.output * outputs + link.channel);
      }
      tables_.push_back(
          {PathTables(context), PathTables(rest), index_tensor(channels), index_tensor(links), index_tensor(numbers)});
    }
  }

  // Paths of links, those of one length together.
  class PathTables {
   public:
    explicit PathTables(const std::vector<Loop>& paths) {
      std::map<std::size_t, std::vector<std::int64_t>> by_length;
      for (std::size_t i = 0; i < paths.size(); ++i) by_length[paths[i].size()].push_back(static_cast<std::int64_t>(i));
      std::vector<std::int64_t> order(paths.size());
      std::int64_t place = 0;
      for (const auto& [length, members] : by_length) {
        std::vector<std::pair<at::Tensor, at::Tensor>> steps;
        for (std::size_t k = 0; k < length; ++k) {
          std::vector<std::int64_t> links;
          std::vector<std::int64_t> backwards;
          for (const std::int64_t i : members) {
            const LoopLink& link = paths[static_cast<std::size_t>(i)][k];
            links.push_back(link.number);
            backwards.push_back(link.sign < 0);
          }
          steps.emplace_back(index_tensor(links), index_tensor(backwards).to(at::kBool).view({1, 1, -1, 1}));
        }
        steps_.push_back(std::move(steps));
        for (const std::int64_t i : members) order[static_cast<std::size_t>(i)] = place++;
      }
      order_ = index_tensor(order);
    }

    // Their products, [row][column][path][sample].
    M products(const at::Tensor& links) const {
      std::vector<at::Tensor> all;
      for (const auto& steps : steps_) {
        M product{factor(links, steps[0])};
        for (std::size_t k = 1; k < steps.size(); ++k) product = product * M{factor(links, steps[k])};
        all.push_back(product.entries);
      }
      return {at::cat(all, 2).index_select(2, order_)};
    }

   private:
    static at::Tensor factor(const at::Tensor& links, const std::pair<at::Tensor, at::Tensor>& step) {
      const M link{links.index_select(2, step.first)};
      return at::where(step.second, adjoint(link).entries.resolve_conj(), link.entries);
    }

    std::vector<std::vector<std::pair<at::Tensor, at::Tensor>>> steps_;  // [length][step]: links, whether against them
    at::Tensor order_;
  };

  struct Tables {
    PathTables context, rest;
    at::Tensor
        channels;        // [frozen loop]: where its trace stands in [input site][channel], its imaginary part behind it
    at::Tensor links;    // [active link]
    at::Tensor numbers;  // [active link]: its first number in [output site][channel]
  };

  // A step of Newton's method on each coordinate, which changes nothing, gives the root its slopes. The log slopes are
  // the inverse's.
  template <class Raw>
  static Transformed inverse_with_slopes(const BoxMap<N, TensorValue>& map, const Raw& raw,
                                         const Box<N, TensorValue>& image) {
    Box<N, TensorValue> root;
    {
      const at::NoGradGuard no_gradient;
      root = map.inverse(raw, image).box;
    }
    for (int k = 0; k < N - 1; ++k) {  // v's for the u that has its slopes
      const Transformed there = map.forward(raw, root);
      const at::Tensor slope = there.log_slopes.at[k].tensor.detach().exp();
      root.at[k] = TensorValue(root.at[k].tensor - (there.box.at[k].tensor - image.at[k].tensor) / slope);
    }
    Transformed found{root, map.forward(raw, root).log_slopes};
    for (TensorValue& log_slope : found.log_slopes.at) log_slope = -log_slope;
    return found;
  }

  // Moves the active links of a layer by map(raw parameters, coordinates of the active loops); returns the sum of the
  // log_dets, [sample].
  template <class Map>
  at::Tensor couple(const Weights& weights, std::size_t layer, at::Tensor& links, Map map) const {
    const std::size_t mask = plan_.mask_of(layer);
    const Tables& tables = tables_[mask];
    const std::int64_t sites = plan_.inputs[mask].size(0), inputs = plan_.shape.channels.front(),
                       samples = links.size(3);
    const auto traces = trace(tables.context.products(links));
    at::Tensor context = at::zeros({sites * inputs, samples}, at::kDouble)
                             .index_copy(0, tables.channels, traces.re.tensor / static_cast<double>(N));
    if constexpr (N > 2)
      context = context.index_copy(0, tables.channels + 1, traces.im.tensor / static_cast<double>(N));
    const at::Tensor outputs =
        evaluate(weights.networks[layer], plan_, mask, context.view({sites, inputs, samples})).flatten(0, 1);
    const auto raw = [&](std::size_t i) {
      return TensorValue(outputs.index_select(0, tables.numbers + static_cast<std::int64_t>(i)));
    };
    const M own{links.index_select(2, tables.links)};
    const at::Tensor loops = (own * tables.rest.products(links)).entries;
    const auto spectra = BoxFunction<N>::apply(loops);
    Box<N, TensorValue> box;
    for (int k = 0; k < N - 1; ++k) box.at[k] = TensorValue(spectra[0].select(0, k));
    const Transformed moved = map(raw, box);
    std::vector<at::Tensor> to;
    for (int k = 0; k < N - 1; ++k) to.push_back(moved.box.at[k].tensor);
    const auto changes = TurnFunction<N>::apply(loops, spectra[0].detach(), spectra[1], at::stack(to));
    links = links.index_copy(2, tables.links, (M{changes[0]} * own).entries);
    return (changes[1] + moved.log_slope().tensor).sum(0);
  }

  TheorySums<Theory> theory_;
  SpectralCouplingFlow architecture_;
  NetworkPlan plan_;
  std::vector<Tables> tables_;  // [mask]
};

}  // namespace flowloom::torch_engine
