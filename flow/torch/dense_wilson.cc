#include "flow/torch/dense_wilson.h"

#include <algorithm>
#include <vector>

#include "flow/torch/index_tensor.h"

namespace flowloom::torch_engine {
namespace {

using ComplexNumber = c10::complex<double>;

constexpr std::int64_t kBytesAtOnce = 64 << 20;

// (1 - sign sigma_mu)(a, b) with Pauli's first two matrices.
ComplexNumber projector(std::size_t mu, double sign, int a, int b) {
  if (a == b) return 1;
  if (mu == 0) return -sign;
  return ComplexNumber(0, a == 0 ? sign : -sign);
}

}  // namespace

DenseWilson::DenseWilson(const Geometry& geometry, double mass)
    : rows_(2 * static_cast<std::int64_t>(geometry.sites())) {
  const auto sites = static_cast<std::int64_t>(geometry.sites()), variables = 2 * sites;
  const std::int64_t last = geometry.extents()[1] - 1;
  std::vector<std::int64_t> elements, links;
  std::vector<ComplexNumber> factors;
  for (std::size_t mu = 0; mu < 2; ++mu) {
    const std::vector<std::int64_t> ahead = geometry.forward(mu);
    for (std::int64_t x = 0; x < sites; ++x) {
      const std::int64_t y = ahead[static_cast<std::size_t>(x)];
      const double boundary = mu == 1 && geometry.coordinates(static_cast<std::size_t>(x))[1] == last ? -1 : 1;
      const std::int64_t link = static_cast<std::int64_t>(mu) * sites + x;
      for (int a = 0; a < 2; ++a) {
        for (int b = 0; b < 2; ++b) {
          elements.push_back((2 * x + a) * rows_ + 2 * y + b);
          links.push_back(link);
          factors.push_back(-0.5 * boundary * projector(mu, 1, a, b));
          elements.push_back((2 * y + a) * rows_ + 2 * x + b);
          links.push_back(variables + link);
          factors.push_back(-0.5 * boundary * projector(mu, -1, a, b));
        }
      }
    }
  }
  diagonal_ = at::eye(rows_, at::kComplexDouble) * (mass + 2);
  elements_ = index_tensor(elements);
  links_ = index_tensor(links);
  factors_ = at::tensor(factors, at::kComplexDouble).unsqueeze(1);
}

at::Tensor DenseWilson::matrices(const at::Tensor& fields) const {
  const at::Tensor angles = at::cat({fields, -fields});
  const at::Tensor hops = at::polar(at::ones_like(angles), angles).index_select(0, links_) * factors_;
  return at::zeros({rows_ * rows_, fields.size(1)}, at::kComplexDouble)
             .index_add(0, elements_, hops)
             .t()
             .view({-1, rows_, rows_}) +
         diagonal_;
}

at::Tensor DenseWilson::log_abs_det_at_once(const at::Tensor& fields) const {
  return std::get<1>(at::linalg_slogdet(matrices(fields)));
}

std::int64_t DenseWilson::samples_at_once() const {
  return std::max<std::int64_t>(1, kBytesAtOnce / (rows_ * rows_ * static_cast<std::int64_t>(sizeof(ComplexNumber))));
}

// Keeps slopes, a number for each link, instead of what autograd would: several matrices of each sample.
struct DenseWilson::LogAbsDet : torch::autograd::Function<LogAbsDet> {
  static at::Tensor forward(torch::autograd::AutogradContext* context, const at::Tensor& fields,
                            const DenseWilson* wilson) {
    std::vector<at::Tensor> values, slopes;
    for (const at::Tensor& some : fields.split(wilson->samples_at_once(), 1)) {
      const at::AutoGradMode gradients(true);
      const at::Tensor own = some.detach().requires_grad_();
      const at::Tensor value = wilson->log_abs_det_at_once(own);
      slopes.push_back(torch::autograd::grad({value.sum()}, {own})[0]);
      values.push_back(value.detach());
    }
    context->save_for_backward({at::cat(slopes, 1)});
    return at::cat(values);
  }
  static torch::autograd::variable_list backward(torch::autograd::AutogradContext* context,
                                                 const torch::autograd::variable_list& of_value) {
    return {context->get_saved_variables()[0] * of_value[0], at::Tensor()};
  }
};

at::Tensor DenseWilson::log_abs_det(const at::Tensor& fields) const {
  if (at::GradMode::is_enabled() && fields.requires_grad()) return LogAbsDet::apply(fields, this);
  std::vector<at::Tensor> values;
  for (const at::Tensor& some : fields.split(samples_at_once(), 1)) values.push_back(log_abs_det_at_once(some));
  return at::cat(values);
}

}  // namespace flowloom::torch_engine
