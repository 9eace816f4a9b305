// Noise by address: every random number of a run is a pure function of (key, purpose, index, draw).
//
// Philox4x32-10 (Random123). Nothing here has state, so a proposal's noise does not depend on who draws it,
// in which batch or in which order. The addresses are fixed for good (docs/log-format.md); change nothing
// without a new numerics revision.
//
//   key       first 8 bytes of SHA-256(a JSON text of the theory's section and the seed), or of a noise name that runs
//             share on purpose
//   counter   (u64 index, u32 draw, u32 purpose)
//   block     four words -> two uniforms (top 53 bits + 1) 2^-53 in (0, 1] -> two normals by Box-Muller (radius from
//             the first, angle from the second); draw d holds components 2d and 2d+1, in site order
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string_view>

namespace flowloom {

// Only kBase and kAccept touch the chain.
enum class Purpose : std::uint32_t {
  kBase = 0,       // index i: the prior's draw of proposal i
  kAccept = 1,     // index i: the uniform of proposal i's accept test
  kTrain = 2,      // index step * 2^32 + sample
  kEval = 3,       // index step * 2^32 + sample: the trainer's own ESS
  kGate = 4,       // the decision to publish
  kReference = 5,  // the few draws whose log_p and log_q a checkpoint carries
  kAudit = 6,
  kInit = 7,    // index: the number of a parameter tensor; initial weights
  kTarget = 8,  // index step * 2^32 + sample: which sample of the target a step uses; + 2^63: an evaluation
  // A chain of plain MCMC (lattice/reference_chain.h). index: in a heat bath the running number of a link's update; in
  // HMC that of a trajectory, whose momenta come first and then the uniform of its accept test
  kReferenceChain = 9,
};

struct NoiseKey {
  std::array<std::uint32_t, 2> words{};

  // `identity` is hashed; its first 8 bytes, read as two little-endian words, are the key.
  static NoiseKey from(std::string_view identity);

  bool operator==(const NoiseKey&) const = default;
};

// Two uniforms in (0, 1].
std::array<double, 2> uniforms(NoiseKey key, Purpose purpose, std::uint64_t index, std::uint32_t draw);

// Fills `out` with components 0, 1, 2, ... of the standard normal vector at this address.
void fill_normal(NoiseKey key, Purpose purpose, std::uint64_t index, std::span<double> out);

// Fills `out` with components 0, 1, 2, ... of the uniform vector on (0, 1] at this address.
void fill_uniform(NoiseKey key, Purpose purpose, std::uint64_t index, std::span<double> out);

// Fills `out` with log u_i of the accept tests of proposals `first`, `first` + 1, ...; finite and at most 0.
void accept_log_u(NoiseKey key, std::uint64_t first, std::span<double> out);
inline double accept_log_u(NoiseKey key, std::uint64_t index) {
  double log_u;
  accept_log_u(key, index, {&log_u, 1});
  return log_u;
}

// The index of sample k of training (or evaluation) step s.
constexpr std::uint64_t training_index(std::uint64_t step, std::uint64_t sample) { return (step << 32) + sample; }

}  // namespace flowloom
