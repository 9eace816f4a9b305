// The slopes of the spectral map's LibTorch functions against differences along the group.
#include "flow/torch/spectral_function.h"

#include <gtest/gtest.h>

#include "group_cases.h"

namespace flowloom::torch_engine {
namespace {

template <int N>
at::Tensor tensor_of(const std::vector<Group<N>>& matrices) {
  const at::Tensor tensor = at::empty({N, N, static_cast<std::int64_t>(matrices.size()), 1}, at::kComplexDouble);
  for (std::size_t i = 0; i < matrices.size(); ++i) {
    Places<N>::put(matrices[i], tensor, static_cast<std::int64_t>(i));
  }
  return tensor;
}

// A loss of L' L^dagger, of the log_det and of the coordinates of L, with u' and v' functions of both coordinates.
template <int N>
at::Tensor loss_of(const at::Tensor& loops, const at::Tensor& weights) {
  const auto spectra = BoxFunction<N>::apply(loops);
  const at::Tensor box = spectra[0];
  const at::Tensor moved =
      at::stack(N == 2 ? std::vector<at::Tensor>{box[0] * box[0]}
                       : std::vector<at::Tensor>{box[0] * box[0], box[1] * (1.3 - 0.3 * box[1]) * (1 - 0.2 * box[0]) /
                                                                      (1 - 0.2 * box[0] * box[1])});
  const auto changes = TurnFunction<N>::apply(loops, box.detach(), spectra[1], moved);
  return at::real(weights.conj() * changes[0]).sum({0, 1, 3}) + 0.7 * changes[1].sum(1) + 1.1 * box.sum({0, 2});
}

template <int N>
std::vector<Group<N>> loops_to_try(double distance) {
  std::vector<Group<N>> loops;
  for (std::uint64_t i = 0; i < 20; ++i) loops.push_back(random_group<N>(i));
  for (const auto& gaps : gaps_near_edges<N>(distance)) {
    if (gaps[0] < 0.5) loops.push_back(with_spectrum<N>(random_group<N>(100 + loops.size()), gaps));
  }
  return loops;
}

TEST(SpectralFunction, SlopesAreDifferencesAlongTheGroup) {
  for_both([](auto n) {
    constexpr int N = n;
    // The step is small next to the gap; log_det knows a gap g to 1e-16/g, which is divided by the step.
    for (const auto& [distance, step, noise, tolerance] :
         {std::tuple(0.05, 1e-3, 1e-10, 1e-8), std::tuple(1e-6, 2e-7, 5e-3, 1e-4)}) {
      const auto loops = loops_to_try<N>(distance);
      std::vector<Group<N>> random;
      for (std::size_t i = 0; i < loops.size(); ++i) random.push_back(random_matrix<N>(300 + i));
      const at::Tensor weights = tensor_of<N>(random), own = tensor_of<N>(loops).requires_grad_();
      const at::Tensor slopes = torch::autograd::grad({loss_of<N>(own, weights).sum()}, {own})[0];
      std::vector<double> largest(loops.size()), off(loops.size());  // of the slopes along a basis
      for (const Group<N>& direction : algebra_basis<N>()) {
        const auto at = [&](double t) {
          std::vector<Group<N>> moved;
          for (const Group<N>& loop : loops) moved.push_back(exponential(scaled(direction, t)) * loop);
          return loss_of<N>(tensor_of<N>(moved), weights);
        };
        const auto pair = [&](int k) { return (at(k * step) - at(-k * step)) / (60 * step); };
        const at::Tensor slope = 45 * pair(1) - 9 * pair(2) + pair(3);
        for (std::size_t i = 0; i < loops.size(); ++i) {
          const auto place = static_cast<std::int64_t>(i);
          const double found = dot(Places<N>::matrix(slopes, place), direction * loops[i]);
          const double expected = slope[place].item<double>();
          largest[i] = std::max(largest[i], std::abs(expected));
          off[i] = std::max(off[i], std::abs(found - expected));
        }
      }
      for (std::size_t i = 0; i < loops.size(); ++i) {
        EXPECT_LT(off[i], tolerance * largest[i] + noise) << N << " " << distance << " loop " << i;
      }
    }
  });
}

TEST(SpectralFunction, SlopesByTheImagesCoordinatesAreDifferences) {
  for_both([](auto n) {
    constexpr int N = n;
    const auto loops = loops_to_try<N>(0.05);
    std::vector<Group<N>> random;
    for (std::size_t i = 0; i < loops.size(); ++i) random.push_back(random_matrix<N>(300 + i));
    const at::Tensor own = tensor_of<N>(loops), weights = tensor_of<N>(random);
    const auto spectra = BoxFunction<N>::apply(own);
    const auto loss = [&](const at::Tensor& to) {
      const auto changes = TurnFunction<N>::apply(own, spectra[0], spectra[1], to);
      return at::real(weights.conj() * changes[0]).sum({0, 1, 3}) + changes[1].sum(1);
    };
    const at::Tensor to = (spectra[0] * 0.8 + 0.1).requires_grad_();
    const at::Tensor slopes = torch::autograd::grad({loss(to).sum()}, {to})[0];
    for (std::int64_t k = 0; k < N - 1; ++k) {
      at::Tensor step = at::zeros_like(to);
      step.select(0, k).fill_(1e-5);
      const at::Tensor expected = (loss(to.detach() + step) - loss(to.detach() - step)) / 2e-5;
      EXPECT_LT((slopes.select(0, k).sum(1) - expected).abs().max().template item<double>(), 1e-6);
    }
  });
}

}  // namespace
}  // namespace flowloom::torch_engine
