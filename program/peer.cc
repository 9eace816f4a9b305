#include "program/peer.h"

#include "program/rpc.h"
#include "program/run_directory.h"
#include "spec/files.h"

namespace flowloom {

PeerFinder::PeerFinder(PeerOptions options) : options_(std::move(options)) {
  const bool by_directory = !options_.directory.empty();
  if (options_.address.empty() == by_directory && options_.token_file.empty() == by_directory) return;
  throw Error(ErrorCode::kInvalidInput,
              "Say where the coordinator is: either --dir RUN, or --coordinator HOST:PORT with --token-file FILE.");
}

std::string PeerFinder::name() const {
  if (options_.directory.empty()) return "the coordinator at " + options_.address;
  return "the coordinator of '" + options_.directory.string() + "'";
}

Peer PeerFinder::find() {
  Peer peer;
  try {
    if (options_.directory.empty()) {
      peer.address = options_.address;
      peer.token = read_file(options_.token_file);
      while (!peer.token.empty() && (peer.token.back() == '\n' || peer.token.back() == ' ')) peer.token.pop_back();
    } else {
      const RunDirectory directory(options_.directory);
      const auto owner = directory.owner();
      if (!owner) {
        throw Error(ErrorCode::kUnavailable, "no coordinator serves '" + options_.directory.string() + "'");
      }
      peer.address = owner->address;
      peer.token = directory.token();
    }
  } catch (const Error& error) {
    if (error.code() != ErrorCode::kNotFound) throw;
    throw Error(ErrorCode::kUnavailable, error.what());
  }
  peer.channel = peer.address == last_.address ? last_.channel : open_channel(peer.address, options_.insecure);
  return last_ = peer;
}

}  // namespace flowloom
