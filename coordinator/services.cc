#include "coordinator/services.h"

#include <grpcpp/ext/proto_server_reflection_plugin.h>
#include <grpcpp/health_check_service_interface.h>
#include <spdlog/spdlog.h>
#include <boost/asio/ip/tcp.hpp>

#include <cmath>
#include <deque>
#include <fstream>
#include <optional>

#include "coordinator/streams.h"
#include "flowloom/v1/chain.grpc.pb.h"
#include "flowloom/v1/coordinator.grpc.pb.h"
#include "flowloom/v1/models.grpc.pb.h"
#include "flowloom/v1/training.grpc.pb.h"
#include "program/address.h"
#include "program/authorization.h"
#include "spec/error.h"
#include "spec/packing.h"

namespace flowloom {
namespace {

namespace v1 = flowloom::v1;
using grpc::CallbackServerContext;

// What every method needs: the brain, the table of permissions, the run that requests must mean.
class Edge {
 public:
  Edge(Brain& brain, const std::string& token, const std::filesystem::path& tokens, std::string run_id)
      : brain_(brain), authorizer_(token, tokens), run_id_(std::move(run_id)) {}

  Brain& brain() const { return brain_; }

  grpc::Status permission(const CallbackServerContext* context, const char* method) const {
    return authorizer_.check(*context, method);
  }

  // Authorises, and feeds the stream with `pull`; RESOURCE_EXHAUSTED if too many are served already.
  template <class Reply, class Pull>
  grpc::ServerWriteReactor<Reply>* follow(CallbackServerContext* context, const char* method, Pull pull) const {
    grpc::Status status = permission(context, method);
    auto seat = seats_.take();
    if (status.ok() && !seat) {
      status = grpc::Status(grpc::StatusCode::RESOURCE_EXHAUSTED,
                            "This coordinator serves " + std::to_string(limits::kSubscribers) +
                                " streams already; try again when somebody has left.");
    }
    return Subscription<Reply>::start(brain_, context, status, limits::kSlowReader,
                                      [pull = std::move(pull), seat](Reply& reply) mutable { return pull(reply); });
  }

  // Throws `kConflict` if a request is for another run, `kInvalidInput` for another chain.
  void check(const v1::Target& target) const {
    if (!target.run_id().empty() && target.run_id() != run_id_) {
      throw Error(ErrorCode::kConflict,
                  "This coordinator owns run " + run_id_ + ", not " + target.run_id() + "; check the address.");
    }
    if (target.chain() != 0) throw Error(ErrorCode::kInvalidInput, "A run has one chain, number 0.");
  }

  // Authorises, checks the target and runs `work` on the brain's thread.
  template <class Request, class Work>
  grpc::ServerUnaryReactor* unary(CallbackServerContext* context, const char* method, const Request* request,
                                  Work work) const {
    auto* reactor = context->DefaultReactor();
    if (const auto status = permission(context, method); !status.ok()) {
      reactor->Finish(status);
      return reactor;
    }
    brain_.post([this, reactor, request, work] {
      reactor->Finish(guarded([&] {
        check(request->run());
        work();
      }));
    });
    return reactor;
  }

  // The same with a part that takes the disk's time: `read(store)` on the store's thread, then `work(its result)`.
  template <class Request, class Read, class Work>
  grpc::ServerUnaryReactor* unary(CallbackServerContext* context, const char* method, const Request* request, Read read,
                                  Work work) const {
    auto* reactor = context->DefaultReactor();
    if (const auto status = permission(context, method); !status.ok()) {
      reactor->Finish(status);
      return reactor;
    }
    brain_.on_store(
        [this, request, read](Store& store) {
          check(request->run());
          return read(store);
        },
        [reactor, work](auto result) { reactor->Finish(guarded([&] { work(result.get()); })); });
    return reactor;
  }

 private:
  Brain& brain_;
  mutable Authorizer authorizer_;
  std::string run_id_;
  mutable Seats seats_{limits::kSubscribers};
};

// Why a stream that follows the chain ends: that is complete, or the coordinator goes down, which is thrown.
template <class Stream>
typename Stream::Step end_of_stream(const Core& core) {
  if (!core.complete()) throw going_down();
  return Stream::Step::kEnd;
}

// Reads for one stream, on the store's thread: there, and nowhere else, the disk is waited for.
template <class Item>
class ReadAhead : public std::enable_shared_from_this<ReadAhead<Item>> {
 public:
  // `read` gives the next items, and knows how far it came; it is called on the store's thread.
  using Read = std::function<std::vector<Item>(Store&)>;
  ReadAhead(Brain& brain, Read read) : brain_(brain), read_(std::move(read)) {}

  // Nothing while none is here; subscribers are poked when one is. Throws what reading threw.
  std::optional<Item> next() {
    if (error_) std::rethrow_exception(error_);
    if (items_.empty()) {
      if (!std::exchange(reading_, true)) read();
      return {};
    }
    Item item = std::move(items_.front());
    items_.pop_front();
    return item;
  }

 private:
  void read() {
    brain_.on_store([self = this->shared_from_this()](Store& store) { return self->read_(store); },
                    [self = this->shared_from_this()](std::future<std::vector<Item>> result) {
                      self->reading_ = false;
                      try {
                        for (Item& item : result.get()) self->items_.push_back(std::move(item));
                      } catch (...) {
                        self->error_ = std::current_exception();
                      }
                      self->brain_.schedule_turn();
                    });
  }

  Brain& brain_;
  Read read_;
  std::deque<Item> items_;
  bool reading_ = false;
  std::exception_ptr error_;
};

// The chain's durable units, from the one that holds proposal `first_index` on.
std::shared_ptr<ReadAhead<UnitRecord>> read_units(Brain& brain, std::uint64_t first_index) {
  constexpr std::size_t kAtOnce = 8;
  return std::make_shared<ReadAhead<UnitRecord>>(brain, [next = first_index](Store& store) mutable {
    auto units = store.units(next, kAtOnce);
    if (units.empty()) {
      throw Error(ErrorCode::kCorrupt, "The store has lost proposal " + std::to_string(next) +
                                           "; end the coordinator and run 'flowloom verify'.");
    }
    next = units.back().data.first_index + units.back().data.count();
    return units;
  });
}

// A file's bytes, piece by piece; an empty piece at its end. It is held open only while it is read.
std::shared_ptr<ReadAhead<std::string>> read_chunks(Brain& brain, const std::filesystem::path& path) {
  return std::make_shared<ReadAhead<std::string>>(brain, [path, at = std::streamoff{0}](Store&) mutable {
    std::string chunk(limits::kChunkBytes, '\0');
    std::ifstream file(path, std::ios::binary);
    if (file.seekg(at)) file.read(chunk.data(), static_cast<std::streamsize>(chunk.size()));
    if (!file && !file.eof()) {
      throw Error(ErrorCode::kCorrupt, "'" + path.string() + "' cannot be read; restore it from a backup.");
    }
    chunk.resize(static_cast<std::size_t>(file.gcount()));
    at += file.gcount();
    std::vector<std::string> chunks;
    chunks.push_back(std::move(chunk));
    return chunks;
  });
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
          fill(reply, *unit);
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
    return edge_.unary(context, "flowloom.v1.Chain/Drain", request, [this] { edge_.brain().drain(); });
  }

 private:
  static void fill(v1::StatesReply& reply, const UnitRecord& unit) {
    reply.set_first_index(unit.data.first_index);
    reply.set_count(static_cast<std::uint32_t>(unit.data.count()));
    reply.set_version(unit.data.version);
    reply.set_accepted(unit.accepted.data(), unit.accepted.size());
    reply.set_log_p(pack(unit.data.log_p));
    reply.set_log_q(pack(unit.data.log_q));
    reply.set_sums(pack(unit.data.sums));
  }

  const Edge& edge_;
};

Error cannot_bind(const std::string& address) {
  return Error(ErrorCode::kConflict, "The address " + address +
                                         " cannot be bound: the port is in use, or the address is "
                                         "not this host's; choose another with --listen (port 0 takes a free one).");
}

std::shared_ptr<grpc::ServerCredentials> credentials(const ServerTls& tls) {
  grpc::SslServerCredentialsOptions options(tls.require_client_certificate
                                                ? GRPC_SSL_REQUEST_AND_REQUIRE_CLIENT_CERTIFICATE_AND_VERIFY
                                                : GRPC_SSL_DONT_REQUEST_CLIENT_CERTIFICATE);
  options.pem_root_certs = tls.authority;
  options.pem_key_cert_pairs = {{tls.key, tls.certificate}};
  return grpc::SslServerCredentials(options);
}

}  // namespace

void refuse_unusable_address(const std::string& address, bool accepted) {
  if (!is_loopback(address) && !accepted) throw not_on_loopback("--listen " + address);
  const auto [host, port] = split_address(address);
  if (port.empty() || port.size() > 5 || port.find_first_not_of("0123456789") != std::string::npos ||
      std::stoi(port) > 65535) {
    throw Error(ErrorCode::kInvalidInput, "--listen " + address + " must be ADDRESS:PORT, for example 127.0.0.1:4000.");
  }
  using boost::asio::ip::tcp;
  boost::asio::io_context io;
  boost::system::error_code error;
  const auto found = tcp::resolver(io).resolve(host, port, tcp::resolver::passive, error);
  if (error || found.empty()) throw cannot_bind(address);
  tcp::acceptor acceptor(io);
  const tcp::endpoint endpoint = found.begin()->endpoint();
  acceptor.open(endpoint.protocol(), error);
  if (!error) acceptor.set_option(tcp::acceptor::reuse_address(true), error);
  if (!error) acceptor.bind(endpoint, error);
  if (error) throw cannot_bind(address);
}

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
  grpc::EnableDefaultHealthCheckService(true);
  grpc::reflection::InitProtoReflectionServerBuilderPlugin();
  grpc::ServerBuilder builder;
  int port = 0;
  builder.AddListeningPort(address, tls ? credentials(*tls) : grpc::InsecureServerCredentials(), &port);
  builder.AddChannelArgument(GRPC_ARG_ALLOW_REUSEPORT, 0);
  const auto milliseconds = [](auto time) { return static_cast<int>(std::chrono::milliseconds(time).count()); };
  builder.AddChannelArgument(GRPC_ARG_SERVER_HANDSHAKE_TIMEOUT_MS, milliseconds(limits::kHandshake));
  builder.AddChannelArgument(GRPC_ARG_MAX_CONNECTION_IDLE_MS, milliseconds(limits::kIdleConnection));
  builder.AddChannelArgument(GRPC_ARG_MAX_CONCURRENT_STREAMS, limits::kStreams);
  builder.AddChannelArgument(GRPC_ARG_MAX_METADATA_SIZE, limits::kHeaderBytes);
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_TIME_MS, milliseconds(limits::kKeepAlive));
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, milliseconds(limits::kKeepAlive));
  builder.AddChannelArgument(GRPC_ARG_HTTP2_MIN_RECV_PING_INTERVAL_WITHOUT_DATA_MS, 1000);
  builder.AddChannelArgument(GRPC_ARG_HTTP2_MAX_PING_STRIKES, 0);
  builder.SetMaxReceiveMessageSize(static_cast<int>(limits::kMessageBytes));
  builder.RegisterService(&impl_->work);
  builder.RegisterService(&impl_->models);
  builder.RegisterService(&impl_->training);
  builder.RegisterService(&impl_->chain);
  impl_->server = builder.BuildAndStart();
  if (!impl_->server || port == 0) throw cannot_bind(address);
  address_ = address.substr(0, address.rfind(':')) + ":" + std::to_string(port);
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
