// The free-field prior's map for a block of samples (flow/free_field.h).
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <vector>

#include "flow/free_field.h"
#include "flow/scalar/network.h"

namespace flowloom::scalar {

class FreeField {
 public:
  FreeField(const Geometry& geometry, double mass2) : basis_(geometry) {
    for (const double khat2 : basis_.khat2) {
      amplitude_.push_back(free_field_amplitude(khat2, mass2));
      log_det_ += std::log(amplitude_.back());
    }
    for (const std::int64_t length : geometry.extents()) extents_.push_back(static_cast<std::size_t>(length));
  }

  // of noise -> field
  double log_det() const { return log_det_; }

  // `field` [site][lane], in place.
  void forward(std::vector<double>& field) const {
    apply(field, [](double mode, double amplitude) { return mode * amplitude; });
  }
  void inverse(std::vector<double>& field) const {
    apply(field, [](double mode, double amplitude) { return mode / amplitude; });
  }

 private:
  template <class Change>
  void apply(std::vector<double>& field, Change change) const {
    transform(field);
    for (std::size_t i = 0; i < field.size(); ++i) field[i] = change(field[i], amplitude_[i / kLanes]);
    transform(field);
  }

  // To the modes, and back: the basis is its own inverse.
  void transform(std::vector<double>& field) const {
    std::vector<double> line;
    std::size_t stride = amplitude_.size();
    for (std::size_t mu = 0; mu < extents_.size(); ++mu) {
      const std::size_t length = extents_[mu];
      stride /= length;
      line.resize(length * kLanes);
      for (std::size_t start = 0; start < amplitude_.size(); ++start) {
        if (start / stride % length != 0) continue;  // not the first site of a line
        std::fill(line.begin(), line.end(), 0.0);
        for (std::size_t k = 0; k < length; ++k) {
          for (std::size_t x = 0; x < length; ++x) {
            const double factor = basis_.cas[mu][k * length + x];
            const double* from = &field[(start + x * stride) * kLanes];
            for (std::size_t lane = 0; lane < kLanes; ++lane) line[k * kLanes + lane] += factor * from[lane];
          }
        }
        for (std::size_t k = 0; k < length; ++k) {
          std::copy_n(&line[k * kLanes], kLanes, &field[(start + k * stride) * kLanes]);
        }
      }
    }
  }

  FreeFieldBasis basis_;
  std::vector<double> amplitude_;  // [mode]
  double log_det_ = 0;
  std::vector<std::size_t> extents_;
};

}  // namespace flowloom::scalar
