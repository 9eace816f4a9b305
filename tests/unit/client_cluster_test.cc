// Supervision, with shell scripts in the place of the programs.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <unistd.h>

#include <fstream>
#include <thread>

#include "client/local_cluster.h"
#include "spec/error.h"
#include "spec/files.h"

namespace flowloom {
namespace {

using namespace std::chrono_literals;
using testing::HasSubstr;

class Cluster : public testing::Test {
 protected:
  void SetUp() override {
    std::string name = (std::filesystem::temp_directory_path() / "flowloom_cluster_XXXXXX").string();
    ASSERT_NE(::mkdtemp(name.data()), nullptr);
    folder_ = name;
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  void script(const std::string& name, const std::string& body) {
    write_file_atomically(folder_ / name, "#!/bin/sh\n" + body + "\n", 0755);
  }
  std::filesystem::path run() const { return folder_ / "run"; }
  LocalCluster cluster(std::size_t workers = 1) {
    return LocalCluster({folder_, RunDirectory(run()), folder_ / "run.toml", {}, workers, "auto", false, 0, "info"});
  }
  // What a coordinator that serves does: announces itself with its own pid.
  std::string announce() const {
    return "echo "
           "\"{\\\"address\\\":\\\"127.0.0.1:1\\\",\\\"host\\\":\\\"h\\\",\\\"pid\\\":$$,\\\"epoch\\\":1}\" "
           "> " +
           (run() / "new").string() + " && mv " + (run() / "new").string() + " " +
           (run() / "coordinator.json").string();
  }

  template <class Condition>
  static bool soon(Condition condition) {
    for (int i = 0; i < 400; ++i, std::this_thread::sleep_for(10ms)) {
      if (condition()) return true;
    }
    return false;
  }

  std::filesystem::path folder_;
};

TEST_F(Cluster, WaitsUntilTheCoordinatorHasAnnouncedItself) {
  script("flowloom-coordinator", "sleep 0.1\n" + announce() + "\nexec sleep 60");
  LocalCluster programs = cluster();
  EXPECT_TRUE(programs.start_coordinator([] { return true; }));
  EXPECT_FALSE(programs.coordinator_left());
}

TEST_F(Cluster, PassesOnTheCoordinatorsSentenceAndItsExitCode) {
  script("flowloom-coordinator", "echo 'flowloom-coordinator: the directory holds another run.' >&2; exit 2");
  LocalCluster programs = cluster();
  try {
    programs.start_coordinator([] { return true; });
    FAIL() << "nothing was thrown";
  } catch (const Error& error) {
    EXPECT_STREQ(error.what(), "the directory holds another run.");
    EXPECT_EQ(exit_code(error.code()), 2);
  }
}

TEST_F(Cluster, DoesNotStartAgainWhatWasAskedForSomethingImpossible) {
  script("flowloom-coordinator", announce() + "\nexec sleep 60");
  script("flowloom-worker", "echo 'flowloom-worker: This processor has no device \"cpu:neon\".' >&2; exit 2");
  LocalCluster programs = cluster();
  ASSERT_TRUE(programs.start_coordinator([] { return true; }));
  programs.start_workers();
  std::string sentence;
  int code = 0;
  EXPECT_TRUE(soon([&] {
    try {
      programs.tick(LocalCluster::Clock::now(), true);
    } catch (const Error& error) {
      sentence = error.what();
      code = exit_code(error.code());
    }
    return !sentence.empty();
  }));
  EXPECT_THAT(sentence, HasSubstr("(worker-1)"));
  EXPECT_THAT(sentence, HasSubstr("This processor has no device \"cpu:neon\"; its log is "));
  EXPECT_EQ(code, 2);
}

TEST_F(Cluster, GivesUpWaitingWhenTold) {
  script("flowloom-coordinator", "exec sleep 60");
  LocalCluster programs = cluster();
  EXPECT_FALSE(programs.start_coordinator([] { return false; }));
}

TEST_F(Cluster, StartsAWorkerAgainThatDied) {
  script("flowloom-coordinator", announce() + "\nexec sleep 60");
  script("flowloom-worker", "echo started >> " + (folder_ / "starts").string() + "\nkill -9 $$");
  LocalCluster programs = cluster();
  programs.start_coordinator([] { return true; });
  programs.start_workers();
  std::vector<std::string> notices;
  const auto starts = [&] {
    for (std::string& notice : programs.tick(LocalCluster::Clock::now(), true)) notices.push_back(std::move(notice));
    return read_file(folder_ / "starts").size() / std::string("started\n").size();
  };
  EXPECT_TRUE(soon([&] { return std::filesystem::exists(folder_ / "starts") && starts() >= 2; }));
  EXPECT_THAT(notices.front(), HasSubstr("worker-1 was killed by signal 9 (Killed); starting it again (1 of 5)"));
}

TEST_F(Cluster, GivesUpOnAProgramThatKeepsDying) {
  script("flowloom-coordinator", announce() + "\nexec sleep 60");
  script("flowloom-worker", "echo 'flowloom-worker: no engine.' >&2; exit 1");
  LocalCluster programs = cluster();
  programs.start_coordinator([] { return true; });
  programs.start_workers();
  auto now = LocalCluster::Clock::now();
  std::string sentence;
  EXPECT_TRUE(soon([&] {
    now += 500ms;  // fifty times the real pace, so that pauses are short; six deaths still fall within a minute
    try {
      programs.tick(now, true);
    } catch (const Error& error) {
      sentence = error.what();
    }
    return !sentence.empty();
  }));
  EXPECT_THAT(sentence, testing::AllOf(HasSubstr("flowloom-worker (worker-1)"), HasSubstr("exit code 1"),
                                       HasSubstr("no engine;"), HasSubstr("worker-1.log")));
}

TEST_F(Cluster, LeavesAServerAloneWhoseTrainingFailed) {
  script("flowloom-coordinator", announce() + "\nexec sleep 60");
  script("flowloom-server", "exit 1");
  LocalCluster programs = cluster(0);
  programs.start_coordinator([] { return true; });
  programs.start_server();
  std::this_thread::sleep_for(200ms);
  EXPECT_THAT(programs.tick(LocalCluster::Clock::now(), false), testing::IsEmpty());
}

TEST_F(Cluster, LeavesAProgramAloneThatEndedInOrder) {
  script("flowloom-coordinator", announce() + "\nexec sleep 60");
  script("flowloom-worker", "exit 0");
  LocalCluster programs = cluster();
  programs.start_coordinator([] { return true; });
  programs.start_workers();
  std::this_thread::sleep_for(200ms);
  EXPECT_THAT(programs.tick(LocalCluster::Clock::now(), true), testing::IsEmpty());
}

TEST_F(Cluster, AsksServerAndCoordinatorToStopAndThenTheWorkers) {
  const std::string until_asked = "trap 'exit 0' TERM\nwhile :; do sleep 0.02; done";
  script("flowloom-coordinator", announce() + "\n" + until_asked);
  script("flowloom-server", until_asked);
  script("flowloom-worker", until_asked);
  LocalCluster programs = cluster(2);
  programs.start_coordinator([] { return true; });
  programs.start_server();
  programs.start_workers();
  std::this_thread::sleep_for(200ms);  // the traps are set
  programs.begin_stop();
  EXPECT_TRUE(soon([&] { return programs.coordinator_left(); }));
  EXPECT_FALSE(programs.all_ended());
  programs.stop_workers();
  EXPECT_TRUE(soon([&] { return programs.all_ended(); }));
}

TEST_F(Cluster, LeavesNoChildBehind) {
  script("flowloom-coordinator", announce() + "\ntrap '' TERM\nwhile :; do sleep 0.02; done");
  pid_t pid = 0;
  {
    LocalCluster programs = cluster();
    programs.start_coordinator([] { return true; });
    pid = static_cast<pid_t>(RunDirectory(run()).owner()->pid);
    EXPECT_EQ(::kill(pid, 0), 0);
  }
  EXPECT_EQ(::kill(pid, 0), -1);
}

TEST_F(Cluster, SaysThatAProgramIsMissing) {
  LocalCluster programs = cluster();
  EXPECT_THROW(programs.start_coordinator([] { return true; }), Error);
}

TEST(RestartPolicy, DoublesItsPausesAndGivesUpAtTheSixthDeath) {
  RestartPolicy policy;
  RestartPolicy::Clock::time_point now{};
  for (const auto pause : {200ms, 400ms, 800ms, 1600ms, 3200ms}) {
    const auto next = policy.died(now);
    ASSERT_TRUE(next);
    EXPECT_EQ(*next - now, pause);
    now = *next;
  }
  EXPECT_FALSE(policy.died(now));
}

TEST(RestartPolicy, ForgetsDeathsOlderThanAMinute) {
  RestartPolicy policy;
  for (int hour = 0; hour < 100; ++hour) {
    const RestartPolicy::Clock::time_point now{std::chrono::hours(hour)};
    EXPECT_EQ(*policy.died(now) - now, 200ms);
  }
}

TEST(Exit, IsNamedForPeople) {
  EXPECT_EQ((Exit{false, 3}).sentence(), "ended with exit code 3");
  EXPECT_EQ((Exit{true, SIGSEGV}).sentence(), "was killed by signal 11 (Segmentation fault)");
}

}  // namespace
}  // namespace flowloom
