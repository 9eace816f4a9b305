// Brings checkpoints from the coordinator's registry, whole or not at all.
//
// `stop` ends a call at once; it then throws `kUnavailable`, as for a connection that is lost.
#pragma once

#include <memory>
#include <stop_token>
#include <string>

#include "flowloom/v1/models.grpc.pb.h"
#include "program/peer.h"

namespace flowloom {

class ModelFetcher {
 public:
  ModelFetcher(const Peer& peer, std::string run_id);

  // What the registry knows about a version. Throws `kNotFound` if there is none.
  flowloom::v1::ModelVersion look_up(std::uint32_t version, std::stop_token stop) const;

  // The bytes of a version's checkpoint. Throws `kCorrupt` unless size and SHA-256 are those of `model`.
  std::string fetch(const flowloom::v1::ModelVersion& model, std::stop_token stop) const;

 private:
  Peer peer_;
  std::string run_id_;
  std::unique_ptr<flowloom::v1::Models::Stub> stub_;
};

}  // namespace flowloom
