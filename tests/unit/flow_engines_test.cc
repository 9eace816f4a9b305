#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <thread>

#include "flow_cases.h"

namespace flowloom {
namespace {

// $FLOWLOOM_ENGINE_DIR for the length of a test.
class EngineDirectory {
 public:
  explicit EngineDirectory(const std::string& directory) {
    if (const char* before = std::getenv("FLOWLOOM_ENGINE_DIR")) before_ = before;
    setenv("FLOWLOOM_ENGINE_DIR", directory.c_str(), 1);
  }
  ~EngineDirectory() {
    if (before_) {
      setenv("FLOWLOOM_ENGINE_DIR", before_->c_str(), 1);
    } else {
      unsetenv("FLOWLOOM_ENGINE_DIR");
    }
  }

 private:
  std::optional<std::string> before_;
};

TEST(OpenEngine, GivesTheSameEngineToEveryThread) {
  std::shared_ptr<const Engine> a, b;
  std::thread one([&] { a = open_engine("lanes"); });
  std::thread two([&] { b = open_engine("lanes"); });
  one.join();
  two.join();
  EXPECT_EQ(a, b);
  EXPECT_EQ(a->name(), "lanes");
}

TEST(OpenEngine, NamesTheEnginesThereAre) {
  ErrorCode code{};
  EXPECT_EQ(sentence_of([] { open_engine("tensorflow"); }, &code),
            "There is no engine \"tensorflow\"; use \"lanes\" or \"torch\".");
  EXPECT_EQ(code, ErrorCode::kInvalidInput);
}

TEST(OpenEngine, RunsLanesWhereItIsTold) {
  EXPECT_EQ(open_engine("lanes", "cpu:portable")->device(), "cpu, portable");
  EXPECT_EQ(open_engine("lanes", "cpu:portable")->build(), open_engine("lanes")->build());
  EXPECT_TRUE(open_engine("lanes", "cpu")->device().starts_with("cpu, "));
  const EngineDirectory without_gpu("/nonexistent/engines");
  EXPECT_EQ(open_engine("lanes", "auto")->device(), open_engine("lanes", "cpu")->device());
}

TEST(OpenEngine, NamesTheDevicesThereAre) {
  ErrorCode code{};
  EXPECT_THAT(sentence_of([] { open_engine("lanes", "cpu:mmx"); }, &code),
              testing::MatchesRegex("This processor has no device \"cpu:mmx\"; it has .*cpu:portable."));
  EXPECT_EQ(code, ErrorCode::kNotFound);
  EXPECT_EQ(sentence_of([] { open_engine("lanes", "gpu"); }, &code),
            "A device must be auto, cpu, cpu:SET as in cpu:avx2, or cuda:N as in cuda:0, not gpu.");
  EXPECT_EQ(code, ErrorCode::kInvalidInput);
  const EngineDirectory elsewhere("/nonexistent/engines");
  EXPECT_EQ(
      sentence_of([] { open_engine("lanes", "cuda:7"); }, &code),
      "The GPU's engine libflowloom_cuda.so is not in /nonexistent/engines. Build where nvcc is, name its directory in "
      "FLOWLOOM_ENGINE_DIR, or use --device cpu.");
  EXPECT_EQ(code, ErrorCode::kNotFound);
}

// In a child: this process may have the engine open already.
TEST(OpenEngineDeathTest, SaysWhereItLookedForAMissingModule) {
  const EngineDirectory elsewhere("/nonexistent/engines");
  EXPECT_EXIT(
      {
        ErrorCode code{};
        const std::string sentence = sentence_of([] { open_engine("torch"); }, &code);
        std::fputs(sentence.c_str(), stderr);
        std::_Exit(code == ErrorCode::kNotFound ? 7 : 1);
      },
      testing::ExitedWithCode(7),
      "The LibTorch engine libflowloom_torch.so is not in /nonexistent/engines. Build with "
      "-DFLOWLOOM_TORCH=ON, or name its directory in FLOWLOOM_ENGINE_DIR. Training needs it");
}

TEST(OpenEngineDeathTest, RefusesALibraryThatIsNoEngine) {
  const auto directory = std::filesystem::temp_directory_path() / ("flowloom_engine_" + std::to_string(getpid()));
  std::filesystem::create_directories(directory);
  {
    std::ofstream(directory / "libflowloom_torch.so") << "no library";
  }
  const EngineDirectory there(directory.string());
  EXPECT_EXIT(
      {
        const std::string sentence = sentence_of([] { open_engine("torch"); });
        std::fputs(sentence.c_str(), stderr);
        std::_Exit(7);
      },
      testing::ExitedWithCode(7), "The engine .*libflowloom_torch.so cannot be opened: ");
  std::filesystem::remove_all(directory);
}

}  // namespace
}  // namespace flowloom
