#include "program/peer.h"

#include "program/rpc.h"
#include "program/run_directory.h"
#include "program/secrets.h"
#include "program/tls_probe.h"

namespace flowloom {

Error to_error(const grpc::Status& status, const Peer& peer) {
  Error error = to_error(status, "The coordinator at " + peer.address);
  if (error.code() != ErrorCode::kUnavailable) return error;
  return tls_trouble(peer.address, peer.tls).value_or(error);
}

PeerFinder::PeerFinder(PeerOptions options) : options_(std::move(options)) {
  const bool token = !options_.token_file.empty() || !options_.tls.empty();
  if (options_.address.empty() ? !options_.directory.empty() : options_.directory.empty() && token) return;
  throw Error(
      ErrorCode::kInvalidInput,
      "Say where the coordinator is: either --dir RUN, or --coordinator HOST:PORT with --tls DIR or --token-file "
      "FILE.");
}

std::string PeerFinder::name() const {
  if (options_.directory.empty()) return "the coordinator at " + options_.address;
  return "the coordinator of '" + options_.directory.string() + "'";
}

std::string PeerFinder::token() const {
  if (!options_.token_file.empty()) return read_tokens(options_.token_file).front();
  if (!options_.tls.empty()) {
    const TlsFolder folder(options_.tls);
    for (const Role role : {options_.role, Role::kAdmin}) {
      if (std::filesystem::exists(folder.token(role))) return read_tokens(folder.token(role)).front();
    }
    if (options_.directory.empty()) {
      throw Error(ErrorCode::kInvalidInput, "There is no '" + folder.token(options_.role).string() +
                                                "'; copy it from the folder that 'flowloom certs' made.");
    }
  }
  return RunDirectory(options_.directory).token();
}

Peer PeerFinder::find() {
  Peer peer;
  peer.address = options_.address;
  if (!options_.tls.empty()) peer.tls = TlsFolder(options_.tls).client_side();
  if (!options_.directory.empty()) {
    const auto owner = RunDirectory(options_.directory).owner();
    if (!owner) {
      throw Error(ErrorCode::kUnavailable, "no coordinator serves '" + options_.directory.string() +
                                               "' now; 'flowloom up' or flowloom-coordinator --dir starts one.");
    }
    peer.address = owner->address;
    if (!peer.tls && !owner->authority.empty()) peer.tls = ClientTls{owner->authority, "", ""};
  }
  peer.token = token();
  // A channel that could not connect may go on to say so long after the coordinator is there.
  const bool same = peer.address == last_.address && peer.tls == last_.tls &&
                    last_.channel->GetState(false) != GRPC_CHANNEL_TRANSIENT_FAILURE;
  peer.channel = same ? last_.channel : open_channel(peer.address, options_.insecure, peer.tls);
  return last_ = peer;
}

}  // namespace flowloom
