// Prints the bits of the lane engine on a few small flows of every kind, of the elementary functions and of the noise:
// two machines that print the same lines compute the same (lanes_bits_test.py compares them). Fails if two instruction
// sets of this machine differ.
//
// Besides sources of ours it takes headers alone (no TOML, no OpenSSL, no library of Highway's), so that it can be
// compiled for a processor none of whose libraries are installed.
#include <cinttypes>
#include <cstdio>
#include <functional>

#include "flow/lanes/instruction_set.h"
#include "math/elementary.h"

namespace flowloom {
namespace {

using Json = nlohmann::json;

// "exp float: 6c5b1a… (3ff… 3ff… 3ff… 3ff…)": FNV-1a's hash of the encodings, and four of them to look at.
std::string line(const std::string& what, const std::vector<double>& numbers) {
  const auto hex = [](std::uint64_t word) {
    char digits[17];
    std::snprintf(digits, sizeof digits, "%016" PRIx64, word);
    return std::string(digits);
  };
  std::uint64_t hash = 0xcbf29ce484222325;
  for (const double number : numbers) {
    for (int byte = 0; byte < 8; ++byte) hash = (hash ^ (bits(number) >> 8 * byte & 0xff)) * 0x100000001b3;
  }
  std::string text = what + ": " + hex(hash) + " (";
  for (std::size_t i = 0; i < 4; ++i) text += (i > 0 ? " " : "") + hex(bits(numbers.at(numbers.size() * i / 4)));
  return text + ")";
}

// A function over 2^16 encodings at equal distances (subnormals and NaNs of either sign among them), at the edges, and
// over 2^16 numbers in [-bound, bound].
template <class Real>
std::string line_of(const std::string& name, double bound, const std::function<Real(Real)>& function) {
  using Limits = std::numeric_limits<Real>;
  constexpr int kCount = 1 << 16;
  std::vector<Real> inputs{
      Real(0),       Real(-0.0),          Limits::infinity(),   -Limits::infinity(),   Limits::min(),
      Limits::max(), Limits::quiet_NaN(), Limits::denorm_min(), -Limits::denorm_min(), Limits::lowest()};
  for (int i = 0; i < kCount; ++i) {
    inputs.push_back(
        from_bits(static_cast<BitsOf<Real>>(i) * static_cast<BitsOf<Real>>(~BitsOf<Real>{0} / kCount | 1)));
    inputs.push_back(static_cast<Real>(bound * (2.0 * i / kCount - 1.0)));
  }
  std::vector<double> results;
  for (const Real input : inputs) results.push_back(static_cast<double>(function(input)));
  return line(name + (sizeof(Real) == 4 ? " float" : " double"), results);
}

template <class Real>
void add_elementary(std::vector<std::string>& lines) {
  lines.push_back(line_of<Real>("exp", sizeof(Real) == 4 ? 110 : 750, [](Real x) { return exp(x); }));
  lines.push_back(line_of<Real>("tanh", sizeof(Real) == 4 ? 11 : 21, [](Real x) { return tanh(x); }));
}

constexpr NoiseKey kKey{{0x243f6a88, 0x85a308d3}};
constexpr std::uint64_t kFirst = 0xfffffff5;  // so that the upper half of the index changes within a block

std::vector<std::string> plain_lines() {
  std::vector<std::string> lines;
  add_elementary<float>(lines);
  add_elementary<double>(lines);
  lines.push_back(line_of<double>("log", 4, [](double x) { return log(x); }));
  lines.push_back(line_of<double>("turn's cosine", 1, [](double x) { return turn(x).cos; }));
  lines.push_back(line_of<double>("turn's sine", 1, [](double x) { return turn(x).sin; }));
  std::vector<double> normals(1001), accept;
  fill_normal(kKey, Purpose::kBase, kFirst, normals);
  for (std::uint64_t i = 0; i < 1000; ++i) accept.push_back(accept_log_u(kKey, kFirst + i));
  lines.push_back(line("normals", normals));
  lines.push_back(line("accept_log_u", accept));
  return lines;
}

struct Flow {
  std::string name;
  Json lattice;
  Json keys;  // of the flow's section, where they are not the default
  double weight_factor = 1;
  double log_mass2 = 0.25, log_scale = 0.25;  // of the free field and of the rescaling
};

const std::vector<Flow>& flows() {
  static const std::vector<Flow> kFlows{
      {"4x6 leaky-relu", {4, 6}, {{"layers", 4}, {"hidden", {5, 4}}}},
      {"4x6 tanh z2 free-field rescale",
       {4, 6},
       {{"layers", 3},
        {"hidden", {15}},
        {"activation", "tanh"},
        {"symmetry", "z2"},
        {"prior", "free-field"},
        {"rescale", true}}},
      // More sites of either parity than a block of a sum has.
      {"12x12 silu dilation identity",
       {12, 12},
       {{"layers", 2},
        {"hidden", {8, 3}},
        {"activation", "silu"},
        {"dilation", {1, 2, 1}},
        {"bias", false},
        {"output", "identity"}}},
      {"4x2x6 relu z2 free-field, kernel 1",
       {4, 2, 6},
       {{"layers", 2},
        {"hidden", {3}},
        {"activation", "relu"},
        {"symmetry", "z2"},
        {"prior", "free-field"},
        {"kernel", 1}}},
      {"4x4x4 without hidden layers", {4, 4, 4}, {{"layers", 3}, {"hidden", Json::array()}, {"rescale", true}}},
      // Finite numbers, infinities and NaNs.
      {"4x6 overflowing", {4, 6}, {{"layers", 4}, {"hidden", {3}}, {"output", "identity"}}, 3},
      // Networks see fields near 1e-38, whose last digits are lost in float; the fields that come out are near 1e-316.
      {"4x6 subnormal",
       {4, 6},
       {{"layers", 3}, {"hidden", {4}}, {"bias", false}, {"prior", "free-field"}, {"rescale", true}},
       1,
       175,
       -640},
  };
  return kFlows;
}

// A checked section as the reader of run files would make it.
Section section(const Kind& kind, Json values) {
  for (const Key& key : kind.keys) {
    if (!key.default_value.is_null() && !values.contains(key.name)) values[key.name] = key.default_value;
  }
  return Section(kind.name, std::move(values), Json::object());
}

void add_flow(std::vector<std::string>& lines, const lanes::InstructionSet& set, const std::string& name,
              const AnyTheory& theory, const AnyFlow& architecture, const std::vector<double>& weights) {
  for (const Precision precision : {Precision::kMixed, Precision::kFloat64}) {
    const auto model = set.make_model(theory, architecture, weights, precision);
    const Draws draws = model->draw(kKey, Purpose::kBase, kFirst, 21);
    const Densities densities = model->densities(draws.fields);
    const auto add = [&](const std::string& what, const std::vector<double>& numbers) {
      lines.push_back(line(name + ", " + to_string(precision) + ", " + what, numbers));
    };
    add("draw's log_p", draws.log_p);
    add("draw's log_q", draws.log_q);
    add("draw's sums", draws.sums);
    add("draw's fields", draws.fields);
    add("densities' log_p", densities.log_p);
    add("densities' log_q", densities.log_q);
    add("densities' round trip", densities.round_trip);
  }
}

// A theory and a flow by their keys, with its first weights.
template <class Theory, class Flow>
void add_kinds(std::vector<std::string>& lines, const lanes::InstructionSet& set, const std::string& name,
               const Json& theory_keys, const Json& flow_keys) {
  const AnyTheory theory = Theory(section(Theory::kind(), theory_keys));
  const AnyFlow architecture = Flow(section(Flow::kind(), flow_keys), theory);
  add_flow(lines, set, name, theory, architecture, architecture->initial_weights(kKey));
}

// Of gauge fields on 4x4.
void add_gauge_flows(std::vector<std::string>& lines, const lanes::InstructionSet& set) {
  const Json lattice = {4, 4}, pure = {{"lattice", lattice}, {"beta", 1.5}};
  add_kinds<U1Gauge, GaugeCouplingFlow>(lines, set, "u1 spline", pure, {{"layers", 9}, {"hidden", {3}}, {"bins", 4}});
  add_kinds<Schwinger, GaugeCouplingFlow>(lines, set, "schwinger mixture",
                                          {{"lattice", lattice}, {"beta", 1.5}, {"kappa", 0.276}},
                                          {{"layers", 3}, {"hidden", {2}}, {"map", "mixture"}, {"components", 3}});
  add_kinds<Su2Gauge, SpectralCouplingFlow>(lines, set, "su2", pure, {{"layers", 9}, {"hidden", {3}}, {"bins", 4}});
  add_kinds<Su3Gauge, SpectralCouplingFlow>(lines, set, "su3", pure, {{"layers", 3}, {"hidden", {2}}, {"bins", 3}});
}

std::vector<std::string> lines_of(const lanes::InstructionSet& set) {
  std::vector<std::string> lines;
  for (const Flow& flow : flows()) {
    const AnyTheory theory = Phi4(section(Phi4::kind(), {{"lattice", flow.lattice}, {"m2", -0.5}, {"lambda", 0.5}}));
    const AffineCouplingFlow architecture(section(AffineCouplingFlow::kind(), flow.keys), theory);
    std::vector<double> weights = architecture.initial_weights(kKey);
    for (double& weight : weights) weight *= flow.weight_factor;
    if (architecture.prior() == Prior::kFreeField) weights.front() = flow.log_mass2;
    if (architecture.rescales()) weights.back() = flow.log_scale;
    add_flow(lines, set, flow.name, theory, architecture, weights);
  }
  add_gauge_flows(lines, set);
  return lines;
}

int run() {
  const std::vector<lanes::InstructionSet> sets = lanes::instruction_sets();
  std::string names;
  for (const lanes::InstructionSet& set : sets) names += " " + set.name;
  std::printf("instruction sets:%s\n", names.c_str());
  for (const std::string& text : plain_lines()) std::puts(text.c_str());
  const std::vector<std::string> lines = lines_of(sets.front());
  for (const std::string& text : lines) std::puts(text.c_str());
  for (const lanes::InstructionSet& set : sets) {
    const std::vector<std::string> own = lines_of(set);
    for (std::size_t i = 0; i < lines.size(); ++i) {
      if (own[i] == lines[i]) continue;
      std::fprintf(stderr, "%s: %s\n%s: %s\n", sets.front().name.c_str(), lines[i].c_str(), set.name.c_str(),
                   own[i].c_str());
      return 1;
    }
  }
  return 0;
}

}  // namespace
}  // namespace flowloom

int main() { return flowloom::run(); }
