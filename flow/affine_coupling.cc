#include "flow/affine_coupling.h"

#include <algorithm>

#include "spec/error.h"

namespace flowloom {
namespace {

void check_affine_coupling(const RunSpec& run) {
  const AnyTheory theory = make_theory(run.theory);
  const Geometry& geometry = theory_geometry(theory);
  if (!geometry.all_even()) {
    throw Error(ErrorCode::kInvalidInput, run.theory.where("lattice") + " = " +
                                              run.theory.values().at("lattice").dump() +
                                              ": checkerboard couplings need even extents; use even numbers.");
  }
  check_network(run.flow, geometry);
  if (run.flow.text("symmetry") == "z2" && run.flow.integers("hidden").empty() && !run.flow.flag("bias")) {
    throw Error(ErrorCode::kInvalidInput, run.flow.where("symmetry") +
                                              " = \"z2\": without hidden layers and bias every s is odd, and its even "
                                              "part, which the symmetry keeps, is zero; use a hidden layer or a bias.");
  }
  refuse_too_many_weights(AffineCouplingFlow(run.flow, theory), run.flow);
}

std::vector<Key> affine_coupling_keys() {
  std::vector<Key> keys = {
      {.name = "prior",
       .type = KeyType::kText,
       .sentence = "normal: independent standard normals. free-field: the free theory of action form A with a "
                   "learnt mass (arXiv:2211.07541).",
       .default_value = "normal",
       .choices = {"normal", "free-field"}},
      {.name = "prior_mass2",
       .type = KeyType::kReal,
       .sentence = "prior = \"free-field\": the mass squared that training starts from, in lattice units.",
       .default_value = 1.0,
       .min = 0,
       .max = 1e6,
       .above_min = true},
      {.name = "layers",
       .type = KeyType::kInteger,
       .sentence = "Coupling layers; two change every site once.",
       .default_value = 16,
       .min = 1,
       .max = 1024},
      {.name = "output",
       .type = KeyType::kText,
       .sentence = "On s and t, after the last convolution.",
       .default_value = "tanh",
       .choices = {"tanh", "identity"}},
      {.name = "symmetry",
       .type = KeyType::kText,
       .sentence = "z2: s is even and t is odd in the frozen variables, so that the flow has the symmetry phi -> "
                   "-phi exactly; its networks are evaluated twice.",
       .default_value = "none",
       .choices = {"none", "z2"}},
      {.name = "rescale",
       .type = KeyType::kFlag,
       .sentence = "A last layer that multiplies all variables by one learnt factor.",
       .default_value = false},
  };
  std::ranges::copy(network_keys(), std::back_inserter(keys));
  return keys;
}

}  // namespace

const Kind& AffineCouplingFlow::kind() {
  static const Kind kKind{
      .name = "affine-coupling",
      .sentence =
          "Checkerboard affine couplings (on lattices of even extents) whose s and t come from circular convolution "
          "networks.",
      .keys = affine_coupling_keys(),
      .check = check_affine_coupling,
  };
  return kKind;
}

AffineCouplingFlow::AffineCouplingFlow(const Section& section, const AnyTheory& theory)
    : Architecture(section.size("layers"), theory_geometry(theory).dimensions(),
                   NetworkShape(section, 1, 2, activation_named(section.text("output")))),
      prior_(section.text("prior") == "free-field" ? Prior::kFreeField : Prior::kNormal),
      z2_(section.text("symmetry") == "z2"),
      rescales_(section.flag("rescale")) {
  if (prior_ == Prior::kFreeField) add_number("prior.log_mass2", log(section.real("prior_mass2")));
  add_networks(section.real("init_scale"));
  if (rescales_) add_number("rescale.log", 0);
}

bool AffineCouplingFlow::couples() const {
  return network().kernel > 1 && std::ranges::any_of(network().dilation, [](std::int64_t d) { return d % 2 != 0; });
}

std::vector<CouplingSites> AffineCouplingFlow::masks(const Geometry& geometry) {
  if (!geometry.all_even()) {
    throw Error(ErrorCode::kInvalidInput, "A checkerboard needs a lattice whose extents are all even.");
  }
  std::vector<CouplingSites> masks(kMasks);
  for (std::size_t x = 0; x < geometry.sites(); ++x) {
    const auto parity = static_cast<std::size_t>(geometry.parity(x));
    masks[parity].outputs.push_back(static_cast<std::uint32_t>(x));
    masks[1 - parity].inputs.push_back(static_cast<std::uint32_t>(x));
  }
  return masks;
}

}  // namespace flowloom
