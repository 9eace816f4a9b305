// A run with an untrained flow, served by bin/flowloom-coordinator: a process of its own, as users have it.
#pragma once

#include <fstream>
#include <string>
#include <thread>

#include "bench_run.h"
#include "client/child.h"
#include "flowloom/v1/chain.grpc.pb.h"
#include "program/rpc.h"

namespace flowloom {

class CoordinatorProcess : private BenchRun {
 public:
  CoordinatorProcess(const std::string& name, const std::string& sections, const std::string& chain_keys = "")
      : BenchRun(name, sections, true, chain_keys),
        child_(program_folder() / "flowloom-coordinator",
               {"--dir", directory().path().string(), "--run", run_file().string(), "--die-with-parent"}, output()) {
    while (!directory().owner()) {
      if (child_.poll()) throw Error(ErrorCode::kUnavailable, "The coordinator has ended: " + child_.last_words());
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
    address_ = directory().owner()->address;
    chain_ = flowloom::v1::Chain::NewStub(open_channel(address_, false));
  }

  using BenchRun::run;
  const std::string& address() const { return address_; }
  std::string token() const { return directory().token(); }

  // Proposals that are durable.
  std::uint64_t frontier() const { return status().proposals(); }

  flowloom::v1::StatusReply status() const {
    grpc::ClientContext context;
    prepare(context, token(), limits::kUnaryDeadline);
    flowloom::v1::StatusReply reply;
    const grpc::Status status = chain_->Status(&context, {}, &reply);
    if (!status.ok()) throw to_error(status, "The coordinator");
    return reply;
  }

  // A number of kB of /proc/PID/status: "VmRSS", "VmHWM"; in MB.
  double megabytes(const std::string& key) const {
    std::ifstream file("/proc/" + std::to_string(child_.pid()) + "/status");
    for (std::string line; std::getline(file, line);) {
      if (line.starts_with(key + ":")) return std::stod(line.substr(key.size() + 1)) * 1024 / 1e6;
    }
    return 0;
  }

 private:
  Child child_;
  std::string address_;
  std::unique_ptr<flowloom::v1::Chain::Stub> chain_;
};

}  // namespace flowloom
