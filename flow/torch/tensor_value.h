// A tensor as a value (math/value.h), so that the mathematics of *.inl is taken through LibTorch's autograd.
#pragma once

#include "flow/torch/libtorch.h"
#include "lattice/cursor.h"
#include "math/angle.h"

namespace flowloom::torch_engine {

struct TensorMask {
  at::Tensor tensor;
};

struct TensorValue {
  using Real = double;
  using Bits = std::uint64_t;  // never used

  TensorValue() = default;
  explicit TensorValue(double number) : tensor(at::scalar_tensor(number, at::kDouble)) {}
  explicit TensorValue(at::Tensor tensor_) : tensor(std::move(tensor_)) {}

  at::Tensor tensor;
};

inline TensorValue operator+(const TensorValue& a, const TensorValue& b) { return TensorValue(a.tensor + b.tensor); }
inline TensorValue operator-(const TensorValue& a, const TensorValue& b) { return TensorValue(a.tensor - b.tensor); }
inline TensorValue operator*(const TensorValue& a, const TensorValue& b) { return TensorValue(a.tensor * b.tensor); }
inline TensorValue operator*(const TensorValue& a, double b) { return TensorValue(a.tensor * b); }
inline TensorValue operator/(const TensorValue& a, const TensorValue& b) { return TensorValue(a.tensor / b.tensor); }
inline TensorValue operator-(const TensorValue& a) { return TensorValue(-a.tensor); }
inline TensorMask operator<(const TensorValue& a, const TensorValue& b) { return {a.tensor < b.tensor}; }
inline TensorMask is_nan(const TensorValue& a) { return {a.tensor.isnan()}; }
inline TensorValue select(const TensorMask& mask, const TensorValue& a, const TensorValue& b) {
  return TensorValue(at::where(mask.tensor, a.tensor, b.tensor));
}
inline TensorValue fma(const TensorValue& a, const TensorValue& b, const TensorValue& c) { return a * b + c; }
inline TensorValue sqrt(const TensorValue& a) { return TensorValue(a.tensor.sqrt()); }
inline TensorValue exp(const TensorValue& a) { return TensorValue(a.tensor.exp()); }
inline TensorValue exp_of_negative(const TensorValue& a) { return exp(a); }
inline TensorValue log(const TensorValue& a) { return TensorValue(a.tensor.log()); }
inline Turn<TensorValue> turn(const TensorValue& u) {
  const at::Tensor angle = u.tensor * kTwoPi;
  return {TensorValue(angle.cos()), TensorValue(angle.sin())};
}
inline TensorValue atan2(const TensorValue& y, const TensorValue& x) {
  return TensorValue(at::atan2(y.tensor, x.tensor));
}
// Without a slope.
inline TensorValue turns_of(const TensorValue& theta) {
  return TensorValue(((theta.tensor.detach() + kPi) * (1 / kTwoPi)).floor());
}

// Neighbours as index tensors.
struct TensorSteps {
  explicit TensorSteps(const Geometry& geometry);

  std::vector<at::Tensor> forward, backward;  // [mu][site]
  std::vector<std::int64_t> extents;
  std::int64_t sites;
};

// A cursor (lattice/cursor.h) at all sites at once: its variables are tensors [site][sample].
class TensorCursor {
 public:
  // `field` is [component * sites + site][sample].
  TensorCursor(const at::Tensor& field, const TensorSteps& steps) : field_(field), steps_(&steps) {}

  TensorValue variable(std::size_t component) const {
    const auto first = static_cast<std::int64_t>(component) * steps_->sites;
    const at::Tensor own = field_.narrow(0, first, steps_->sites);
    return TensorValue(places_.defined() ? own.index_select(0, places_) : own);
  }
  TensorCursor forward(std::size_t mu) const { return by(steps_->forward[mu]); }
  TensorCursor backward(std::size_t mu) const { return by(steps_->backward[mu]); }
  std::size_t dimensions() const { return steps_->forward.size(); }
  std::size_t extent(std::size_t mu) const { return static_cast<std::size_t>(steps_->extents[mu]); }

 private:
  TensorCursor by(const at::Tensor& step) const {
    TensorCursor moved(field_, *steps_);
    moved.places_ = places_.defined() ? step.index_select(0, places_) : step;
    return moved;
  }

  at::Tensor field_;
  const TensorSteps* steps_;
  at::Tensor places_;  // [site]: where this cursor stands when the first stood at that site; undefined: there
};

}  // namespace flowloom::torch_engine
