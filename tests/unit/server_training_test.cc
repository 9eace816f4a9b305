// The trainer as a program, against a registry in this process.
#include "server/training.h"

#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>

#include <atomic>
#include <map>
#include <mutex>
#include <thread>

#include "flowloom/v1/models.grpc.pb.h"
#include "program/rpc.h"
#include "server/training_store.h"
#include "server_fakes.h"
#include "spec/files.h"

namespace flowloom {
namespace {

using flowloom::v1::TrainingReport;
using std::chrono::milliseconds;
using Headers = std::vector<flowloom::v1::PublishHeader>;

class FakeRegistry final : public flowloom::v1::Models::Service {
 public:
  explicit FakeRegistry(const RunSpec& run) : toml_(run.toml) {}

  std::atomic<int> refuse_publishes = 0;  // the next so many are answered UNAVAILABLE
  std::atomic<bool> refuse_for_good = false;
  std::atomic<bool> refuse_reports = false;
  std::atomic<int> refuse_last_reports = 0;  // the next so many that say TRAINED are answered UNAVAILABLE

  Headers headers() const {
    const std::lock_guard lock(mutex_);
    return headers_;
  }
  std::atomic<bool> chain_complete = false;  // what trainers are told

  TrainingReport last_report() const {
    const std::lock_guard lock(mutex_);
    return reports_.back();
  }
  std::map<std::int64_t, flowloom::v1::TrainingPoint> record() const {  // as the store keeps it
    const std::lock_guard lock(mutex_);
    return record_;
  }
  void forget() {
    const std::lock_guard lock(mutex_);
    headers_.clear();
    bytes_.clear();
  }
  std::string bytes(std::size_t i) const {
    const std::lock_guard lock(mutex_);
    return bytes_.at(i);
  }

  grpc::Status Describe(grpc::ServerContext*, const flowloom::v1::DescribeRequest*,
                        flowloom::v1::DescribeReply* reply) override {
    const std::lock_guard lock(mutex_);
    reply->set_run_id("run");
    reply->set_run_file(toml_);
    for (const auto& header : headers_) {
      for (const std::uint32_t entry : header.scheduled()) reply->add_fulfilled(entry);
      reply->mutable_models()->add_versions()->set_sha256(header.sha256());
    }
    return grpc::Status::OK;
  }

  grpc::Status Publish(grpc::ServerContext*, grpc::ServerReader<flowloom::v1::PublishRequest>* reader,
                       flowloom::v1::PublishReply* reply) override {
    flowloom::v1::PublishRequest request;
    reader->Read(&request);
    const flowloom::v1::PublishHeader header = request.header();
    std::string bytes;
    while (reader->Read(&request)) {
      if (request.chunk().size() > limits::kChunkBytes) return {grpc::StatusCode::INVALID_ARGUMENT, "too large"};
      bytes += request.chunk();
    }
    if (refuse_for_good) return {grpc::StatusCode::FAILED_PRECONDITION, "This coordinator owns another run."};
    if (refuse_publishes-- > 0) return {grpc::StatusCode::UNAVAILABLE, "no room"};
    const Sha256 digest = sha256(bytes);
    if (header.sha256() != std::string(digest.begin(), digest.end()) || header.size() != bytes.size() ||
        header.run().run_id() != "run") {
      return {grpc::StatusCode::DATA_LOSS, "not whole"};
    }
    const std::lock_guard lock(mutex_);
    headers_.push_back(header);
    bytes_.push_back(bytes);
    reply->mutable_version()->set_version(static_cast<std::uint32_t>(headers_.size()));
    return grpc::Status::OK;
  }

  grpc::Status Report(grpc::ServerContext*, const TrainingReport* report, flowloom::v1::ReportReply* reply) override {
    const bool last = report->state() == TrainingReport::STATE_TRAINED;
    if (refuse_reports || (last && refuse_last_reports-- > 0)) return {grpc::StatusCode::UNAVAILABLE, "no room"};
    const std::lock_guard lock(mutex_);
    reports_.push_back(*report);
    for (const auto& point : report->points()) record_[point.step()] = point;
    reply->set_complete(chain_complete);
    return grpc::Status::OK;
  }

 private:
  std::string toml_;
  mutable std::mutex mutex_;
  Headers headers_;
  std::vector<std::string> bytes_;
  std::vector<TrainingReport> reports_;
  std::map<std::int64_t, flowloom::v1::TrainingPoint> record_;
};

class TrainingProgram : public ::testing::Test {
 protected:
  void serve(const RunSpec& run) {
    if (server_) server_->Shutdown(std::chrono::system_clock::now());
    registry_ = std::make_unique<FakeRegistry>(run);
    grpc::ServerBuilder builder;
    int port = 0;
    builder.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(), &port);
    builder.RegisterService(registry_.get());
    server_ = builder.BuildAndStart();
    write_file_atomically(directory_ / "token", "secret\n", 0600);
    address_ = "127.0.0.1:" + std::to_string(port);
  }

  TrainingOptions options() {
    TrainingOptions options;
    options.state = directory_ / "train";
    options.threads = 2;
    options.wait = milliseconds(20000);
    options.engines = [this](const RunSpec&) { return TrainingEngines(engine_); };
    return options;
  }

  PeerFinder finder() const {
    return PeerFinder({.directory = {}, .address = address_, .token_file = directory_ / "token", .insecure = false});
  }

  void train_it(std::stop_token stop = {}) { train(finder(), options(), stop); }

  TemporaryDirectory directory_;
  FakeEngine engine_;
  std::unique_ptr<FakeRegistry> registry_;
  std::unique_ptr<grpc::Server> server_;
  std::string address_;
};

const std::string kStop = "stop = { steps = 60 }\n";
const std::string kSchedule =
    "versions = [ { from = 0, when = { ess = 0.6 } }, { from = 16, when = { step = 37 } }, { from = 32, when "
    "= \"trained\" } ]\n";

TEST_F(TrainingProgram, PublishesEachVersionOfTheScheduleOnceAndEndsWhenAllAreThere) {
  serve(training_run(kStop, kSchedule));
  train_it();
  const Headers headers = registry_->headers();
  ASSERT_EQ(headers.size(), 3u);
  std::set<std::string> origins;
  for (std::size_t i = 0; i < headers.size(); ++i) {
    origins.insert(headers[i].origin());
    ASSERT_EQ(headers[i].scheduled_size(), 1);
    const Checkpoint checkpoint = Checkpoint::parse(registry_->bytes(i), "published");
    EXPECT_EQ(checkpoint.training_step, headers[i].training_step());
    EXPECT_EQ(checkpoint.references.log_q.size(), kReferenceDraws);
    if (headers[i].scheduled(0) == 0) {
      EXPECT_GE(headers[i].ess(), 0.6);
    }
    if (headers[i].scheduled(0) == 1) {
      EXPECT_EQ(headers[i].training_step(), 37);
    }
    if (headers[i].scheduled(0) == 2) {
      EXPECT_EQ(headers[i].training_step(), 60);
    }
    EXPECT_FALSE(std::isnan(headers[i].ess()));
  }
  EXPECT_EQ(origins, (std::set<std::string>{"ESS >= 0.6", "step 37", "trained"}));
  EXPECT_EQ(registry_->last_report().state(), TrainingReport::STATE_TRAINED);

  train_it();
  EXPECT_EQ(registry_->headers().size(), 3u) << "nothing is left to do";
}

TEST_F(TrainingProgram, ARefusalThatMayPassIsTriedAgain) {
  serve(training_run(kStop, kSchedule));
  registry_->refuse_publishes = 3;
  train_it();
  EXPECT_EQ(registry_->headers().size(), 3u);
}

TEST_F(TrainingProgram, ARefusalForGoodEndsTheTrainingWithItsSentence) {
  serve(training_run(kStop, kSchedule));
  registry_->refuse_for_good = true;
  const std::string sentence = sentence_of([&] { train_it(); });
  EXPECT_NE(sentence.find("owns another run"), std::string::npos) << sentence;
}

TEST_F(TrainingProgram, WaitsForItsCoordinatorOnlySoLong) {
  serve(training_run(kStop, kSchedule));
  server_->Shutdown(std::chrono::system_clock::now());
  TrainingOptions impatient = options();
  impatient.wait = milliseconds(300);
  ErrorCode code{};
  const std::string sentence = sentence_of([&] { train(finder(), impatient, {}); }, &code);
  EXPECT_EQ(code, ErrorCode::kUnavailable);
  EXPECT_NE(sentence.find("wait longer with --wait"), std::string::npos) << sentence;
}

TEST_F(TrainingProgram, StopsInOrderAndGoesOnToTheSameCheckpoints) {
  serve(training_run(kStop, kSchedule));
  train_it();
  std::map<std::string, std::string> straight;
  for (std::size_t i = 0; i < 3; ++i) straight[registry_->headers()[i].origin()] = registry_->bytes(i);

  std::filesystem::remove_all(directory_ / "train");
  registry_->forget();
  for (const std::uint64_t step : {5u, 36u, 37u, 59u}) {
    std::stop_source stop;
    engine_.disturb_gradient = [&](std::uint64_t first, Gradient&) {
      if (first >> 32 == step) stop.request_stop();
    };
    train_it(stop.get_token());
    EXPECT_EQ(registry_->last_report().state(), TrainingReport::STATE_STOPPED);
  }
  engine_.disturb_gradient = [](std::uint64_t, Gradient&) {};
  train_it();
  std::map<std::string, std::string> pieces;
  for (std::size_t i = 0; i < registry_->headers().size(); ++i)
    pieces[registry_->headers()[i].origin()] = registry_->bytes(i);
  EXPECT_EQ(pieces, straight);
}

TEST_F(TrainingProgram, ItsRecordArrivesWholeHoweverOftenItIsStopped) {
  const RunSpec run = load_run_text(
      [] {  // evaluations of many blocks, so that a stop falls into one
        std::string text = training_run(kStop + "record_every = 5\n", kSchedule).toml;
        return text.replace(text.find("evaluate_samples = 300"), 22, "evaluate_samples = 4000");
      }(),
      "test.toml");
  serve(run);
  train_it();
  const auto straight = registry_->record();
  std::vector<std::int64_t> steps;
  for (const auto& [step, point] : straight) {
    steps.push_back(step);
    EXPECT_EQ(std::isnan(point.ess()), step % 10 != 0) << step;
    EXPECT_EQ(point.samples(), 32 * step);
    EXPECT_EQ(point.batch(), 32);
    EXPECT_EQ(point.learning_rate(), 0.05);
    EXPECT_GE(point.core_seconds(), point.seconds());
  }
  EXPECT_EQ(steps, (std::vector<std::int64_t>{5, 10, 15, 20, 25, 30, 35, 40, 45, 50, 55, 60}));

  std::filesystem::remove_all(directory_ / "train");
  serve(run);
  registry_->refuse_reports = true;  // what is not delivered before a stop is delivered after it
  for (const std::uint64_t step : {5u, 36u, 37u}) {
    std::stop_source stop;
    engine_.disturb_gradient = [&](std::uint64_t first, Gradient&) {
      if (first >> 32 == step) stop.request_stop();
    };
    train_it(stop.get_token());
  }
  engine_.disturb_gradient = [](std::uint64_t, Gradient&) {};
  {  // between a step and its evaluation
    std::stop_source stop;
    engine_.disturb_draws = [&](std::uint64_t first, Draws&) {
      if (first >> 32 == 50) stop.request_stop();
    };
    train_it(stop.get_token());
    engine_.disturb_draws = [](std::uint64_t, Draws&) {};
  }
  EXPECT_TRUE(registry_->record().empty());
  registry_->refuse_reports = false;
  train_it();
  const auto pieces = registry_->record();
  ASSERT_EQ(pieces.size(), straight.size());
  for (const auto& [step, point] : straight) {
    EXPECT_EQ(pieces.at(step).loss(), point.loss()) << step;
    EXPECT_EQ(pieces.at(step).gradient_norm(), point.gradient_norm()) << step;
    const double ess = pieces.at(step).ess();
    EXPECT_TRUE(ess == point.ess() || (std::isnan(ess) && std::isnan(point.ess()))) << step;
  }
}

TEST_F(TrainingProgram, DoesNotLeaveBeforeItsLastReportAndPointHaveArrived) {
  serve(training_run(kStop, kSchedule));
  registry_->refuse_last_reports = 2;
  train_it();
  EXPECT_EQ(registry_->last_report().state(), TrainingReport::STATE_TRAINED);
  EXPECT_EQ(registry_->record().rbegin()->first, 60);
}

TEST_F(TrainingProgram, WhatTheCoordinatorNeverGotIsPublishedAfterARestart) {
  serve(training_run(kStop, kSchedule));
  std::stop_source stop;
  registry_->refuse_publishes = 1 << 20;
  engine_.disturb_gradient = [&](std::uint64_t first, Gradient&) {
    if (first >> 32 == 45) stop.request_stop();
  };
  train_it(stop.get_token());
  EXPECT_TRUE(registry_->headers().empty());
  engine_.disturb_gradient = [](std::uint64_t, Gradient&) {};
  registry_->refuse_publishes = 0;
  train_it();
  ASSERT_EQ(registry_->headers().size(), 3u);
  EXPECT_LT(registry_->headers()[0].training_step(), 45);
}

TEST_F(TrainingProgram, EndingShortOfAConditionSaysSoAndGoesOnOnceTheStopIsRaised) {
  const std::string schedule = "versions = [ { from = 0, when = { ess = 0.97 } } ]\n";
  serve(training_run("stop = { steps = 10 }\n", schedule));
  ErrorCode code{};
  const std::string sentence = sentence_of([&] { train_it(); }, &code);
  EXPECT_EQ(code, ErrorCode::kHalted);
  EXPECT_TRUE(sentence.starts_with("Training stopped at step 10 with ESS ")) << sentence;
  EXPECT_NE(sentence.find("short of 'ESS >= 0.97'; raise [train] stop.steps"), std::string::npos) << sentence;
  EXPECT_EQ(registry_->last_report().state(), TrainingReport::STATE_FAILED);
  EXPECT_EQ(registry_->last_report().sentence(), sentence);

  serve(training_run("stop = { steps = 500 }\n", schedule));
  train_it();
  ASSERT_EQ(registry_->headers().size(), 1u);
  EXPECT_EQ(registry_->last_report().state(), TrainingReport::STATE_TRAINED);
}

TEST_F(TrainingProgram, AsapPublishesGainsAndTheEnd) {
  serve(training_run(kStop, "placement = \"asap\"\n"));
  train_it();
  const Headers headers = registry_->headers();
  ASSERT_GE(headers.size(), 2u);
  EXPECT_EQ(headers.front().training_step(), 10);
  EXPECT_EQ(headers.back().training_step(), 60);
  for (const auto& header : headers) EXPECT_EQ(header.scheduled_size(), 0);
  for (std::size_t i = 1; i + 1 < headers.size(); ++i) EXPECT_GE(headers[i].ess(), 1.25 * headers[i - 1].ess());
}

// What spoils the ESS of one candidate on its gate draws, in the order in which they are made.
std::function<void(Draws&)> spoil_candidate(std::size_t number) {
  constexpr std::size_t kBlocks = kGateDraws / 256;
  return [number, drawn = std::make_shared<std::atomic<std::size_t>>(0)](Draws& draws) {
    if ((*drawn)++ / kBlocks != number) return;
    for (double& log_p : draws.log_p) log_p *= 1000;
  };
}

TEST_F(TrainingProgram, AnEntryWhoseStateTheGateRefusesGetsTheVersionBefore) {
  serve(training_run(kStop, kSchedule));
  engine_.disturb_gate_draws = spoil_candidate(1);
  train_it();
  const Headers headers = registry_->headers();
  ASSERT_EQ(headers.size(), 3u);
  EXPECT_EQ(headers[1].scheduled(0), 1u);
  EXPECT_EQ(headers[1].sha256(), headers[0].sha256());
  EXPECT_EQ(headers[2].scheduled(0), 2u);
  EXPECT_NE(headers[2].sha256(), headers[0].sha256());
  EXPECT_TRUE(std::filesystem::exists(directory_ / "train" / "step-000000037.safetensors")) << "it is kept";

  registry_->forget();  // the trainer remembers what it decided
  train_it();
  const Headers again = registry_->headers();
  ASSERT_EQ(again.size(), 3u);
  for (std::size_t i = 0; i < 3; ++i) EXPECT_EQ(again[i].sha256(), headers[i].sha256());
}

TEST_F(TrainingProgram, SaysWhyTheGateRefusedTheLastState) {
  serve(training_run(kStop, kSchedule));
  engine_.disturb_gate_draws = spoil_candidate(2);
  train_it();
  EXPECT_EQ(registry_->last_report().state(), TrainingReport::STATE_TRAINED);
  EXPECT_NE(
      registry_->last_report().sentence().find("The flow after 60 training steps is kept and not published: its ESS"),
      std::string::npos)
      << registry_->last_report().sentence();
}

TEST_F(TrainingProgram, FailsWithTheGatesSentenceIfNothingWasPublishedBefore) {
  engine_.round_trip = 1;
  for (const std::string& chain : {kSchedule, std::string("placement = \"asap\"\n")}) {
    serve(training_run(kStop, chain));
    std::filesystem::remove_all(directory_ / "train");
    ErrorCode code{};
    const std::string sentence = sentence_of([&] { train_it(); }, &code);
    EXPECT_EQ(code, ErrorCode::kHalted);
    EXPECT_NE(sentence.find("its inverse misses a draw of its own by 1"), std::string::npos) << sentence;
    EXPECT_EQ(registry_->last_report().state(), TrainingReport::STATE_FAILED);
    EXPECT_EQ(registry_->last_report().sentence(), sentence);
    EXPECT_TRUE(registry_->headers().empty());
  }
}

TEST_F(TrainingProgram, AsapPublishesNothingForAStateThatTheGateRefuses) {
  serve(training_run("publish_gain = 1.001\n" + kStop, "placement = \"asap\"\n"));
  engine_.disturb_gate_draws = spoil_candidate(1);
  train_it();
  EXPECT_EQ(registry_->last_report().state(), TrainingReport::STATE_TRAINED);
  const Headers headers = registry_->headers();
  ASSERT_GE(headers.size(), 2u);
  EXPECT_EQ(headers[0].training_step(), 10);
  EXPECT_GT(headers[1].training_step(), 20);
  EXPECT_TRUE(std::filesystem::exists(directory_ / "train" / "step-000000020.safetensors"));
}

TEST_F(TrainingProgram, EndsWhenTheChainIsCompleteAndKeepsItsState) {
  serve(training_run("stop = { steps = 1000000 }\n", "placement = \"asap\"\n"));
  registry_->chain_complete = true;
  train_it();
  EXPECT_EQ(registry_->last_report().state(), TrainingReport::STATE_STOPPED);
  EXPECT_EQ(registry_->last_report().sentence(), "the chain is complete, or was drained");
  EXPECT_TRUE(
      TrainingStore(directory_ / "train").load(training_run("stop = { steps = 1000000 }\n", "placement = \"asap\"\n")));
}

TEST_F(TrainingProgram, AScheduleOfFilesNeedsNoTraining) {
  serve(training_run("", "versions = [ { from = 0, when = { file = \"x.safetensors\" } } ]\n"));
  TrainingOptions without = options();
  without.engines = [](const RunSpec&) -> TrainingEngines { throw Error(ErrorCode::kNotFound, "no engine"); };
  EXPECT_NO_THROW(train(finder(), without, {}));
  EXPECT_EQ(registry_->last_report().state(), TrainingReport::STATE_TRAINED);
}

TEST_F(TrainingProgram, AMissingEngineIsReported) {
  serve(training_run(kStop, kSchedule));
  TrainingOptions without = options();
  without.engines = [](const RunSpec&) -> TrainingEngines { throw Error(ErrorCode::kNotFound, "no engine"); };
  EXPECT_EQ(sentence_of([&] { train(finder(), without, {}); }), "no engine");
  EXPECT_EQ(registry_->last_report().state(), TrainingReport::STATE_FAILED);
  EXPECT_EQ(registry_->last_report().sentence(), "no engine");
}

}  // namespace
}  // namespace flowloom
