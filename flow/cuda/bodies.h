// What one GPU thread does: a body is called for an item (a site, mostly) and a sample. Between two bodies all threads
// meet.
//
// Every number is computed by the operations of flow/lanes in their order, so the bits are the lane engine's. Arrays
// are [row][sample] with `samples` samples, so that the threads of a warp, which are neighbouring samples of one row,
// read and write neighbouring numbers; tables and weights are the lane engine's (flow/lanes/plan.h). The bodies are
// constexpr, which lets nvcc compile them for the GPU and a test call them one by one.
//
// Here: what all flows share. A flow's own bodies stand with it (device_affine.h, angle_links.h, matrix_links.h).
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "flow/activation.h"
#include "flow/densities.h"
#include "flow/lanes/plan.h"
#include "lattice/theories.h"
#include "math/philox.h"

namespace flowloom::cuda {

using Index = std::size_t;

using lanes::kSumBlock;
constexpr Index sum_blocks(Index sites) { return (sites + kSumBlock - 1) / kSumBlock; }

// Item: a pair of variables. What `of` makes of two uniforms at the addresses first + sample (spec/noise.h).
template <class Of>
struct DrawNoise {
  Of of;
  std::array<std::uint32_t, 2> key;
  std::uint64_t purpose, first;
  double* field;  // [variable][sample]
  Index variables, samples;

  constexpr void operator()(Index pair, Index sample) const {
    const auto numbers = of(uniform_pair<std::uint64_t>(key, purpose, first + sample, pair));
    field[2 * pair * samples + sample] = numbers[0];
    if (2 * pair + 1 < variables) field[(2 * pair + 1) * samples + sample] = numbers[1];
  }
};

// Item: an output site of a stencil. Outputs [first, first + kOut) of a convolution, kept in registers.
template <class Real, Index kOut>
struct Convolve {
  const Real *input, *weights, *bias;     // [place][in][sample], [tap][in][out], [out]
  const std::uint32_t *outputs, *inputs;  // the stencil's
  Index taps, in, out, first;
  Activation activation;
  Real* output;  // [place][out][sample]
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

// A field as a theory's formulas read it.
struct ReadField {
  const double* field;  // [component][site][sample]
  Index sites, samples, sample;
  constexpr double operator()(Index component, Index site) const {
    return field[(component * sites + site) * samples + sample];
  }
};

template <class Theory>
struct TheoryTerm {
  const double* field;
  Steps steps;
  Index samples;
  constexpr std::array<double, kLocalSums<Theory>> operator()(Index x, Index sample) const {
    return LocalDensities<Theory>::at(Cursor<ReadField>({field, steps.sites, samples, sample}, steps, x));
  }
};

// One sample's numbers of an array.
struct Cells {
  double* first;
  Index samples;
  constexpr double& operator[](Index i) const { return first[i * samples]; }
  constexpr Cells operator+(Index i) const { return {first + i * samples, samples}; }
};

// Item: none. A theory's functions of the whole field.
template <class Theory>
struct SumGlobally {
  GlobalSums<Theory> global;
  const double* field;
  Index sites;
  double *work, *sums;  // [cell][sample], [sum][sample]
  Index samples;

  constexpr void operator()(Index, Index sample) const {
    const auto own =
        global.template at<double>(ReadField{field, sites, samples, sample}, Cells{work + sample, samples});
    for (Index k = 0; k < GlobalSums<Theory>::kCount; ++k) sums[k * samples + sample] = own[k];
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

// Item: none. A value of each sample becomes a term, or takes it on.
struct Accumulate {
  enum class How { kStart, kAdd, kSubtract };
  How how;
  double constant;
  const double* term;  // [sample], or null: the constant
  double* value;       // [sample]

  constexpr void operator()(Index, Index sample) const {
    const double more = term ? term[sample] : constant;
    double& own = value[sample];
    own = how == How::kStart ? more : how == How::kAdd ? own + more : own - more;
  }
};

// Item: none. log_q from the noise's density and log_det of the map from noise, or of the one to it.
struct LogQ {
  const double *log_noise, *log_det;  // [sample]
  bool to_noise;
  double* log_q;

  constexpr void operator()(Index, Index sample) const {
    log_q[sample] = canonical(to_noise ? log_noise[sample] + log_det[sample] : log_noise[sample] - log_det[sample]);
  }
};

// Item: a variable. Between [variable][sample] and the caller's [sample][variable].
struct Transpose {
  bool to_caller;
  double *field, *callers;
  Index variables, samples;

  constexpr void operator()(Index i, Index sample) const {
    if (to_caller) {
      callers[sample * variables + i] = canonical(field[i * samples + sample]);
    } else {
      field[i * samples + sample] = callers[sample * variables + i];
    }
  }
};

// Item: none. The largest |difference(field, given)| of a variable; NaN if there is one.
template <class Difference>
struct LargestGap {
  Difference difference;
  const double *field, *given;
  Index variables;
  double* largest;  // [sample]
  Index samples;

  constexpr void operator()(Index, Index sample) const {
    double worst = 0.0;
    for (Index i = 0; i < variables; ++i) {
      worst = larger_gap(worst, difference(field[i * samples + sample], given[i * samples + sample]));
    }
    largest[sample] = canonical(worst);
  }
};

}  // namespace flowloom::cuda
