// Links that are matrices (flow/lanes/matrix_links.inl), for couplings on a device (flow/cuda/device_loops.h).
#pragma once

#include "flow/cuda/device_loops.h"
#include "flow/lanes/matrix_coupling.h"
#include "flow/spectral_coupling.h"
#include "math/haar.h"

namespace flowloom::cuda {

// One sample's links; each is known by the row of its first entry's real part.
template <int N>
struct MatrixCells {
  double* field;  // [row][sample]
  Index sites, samples, sample;

  constexpr double& entry(Index row, Index i, Index j, Index part) const {
    return field[(row + (2 * (N * i + j) + part) * sites) * samples + sample];
  }
  constexpr Matrix<N, double> load(Index row) const {
    return matrix_of<N, double>(
        [&](auto i, auto j) { return Complex<double>{entry(row, i, j, 0), entry(row, i, j, 1)}; });
  }
  constexpr void store(const Matrix<N, double>& m, Index row) const {
    each<N>([&](auto i) {
      each<N>([&](auto j) {
        entry(row, i, j, 0) = m.at[i][j].re;
        entry(row, i, j, 1) = m.at[i][j].im;
      });
    });
  }

  // The product of the steps [begin, end).
  constexpr Matrix<N, double> product(const LoopRows& loops, Index begin, Index end) const {
    Matrix<N, double> m = load(row_of(loops.steps[begin]));
    if (is_backwards(loops.steps[begin])) m = adjoint(m);
    for (Index k = begin + 1; k < end; ++k) {
      const Matrix<N, double> link = load(row_of(loops.steps[k]));
      m = is_backwards(loops.steps[k]) ? times_adjoint(m, link) : m * link;
    }
    return m;
  }

  // tr(m U) or tr(m U^dagger)
  constexpr Complex<double> trace_with(const Matrix<N, double>& m, std::uint32_t step) const {
    const Matrix<N, double> link = load(row_of(step));
    Complex<double> sum = zero<double>();
    if (is_backwards(step)) {
      each<N>([&](auto i) { each<N>([&](auto j) { sum = conj_multiply_add(link.at[i][j], m.at[i][j], sum); }); });
    } else {
      each<N>([&](auto i) { each<N>([&](auto j) { sum = multiply_add(m.at[i][j], link.at[j][i], sum); }); });
    }
    return sum;
  }
};

// Item: a link. A Haar-distributed matrix, as lanes draw it.
template <int N>
struct DrawHaar {
  std::array<std::uint32_t, 2> key;
  std::uint64_t purpose, first;
  double* field;
  Index sites, samples;

  constexpr void operator()(Index link, Index sample) const {
    constexpr Index kDraws = kNormalsPerLink<N> / 2;
    std::array<double, kNormalsPerLink<N>> normals{};
    for (Index d = 0; d < kDraws; ++d) {
      const auto pair =
          normals_of_uniforms(uniform_pair<std::uint64_t>(key, purpose, first + sample, link * kDraws + d));
      normals[2 * d] = pair[0];
      normals[2 * d + 1] = pair[1];
    }
    const MatrixCells<N> cells{field, sites, samples, sample};
    cells.store(haar<N>(normals), link / sites * 2 * N * N * sites + link % sites);
  }
};

// Item: a loop. The networks' input: its trace by N.
template <int N, class Real>
struct TakeTraces {
  LoopRows loops;
  double* field;
  Index sites;
  Real* input;  // [loop][re, and im for N = 3][sample]
  Index samples;

  constexpr void operator()(Index i, Index sample) const {
    const MatrixCells<N> cells{field, sites, samples, sample};
    const Index last = loops.begin[i + 1] - 1;
    const Complex<double> mean =
        cells.trace_with(cells.product(loops, loops.begin[i], last), loops.steps[last]) * (1.0 / N);
    constexpr Index kParts = N > 2 ? 2 : 1;
    input[kParts * i * samples + sample] = static_cast<Real>(mean.re);
    if constexpr (N > 2) input[(kParts * i + 1) * samples + sample] = static_cast<Real>(mean.im);
  }
};

// Item: an active link. Moves the eigenvalues of its loop, and keeps log_det.
template <int N, class Real>
struct CoupleMatrix {
  SpectralSplines splines;
  ActiveRows<Real> active;
  bool inverse;
  double* field;
  Index sites;
  double* kept;  // [active link][sample]
  Index samples;

  constexpr void operator()(Index i, Index sample) const {
    const MatrixCells<N> cells{field, sites, samples, sample};
    const auto raw = active.raw(i, samples, sample);
    const Matrix<N, double> link = cells.load(active.row[i]);
    const auto rest = cells.product(active.rests, active.rests.begin[i], active.rests.begin[i + 1]);
    const Spectrum<N, double> spectrum = decompose(link * rest);
    const Cell<N, double> before = cell_of(box_of(spectrum));
    const BoxMap<N, double> map(splines);
    const BoxTransformed<N, double> moved = inverse ? map.inverse(raw, before.box) : map.forward(raw, before.box);
    const Cell<N, double> after = cell_of(moved.box);
    const Cell<N, double>&from = inverse ? after : before, &to = inverse ? before : after;
    kept[i * samples + sample] = log_det_of_cells(from, to) + moved.log_slope();
    cells.store(turn_between(spectrum.vectors, before, after) * link, active.row[i]);
  }
};

template <int N>
class MatrixLinks {
 public:
  using Architecture = SpectralCouplingFlow;
  struct Difference {
    constexpr double operator()(double a, double b) const { return a - b; }
  };

  MatrixLinks(const SpectralCouplingFlow& architecture, const Geometry& geometry)
      : splines_(architecture.splines()), geometry_(geometry) {}

  LayerSteps steps_of(const LoopCoupling& coupling) const {
    const lanes::MatrixCoupling matrices(coupling, geometry_, N);
    LayerSteps steps;
    for (const auto& path : matrices.context) steps.context.push_back(path_of(path));
    for (const auto& link : matrices.active) {
      steps.rests.push_back(path_of(link.rest));
      steps.row.push_back(link.first);
    }
    return steps;
  }

  template <class Device>
  void draw_noise(Device& device, NoiseKey key, Purpose purpose, std::uint64_t first, double* field, Index n) const {
    device.for_each(geometry_.dimensions() * sites(), n,
                    DrawHaar<N>{key.words, static_cast<std::uint64_t>(purpose), first, field, sites(), n});
  }
  double noise_log_density() const { return 0; }

  template <class Real>
  TakeTraces<N, Real> take_context(const LoopRows& loops, double* field, Real* input, Index n) const {
    return {loops, field, sites(), input, n};
  }
  template <class Real>
  CoupleMatrix<N, Real> couple(const ActiveRows<Real>& active, bool inverse, double* field, double* kept,
                               Index n) const {
    return {splines_, active, inverse, field, sites(), kept, n};
  }

 private:
  Index sites() const { return geometry_.sites(); }
  static LayerSteps::Path path_of(const lanes::MatrixCoupling::Path& path) {
    LayerSteps::Path steps;
    for (const auto& step : path) steps.push_back(2 * step.first + (step.backwards ? 1 : 0));
    return steps;
  }

  SpectralSplines splines_;
  Geometry geometry_;
};

}  // namespace flowloom::cuda
