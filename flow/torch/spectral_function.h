// The spectral map (flow/spectral.h) of matrices as LibTorch functions with slopes of our own: LibTorch's eigenvectors
// have slopes that divide by differences of eigenvalues, and depend on the vectors' arbitrary phases.
//
//   BoxFunction     L -> coordinates of its spectrum (and its eigenvectors, without slopes)
//   TurnFunction    L, its coordinates and eigenvectors (without slopes), coordinates of L'
//                   -> L' L^dagger and the log_det of the cells
//
// The slopes by L of what comes out of both together are those of the map: each hands on its part of
// decompose_pull_back(). A slope by a matrix is Euclidean (math/matrix.h), which is LibTorch's convention, and tangent
// to the group.
#pragma once

#include "flow/spectral.h"
#include "flow/torch/libtorch.h"

namespace flowloom::torch_engine {

// Complex matrices [N][N][place][sample] and boxes [N - 1][place][sample] one by one.
template <int N>
class Places {
 public:
  using M = Matrix<N, double>;
  using B = Box<N, double>;

  // Keeps the tensor.
  static at::Tensor plain(const at::Tensor& tensor) { return tensor.resolve_conj().contiguous(); }
  static std::int64_t count(const at::Tensor& matrices) { return matrices.size(2) * matrices.size(3); }

  static M matrix(const at::Tensor& matrices, std::int64_t place) {
    const auto* data = matrices.const_data_ptr<c10::complex<double>>() + place;
    return matrix_of<N, double>([&](auto i, auto j) {
      const c10::complex<double> entry = data[(N * i + j) * count(matrices)];
      return Complex<double>{entry.real(), entry.imag()};
    });
  }
  static void put(const M& m, const at::Tensor& matrices, std::int64_t place) {
    auto* data = matrices.mutable_data_ptr<c10::complex<double>>() + place;
    for (std::int64_t k = 0; k < N * N; ++k) {
      const Complex<double> entry = m.at[k / N][k % N];
      data[k * count(matrices)] = {entry.re, entry.im};
    }
  }
  static B box(const at::Tensor& boxes, std::int64_t place) {
    const double* data = boxes.const_data_ptr<double>() + place;
    B own;
    for (std::int64_t k = 0; k < N - 1; ++k) own.at[k] = data[k * boxes.size(1) * boxes.size(2)];
    return own;
  }
  static void put(const B& own, const at::Tensor& boxes, std::int64_t place) {
    double* data = boxes.mutable_data_ptr<double>() + place;
    for (std::int64_t k = 0; k < N - 1; ++k) data[k * boxes.size(1) * boxes.size(2)] = own.at[k];
  }
  static at::Tensor boxes_for(const at::Tensor& matrices) {
    return at::empty({N - 1, matrices.size(2), matrices.size(3)}, at::kDouble);
  }
};

template <int N>
class BoxFunction : public torch::autograd::Function<BoxFunction<N>> {
  using P = Places<N>;

 public:
  // {boxes, eigenvectors}
  static torch::autograd::variable_list forward(torch::autograd::AutogradContext* context, const at::Tensor& loops) {
    const at::Tensor plain = P::plain(loops), boxes = P::boxes_for(loops), vectors = at::empty_like(plain);
    for (std::int64_t i = 0; i < P::count(plain); ++i) {
      const Spectrum<N, double> spectrum = decompose(P::matrix(plain, i));
      P::put(box_of(spectrum), boxes, i);
      P::put(spectrum.vectors, vectors, i);
    }
    context->mark_non_differentiable({vectors});
    context->save_for_backward({plain, boxes, vectors});
    return {boxes, vectors};
  }

  static torch::autograd::variable_list backward(torch::autograd::AutogradContext* context,
                                                 torch::autograd::variable_list slopes) {
    const auto saved = context->get_saved_variables();
    const at::Tensor &loops = saved[0], &boxes = saved[1], &vectors = saved[2];
    const at::Tensor by_box = slopes[0].contiguous(), by_loop = at::empty_like(loops);
    for (std::int64_t i = 0; i < P::count(loops); ++i) {
      const Cell<N, double> from = cell_of(P::box(boxes, i));
      const auto by =
          decompose_pull_back(P::matrix(vectors, i), from, from, Matrix<N, double>{}, P::box(by_box, i), 0.0);
      P::put(by.link * P::matrix(loops, i), by_loop, i);
    }
    return {by_loop};
  }
};

template <int N>
class TurnFunction : public torch::autograd::Function<TurnFunction<N>> {
  using P = Places<N>;

 public:
  // {L' L^dagger, log_det [place][sample]}
  static torch::autograd::variable_list forward(torch::autograd::AutogradContext* context, const at::Tensor& loops,
                                                const at::Tensor& from, const at::Tensor& vectors,
                                                const at::Tensor& to) {
    const at::Tensor plain = P::plain(loops), from_boxes = from.contiguous(), to_boxes = to.contiguous();
    const at::Tensor turns = at::empty_like(plain), log_det = at::empty({plain.size(2), plain.size(3)}, at::kDouble);
    double* log_dets = log_det.mutable_data_ptr<double>();
    for (std::int64_t i = 0; i < P::count(plain); ++i) {
      const auto here = cell_of(P::box(from_boxes, i)), there = cell_of(P::box(to_boxes, i));
      P::put(turn_between(P::matrix(vectors, i), here, there), turns, i);
      log_dets[i] = log_det_of_cells(here, there);
    }
    context->save_for_backward({plain, from_boxes, vectors, to_boxes, turns});
    return {turns, log_det};
  }

  static torch::autograd::variable_list backward(torch::autograd::AutogradContext* context,
                                                 torch::autograd::variable_list slopes) {
    const auto saved = context->get_saved_variables();
    const at::Tensor &loops = saved[0], &from = saved[1], &vectors = saved[2], &to = saved[3], &turns = saved[4];
    const at::Tensor by_turn = P::plain(slopes[0]), by_log_det = slopes[1].contiguous();
    const at::Tensor by_loop = at::empty_like(loops), by_to = at::empty_like(to);
    for (std::int64_t i = 0; i < P::count(loops); ++i) {
      const auto own = P::matrix(vectors, i), turn = P::matrix(turns, i);
      const auto here = cell_of(P::box(from, i)), there = cell_of(P::box(to, i));
      const double of_log_det = by_log_det.const_data_ptr<double>()[i];
      // d(turn) turn^dagger = dL' L'^dagger - turn (dL L^dagger) turn^dagger
      const auto slope = algebra_part(times_adjoint(P::matrix(by_turn, i), turn));
      const auto [frame, box] = recompose_pull_back(own, there, slope, of_log_det);
      const auto by = decompose_pull_back(own, here, there, frame, Box<N, double>{}, of_log_det);
      P::put((by.link - adjoint_times(turn, slope * turn)) * P::matrix(loops, i), by_loop, i);
      P::put(box, by_to, i);
    }
    return {by_loop, {}, {}, by_to};
  }
};

}  // namespace flowloom::torch_engine
