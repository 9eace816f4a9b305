// The server's end of a shared step, against a coordinator whose words a test writes.
#include "server/sharing.h"

#include <gtest/gtest.h>
#include <spdlog/spdlog.h>

#include <atomic>
#include <functional>
#include <future>
#include <map>

#include "flowloom/v1/training.grpc.pb.h"
#include "program/rpc.h"
#include "spec/files.h"
#include "spec/numerics.h"
#include "spec/packing.h"
#include "temporary_directory.h"

namespace flowloom {
namespace {

using flowloom::v1::ShareReply;
using flowloom::v1::ShareRequest;

constexpr std::chrono::seconds kDeadline{20};
const Sha256 kTraining = sha256("settings");
const std::vector<double> kWeights = {1, 2, 3};  // offered weights must stay until the step is withdrawn

// Serves `script` for each stream.
class FakeSharer {
 public:
  using Stream = grpc::ServerReaderWriter<ShareReply, ShareRequest>;
  using Script = std::function<grpc::Status(Stream&)>;

  explicit FakeSharer(Script script) : service_(std::move(script)) {
    spdlog::set_level(spdlog::level::off);
    grpc::ServerBuilder builder;
    int port = 0;
    builder.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(), &port);
    builder.SetMaxReceiveMessageSize(static_cast<int>(limits::kMessageBytes));
    builder.RegisterService(&service_);
    server_ = builder.BuildAndStart();
    address_ = "127.0.0.1:" + std::to_string(port);
    write_file_atomically(directory_ / "token", "secret");
    std::filesystem::permissions(directory_ / "token", std::filesystem::perms::owner_read);
  }
  ~FakeSharer() { server_->Shutdown(std::chrono::system_clock::now()); }

  PeerFinder finder() const {
    return PeerFinder({.directory = {}, .address = address_, .token_file = directory_ / "token"});
  }
  int streams() const { return service_.streams; }

  static ShareReply workers(std::uint32_t count) {
    ShareReply reply;
    reply.set_workers(count);
    return reply;
  }

 private:
  struct Service final : flowloom::v1::Training::Service {
    explicit Service(Script s) : script(std::move(s)) {}
    grpc::Status Share(grpc::ServerContext*, Stream* stream) override {
      ++streams;
      return script(*stream);
    }
    Script script;
    std::atomic<int> streams = 0;
  };

  TemporaryDirectory directory_;
  Service service_;
  std::unique_ptr<grpc::Server> server_;
  std::string address_;
};

ShareReply gradient(const ShareRequest& request, std::uint32_t unit, std::size_t more = 0) {
  ShareReply reply = FakeSharer::workers(1);
  auto* answer = reply.mutable_gradient();
  answer->set_step(request.step().step());
  answer->set_unit(unit);
  answer->set_slopes(pack(std::vector<double>(request.step().weights().size() / sizeof(double) + more, unit)));
  answer->set_log_w(pack(std::vector<double>(request.step().unit_size())));
  return reply;
}

// Offers `weights` until a step was taken: until the coordinator has told of a worker none is.
void offer(Sharing& sharing, std::int64_t number, const std::vector<double>& weights, std::size_t units,
           const GradientHelp::Arrived& arrived, const std::function<bool()>& taken) {
  const auto end = std::chrono::steady_clock::now() + kDeadline;
  while (!taken() && std::chrono::steady_clock::now() < end) {
    sharing.offer({number, weights, units, 4, 1}, arrived);
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
}

TEST(Sharing, CarriesAStepOutAndItsGradientsIn) {
  std::promise<ShareRequest> offered;
  std::promise<flowloom::v1::Taken> taken;
  FakeSharer sharer([&](FakeSharer::Stream& stream) {
    stream.Write(FakeSharer::workers(1));
    bool first = true;
    for (ShareRequest request; stream.Read(&request);) {
      if (request.has_taken()) taken.set_value(request.taken());
      if (!request.has_step() || !std::exchange(first, false)) continue;
      stream.Write(gradient(request, 5));
      offered.set_value(request);
    }
    return grpc::Status::OK;
  });
  std::promise<std::pair<std::size_t, Gradient>> arrived;
  std::once_flag once;
  Sharing sharing(sharer.finder(), "run", kTraining);
  auto request = offered.get_future();
  offer(
      sharing, 7, kWeights, 6,
      [&](std::size_t unit, Gradient found) {
        std::call_once(once, [&] { arrived.set_value({unit, std::move(found)}); });
      },
      [&] { return request.wait_for(std::chrono::seconds(0)) == std::future_status::ready; });
  ASSERT_EQ(request.wait_for(kDeadline), std::future_status::ready);
  const auto step = request.get().step();
  EXPECT_EQ(step.run().run_id(), "run");
  EXPECT_EQ(step.step(), 7);
  EXPECT_EQ(step.units(), 6u);
  EXPECT_EQ(step.unit_size(), 4u);
  EXPECT_EQ(step.taken(), 1u);
  EXPECT_EQ(step.training(), std::string(kTraining.begin(), kTraining.end()));
  EXPECT_EQ(step.revision(), kGradientRevision);
  EXPECT_EQ(unpack(step.weights()), kWeights);
  auto answer = arrived.get_future();
  ASSERT_EQ(answer.wait_for(kDeadline), std::future_status::ready);
  const auto [unit, found] = answer.get();
  EXPECT_EQ(unit, 5u);
  EXPECT_EQ(found.sum, (std::vector<double>{5, 5, 5}));
  EXPECT_EQ(found.log_w.size(), 4u);
  sharing.taken(2);  // from one thread
  sharing.taken(1);  // and from another
  auto told = taken.get_future();
  ASSERT_EQ(told.wait_for(kDeadline), std::future_status::ready);
  EXPECT_EQ(told.get().units(), 2u);
  sharing.withdraw();
}

// Of another step or of another size: none of them reaches the trainer.
TEST(Sharing, DropsWhatDoesNotBelongToTheStep) {
  std::promise<void> written;
  FakeSharer sharer([&](FakeSharer::Stream& stream) {
    stream.Write(FakeSharer::workers(1));
    ShareRequest request;
    if (!stream.Read(&request)) return grpc::Status::OK;
    ShareReply other = gradient(request, 1);
    other.mutable_gradient()->set_step(request.step().step() + 1);
    stream.Write(other);
    stream.Write(gradient(request, 2, 1));
    ShareReply few = gradient(request, 3);
    few.mutable_gradient()->set_log_w("");
    stream.Write(few);
    ShareReply torn = gradient(request, 3);
    torn.mutable_gradient()->mutable_slopes()->pop_back();
    stream.Write(torn);
    stream.Write(gradient(request, 4));
    written.set_value();
    while (stream.Read(&request)) {
    }
    return grpc::Status::OK;
  });
  std::mutex mutex;
  std::set<std::size_t> units;
  Sharing sharing(sharer.finder(), "run", kTraining);
  auto done = written.get_future();
  const auto arrived_any = [&] {
    const std::lock_guard lock(mutex);
    return !units.empty();
  };
  offer(
      sharing, 7, kWeights, 6,
      [&](std::size_t unit, Gradient) {
        const std::lock_guard lock(mutex);
        units.insert(unit);
      },
      arrived_any);
  ASSERT_EQ(done.wait_for(kDeadline), std::future_status::ready);
  sharing.withdraw();
  EXPECT_EQ(units, std::set<std::size_t>{4});
}

TEST(Sharing, DropsWhatComesAfterTheStep) {
  std::promise<void> offered, withdrawn;
  FakeSharer sharer([&](FakeSharer::Stream& stream) {
    stream.Write(FakeSharer::workers(1));
    ShareRequest first;
    while (stream.Read(&first) && !first.has_step()) {
    }
    offered.set_value();
    withdrawn.get_future().wait_for(kDeadline);
    stream.Write(gradient(first, 1));
    for (ShareRequest request; stream.Read(&request);) {
      if (request.has_step() && request.step().step() == 8) stream.Write(gradient(request, 2));
    }
    return grpc::Status::OK;
  });
  Sharing sharing(sharer.finder(), "run", kTraining);
  auto there = offered.get_future();
  const auto nobody = [](std::size_t, Gradient) { ADD_FAILURE(); };
  offer(sharing, 7, kWeights, 6, nobody,
        [&] { return there.wait_for(std::chrono::seconds(0)) == std::future_status::ready; });
  sharing.withdraw();
  withdrawn.set_value();
  std::atomic<bool> arrived = false;
  sharing.offer({8, kWeights, 6, 4, 1}, [&](std::size_t unit, Gradient) {
    EXPECT_EQ(unit, 2u);
    arrived = true;
  });
  for (const auto end = std::chrono::steady_clock::now() + kDeadline;
       !arrived && std::chrono::steady_clock::now() < end;) {
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  EXPECT_TRUE(arrived);
  sharing.withdraw();
}

TEST(Sharing, NothingIsOfferedWithoutAWorker) {
  std::atomic<int> steps = 0;
  std::promise<void> connected, joins;
  FakeSharer sharer([&](FakeSharer::Stream& stream) {
    stream.Write(FakeSharer::workers(0));
    connected.set_value();
    joins.get_future().wait_for(kDeadline);
    stream.Write(FakeSharer::workers(1));
    for (ShareRequest request; stream.Read(&request);) {
      if (!request.has_step()) continue;
      EXPECT_GE(request.step().step(), 100) << "was offered before there was a worker";
      ++steps;
    }
    return grpc::Status::OK;
  });
  Sharing sharing(sharer.finder(), "run", kTraining);
  ASSERT_EQ(connected.get_future().wait_for(kDeadline), std::future_status::ready);
  const auto nobody = [](std::size_t, Gradient) { ADD_FAILURE(); };
  for (int i = 0; i < 20; ++i) {
    sharing.offer({i, kWeights, 6, 4, 1}, nobody);
    sharing.taken(1);
    sharing.withdraw();
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
  }
  joins.set_value();
  offer(sharing, 100, kWeights, 6, nobody, [&] { return steps > 0; });
  EXPECT_GT(steps, 0);
}

// The first worker comes while a step is being done: it is offered that, from where the trainer is by now.
TEST(Sharing, AStepUnderWayIsOfferedToTheFirstWorkerThatComes) {
  std::promise<void> connected, joins;
  std::promise<ShareRequest> offered;
  FakeSharer sharer([&](FakeSharer::Stream& stream) {
    stream.Write(FakeSharer::workers(0));
    connected.set_value();
    joins.get_future().wait_for(kDeadline);
    stream.Write(FakeSharer::workers(1));
    for (ShareRequest request; stream.Read(&request);) {
      if (request.has_step()) offered.set_value(request);
    }
    return grpc::Status::OK;
  });
  Sharing sharing(sharer.finder(), "run", kTraining);
  ASSERT_EQ(connected.get_future().wait_for(kDeadline), std::future_status::ready);
  sharing.offer({7, kWeights, 6, 4, 1}, [](std::size_t, Gradient) { ADD_FAILURE(); });
  sharing.taken(3);
  joins.set_value();
  auto request = offered.get_future();
  ASSERT_EQ(request.wait_for(kDeadline), std::future_status::ready);
  const auto step = request.get().step();
  EXPECT_EQ(step.step(), 7);
  EXPECT_EQ(step.taken(), 3u);
  EXPECT_EQ(unpack(step.weights()), kWeights);
  sharing.withdraw();
}

TEST(Sharing, ARefusalIsFinal) {
  std::promise<void> refused;
  FakeSharer sharer([&](FakeSharer::Stream& stream) {
    stream.Write(FakeSharer::workers(1));
    refused.set_value();
    return grpc::Status(grpc::StatusCode::FAILED_PRECONDITION, "Another run.");
  });
  Sharing sharing(sharer.finder(), "run", kTraining);
  ASSERT_EQ(refused.get_future().wait_for(kDeadline), std::future_status::ready);
  std::this_thread::sleep_for(std::chrono::milliseconds(500));  // several times what a retry waits
  EXPECT_EQ(sharer.streams(), 1);
}

TEST(Sharing, ComesBackAfterALostStream) {
  std::promise<void> again;
  std::atomic<int> streams = 0;
  FakeSharer sharer([&](FakeSharer::Stream& stream) {
    if (++streams == 1) return grpc::Status(grpc::StatusCode::UNAVAILABLE, "Going down.");
    if (streams == 2) again.set_value();
    for (ShareRequest request; stream.Read(&request);) {
    }
    return grpc::Status::OK;
  });
  Sharing sharing(sharer.finder(), "run", kTraining);
  EXPECT_EQ(again.get_future().wait_for(kDeadline), std::future_status::ready);
}

// Its slopes would not fit into a message, or all units' together not into memory.
TEST(Sharing, AStepThatIsTooLargeStaysHere) {
  std::atomic<int> steps = 0;
  std::promise<void> connected;
  FakeSharer sharer([&](FakeSharer::Stream& stream) {
    stream.Write(FakeSharer::workers(1));
    connected.set_value();
    for (ShareRequest request; stream.Read(&request);) steps += request.has_step();
    return grpc::Status::OK;
  });
  Sharing sharing(sharer.finder(), "run", kTraining);
  ASSERT_EQ(connected.get_future().wait_for(kDeadline), std::future_status::ready);
  const auto nobody = [](std::size_t, Gradient) { ADD_FAILURE(); };
  const std::vector<double> many(limits::kMessageBytes / sizeof(double)), some(1 << 10);
  for (int i = 0; i < 20; ++i) {
    sharing.offer({i, many, 2, 4, 1}, nobody);
    sharing.offer({i, some, limits::kSharedBytes / (some.size() * sizeof(double)) + 1, 4, 1}, nobody);
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  EXPECT_EQ(steps, 0);
  offer(sharing, 21, some, 2, nobody, [&] { return steps > 0; });
  EXPECT_GT(steps, 0);
  sharing.withdraw();
}

}  // namespace
}  // namespace flowloom
