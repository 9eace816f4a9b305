#include "flow/checkpoint.h"

#include <bit>

#include "allocations.h"
#include "flow/safetensors.h"
#include "promises.h"
#include "targets.h"

namespace flowloom::fuzz {
namespace {

constexpr char kName[] = "x.safetensors";

// What a file of this size may make us allocate, all in all: a header of JSON is taken apart into nodes, and an
// architecture's tensors have names, at most 1024 layers of 33.
constexpr std::size_t bound(std::size_t size) { return (std::size_t{64} << 20) + 1000 * size; }

bool same_bits(const std::vector<double>& a, const std::vector<double>& b) {
  return std::ranges::equal(a, b, {}, std::bit_cast<std::uint64_t, double>, std::bit_cast<std::uint64_t, double>);
}

}  // namespace

void checkpoint(Bytes input) {
  const std::string bytes(input.begin(), input.end());
  Allocations allocations;
  const auto container = accepted([&] { return read_safetensors(bytes, kName); });
  const auto parsed = accepted([&] { return Checkpoint::parse(bytes, kName); });
  require(allocations.bytes() <= bound(bytes.size()), "Reading allocates no more than the file justifies.");
  require(container || !parsed, "A checkpoint is a safetensors file.");
  if (container) {
    const std::string written = write_safetensors(*container);
    require(write_safetensors(read_safetensors(written, kName)) == written, "What was written reads back the same.");
  }
  if (parsed) {
    const std::string written = parsed->bytes();
    const Checkpoint again = Checkpoint::parse(written, kName);
    require(again.bytes() == written, "A checkpoint's bytes are canonical.");
    require(same_bits(again.weights, parsed->weights) && same_bits(again.references.log_p, parsed->references.log_p) &&
                same_bits(again.references.log_q, parsed->references.log_q),
            "A checkpoint keeps every bit of its weights and references.");
    require(again.theory.values() == parsed->theory.values() && again.flow.values() == parsed->flow.values() &&
                again.training_step == parsed->training_step && again.precision == parsed->precision &&
                again.threshold == parsed->threshold,
            "A checkpoint keeps what it says of itself.");
  }
}

}  // namespace flowloom::fuzz
