#include "worker/model_shelf.h"

#include <gtest/gtest.h>

#include "worker_fakes.h"

namespace flowloom {
namespace {

struct NoModel final : Model {
  Draws draw(NoiseKey, Purpose, std::uint64_t, std::size_t, Fields) const override { return {}; }
  Densities densities(std::span<const double>) const override { return {}; }
};

const Sha256 kA = sha256("a"), kB = sha256("b"), kC = sha256("c");

TEST(ModelShelf, KeepsTheModelsThatWereUsedLast) {
  ModelShelf shelf(2);
  shelf.serve(sha256("run"));
  shelf.put(kA, std::make_shared<NoModel>());
  shelf.put(kB, std::make_shared<NoModel>());
  EXPECT_TRUE(shelf.find(kA));
  shelf.put(kC, std::make_shared<NoModel>());
  EXPECT_TRUE(shelf.find(kA));
  EXPECT_FALSE(shelf.find(kB));
  EXPECT_TRUE(shelf.find(kC));
}

TEST(ModelShelf, IsClearedForAnotherRunOnly) {
  ModelShelf shelf;
  shelf.serve(sha256("run"));
  shelf.put(kA, std::make_shared<NoModel>());
  shelf.serve(sha256("run"));
  EXPECT_TRUE(shelf.find(kA));
  shelf.serve(sha256("another"));
  EXPECT_FALSE(shelf.find(kA));
}

TEST(LoadModel, RefusesWhatIsDamagedUnfitOrNotReproduced) {
  const RunSpec run = small_run();
  Checkpoint checkpoint = small_checkpoint("one");
  EXPECT_TRUE(load_model(checkpoint.bytes(), "version 1", run, lane_engine()));
  EXPECT_THROW(load_model(checkpoint.bytes().substr(1), "version 1", run, lane_engine()), Error);
  EXPECT_THROW(load_model(checkpoint.bytes(), "version 1", small_run("precision = \"float64\"\n"), lane_engine()),
               Error);
  checkpoint.references.log_q[3] += 0.5;
  try {
    load_model(checkpoint.bytes(), "version 1", run, lane_engine());
    FAIL();
  } catch (const Error& error) {
    EXPECT_NE(std::string(error.what()).find("log_q of reference draw 3"), std::string::npos) << error.what();
  }
}

}  // namespace
}  // namespace flowloom
