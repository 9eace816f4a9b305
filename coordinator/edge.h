// The edge between gRPC and the brain: each call is authorised, its target checked, its work done on the right thread.
// Any thread.
#pragma once

#include <grpcpp/grpcpp.h>

#include <filesystem>
#include <string>
#include <utility>

#include "coordinator/brain.h"
#include "coordinator/streams.h"
#include "flowloom/v1/common.pb.h"
#include "program/authorization.h"
#include "program/limits.h"
#include "program/rpc.h"
#include "spec/error.h"

namespace flowloom {

// What every method needs: the brain, the table of permissions, the run that requests must mean.
class Edge {
 public:
  Edge(Brain& brain, const std::string& token, const std::filesystem::path& tokens, std::string run_id)
      : brain_(brain), authorizer_(token, tokens), run_id_(std::move(run_id)) {}

  Brain& brain() const { return brain_; }

  grpc::Status permission(const grpc::CallbackServerContext* context, const char* method) const {
    return authorizer_.check(*context, method);
  }

  // Authorises, and feeds the stream with `pull`; RESOURCE_EXHAUSTED if too many are served already.
  template <class Reply, class Pull>
  grpc::ServerWriteReactor<Reply>* follow(grpc::CallbackServerContext* context, const char* method, Pull pull) const {
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
  void check(const flowloom::v1::Target& target) const {
    if (!target.run_id().empty() && target.run_id() != run_id_) {
      throw Error(ErrorCode::kConflict,
                  "This coordinator owns run " + run_id_ + ", not " + target.run_id() + "; check the address.");
    }
    if (target.chain() != 0) throw Error(ErrorCode::kInvalidInput, "A run has one chain, number 0.");
  }

  // Authorises, checks the target and runs `work` on the brain's thread.
  template <class Request, class Work>
  grpc::ServerUnaryReactor* unary(grpc::CallbackServerContext* context, const char* method, const Request* request,
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
  grpc::ServerUnaryReactor* unary(grpc::CallbackServerContext* context, const char* method, const Request* request,
                                  Read read, Work work) const {
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

}  // namespace flowloom
