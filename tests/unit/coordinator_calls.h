// Every method of the protocol, and calls of any of them with any bytes.
#pragma once

#include <google/protobuf/descriptor.h>
#include <grpcpp/generic/generic_stub.h>
#include <grpcpp/grpcpp.h>

#include <chrono>
#include <memory>
#include <string>
#include <vector>

#include "flowloom/v1/chain.pb.h"
#include "flowloom/v1/coordinator.pb.h"
#include "flowloom/v1/models.pb.h"
#include "flowloom/v1/training.pb.h"

namespace flowloom {

// "flowloom.v1.Chain/Status" of every method of every service of ours, as the protocol's files say.
inline std::vector<std::string> all_methods() {
  std::vector<std::string> methods;
  for (const auto* file :
       {flowloom::v1::StatusRequest::descriptor()->file(), flowloom::v1::Hello::descriptor()->file(),
        flowloom::v1::ListRequest::descriptor()->file(), flowloom::v1::ShareRequest::descriptor()->file()}) {
    for (int s = 0; s < file->service_count(); ++s) {
      for (int m = 0; m < file->service(s)->method_count(); ++m) {
        methods.push_back(file->service(s)->full_name() + "/" + file->service(s)->method(m)->name());
      }
    }
  }
  return methods;
}

// Calls any method with one message of these bytes; the status, and the first reply if there is one.
struct Raw {
  grpc::Status status;
  std::string reply;
};
inline Raw call_raw(const std::shared_ptr<grpc::Channel>& channel, const std::string& method,
                    const std::string& authorization, const std::string& bytes = "") {
  grpc::GenericStub stub(channel);
  grpc::ClientContext context;
  if (!authorization.empty()) context.AddMetadata("authorization", authorization);
  context.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(20));
  grpc::CompletionQueue queue;
  const auto call = stub.PrepareCall(&context, "/" + method, &queue);
  void* tag = nullptr;
  bool ok = false;
  const auto step = [&](auto start) {
    start();
    queue.Next(&tag, &ok);
    return ok;
  };
  const grpc::Slice slice(bytes);
  const grpc::ByteBuffer request(&slice, 1);
  grpc::ByteBuffer reply;
  Raw raw;
  step([&] { call->StartCall(&tag); });
  step([&] { call->Write(request, &tag); });
  if (step([&] { call->Read(&reply, &tag); })) {
    std::vector<grpc::Slice> slices;
    reply.Dump(&slices);
    for (const grpc::Slice& piece : slices)
      raw.reply.append(reinterpret_cast<const char*>(piece.begin()), piece.size());
  }
  step([&] { call->WritesDone(&tag); });
  step([&] { call->Finish(&raw.status, &tag); });
  queue.Shutdown();
  return raw;
}

}  // namespace flowloom
