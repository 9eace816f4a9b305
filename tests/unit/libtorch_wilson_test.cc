// Wilson's operator as LibTorch's matrix.
#include <gtest/gtest.h>

#include "flow/torch/dense_wilson.h"
#include "spec/noise.h"

namespace flowloom::torch_engine {
namespace {

// sigma_z D sigma_z = D^dagger, gamma_5 of two dimensions being sigma_z: what makes det D real.
TEST(DenseWilson, IsGamma5Hermitian) {
  for (const std::vector<std::int64_t>& extents : {std::vector<std::int64_t>{4, 6}, {5, 3}}) {
    const Geometry geometry(extents);
    const auto rows = 2 * static_cast<std::int64_t>(geometry.sites());
    std::vector<double> angles(static_cast<std::size_t>(3 * rows));
    fill_normal(NoiseKey::from("gamma 5"), Purpose::kInit, 0, angles);
    const at::Tensor fields = 3 * at::tensor(angles, at::kDouble).view({rows, 3});  // of three samples
    const at::Tensor d = DenseWilson(geometry, -0.188).matrices(fields);
    const at::Tensor gamma5 = 1 - 2 * at::arange(rows, at::kDouble).remainder(2);
    const at::Tensor turned = gamma5.unsqueeze(1) * d * gamma5;
    EXPECT_LT((turned - d.mH()).abs().max().item<double>(), 1e-15) << extents[0] << "x" << extents[1];
    EXPECT_GT((d - d.mH()).abs().max().item<double>(), 0.1) << "it is not Hermitian itself";
  }
}

}  // namespace
}  // namespace flowloom::torch_engine
