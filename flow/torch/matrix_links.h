// Links that are matrices of SU(2) and SU(3) as LibTorch operations (flow/spectral_coupling.h), for couplings
// (flow/torch/loop_flow.h).
#pragma once

#include <algorithm>
#include <array>
#include <map>
#include <vector>

#include "flow/spectral_coupling.h"
#include "flow/torch/loop_flow.h"
#include "flow/torch/spectral_function.h"
#include "flow/torch/tensor_matrix.h"
#include "math/haar.h"

namespace flowloom::torch_engine {

template <int N>
class MatrixLinks {
  using M = TensorMatrix<N>;

 public:
  using Architecture = SpectralCouplingFlow;

  MatrixLinks(const SpectralCouplingFlow& architecture, const Geometry& geometry)
      : splines_(architecture.splines()), dimensions_(geometry.dimensions()), sites_(geometry.sites()) {}

  at::Tensor noise(NoiseKey key, Purpose purpose, std::uint64_t first, std::size_t count) const {
    const std::size_t links = dimensions_ * sites_;
    std::vector<double> normals(links * kNormalsPerLink<N>);
    return samples_tensor(2 * N * N * links, count, [&](std::size_t i, std::span<double> out) {
      fill_normal(key, purpose, first + i, normals);
      for (std::size_t link = 0; link < links; ++link) {
        std::array<double, kNormalsPerLink<N>> own;
        std::copy_n(normals.begin() + static_cast<std::ptrdiff_t>(link * own.size()), own.size(), own.begin());
        const Matrix<N, double> u = haar<N>(own);
        for (std::size_t k = 0; k < N * N; ++k) {
          double* entry = &out[(link / sites_ * 2 * N * N + 2 * k) * sites_ + link % sites_];
          entry[0] = u.at[k / N][k % N].re;
          entry[sites_] = u.at[k / N][k % N].im;
        }
      }
    });
  }
  static double noise_log_density() { return 0; }
  static at::Tensor difference(const at::Tensor& a, const at::Tensor& b) { return a - b; }

  // [row][column][link][sample], complex.
  at::Tensor of_field(const at::Tensor& field) const { return matrices_of_field<N>(field, sites()).entries; }
  at::Tensor to_field(const at::Tensor& links) const { return field_of_matrices<N>({links}, sites()); }

  // Paths of links, those of one length together.
  class Loops {
   public:
    explicit Loops(const std::vector<Loop>& paths) {
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

  struct Active {
    explicit Active(const std::vector<LoopCoupling::Active>& active)
        : links(index_tensor(of_each(active, &LoopCoupling::Active::number))),
          rest(of_each(active, &LoopCoupling::Active::rest)) {}

    at::Tensor links;
    Loops rest;
  };

  // The trace by N, of SU(2) its real part alone.
  static std::array<at::Tensor, N == 2 ? 1 : 2> context(const Loops& loops, const at::Tensor& links) {
    const auto traces = trace(loops.products(links));
    if constexpr (N == 2) {
      return {traces.re.tensor / static_cast<double>(N)};
    } else {
      return {traces.re.tensor / static_cast<double>(N), traces.im.tensor / static_cast<double>(N)};
    }
  }

  template <class Raw>
  at::Tensor couple(const Active& active, const Raw& raw, bool inverse, at::Tensor& links) const {
    const M own{links.index_select(2, active.links)};
    const at::Tensor loops = (own * active.rest.products(links)).entries;
    const auto spectra = BoxFunction<N>::apply(loops);
    Box<N, TensorValue> box;
    for (int k = 0; k < N - 1; ++k) box.at[k] = TensorValue(spectra[0].select(0, k));
    const BoxMap<N, TensorValue> map(splines_);
    const Transformed moved = inverse ? inverse_with_slopes(map, raw, box) : map.forward(raw, box);
    std::vector<at::Tensor> to;
    for (int k = 0; k < N - 1; ++k) to.push_back(moved.box.at[k].tensor);
    const auto changes = TurnFunction<N>::apply(loops, spectra[0].detach(), spectra[1], at::stack(to));
    links = links.index_copy(2, active.links, (M{changes[0]} * own).entries);
    return changes[1] + moved.log_slope().tensor;
  }

 private:
  using Transformed = BoxTransformed<N, TensorValue>;

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

  std::int64_t sites() const { return static_cast<std::int64_t>(sites_); }

  SpectralSplines splines_;
  std::size_t dimensions_, sites_;
};

}  // namespace flowloom::torch_engine
