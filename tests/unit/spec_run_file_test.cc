// What a run file's reader says, sentence by sentence.
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "flow_cases.h"
#include "spec/run_spec.h"

namespace flowloom {
namespace {

const std::string kGood =
    "[run]\n"                       // 1
    "name = \"x\"\n"                // 2
    "[theory]\n"                    // 3
    "kind = \"phi4\"\n"             // 4
    "lattice = [4, 6]\n"            // 5
    "m2 = -1.0\n"                   // 6
    "lambda = 1.0\n"                // 7
    "[flow]\n"                      // 8
    "kind = \"affine-coupling\"\n"  // 9
    "[chain]\n"                     // 10
    "length = 1000\n";              // 11

// The good file with its first `from` replaced.
std::string with(const std::string& from, const std::string& to) {
  std::string text = kGood;
  return text.replace(text.find(from), from.size(), to);
}

// The good file and one more line, the twelfth, in [chain].
std::string with_chain(const std::string& line) { return kGood + line + "\n"; }

std::string refusal(const std::string& text, const std::vector<std::string>& overrides = {}) {
  ErrorCode code{};
  const std::string sentence = sentence_of(
      [&] {
        Document document = Document::parse(text, "r.toml");
        for (const std::string& assignment : overrides) document.set(assignment);
        load_run(document, catalog());
      },
      &code);
  if (!sentence.empty()) {
    EXPECT_EQ(code, ErrorCode::kInvalidInput);
  }
  return sentence;
}

RunSpec good(const std::string& extra = "", const std::vector<std::string>& overrides = {}) {
  Document document = Document::parse(kGood + extra, "r.toml");
  for (const std::string& assignment : overrides) document.set(assignment);
  return load_run(document, catalog());
}

TEST(RunFile, DefaultsAreFilledIn) {
  const RunSpec run = good();
  EXPECT_EQ(run.name, "x");
  EXPECT_EQ(run.unit, 1024u);
  EXPECT_EQ(run.numerics, (Numerics{"lanes", Precision::kMixed, kNumericsRevision}));
  EXPECT_EQ(run.theory.text("form"), "A");
  EXPECT_EQ(run.flow.integers("hidden"), (std::vector<std::int64_t>{8, 8}));
  EXPECT_EQ(run.flow.integer("kernel"), 3);
  EXPECT_EQ(run.train.batch, 1024u);
  EXPECT_EQ(run.train.gradient_unit, 128u);
  EXPECT_EQ(run.train.max_steps, 5000);
  EXPECT_FALSE(run.train.stop_ess);
  EXPECT_EQ(run.chain.length, 1000u);
  EXPECT_FALSE(run.chain.asap);
  EXPECT_FALSE(run.chain.until);
  EXPECT_EQ(run.chain.window, 1024u);
}

TEST(RunFile, WithoutVersionsTheTrainedOneServesFromTheFirstProposal) {
  const RunSpec run = good();
  ASSERT_EQ(run.chain.versions.size(), 1u);
  EXPECT_EQ(run.chain.versions[0].from, 0u);
  EXPECT_TRUE(run.chain.versions[0].when.trained);
  EXPECT_EQ(run.chain.versions[0].when.sentence(), "trained");
}

TEST(RunFile, TrainedIsShortForATable) {
  const RunSpec word = good("versions = [{ from = 0, when = \"trained\" }]\n");
  const RunSpec table = good("versions = [{ from = 0, when = { trained = true } }]\n");
  EXPECT_EQ(word.chain.versions[0].when, table.chain.versions[0].when);
  EXPECT_EQ(word.policy, table.policy);
}

TEST(RunFile, AVersionsIndexMovesUpToAUnitBoundary) {
  const RunSpec run = good(
      "versions = [{ from = 0, when = { ess = 0.3 } }, { from = 1025, when = { step = 9 } }, "
      "{ from = 4096, when = { file = \"m.safetensors\" } }]\n");
  ASSERT_EQ(run.chain.versions.size(), 3u);
  EXPECT_EQ(run.chain.versions[1].from, 2048u);
  EXPECT_EQ(run.chain.versions[2].from, 4096u);
  EXPECT_EQ(run.chain.versions[0].when.sentence(), "ESS >= 0.3");
  EXPECT_EQ(run.chain.versions[1].when.sentence(), "step 9");
  EXPECT_EQ(run.chain.versions[2].when.sentence(), "file m.safetensors");
}

TEST(RunFile, AGradientUnitIsAtMostTheBatch) { EXPECT_EQ(good("[train]\nbatch = 64\n").train.gradient_unit, 64u); }

TEST(RunFile, AWholeNumberIsARealOne) { EXPECT_EQ(good("", {"theory.m2=3"}).theory.real("m2"), 3.0); }

TEST(RunFile, TheLengthIsRoundedUpToUnits) {
  EXPECT_EQ(good().length_in_units(), 1u);
  EXPECT_EQ(good("", {"chain.length=1025"}).length_in_units(), 2u);
}

TEST(RunFile, AMistypedKeyGetsASuggestion) {
  EXPECT_EQ(refusal(with("lambda", "lamda")), "r.toml:7: [theory]: unknown key 'lamda'; did you mean 'lambda'?");
  EXPECT_EQ(refusal(with_chain("widnow = 3")), "r.toml:12: [chain]: unknown key 'widnow'; did you mean 'window'?");
}

TEST(RunFile, ARefusalIsOneLineOfPrintableText) {
  EXPECT_EQ(
      refusal(with("name = \"x\"", "name = \"a\\n\\u001b/\"")),
      "r.toml:2: [run] name = \"a\\n\\x1b/\" names a directory: use 1 to 128 bytes without '/' and without a leading "
      "dot.");
}

TEST(RunFile, ARefusalOfALongTextHasItsBeginningAndItsEnd) {
  const std::string sentence = refusal(with("lambda", std::string(100'000, 'x')));
  EXPECT_LT(sentence.size(), 2000u);
  EXPECT_TRUE(sentence.starts_with("r.toml:7: [theory]: unknown key 'xxx")) << sentence;
  EXPECT_TRUE(sentence.ends_with("it takes kind, lattice, form, m2, beta or lambda.")) << sentence;
}

TEST(RunFile, TablesInTablesHaveABound) {
  std::string key = "a";
  for (int i = 0; i < 40'000; ++i) key += ".a";  // to forget so many would overflow the stack
  EXPECT_EQ(refusal(with_chain(key + " = 1")),
            "r.toml has more than 10000 dots, which no run file needs; make it shorter.");
}

TEST(RunFile, AnUnknownKeyNamesTheKeysThereAre) {
  EXPECT_EQ(refusal(with("lambda", "coupling")),
            "r.toml:7: [theory]: unknown key 'coupling'; it takes kind, lattice, form, m2, beta or lambda.");
}

TEST(RunFile, AWrongTypeSaysWhatWasFound) {
  EXPECT_EQ(refusal(with("-1.0", "\"a\"")),
            "r.toml:6: [theory] m2: expected a number, found 'a'. Form A: the bare mass squared, in lattice "
            "units.");
  EXPECT_EQ(refusal(with("[4, 6]", "4")),
            "r.toml:5: [theory] lattice: expected a list of whole numbers, found 4. Extents in sites, periodic.");
  EXPECT_EQ(refusal(with("[4, 6]", "[4, 6.0]")),
            "r.toml:5: [theory] lattice: expected a list of whole numbers, found [ 4, 6.0 ]. Extents in "
            "sites, periodic.");
  EXPECT_EQ(refusal(with_chain("window = true")),
            "r.toml:12: [chain] window: expected a whole number, found true. Units that may be granted ahead of the "
            "last committed one; "
            "at least what all workers take at once.");
  EXPECT_EQ(refusal(with("name = \"x\"", "name = 3")),
            "r.toml:2: [run] name: expected a text in quotes, found 3. A name for people; also names the run "
            "directory.");
  EXPECT_EQ(refusal(with("name = \"x\"", "[run.name]\na = 1\nb = 2")),
            "r.toml:2: [run] name: expected a text in quotes, found a table. A name for people; also names the run "
            "directory.");
  EXPECT_EQ(refusal(with_chain("[train]\nstop = \"never\"")),
            "r.toml:13: [train] stop: expected a table { key = value, … }, found 'never'. When training "
            "stops: the first "
            "of its conditions.");
  EXPECT_EQ(refusal(with_chain("versions = [3]")),
            "r.toml:12: [chain] versions: expected a list of tables [ { key = value, … }, … ], found [ 3 ]. Which "
            "checkpoint serves from which proposal on; default: the trained one from the first.");
}

TEST(RunFile, AValueOutOfRangeSaysTheRange) {
  EXPECT_EQ(refusal(with("length = 1000", "length = 0")),
            "r.toml:11: [chain] length = 0 is out of range: it must be from 1 to 1000000000000000. "
            "Proposals; the chain "
            "stops at the first unit boundary at or after it.");
  EXPECT_EQ(refusal(with("[4, 6]", "[4, 1]")),
            "r.toml:5: [theory] lattice = 1 is out of range: it must be from 2 to 4096. Extents in sites, "
            "periodic.");
  EXPECT_EQ(refusal(with_chain("[train]\nlearning_rate = 0")),
            "r.toml:13: [train] learning_rate = 0.0 is out of range: it must be above 0.0 and at most 1.0. Adam's "
            "learning rate.");
  EXPECT_EQ(refusal(with_chain("until = { observable = \"m\", relative_error = 0 }")),
            "r.toml:12: [chain] until relative_error = 0.0 is out of range: it must be above 0.0. Its error "
            "divided by "
            "its mean.");
}

TEST(RunFile, NumbersMustBeFinite) {
  EXPECT_EQ(refusal(with("-1.0", "nan")),
            "r.toml:6: [theory] m2 = nan is not finite. Form A: the bare mass squared, in lattice units.");
  EXPECT_NE(refusal(with("-1.0", "inf")), "");
}

TEST(RunFile, AListOfTheWrongLengthSaysHowMany) {
  EXPECT_EQ(refusal(with("[4, 6]", "[]")),
            "r.toml:5: [theory] lattice has 0 elements; it takes 1 to 6. Extents in sites, periodic.");
}

TEST(RunFile, AMissingKeySaysWhatItMeans) {
  EXPECT_EQ(refusal(with("length = 1000\n", "")),
            "r.toml:10: [chain]: the key 'length' is missing: Proposals; the chain stops at the first unit "
            "boundary at or "
            "after it.");
  EXPECT_EQ(refusal(with("kind = \"phi4\"\n", "")),
            "r.toml:3: [theory]: the key 'kind' is missing: Which theory this is.");
  EXPECT_EQ(refusal(""), "r.toml: [run]: the key 'name' is missing: A name for people; also names the run directory.");
}

TEST(RunFile, AMissingSectionIsNamed) {
  EXPECT_EQ(refusal(with("[flow]\nkind = \"affine-coupling\"\n", "")),
            "r.toml: the section [flow] is missing; it needs at least 'kind': Which flow this is.");
}

TEST(RunFile, AnUnknownSectionGetsASuggestion) {
  EXPECT_EQ(refusal(with_chain("[trian]")), "r.toml:12: [trian]: unknown section; did you mean [train]?");
  EXPECT_EQ(refusal(with_chain("[gauge]")),
            "r.toml:12: [gauge]: unknown section; there are run, theory, flow, train or chain.");
  EXPECT_EQ(refusal("run = 3\n" + with("[run]\nname = \"x\"\n", "")), "r.toml:1: run: expected a section [run].");
}

TEST(RunFile, AnUnknownChoiceNamesTheChoices) {
  EXPECT_EQ(refusal(with("\"phi4\"", "\"phi5\"")),
            "r.toml:4: [theory] kind = \"phi5\" is not known; did you mean \"phi4\"?");
  EXPECT_EQ(refusal(with("name = \"x\"", "name = \"x\"\nprecision = \"half\"")),
            "r.toml:3: [run] precision = \"half\" is not known; it is one of: mixed or float64.");
  EXPECT_EQ(refusal(with("name = \"x\"", "name = \"x\"\nengine = \"tourch\"")),
            "r.toml:3: [run] engine = \"tourch\" is not known; did you mean \"torch\"?");
  EXPECT_EQ(refusal(with("m2 = -1.0", "form = \"C\"")),
            "r.toml:6: [theory] form = \"C\" is not known; it is one of: A or B.");
}

TEST(RunFile, ATextThatIsNoTomlGetsLineAndColumn) {
  EXPECT_TRUE(refusal(with("-1.0", "-1.0\nm2 = 2")).starts_with("r.toml:7:6: not valid TOML: "));
  EXPECT_TRUE(refusal(with("\"x\"", "\"x")).starts_with("r.toml:2:10: not valid TOML: "));
  EXPECT_TRUE(refusal("\xff\xfe").starts_with("r.toml:1:1: not valid TOML: "));
}

TEST(RunFile, KeysOfTheOtherFormOfTheActionAreRefused) {
  EXPECT_EQ(refusal(with("m2 = -1.0", "m2 = -1.0\nbeta = 1")),
            "r.toml:7: [theory] beta: form A of the action has no 'beta'; its keys are m2 and lambda.");
  EXPECT_EQ(refusal(with("m2 = -1.0\n", "")), "r.toml: [theory] m2 is missing: form A of the action needs it.");
  EXPECT_EQ(refusal(with("m2 = -1.0", "form = \"B\"")),
            "r.toml: [theory] beta is missing: form B of the action needs it.");
}

TEST(RunFile, AnActionWithoutAMinimumIsRefused) {
  const auto free = [](const std::string& keys) {
    std::string text = with("m2 = -1.0", keys);
    const auto at = text.find("lambda = ");
    return text.replace(at, text.find('\n', at) - at, "lambda = 0.0");
  };
  for (const char* keys : {"m2 = -1.0", "m2 = 0.0", "form = \"B\"\nbeta = 0.5"}) {
    EXPECT_NE(refusal(free(keys)).find("the action has no minimum"), std::string::npos) << keys;
  }
  for (const char* keys : {"m2 = 0.01", "form = \"B\"\nbeta = 0.49"})
    EXPECT_NO_THROW(load_run_text(free(keys), "r.toml"));
}

TEST(RunFile, LatticesThatTheFlowCannotCutAreRefused) {
  EXPECT_EQ(refusal(with("[4, 6]", "[4, 3]")),
            "r.toml:5: [theory] lattice = [4,3]: checkerboard couplings need even extents; use even numbers.");
  EXPECT_EQ(refusal(with("[4, 6]", "[4096, 4096, 4096]")),
            "r.toml:5: [theory] lattice: A lattice's extents must be at least 1 and give at most 2^31 sites.");
}

TEST(RunFile, AKernelMustBeOddAndFitTheLattice) {
  EXPECT_EQ(refusal(with("\"affine-coupling\"", "\"affine-coupling\"\nkernel = 4")),
            "r.toml:10: [flow] kernel = 4 must be odd, so that the convolution is centred.");
  EXPECT_EQ(refusal(with("\"affine-coupling\"", "\"affine-coupling\"\nkernel = 5")),
            "r.toml:10: [flow] kernel = 5 is wider than the lattice; use at most 3.");
}

TEST(RunFile, ABatchIsWholeGradientUnits) {
  EXPECT_EQ(refusal(with_chain("[train]\nbatch = 100\ngradient_unit = 64")),
            "r.toml:13: [train] batch = 100 must be a multiple of gradient_unit = 64.");
}

TEST(RunFile, VersionsMustRise) {
  EXPECT_EQ(refusal(with_chain("versions = [{ from = 3, when = \"trained\" }]")),
            "r.toml:12: [chain] versions from = 3 must be 0: the first version serves from the first proposal.");
  EXPECT_EQ(
      refusal(with_chain("versions = [\n  { from = 0, when = \"trained\" },\n  { from = 10, when = { step = 3 } },\n"
                         "  { from = 900, when = { step = 4 } }]")),
      "r.toml:15: [chain] versions from = 900 must lie at least one unit (1024 proposals) above the "
      "version before "
      "it.");
}

TEST(RunFile, AConditionIsExactlyOneThing) {
  for (const char* when : {"{ ess = 0.5, step = 3 }", "{ }", "{ trained = false }"}) {
    EXPECT_EQ(refusal(with_chain("versions = [\n{ from = 0, when = " + std::string(when) + " }]")),
              "r.toml:13: [chain] versions when: 'when' takes exactly one of: \"trained\", { ess = x }, { "
              "step = n }, { "
              "file = \"path\" }.");
  }
  EXPECT_EQ(refusal(with_chain("versions = [{ from = 0, when = \"train\" }]")),
            "r.toml:12: [chain] versions when = \"train\" is not known; it is one of: trained.");
  EXPECT_EQ(refusal(with_chain("versions = [{ from = 0, wen = 3, when = \"trained\" }]")),
            "r.toml:12: [chain] versions: unknown key 'wen'; did you mean 'when'?");
}

TEST(RunFile, AsapTakesNoVersions) {
  EXPECT_EQ(refusal(with_chain("placement = \"asap\"\nversions = [{ from = 0, when = \"trained\" }]")),
            "r.toml:13: [chain] versions: placement = \"asap\" serves versions as they arrive; remove "
            "'versions' or set "
            "placement = \"scheduled\".");
  EXPECT_TRUE(good("placement = \"asap\"\n").chain.versions.empty());
}

TEST(RunFile, AnUnknownObservableIsFoundAtItsLine) {
  const auto load = [](const std::string& line) {
    return sentence_of([&] { load_run_text(with_chain(line), "r.toml"); });
  };
  EXPECT_EQ(load("observable = \"chi3\""),
            "r.toml:12: [chain] observable: there is no observable 'chi3'; did you mean 'chi2'?");
  EXPECT_EQ(load("until = { observable = \"chi3\", relative_error = 0.1 }"),
            "r.toml:12: [chain] until observable: there is no observable 'chi3'; did you mean 'chi2'?");
}

TEST(RunFile, AnOverrideIsNamedAsTheOrigin) {
  EXPECT_EQ(refusal(kGood, {"train.batch=x"}),
            "--set train.batch=x: expected a whole number, found 'x'. Samples per step.");
  EXPECT_EQ(refusal(kGood, {"train.batchs=3"}), "--set train.batchs=3: unknown key 'batchs'; did you mean 'batch'?");
  EXPECT_EQ(refusal(kGood, {"trian.batch=3"}), "--set trian.batch=3: unknown section; did you mean [train]?");
  EXPECT_EQ(refusal(kGood, {"train.stop={steps=-3}"}),
            "--set train.stop={steps=-3} = -3 is out of range: it must be from 0 to 1000000000. Stop after "
            "this many steps.");
  EXPECT_EQ(refusal(kGood, {"theory.lattice=[4,3]"}),
            "--set theory.lattice=[4,3] = [4,3]: checkerboard couplings need even extents; use even numbers.");
}

TEST(RunFile, AnOverrideThatIsNoAssignmentIsRefused) {
  for (const char* bad : {"batch=3", "train.batch", ".batch=3", "train.=3", "=", ""}) {
    EXPECT_EQ(refusal(kGood, {bad}),
              "--set " + std::string(bad) + ": expected SECTION.KEY=VALUE, for example --set chain.length=100000.");
  }
  EXPECT_EQ(refusal(kGood, {"chain.length.x=3"}), "--set chain.length.x=3: 'length' is not a table.");
  EXPECT_TRUE(refusal(kGood, {"run.name=\"a"}).starts_with("--set run.name=\"a: the value is not valid TOML: "));
}

TEST(RunFile, OverridesReplaceAndAddKeys) {
  const RunSpec run = good("", {"chain.length=5000", "run.name=other", "train.stop.steps=7", "theory.lattice=[6,6]"});
  EXPECT_EQ(run.chain.length, 5000u);
  EXPECT_EQ(run.name, "other");
  EXPECT_EQ(run.train.max_steps, 7);
  EXPECT_EQ(run.theory.integers("lattice"), (std::vector<std::int64_t>{6, 6}));
}

TEST(RunFile, AsAcceptedItHoldsTheOverridesAndReadsTheSame) {
  const RunSpec run = good("[train]\nstop = { ess = 0.5 }\n", {"chain.length=5000", "run.name=other"});
  const RunSpec again = load_run_text(run.toml, "run.toml");
  EXPECT_EQ(again.identity_text(), run.identity_text());
  EXPECT_EQ(again.policy, run.policy);
  EXPECT_EQ(again.chain.length, 5000u);
}

TEST(RunFile, OneThatCannotBeReadIsNotFound) {
  ErrorCode code{};
  EXPECT_EQ(sentence_of([] { load_run_file("/nonexistent/r.toml"); }, &code),
            "The file '/nonexistent/r.toml' cannot be read; check its path and permissions, and that it "
            "is not empty.");
  EXPECT_EQ(code, ErrorCode::kNotFound);
  EXPECT_THROW(load_run_file("/"), Error);
}

TEST(RunFile, IsNamedWithoutItsDirectoryInSentences) {
  const auto file = std::filesystem::temp_directory_path() / ("flowloom_" + std::to_string(getpid()) + ".toml");
  {
    std::ofstream(file) << with("lambda", "lamda");
  }
  EXPECT_EQ(sentence_of([&] { load_run_file(file); }),
            file.filename().string() + ":7: [theory]: unknown key 'lamda'; did you mean 'lambda'?");
  std::filesystem::remove(file);
}

}  // namespace
}  // namespace flowloom
