#include "coordinator/services.h"

#include <future>

#include "chain/states_reply.h"
#include "coordinator/edge.h"
#include "coordinator/listening.h"
#include "coordinator/read_ahead.h"
#include "coordinator/streams.h"
#include "flowloom/v1/chain.grpc.pb.h"
#include "flowloom/v1/coordinator.grpc.pb.h"
#include "flowloom/v1/models.grpc.pb.h"
#include "flowloom/v1/training.grpc.pb.h"
#include "spec/error.h"

namespace flowloom {
namespace {

namespace v1 = flowloom::v1;
using grpc::CallbackServerContext;

// Why a stream that follows the chain ends: that is complete; or the run was drained, or the coordinator goes down,
// which is thrown.
template <class Stream>
typename Stream::Step end_of_stream(const Core& core) {
  if (core.complete()) return Stream::Step::kEnd;
  if (core.over()) throw Error(ErrorCode::kHalted, "The run was drained; start its coordinator again to go on.");
  throw going_down();
}

class WorkService final : public v1::Coordinator::CallbackService {
 public:
  explicit WorkService(const Edge& edge) : edge_(edge) {}

  grpc::ServerBidiReactor<v1::WorkerMessage, v1::CoordinatorMessage>* Work(CallbackServerContext* context) override {
    return WorkReactor::start(edge_.brain(), edge_.permission(context, "flowloom.v1.Coordinator/Work"));
  }

 private:
  const Edge& edge_;
};

class TrainingService final : public v1::Training::CallbackService {
 public:
  explicit TrainingService(const Edge& edge) : edge_(edge) {}

  grpc::ServerBidiReactor<v1::ShareRequest, v1::ShareReply>* Share(CallbackServerContext* context) override {
    return ShareReactor::start(edge_.brain(), edge_.permission(context, "flowloom.v1.Training/Share"),
                               [this](const v1::Target& target) { edge_.check(target); });
  }

 private:
  const Edge& edge_;
};

class ModelsService final : public v1::Models::CallbackService {
 public:
  explicit ModelsService(const Edge& edge) : edge_(edge) {}

  grpc::ServerReadReactor<v1::PublishRequest>* Publish(CallbackServerContext* context,
                                                       v1::PublishReply* reply) override {
    return PublishReactor::start(edge_.brain(), edge_.permission(context, "flowloom.v1.Models/Publish"), reply,
                                 [this](const v1::Target& target) { edge_.check(target); });
  }

  grpc::ServerWriteReactor<v1::FetchReply>* Fetch(CallbackServerContext* context,
                                                  const v1::FetchRequest* request) override {
    using Stream = Subscription<v1::FetchReply>;
    // Not counted: every worker may fetch at a switch, and a transfer ends.
    return Stream::start(
        edge_.brain(), context, edge_.permission(context, "flowloom.v1.Models/Fetch"), limits::kTransferDeadline,
        [this, request, chunks = std::shared_ptr<ReadAhead<std::string>>()](v1::FetchReply& reply) mutable {
          if (!chunks) {
            edge_.check(request->run());
            if (!edge_.brain().core().rollout().find(request->version())) {
              throw Error(ErrorCode::kNotFound, "There is no version " + std::to_string(request->version()) + ".");
            }
            chunks = read_chunks(edge_.brain(), edge_.brain().directory().model(request->version()));
          }
          auto chunk = chunks->next();
          if (!chunk) return Stream::Step::kWait;
          if (chunk->empty()) return Stream::Step::kEnd;
          reply.set_chunk(std::move(*chunk));
          return Stream::Step::kReply;
        });
  }

  grpc::ServerUnaryReactor* List(CallbackServerContext* context, const v1::ListRequest* request,
                                 v1::ListReply* reply) override {
    return edge_.unary(context, "flowloom.v1.Models/List", request,
                       [this, reply] { *reply = edge_.brain().core().models(); });
  }

  grpc::ServerWriteReactor<v1::ListReply>* Watch(CallbackServerContext* context,
                                                 const v1::ListRequest* request) override {
    using Stream = Subscription<v1::ListReply>;
    return edge_.follow<v1::ListReply>(context, "flowloom.v1.Models/Watch",
                                       [this, request, seen = std::uint64_t{0}](v1::ListReply& reply) mutable {
                                         edge_.check(request->run());
                                         Core& core = edge_.brain().core();
                                         if (seen != core.models_revision()) {
                                           seen = core.models_revision();
                                           reply = core.models();
                                           return Stream::Step::kReply;
                                         }
                                         if (!core.finished()) return Stream::Step::kWait;
                                         return end_of_stream<Stream>(core);
                                       });
  }

  grpc::ServerUnaryReactor* Describe(CallbackServerContext* context, const v1::DescribeRequest* request,
                                     v1::DescribeReply* reply) override {
    return edge_.unary(context, "flowloom.v1.Models/Describe", request, [this, reply] {
      reply->set_run_id(edge_.brain().run_id());
      reply->set_run_file(edge_.brain().run().toml);
      for (const auto& [entry, version] : edge_.brain().core().rollout().fulfilled()) reply->add_fulfilled(entry);
      *reply->mutable_models() = edge_.brain().core().models();
    });
  }

  grpc::ServerUnaryReactor* Report(CallbackServerContext* context, const v1::TrainingReport* report,
                                   v1::ReportReply* reply) override {
    return edge_.unary(
        context, "flowloom.v1.Models/Report", report,
        [this, report](Store& store) {
          if (report->points_size() > limits::kReportedPoints) {
            throw Error(ErrorCode::kInvalidInput,
                        "A report has at most " + std::to_string(limits::kReportedPoints) + " points.");
          }
          store.add_training(report->training(), {report->points().begin(), report->points().end()});
          return edge_.brain().look_up(store, "the training server", report->seen());
        },
        [this, report, reply](const std::optional<std::string>& found) {
          edge_.brain().looked_up(found);
          v1::TrainingReport kept = *report;
          kept.clear_points();
          kept.clear_seen();
          *reply = edge_.brain().trainer_reported(std::move(kept));
        });
  }

  grpc::ServerUnaryReactor* Record(CallbackServerContext* context, const v1::RecordRequest* request,
                                   v1::RecordReply* reply) override {
    return edge_.unary(
        context, "flowloom.v1.Models/Record", request,
        [request](Store& store) { return store.training(request->after_step(), limits::kRecordPoints); },
        [reply](std::vector<TrainingPoint> points) { reply->mutable_points()->Add(points.begin(), points.end()); });
  }

  grpc::ServerUnaryReactor* Activate(CallbackServerContext* context, const v1::ActivateRequest* request,
                                     v1::ActivateReply* reply) override {
    return edge_.unary(context, "flowloom.v1.Models/Activate", request, [this, request, reply] {
      if (request->reason().size() > limits::kReasonBytes) {
        throw Error(ErrorCode::kInvalidInput,
                    "A reason has at most " + std::to_string(limits::kReasonBytes) + " bytes.");
      }
      reply->set_from(edge_.brain().core().activate(request->version(), request->reason()));
      edge_.brain().schedule_turn();
    });
  }

 private:
  const Edge& edge_;
};

class ChainService final : public v1::Chain::CallbackService {
 public:
  explicit ChainService(const Edge& edge) : edge_(edge) {}

  grpc::ServerUnaryReactor* Status(CallbackServerContext* context, const v1::StatusRequest* request,
                                   v1::StatusReply* reply) override {
    return edge_.unary(context, "flowloom.v1.Chain/Status", request,
                       [this, reply] { *reply = edge_.brain().status(); });
  }

  grpc::ServerWriteReactor<v1::StatusReply>* WatchStatus(CallbackServerContext* context,
                                                         const v1::WatchStatusRequest* request) override {
    using Stream = Subscription<v1::StatusReply>;
    return edge_.follow<v1::StatusReply>(
        context, "flowloom.v1.Chain/WatchStatus",
        [this, request, next = Time{0}, first = true, last = false](v1::StatusReply& reply) mutable {
          edge_.check(request->run());
          const double seconds = request->interval_seconds();
          if (!(seconds >= 0.1 && seconds <= 60)) {
            throw Error(ErrorCode::kInvalidInput, "interval_seconds must be from 0.1 to 60.");
          }
          Brain& brain = edge_.brain();
          if (std::exchange(first, false)) brain.heard("a client", request->seen());
          if (last) return end_of_stream<Stream>(brain.core());
          last = brain.core().finished();
          if (!last && brain.now() < next) return Stream::Step::kWait;
          next = brain.now() + Time(static_cast<std::int64_t>(1000 * seconds));
          reply = brain.status();
          if (auto seen = brain.head_to_tell()) *reply.mutable_seen() = std::move(*seen);
          return Stream::Step::kReply;
        });
  }

  grpc::ServerWriteReactor<v1::StatesReply>* StreamStates(CallbackServerContext* context,
                                                          const v1::StreamStatesRequest* request) override {
    using Stream = Subscription<v1::StatesReply>;
    return edge_.follow<v1::StatesReply>(
        context, "flowloom.v1.Chain/StreamStates",
        [this, request, units = read_units(edge_.brain(), request->first_index()), next = request->first_index(),
         asked = false, first = true, reader = Farewell::Reader()](v1::StatesReply& reply) mutable {
          edge_.check(request->run());
          Brain& brain = edge_.brain();
          if (!std::exchange(asked, true)) {
            brain.heard("a client", request->seen());
            reader = brain.reader();
          }
          if (next >= brain.core().durable_frontier()) {
            if (request->follow() && !brain.core().finished()) return Stream::Step::kWait;
            return request->follow() ? end_of_stream<Stream>(brain.core()) : Stream::Step::kEnd;
          }
          const auto unit = units->next();
          if (!unit) return Stream::Step::kWait;
          next = unit->data.first_index + unit->data.count();
          reply = states_reply(*unit);
          reader.took(brain.now());
          if (auto seen = brain.head_to_tell()) *reply.mutable_seen() = std::move(*seen);
          if (std::exchange(first, false)) {
            for (const SumInfo& sum : theory_sums(make_theory(edge_.brain().run().theory))) reply.add_columns(sum.name);
          }
          return Stream::Step::kReply;
        });
  }

  grpc::ServerUnaryReactor* Recheck(CallbackServerContext* context, const v1::RecheckRequest* request,
                                    v1::RecheckReply*) override {
    return edge_.unary(context, "flowloom.v1.Chain/Recheck", request, [this, request] {
      if (!(request->share() > 0 && request->share() <= 1) || request->seed() == 0) {
        throw Error(ErrorCode::kInvalidInput, "A share of units is above 0 and at most 1, and its seed is not 0.");
      }
      edge_.brain().core().recheck({request->share(), request->seed()});
      edge_.brain().schedule_turn();
    });
  }

  grpc::ServerUnaryReactor* Drain(CallbackServerContext* context, const v1::DrainRequest* request,
                                  v1::DrainReply*) override {
    return edge_.unary(context, "flowloom.v1.Chain/Drain", request, [this] { edge_.brain().drain(/*for_good=*/true); });
  }

 private:
  const Edge& edge_;
};

}  // namespace

struct Services::Impl {
  Impl(Brain& brain, const std::string& token, const std::filesystem::path& tokens)
      : edge(brain, token, tokens, brain.run_id()) {}
  Edge edge;
  WorkService work{edge};
  ModelsService models{edge};
  TrainingService training{edge};
  ChainService chain{edge};
  std::unique_ptr<grpc::Server> server;
};

Services::Services(Brain& brain, const std::string& address, const std::string& token,
                   const std::optional<ServerTls>& tls) {
  impl_ = std::make_unique<Impl>(brain, token, tls ? tls->tokens : std::filesystem::path());
  Listening listening = listen_at(address, tls, {&impl_->work, &impl_->models, &impl_->training, &impl_->chain});
  impl_->server = std::move(listening.server);
  address_ = std::move(listening.address);
}

Services::~Services() {
  if (!impl_) return;
  // The brain still runs: it ends the streams that the shutdown cancels. What it has left to do for them comes before
  // this.
  impl_->server->Shutdown(std::chrono::system_clock::now() + std::chrono::seconds(1));
  std::promise<void> passed;
  impl_->edge.brain().post([&] { passed.set_value(); });
  passed.get_future().wait();
}

}  // namespace flowloom
