// Links that are angles (flow/lanes/angle_links.inl), for couplings on a device (flow/cuda/device_loops.h).
#pragma once

#include "flow/cuda/device_loops.h"
#include "flow/densities.h"
#include "flow/gauge_coupling.h"

namespace flowloom::cuda {

constexpr double angle_of(const LoopRows& loops, Index loop, const double* field, Index samples, Index sample) {
  double sum = 0.0;
  for (Index i = loops.begin[loop]; i < loops.begin[loop + 1]; ++i) {
    const std::uint32_t step = loops.steps[i];
    sum = fma(is_backwards(step) ? -1.0 : 1.0, field[row_of(step) * samples + sample], sum);
  }
  return sum;
}

// Item: a loop. The networks' input: its cosine and its sine.
template <class Real>
struct TakeAngles {
  LoopRows loops;
  const double* field;  // [link][sample]
  Real* input;          // [loop][2][sample]
  Index samples;

  constexpr void operator()(Index i, Index sample) const {
    const auto turned = turn_of_angle(angle_of(loops, i, field, samples, sample));
    input[2 * i * samples + sample] = static_cast<Real>(turned.cos);
    input[(2 * i + 1) * samples + sample] = static_cast<Real>(turned.sin);
  }
};

// Item: an active link. Takes its loop's angle through the map, and keeps the log of the map's slope.
template <class Real>
struct CoupleAngle {
  CircleMap map;
  Index pieces, parameters;  // of the map, without the rotation
  ActiveRows<Real> active;
  bool inverse;
  double *field, *kept;  // [link][sample], [active link][sample]
  Index samples;

  constexpr void operator()(Index i, Index sample) const {
    const auto raw = active.raw(i, samples, sample);
    double& link = field[active.row[i] * samples + sample];
    double angle = link + angle_of(active.rests, i, field, samples, sample);
    if (!active.arounds.empty(i)) {
      angle = from_half_around(angle, angle_of(active.arounds, i, field, samples, sample));
    }
    const double from = positive_angle(angle);
    const double rotation = raw(parameters);
    const Transformed<double> to =
        with_circle_map<double>(map, pieces, raw, [&](const auto& of) -> Transformed<double> {
          if (inverse) return of.inverse(shift_angle(from, -rotation));
          const auto [value, log_slope] = of.forward(from);
          return {shift_angle(value, rotation), log_slope};
        });
    link = positive_angle(link + (to.value - from));
    kept[i * samples + sample] = to.log_slope;
  }
};

struct AnglesOfUniforms {
  constexpr std::array<double, 2> operator()(const std::array<double, 2>& uniforms) const {
    return {uniforms[0] * kTwoPi, uniforms[1] * kTwoPi};
  }
};

class AngleLinks {
 public:
  using Architecture = GaugeCouplingFlow;
  struct Difference {
    constexpr double operator()(double a, double b) const { return wrap_angle(a - b); }
  };

  AngleLinks(const GaugeCouplingFlow& architecture, const Geometry& geometry)
      : map_(architecture.map()),
        pieces_(architecture.pieces()),
        parameters_(architecture.map_parameters()),
        links_(geometry.dimensions() * geometry.sites()) {}

  static LayerSteps steps_of(const LoopCoupling& coupling) {
    LayerSteps steps;
    for (const Loop& loop : coupling.context) steps.context.push_back(path_of(loop));
    for (const LoopCoupling::Active& link : coupling.active) {
      steps.rests.push_back(path_of(link.rest));
      steps.arounds.push_back(path_of(link.around));
      steps.row.push_back(link.number);
    }
    return steps;
  }

  template <class Device>
  void draw_noise(Device& device, NoiseKey key, Purpose purpose, std::uint64_t first, double* field, Index n) const {
    device.for_each(
        (links_ + 1) / 2, n,
        DrawNoise<AnglesOfUniforms>{{}, key.words, static_cast<std::uint64_t>(purpose), first, field, links_, n});
  }
  double noise_log_density() const { return uniform_angles_log_density(links_); }

  template <class Real>
  TakeAngles<Real> take_context(const LoopRows& loops, const double* field, Real* input, Index n) const {
    return {loops, field, input, n};
  }
  template <class Real>
  CoupleAngle<Real> couple(const ActiveRows<Real>& active, bool inverse, double* field, double* kept, Index n) const {
    return {map_, pieces_, parameters_, active, inverse, field, kept, n};
  }

 private:
  static LayerSteps::Path path_of(const Loop& loop) {
    LayerSteps::Path path;
    for (const LoopLink& link : loop) path.push_back(2 * link.number + (link.sign < 0 ? 1 : 0));
    return path;
  }

  CircleMap map_;
  Index pieces_, parameters_, links_;
};

}  // namespace flowloom::cuda
