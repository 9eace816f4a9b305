#include <gtest/gtest.h>

#include "flow_cases.h"
#include "spec/run_spec.h"

namespace flowloom {
namespace {

RunSpec run_with(const std::vector<std::string>& overrides) {
  Document document = Document::parse(
      "[run]\nname = \"x\"\nseed = 1\n[theory]\nkind = \"phi4\"\nlattice = [4, 4]\nm2 = -4\nlambda = 8\n"
      "[flow]\nkind = \"affine-coupling\"\n[chain]\nlength = 1000\n",
      "r.toml");
  for (const std::string& assignment : overrides) document.set(assignment);
  return load_run(document, catalog());
}

TEST(Identity, PolicyDoesNotTouchIt) {
  const RunSpec run = run_with({});
  for (const char* change :
       {"run.name=y", "chain.length=2000", "chain.window=3", "chain.lease=5", "chain.placement=asap", "train.batch=256",
        "train.learning_rate=0.1", "train.stop={ess=0.5}", "flow.layers=2", "flow.hidden=[4]", "chain.observable=m"}) {
    EXPECT_EQ(run_with({change}).identity(), run.identity()) << change;
    EXPECT_EQ(run_with({change}).noise_key(), run.noise_key()) << change;
    EXPECT_FALSE(policy_changes(run, run_with({change})).empty()) << change;
  }
}

TEST(Identity, TheoryNoiseUnitAndNumericsChangeIt) {
  const RunSpec run = run_with({});
  for (const char* change : {"theory.lambda=7", "theory.m2=-3", "theory.lattice=[4,6]", "run.seed=2",
                             "run.noise=shared", "run.unit=512", "run.precision=float64", "run.engine=torch"}) {
    EXPECT_NE(run_with({change}).identity(), run.identity()) << change;
    EXPECT_NE(identity_difference(run, run_with({change})), "") << change;
    EXPECT_TRUE(policy_changes(run, run_with({change})).empty()) << change;
  }
}

TEST(Identity, DefaultsAndSpellingsDoNotMatter) {
  const RunSpec run = run_with({});
  for (const char* same :
       {"theory.form=A", "theory.m2=-4.0", "theory.lambda=8e0", "run.unit=1_024", "run.engine=lanes"}) {
    EXPECT_EQ(run_with({same}).identity(), run.identity()) << same;
  }
}

TEST(Identity, ItsTextIsFixedForGood) {
  EXPECT_EQ(run_with({}).identity_text(),
            R"({"noise":"{\"seed\":1,\"theory\":{\"form\":\"A\",\"kind\":\"phi4\",\"lambda\":8.0,\"lattice\":[4,4],)"
            R"(\"m2\":-4.0}}","numerics":{"engine":"lanes","precision":"mixed","revision":2},)"
            R"("theory":{"form":"A","kind":"phi4","lambda":8.0,"lattice":[4,4],"m2":-4.0},"unit":1024})");
}

TEST(Identity, CouplingsNeverShareNoiseUnlessByName) {
  EXPECT_NE(run_with({}).noise_key(), run_with({"theory.lambda=7"}).noise_key());
  EXPECT_NE(run_with({}).noise_key(), run_with({"run.seed=2"}).noise_key());
  EXPECT_EQ(run_with({"run.noise=shared"}).noise_key(), run_with({"run.noise=shared", "theory.lambda=7"}).noise_key());
  EXPECT_EQ(run_with({"run.noise=shared"}).noise_key(), run_with({"run.noise=shared", "run.seed=2"}).noise_key());
}

TEST(Identity, TheUnitDoesNotChangeTheNoise) {
  EXPECT_EQ(run_with({}).noise_key(), run_with({"run.unit=512"}).noise_key());
}

TEST(Identity, ADifferenceNamesTheKeyAndBothValues) {
  EXPECT_EQ(identity_difference(run_with({"run.noise=a"}), run_with({"run.noise=a", "theory.lambda=7"})),
            "theory.lambda is 8.0 in the directory and 7.0 in the run file");
  EXPECT_EQ(identity_difference(run_with({}), run_with({"run.unit=512"})),
            "run.unit is 1024 in the directory and 512 in the run file");
  EXPECT_EQ(identity_difference(run_with({}), run_with({"run.seed=4"})),
            "run.seed is 1 in the directory and 4 in the run file");
  EXPECT_EQ(identity_difference(run_with({}), run_with({})), "");
}

TEST(Identity, APolicyChangeNamesTheKeyAndBothValues) {
  EXPECT_EQ(policy_changes(run_with({}), run_with({"chain.length=2000"})),
            (std::vector<std::string>{"chain.length: 1000 -> 2000"}));
  EXPECT_EQ(policy_changes(run_with({}), run_with({"train.stop={ess=0.5}"})),
            (std::vector<std::string>{"train.stop.ess: absent -> 0.5"}));
}

}  // namespace
}  // namespace flowloom
