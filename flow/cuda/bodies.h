// What one GPU thread does: a body is called for an item (a site, mostly) and a sample. Between two bodies all threads meet.
//
// Every number is computed by the operations of flow/lanes/model.inl in their order, so the bits are the lane engine's. Arrays
// are [site][channel][sample] or [site][sample] with `samples` samples, so that the threads of a warp, which are neighbouring
// samples of one site, read and write neighbouring numbers; tables and weights are the lane engine's (flow/lanes/plan.h). The
// bodies are constexpr, which lets nvcc compile them for the GPU and a test call them one by one.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "flow/affine.h"
#include "flow/lanes/plan.h"
#include "lattice/theories.h"
#include "math/philox.h"

namespace flowloom::cuda {

using Index = std::size_t;

using lanes::kSumBlock;
constexpr Index sum_blocks(Index sites) { return (sites + kSumBlock - 1) / kSumBlock; }

// Item: a pair of sites. Standard normals at the addresses first + sample (spec/noise.h).
struct DrawNoise {
  std::array<std::uint32_t, 2> key;
  std::uint64_t purpose, first;
  double* field;  // [site][sample]
  Index sites, samples;

  constexpr void operator()(Index pair, Index sample) const {
    const auto normals = normals_of_uniforms(uniform_pair<std::uint64_t>(key, purpose, first + sample, pair));
    field[2 * pair * samples + sample] = normals[0];
    if (2 * pair + 1 < sites) field[(2 * pair + 1) * samples + sample] = normals[1];
  }
};

// Item: a frozen site. The networks' input: frozen variables times `sign`.
template <class Real>
struct TakeFrozen {
  const double* field;          // [site][sample]
  const std::uint32_t* frozen;  // [frozen site] -> site
  Real sign;
  Real* input;  // [frozen site][sample]
  Index samples;

  constexpr void operator()(Index i, Index sample) const {
    input[i * samples + sample] = static_cast<Real>(field[frozen[i] * samples + sample]) * sign;
  }
};

// Item: an output site of a stencil. Outputs [first, first + kOut) of a convolution, kept in registers.
template <class Real, Index kOut>
struct Convolve {
  const Real *input, *weights, *bias;     // [site][in][sample], [tap][in][out], [out]
  const std::uint32_t *outputs, *inputs;  // the stencil's
  Index taps, in, out, first;
  Activation activation;
  Real* output;  // [site][out][sample]
  Index samples;

  constexpr void operator()(Index i, Index sample) const {
    Real sums[kOut]{};
    for (Index o = 0; o < kOut; ++o) sums[o] = bias[first + o];
    const Real* weight = taps > 0 ? weights + first : nullptr;  // without taps there are none
    for (Index tap = 0; tap < taps; ++tap) {
      const Real* from = input + inputs[i * taps + tap] * in * samples + sample;
      for (Index channel = 0; channel < in; ++channel, from += samples, weight += out) {
        for (Index o = 0; o < kOut; ++o) sums[o] = fma(weight[o], *from, sums[o]);
      }
    }
    with_activation(activation, [&](auto activate) {
      for (Index o = 0; o < kOut; ++o) {
        output[(outputs[i] * out + first + o) * samples + sample] = activate(sums[o]);
      }
    });
  }
};

// Item: an active site. Changes the variable by s and t, and keeps s for the sum.
template <class Real>
struct Couple {
  const Real *s_and_t, *mirrored;  // [active site][2][sample]; of the negative, or null without the symmetry
  const std::uint32_t* active;     // [active site] -> site
  bool inverse;
  double* field;   // [site][sample]
  double* kept_s;  // [active site][sample]
  Index samples;

  constexpr void operator()(Index i, Index sample) const {
    const Index at_s = 2 * i * samples + sample, at_t = at_s + samples;
    double s = static_cast<double>(s_and_t[at_s]), t = static_cast<double>(s_and_t[at_t]);
    if (mirrored) {
      s = even_part(s, static_cast<double>(mirrored[at_s]));
      t = odd_part(t, static_cast<double>(mirrored[at_t]));
    }
    double& variable = field[active[i] * samples + sample];
    variable = inverse ? affine_inverse(variable, s, t) : affine_forward(variable, s, t);
    kept_s[i * samples + sample] = s;
  }
};

// Item: a block of consecutive summands. Their sum, by `term(i, sample)`, is a std::array.
template <class Term, Index kSums>
struct SumBlocks {
  Term term;
  Index count;      // of summands
  double* partial;  // [sum][block][sample]
  Index samples;

  constexpr void operator()(Index block, Index sample) const {
    const Index begin = block * kSumBlock, end = begin + kSumBlock < count ? begin + kSumBlock : count;
    std::array<double, kSums> sums = term(begin, sample);
    for (Index i = begin + 1; i < end; ++i) {
      const std::array<double, kSums> more = term(i, sample);
      for (Index k = 0; k < kSums; ++k) sums[k] = sums[k] + more[k];
    }
    for (Index k = 0; k < kSums; ++k) partial[(k * sum_blocks(count) + block) * samples + sample] = sums[k];
  }
};

struct KeptTerm {
  const double* values;  // [i][sample]
  Index samples;
  constexpr std::array<double, 1> operator()(Index i, Index sample) const { return {values[i * samples + sample]}; }
};

struct NoiseTerm {
  const double* field;  // [site][sample]
  Index samples;
  constexpr std::array<double, 1> operator()(Index x, Index sample) const {
    return {normal_log_density(field[x * samples + sample])};
  }
};

template <class Theory>
struct TheoryTerm {
  struct Read {
    const double* field;  // [component][site][sample]
    Index sites, samples, sample;
    constexpr double operator()(Index component, Index site) const {
      return field[(component * sites + site) * samples + sample];
    }
  };

  const double* field;
  Steps steps;
  Index samples;
  constexpr std::array<double, Theory::kSums> operator()(Index x, Index sample) const {
    return LocalDensities<Theory>::at(Cursor<Read>({field, steps.sites, samples, sample}, steps, x));
  }
};

// Item: one of a few sums. Its blocks together.
struct AddBlocks {
  const double* partial;  // [sum][block][sample]
  Index blocks;
  double* sums;  // [sum][sample]
  Index samples;

  constexpr void operator()(Index k, Index sample) const {
    const double* own = partial + k * blocks * samples + sample;
    double sum = own[0];
    for (Index block = 1; block < blocks; ++block) sum = sum + own[block * samples];
    sums[k * samples + sample] = sum;
  }
};

// Item: none. log_det becomes a term, log_det + term or log_det - term.
struct Accumulate {
  enum class How { kStart, kAdd, kSubtract };
  How how;
  double constant;
  const double* sum;  // [sample], or null: the constant
  double* log_det;    // [sample]

  constexpr void operator()(Index, Index sample) const {
    const double term = sum ? sum[sample] : constant;
    double& own = log_det[sample];
    own = how == How::kStart ? term : how == How::kAdd ? own + term : own - term;
  }
};

// Item: none. log_q from the noise's density and log_det of the map from noise, or of the one to it.
struct LogQ {
  const double *noise_sum, *log_det;  // [sample]
  double constant;                    // of the noise's density
  bool to_noise;
  double* log_q;

  constexpr void operator()(Index, Index sample) const {
    const double log_noise = noise_sum[sample] - constant;
    log_q[sample] = canonical(to_noise ? log_noise + log_det[sample] : log_noise - log_det[sample]);
  }
};

// Item: a site. One direction of the free field's transformation (flow/free_field.h).
struct TransformLine {
  const double *from, *cas;  // [site][sample], [k][x]
  Index length, stride;
  double* to;
  Index samples;

  constexpr void operator()(Index site, Index sample) const {
    const Index k = site / stride % length;
    const double* line = from + (site - k * stride) * samples + sample;
    double sum = 0.0;
    for (Index x = 0; x < length; ++x) sum = fma(cas[k * length + x], line[x * stride * samples], sum);
    to[site * samples + sample] = sum;
  }
};

// Item: a site (or a mode). Times or divided by a factor for it, or one for all.
struct Scale {
  const double* factor;  // [site], or null: `all`
  double all;
  bool divide;
  double* field;
  Index samples;

  constexpr void operator()(Index site, Index sample) const {
    const double by = factor ? factor[site] : all;
    double& own = field[site * samples + sample];
    own = divide ? own / by : own * by;
  }
};

// Item: a site. Between [site][sample] and the caller's [sample][site].
struct Transpose {
  bool to_caller;
  double *field, *callers;
  Index sites, samples;

  constexpr void operator()(Index site, Index sample) const {
    if (to_caller) {
      callers[sample * sites + site] = canonical(field[site * samples + sample]);
    } else {
      field[site * samples + sample] = callers[sample * sites + site];
    }
  }
};

// Item: none. The largest |field - given| over sites; NaN if there is one.
struct LargestGap {
  const double *field, *given;
  Index sites;
  double* largest;  // [sample]
  Index samples;

  constexpr void operator()(Index, Index sample) const {
    double worst = 0.0;
    for (Index x = 0; x < sites; ++x) {
      worst = larger_gap(worst, field[x * samples + sample] - given[x * samples + sample]);
    }
    largest[sample] = canonical(worst);
  }
};

}  // namespace flowloom::cuda
