#include "flow/checkpoint.h"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include "flow/safetensors.h"
#include "flow_cases.h"

namespace flowloom {
namespace {

Checkpoint checkpoint_of(const FlowCase& flow_case) {
  const RunSpec run = flow_case.run();
  Checkpoint checkpoint{.theory = run.theory,
                        .flow = run.flow,
                        .precision = flow_case.precision,
                        .training_step = 250,
                        .weights = FlowParts(flow_case).weights,
                        .references = {}};
  add_references(checkpoint, lane_engine());
  return checkpoint;
}

Checkpoint small(Precision precision = Precision::kMixed) {
  return checkpoint_of({.layers = 2, .hidden = {2}, .precision = precision});
}

// What `parse` says of the small checkpoint after `change` of its contents.
std::string refusal(const std::function<void(SafeTensors&)>& change, ErrorCode expected = ErrorCode::kCorrupt) {
  SafeTensors content = read_safetensors(small().bytes(), "m");
  change(content);
  ErrorCode code{};
  const std::string sentence =
      sentence_of([&] { Checkpoint::parse(write_safetensors(content), "m.safetensors"); }, &code);
  if (!sentence.empty()) {
    EXPECT_EQ(code, expected) << sentence;
  }
  return sentence;
}

TEST(Checkpoint, IsReadBackAsItWas) {
  for (const Precision precision : {Precision::kMixed, Precision::kFloat64}) {
    const Checkpoint written = small(precision);
    const Checkpoint read = Checkpoint::parse(written.bytes(), "m");
    EXPECT_EQ(read.theory.values(), written.theory.values());
    EXPECT_EQ(read.flow.values(), written.flow.values());
    EXPECT_EQ(read.precision, precision);
    EXPECT_EQ(read.training_step, 250);
    EXPECT_EQ(read.references.log_p, written.references.log_p);
    EXPECT_EQ(read.references.log_q, written.references.log_q);
    ASSERT_EQ(read.weights.size(), written.weights.size());
    for (std::size_t i = 0; i < read.weights.size(); ++i) {
      const double weight = written.weights[i];
      EXPECT_EQ(read.weights[i], precision == Precision::kMixed ? static_cast<float>(weight) : weight);
    }
  }
}

TEST(Checkpoint, KeepsItsThresholdIfItHasOne) {
  Checkpoint checkpoint = small();
  EXPECT_EQ(Checkpoint::parse(checkpoint.bytes(), "m").threshold, std::numeric_limits<double>::infinity());
  checkpoint.threshold = -1.0 / 3;
  EXPECT_EQ(Checkpoint::parse(checkpoint.bytes(), "m").threshold, checkpoint.threshold);
}

TEST(Checkpoint, EqualContentGivesEqualBytes) {
  const std::string bytes = small().bytes();
  EXPECT_EQ(small().bytes(), bytes);
  EXPECT_EQ(Checkpoint::parse(bytes, "m").bytes(), bytes);
}

TEST(Checkpoint, DrawsAreTheSameAfterReading) {
  const Checkpoint written = small();
  const Checkpoint read = Checkpoint::parse(written.bytes(), "m");
  const AnyTheory theory = make_theory(written.theory);
  const Draws a = make_model(written, theory, lane_engine())->draw(kTestKey, Purpose::kBase, 0, 3);
  const Draws b = make_model(read, theory, lane_engine())->draw(kTestKey, Purpose::kBase, 0, 3);
  EXPECT_EQ(a.log_q, b.log_q);
  EXPECT_EQ(a.fields, b.fields);
}

TEST(Checkpoint, ServesALatticeOfAnotherSizeAndAnotherCoupling) {
  const FlowCase larger{.lattice = {6, 8}, .layers = 1, .hidden = {}, .precision = Precision::kMixed, .lambda = 2.0};
  const Checkpoint checkpoint = small();
  EXPECT_NO_THROW(refuse_unfit(checkpoint, larger.run(), "m"));
  const Draws draws =
      make_model(checkpoint, theory_of(larger.run()), lane_engine())->draw(kTestKey, Purpose::kBase, 0, 2);
  EXPECT_EQ(draws.fields.size(), 2u * 48u);
}

TEST(Checkpoint, ATruncatedFileIsRefusedAtEveryLength) {
  const std::string bytes = small().bytes();
  for (std::size_t length = 0; length < bytes.size(); ++length) {
    EXPECT_THROW(Checkpoint::parse(bytes.substr(0, length), "m"), Error) << length;
  }
}

RC_GTEST_PROP(Checkpoint, FlippedBytesAreRefusedOrReadWithoutHarm, ()) {
  static const std::string kBytes = small().bytes();
  std::string bytes = kBytes;
  const auto flips = *rc::gen::nonEmpty(rc::gen::container<std::vector<std::pair<std::uint16_t, std::uint8_t>>>(
      rc::gen::arbitrary<std::pair<std::uint16_t, std::uint8_t>>()));
  for (const auto& [at, mask] : flips) bytes[at % bytes.size()] ^= static_cast<char>(mask);
  try {
    const Checkpoint read = Checkpoint::parse(bytes, "m");
    RC_ASSERT(read.architecture()->parameter_count() == read.weights.size());
    RC_ASSERT(
        std::all_of(read.weights.begin(), read.weights.end(), [](double weight) { return std::isfinite(weight); }));
    RC_ASSERT(Checkpoint::parse(read.bytes(), "m").weights == read.weights);
  } catch (const Error& error) {
    RC_ASSERT(error.code() == ErrorCode::kCorrupt || error.code() == ErrorCode::kInvalidInput);
  }
}

TEST(Checkpoint, AnotherFormatIsRefusedAsSuch) {
  EXPECT_EQ(refusal([](SafeTensors& content) { content.metadata["flowloom.format"] = "2"; }, ErrorCode::kInvalidInput),
            "m.safetensors has checkpoint format \"2\"; this build reads format 1. Use a newer build.");
}

TEST(Checkpoint, AForeignSafetensorsFileIsRefused) {
  EXPECT_EQ(refusal([](SafeTensors& content) { content.metadata = {{"format", "pt"}}; }),
            "m.safetensors is not a checkpoint: its metadata has no flowloom.format.");
}

TEST(Checkpoint, EveryPieceOfMetadataIsNeeded) {
  for (const auto& [key, text] : read_safetensors(small().bytes(), "m").metadata) {
    EXPECT_EQ(refusal([&](SafeTensors& content) { content.metadata.erase(key); }),
              "m.safetensors is not a checkpoint: its metadata has no " + key + ".");
  }
}

TEST(Checkpoint, SectionsAreCheckedLikeARunFiles) {
  const auto with = [](const std::string& key, const std::string& toml) {
    return refusal([&](SafeTensors& content) { content.metadata[key] = toml; });
  };
  EXPECT_EQ(with("flowloom.theory", "[theory]\nkind = \"phi4\"\nlattice = [4, 4]\nm2 = 1.0\nlamda = 1.0\n"),
            "m.safetensors (metadata):5: [theory]: unknown key 'lamda'; did you mean 'lambda'?");
  EXPECT_EQ(with("flowloom.theory", "[theory]\nkind = \"phi4\"\nlattice = [4, 4]\nlambda = 1.0\n"),
            "m.safetensors (metadata): [theory] m2 is missing: form A of the action needs it.");
  EXPECT_NE(with("flowloom.theory", "[theory]\nkind = \"phi4\"\nlattice = [3, 3]\nm2 = 1.0\nlambda = 1.0\n"), "");
  EXPECT_NE(with("flowloom.flow", "[flow\n"), "");
  EXPECT_NE(with("flowloom.flow", "[flow]\nkind = \"affine-coupling\"\nkernel = 2\n"), "");
  EXPECT_NE(with("flowloom.flow", "[flow]\nkind = \"affine-coupling\"\n[run]\nname = \"x\"\n"), "");
  EXPECT_NE(with("flowloom.flow", ""), "");
}

TEST(Checkpoint, AnArchitectureOfAbsurdSizeIsRefusedAtOnce) {
  std::string hidden = "4096";
  for (int i = 1; i < 32; ++i) hidden += ", 4096";
  const std::string sentence = refusal([&](SafeTensors& content) {
    content.metadata["flowloom.flow"] =
        "[flow]\nkind = \"affine-coupling\"\nlayers = 1024\nkernel = 3\nhidden = [" + hidden + "]\n";
  });
  EXPECT_NE(sentence.find("this flow would have more than 2^28 weights"), std::string::npos) << sentence;
}

TEST(Checkpoint, TensorsMustBeThoseOfTheArchitecture) {
  const std::string begin = "m.safetensors is not a checkpoint: ";
  EXPECT_EQ(refusal([](SafeTensors& content) { content.tensors.pop_back(); }),
            begin + "it has 7 tensors, its architecture 8.");
  EXPECT_EQ(refusal([](SafeTensors& content) { content.tensors[2].name = "layers.0.net.1.width"; }),
            begin + "tensor 2 is not 'layers.0.net.1.weight' as in its architecture.");
  EXPECT_EQ(refusal([](SafeTensors& content) { content.tensors[2].shape = {36}; }),
            begin + "tensor 'layers.0.net.1.weight' has shape [36], in its architecture [2,2,3,3].");
  EXPECT_EQ(refusal([](SafeTensors& content) { content.tensors[2].single = false; }),
            begin + "tensor 'layers.0.net.1.weight' has not the type of its precision.");
}

TEST(Checkpoint, WeightsMustBeFinite) {
  for (const double value : {std::nan(""), HUGE_VAL, -HUGE_VAL}) {
    EXPECT_EQ(refusal([&](SafeTensors& content) { content.tensors[1].values[0] = value; }),
              "m.safetensors is not a checkpoint: tensor 'layers.0.net.0.bias' has weights that are not finite.");
  }
}

TEST(Checkpoint, NumbersInTheMetadataMustBeNumbers) {
  const auto with = [](const std::string& key, const std::string& text) {
    return refusal([&](SafeTensors& content) { content.metadata[key] = text; });
  };
  const std::string begin = "m.safetensors is not a checkpoint: ";
  for (const char* text : {"", "-1", "1x", "1e3", "99999999999999999999"}) {
    EXPECT_EQ(with("flowloom.training_step", text), begin + "its flowloom.training_step is not a whole number.");
  }
  EXPECT_EQ(with("flowloom.precision", "double"), begin + "its flowloom.precision is neither mixed nor float64.");
  for (const char* text : {"", "none", "1e999", "[1]"}) {
    EXPECT_EQ(with("flowloom.threshold", text), begin + "its flowloom.threshold is no number.");
  }
  EXPECT_EQ(with("flowloom.references.log_p", "[1.0]"),
            begin + "its flowloom.references.log_p is not a list of 16 numbers.");
  EXPECT_EQ(with("flowloom.references.log_q", "{"),
            begin + "its flowloom.references.log_q is not a list of 16 numbers.");
  EXPECT_EQ(with("flowloom.references.log_q", "[]"), begin + "its references have unequal numbers of log_p and log_q.");
  EXPECT_EQ(with("flowloom.references.log_q", "[1,2,3,4,5,6,7,8,9,0,1,2,3,4,5,null]"),
            begin + "its flowloom.references.log_q has an element that is no number.");
}

TEST(ExactnessRule9, ReferencesAreReproducedByTheEngineThatMadeThem) {
  EXPECT_NO_THROW(verify_references(small(), lane_engine(), "m"));
}

TEST(ExactnessRule9, ReferencesShowPerturbedWeightsAndByHowMuch) {
  Checkpoint checkpoint = small();
  for (double& weight : checkpoint.weights) weight += 1e-3;
  ErrorCode code{};
  const std::string sentence = sentence_of([&] { verify_references(checkpoint, lane_engine(), "m"); }, &code);
  EXPECT_EQ(code, ErrorCode::kConflict);
  EXPECT_NE(sentence.find("m: this machine's log_p of reference draw 0 is "), std::string::npos) << sentence;
  EXPECT_NE(sentence.find("they differ by 0."), std::string::npos) << sentence;
  EXPECT_NE(sentence.find("allowed is 1.00"), std::string::npos) << sentence;
  EXPECT_NE(sentence.find("(engine lanes, float64)"), std::string::npos) << sentence;
}

TEST(ExactnessRule9, NanNeverMatchesAReference) {
  Checkpoint checkpoint = small();
  checkpoint.weights.back() = std::nan("");
  EXPECT_THROW(verify_references(checkpoint, lane_engine(), "m"), Error);
}

TEST(ExactnessRule9, WithoutReferencesNothingIsVerified) {
  Checkpoint checkpoint = small();
  checkpoint.references = {};
  EXPECT_EQ(Checkpoint::parse(checkpoint.bytes(), "m").references.log_p.size(), 0u);
  EXPECT_EQ(sentence_of([&] { verify_references(checkpoint, lane_engine(), "m"); }),
            "m carries no reference draws to verify this machine's numbers by.");
}

TEST(ExactnessRule9, WithoutReferencesItServesNoRun) {
  Checkpoint checkpoint = small();
  checkpoint.references = {};
  const std::string sentence = sentence_of([&] {
    refuse_unfit(checkpoint, FlowCase{.layers = 2, .hidden = {2}, .precision = Precision::kMixed}.run(), "m");
  });
  EXPECT_TRUE(sentence.starts_with("m does not fit the run: it carries no reference draws")) << sentence;
}

TEST(Checkpoint, ADivergedFlowGetsNoReferences) {
  Checkpoint checkpoint = small();
  checkpoint.weights.back() = std::nan("");
  ErrorCode code{};
  const std::string sentence = sentence_of([&] { add_references(checkpoint, lane_engine()); }, &code);
  EXPECT_EQ(code, ErrorCode::kHalted);
  EXPECT_NE(sentence.find("after 250 training steps"), std::string::npos) << sentence;
}

TEST(Checkpoint, OneThatDoesNotFitTheRunIsRefused) {
  const auto refusal_for = [](const FlowCase& flow_case, const Checkpoint& checkpoint) {
    return sentence_of([&] { refuse_unfit(checkpoint, flow_case.run(), "m"); });
  };
  EXPECT_EQ(refusal_for({.precision = Precision::kMixed}, small()), "");
  EXPECT_EQ(refusal_for({.precision = Precision::kFloat64}, small()),
            "m does not fit the run: its precision is mixed, the run's is float64.");
  EXPECT_EQ(refusal_for({.lattice = {4, 4, 4}, .precision = Precision::kMixed}, small()),
            "m does not fit the run: its lattice's dimension is 2, the run's is 3.");
  const Checkpoint wide = checkpoint_of({.lattice = {8, 8}, .layers = 2, .kernel = 7, .precision = Precision::kMixed});
  EXPECT_NE(refusal_for({.precision = Precision::kMixed}, wide).find("kernel = 7 is wider than the lattice"),
            std::string::npos);
}

}  // namespace
}  // namespace flowloom
