// Matrices of links as tensors: [row][column][place][sample], complex.
#pragma once

#include "flow/torch/tensor_value.h"
#include "math/matrix.h"

namespace flowloom::torch_engine {

template <int N>
struct TensorMatrix {
  at::Tensor entries;
};

// The sum over k of left[:, k] right[k, :], for `left` [row][k] and `right` [k][column].
inline at::Tensor product_of(const at::Tensor& left, const at::Tensor& right) {
  const auto term = [&](std::int64_t k) { return left.select(1, k).unsqueeze(1) * right.select(0, k).unsqueeze(0); };
  at::Tensor sum = term(0);
  for (std::int64_t k = 1; k < right.size(0); ++k) sum = sum + term(k);
  return sum;
}

template <int N>
TensorMatrix<N> adjoint(const TensorMatrix<N>& a) {
  return {a.entries.transpose(0, 1).conj()};
}
template <int N>
TensorMatrix<N> operator*(const TensorMatrix<N>& a, const TensorMatrix<N>& b) {
  return {product_of(a.entries, b.entries)};
}
template <int N>
TensorMatrix<N> adjoint_times(const TensorMatrix<N>& a, const TensorMatrix<N>& b) {
  return adjoint(a) * b;
}
template <int N>
Complex<TensorValue> trace(const TensorMatrix<N>& a) {
  const at::Tensor sum = a.entries.diagonal(0, 0, 1).sum(-1);
  return {TensorValue(at::real(sum)), TensorValue(at::imag(sum))};
}
template <int N>
TensorValue real_trace(const TensorMatrix<N>& a) {
  return trace(a).re;
}

// The links of a field [mu][row][column][re, im][site][sample], flat in all but the samples: [row][column][mu,
// site][sample].
template <int N>
TensorMatrix<N> matrices_of_field(const at::Tensor& field, std::int64_t sites) {
  const at::Tensor parts = field.view({-1, N, N, 2, sites, field.size(1)}).permute({3, 1, 2, 0, 4, 5}).flatten(3, 4);
  return {at::complex(parts.select(0, 0).contiguous(), parts.select(0, 1).contiguous())};
}
template <int N>
at::Tensor field_of_matrices(const TensorMatrix<N>& links, std::int64_t sites) {
  const at::Tensor parts = at::view_as_real(links.entries.resolve_conj());  // [row][column][mu, site][sample][re, im]
  return parts.view({N, N, -1, sites, parts.size(3), 2}).permute({2, 0, 1, 5, 3, 4}).reshape({-1, parts.size(3)});
}

// For the densities of lattice/su.inl.
template <int N>
TensorMatrix<N> link_matrix(const TensorCursor& x, std::size_t mu) {
  std::vector<at::Tensor> parts[2];
  for (std::size_t k = 0; k < 2 * N * N; ++k) parts[k % 2].push_back(x.variable(mu * 2 * N * N + k).tensor);
  const auto stacked = [](const std::vector<at::Tensor>& entries) {
    const at::Tensor all = at::stack(entries);
    return all.view({N, N, all.size(1), all.size(2)});
  };
  return {at::complex(stacked(parts[0]), stacked(parts[1]))};
}

}  // namespace flowloom::torch_engine
