// Rule 6: a stop that looks at the chain is tested only at proposals 10000, 20000, 40000, … (moved up to a unit
// boundary), there always, and the log says so.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "coordinator_world.h"

namespace flowloom {
namespace {

using testing::HasSubstr;

constexpr std::size_t kUnit = 256;
constexpr std::uint64_t kFirst = 40 * kUnit;   // 10240, the boundary at or after 10000
constexpr std::uint64_t kSecond = 79 * kUnit;  // 20224

// One worker that computes what it is asked, and a coordinator that may be stopped after each event.
class Line {
 public:
  explicit Line(const RunText& text) : run_(text.run()), log_(run_) { log_.publish("a", {0}); }

  // `after_event` may fail writes from then on, or ask for a restart by returning true.
  void play(const std::function<bool(Line&)>& after_event = [](Line&) { return false; }) {
    start();
    for (int event = 0; event < 2000 && !core_->complete(); ++event) {
      if (after_event(*this)) start();
      if (grants_.empty()) {
        now_ += Time{100};
        core_->tick(now_);
      } else {
        const auto unit = grants_.front();
        grants_.erase(grants_.begin());
        core_->received(worker_, numbers_.sample(unit, run_.unit, log_.models[0]));
      }
      collect();
    }
    EXPECT_TRUE(core_->complete());
  }

  void start() {
    core_ = start_core(run_, log_);
    grants_.clear();
    core_->tick(now_);
    worker_ = core_->joined(hello(), now_);
    core_->received(worker_, ready(1));
    collect();
  }

  // The same directory with another policy.
  void change(const RunText& text) { run_ = text.run(); }

  MemoryLog& log() { return log_; }
  Core& core() { return *core_; }
  flowloom::v1::StatusReply status() { return core_->status(now_); }

  std::vector<EventRecord> events() const {
    std::vector<EventRecord> found;
    for (const Record& record : log_.records) {
      if (const auto* event = std::get_if<EventRecord>(&record)) found.push_back(*event);
    }
    return found;
  }

 private:
  void collect() {
    settle(*core_, log_, now_);
    for (const Core::Outgoing& out : core_->take_outgoing()) {
      if (out.message.has_sample()) grants_.push_back(out.message.sample().first_unit());
    }
  }

  RunSpec run_;
  MemoryLog log_;
  Numbers numbers_;
  std::unique_ptr<Core> core_;
  WorkerId worker_ = 0;
  std::vector<std::uint64_t> grants_;
  Time now_{0};
};

RunText until(double relative_error, std::uint64_t length = 30000) {
  return {.unit = kUnit,
          .length = length,
          .window = 3,
          .until = "{ observable = \"phi2\", relative_error = " + nlohmann::json(relative_error).dump() + " }"};
}

// The relative error of phi2 when `proposals` of the chain are done.
double relative_error(std::uint64_t proposals) {
  const RunSpec run = until(1).run();
  MemoryLog log(run);
  log.publish("a", {0});
  log.switches.push_back({0, 1, log.models[0].sha256});
  ChainStatistics statistics(make_theory(run.theory));
  for (const Record& record : reference_log(run, log, Numbers{})) {
    const auto* unit = std::get_if<UnitRecord>(&record);
    if (unit && unit->data.first_index < proposals) statistics.add(*unit);
  }
  EXPECT_EQ(statistics.proposals(), proposals);
  const auto estimate = statistics.observable("phi2").series.estimate();
  EXPECT_TRUE(estimate.reliable);
  return estimate.error / estimate.mean;
}

// Between the errors at the two grid points, and below it long before the second one.
double met_between_the_points() {
  const double bound = 0.5 * (relative_error(kFirst) + relative_error(kSecond));
  EXPECT_LT(relative_error(kSecond - 4 * kUnit), bound);
  EXPECT_GT(relative_error(kFirst), bound);
  return bound;
}

TEST(ExactnessRule6, AStopThatWasReachedLongBeforeFallsOnTheFirstGridPoint) {
  EXPECT_LT(relative_error(2 * kUnit), 0.5);
  Line line(until(0.5));
  line.play();
  EXPECT_EQ(line.log().frontier(), kFirst);
}

TEST(ExactnessRule6, AStopThatIsReachedBetweenGridPointsFallsOnTheNext) {
  Line line(until(met_between_the_points()));
  line.play();
  EXPECT_EQ(line.log().frontier(), kSecond);
}

TEST(ExactnessRule6, AStopThatIsNeverReachedLeavesTheLengthAlone) {
  Line line(until(1e-6));
  line.play();
  EXPECT_EQ(line.log().frontier(), 118 * kUnit);  // the boundary at or after 30000
  EXPECT_TRUE(line.events().empty());
}

TEST(ExactnessRule6, TheLogSaysThatTheDataChoseTheLength) {
  Line line(until(0.5));
  line.play();
  ASSERT_EQ(line.events().size(), 1u);
  EXPECT_EQ(line.events()[0].at, kFirst);
  EXPECT_THAT(line.events()[0].text, HasSubstr("the length was chosen by the data"));
  EXPECT_THAT(line.status().notes(), Contains(HasSubstr("The data chose the length")));
  EXPECT_EQ(line.status().length(), kFirst);
}

TEST(ExactnessRule6, AChainAsLongAsItsRunFileSaysWasNotStoppedByTheData) {
  Line line(until(0.5, kFirst));
  line.play();
  EXPECT_TRUE(line.events().empty());
}

TEST(ExactnessRule6, TheStopIsTheSameWhenTheCoordinatorDiesAfterEveryEvent) {
  Line calm(until(met_between_the_points()));
  calm.play();
  Line line(until(met_between_the_points()));
  bool again = false;
  line.play([&](Line&) { return again = !again; });
  EXPECT_EQ(line.log().head(), calm.log().head());
}

TEST(ExactnessRule6, TheStopIsTheSameWhenTheCoordinatorDiesBeforeItCouldWriteItDown) {
  Line calm(until(0.5));
  calm.play();
  Line line(until(0.5));
  bool died = false;
  line.play([&](Line& l) {
    l.log().fails = [&](const Write&) { return !died && l.log().frontier() == kFirst; };
    if (died || l.log().frontier() < kFirst) return false;
    EXPECT_TRUE(l.events().empty());
    l.log().fails = {};
    return died = true;
  });
  EXPECT_TRUE(died);
  EXPECT_EQ(line.log().head(), calm.log().head());
}

TEST(ExactnessRule6, TheStopIsTheSameWhenTheWriteBeforeItsTestFails) {
  Line calm(until(0.5));
  calm.play();
  Line line(until(0.5));
  int failures = 0;
  line.play([&](Line& l) {
    l.log().fails = [&](const Write&) { return l.log().frontier() + kUnit == kFirst && ++failures <= 3; };
    return false;
  });
  EXPECT_GE(failures, 3);
  EXPECT_EQ(line.log().head(), calm.log().head());
}

TEST(ExactnessRule6, TheStopIsNotShownBeforeItIsOnDisk) {
  Line line(until(0.5));
  bool seen = false;
  line.play([&](Line& l) {
    l.log().fails = [&](const Write&) { return !seen && l.log().frontier() == kFirst; };
    if (!seen && l.log().frontier() == kFirst) {
      EXPECT_EQ(l.status().length(), 118 * kUnit);
      EXPECT_NE(l.status().state(), flowloom::v1::StatusReply::STATE_COMPLETE);
      seen = true;
    }
    return false;
  });
  EXPECT_TRUE(seen);
  EXPECT_EQ(line.status().length(), kFirst);
}

TEST(ExactnessRule6, AStoppedChainStaysStoppedAfterARestart) {
  Line line(until(0.5));
  line.play();
  const Sha256 head = line.log().head();
  line.start();
  EXPECT_TRUE(line.core().complete());
  EXPECT_EQ(line.log().head(), head);
}

TEST(ExactnessRule6, AStoppedChainGoesOnIfItsOwnerAsksForASmallerError) {
  Line line(until(0.5));
  line.play();
  line.change(until(met_between_the_points()));
  line.play();
  EXPECT_EQ(line.log().frontier(), kSecond);
  EXPECT_EQ(line.events().size(), 2u);
}

TEST(ExactnessRule6, AStoppedChainGoesOnToItsLengthWithoutUntil) {
  Line line(until(0.5));
  line.play();
  RunText text = until(0.5);
  text.until.clear();
  line.change(text);
  line.play();
  EXPECT_EQ(line.log().frontier(), 118 * kUnit);
}

}  // namespace
}  // namespace flowloom
