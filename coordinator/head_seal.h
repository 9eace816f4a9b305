// Notices a store that is older than what its coordinators said before, or another one: a restored backup, a disk that
// lost its last writes. Peers that lived on say what they were told (Seen), and the log must still hold it.
//
// Keeps true: of this run only what a coordinator of this very directory has said counts. It is sealed with the
// directory's token, and who knows that may drain the chain anyway; a role's token, or a worker that errs, cannot make
// it up. (What is said of a lost run nobody can check: Brain::heard.) Pure.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "flowloom/v1/common.pb.h"
#include "spec/sha256.h"

namespace flowloom {

class HeadSeal {
 public:
  HeadSeal(std::string run_id, std::string token) : run_id_(std::move(run_id)), token_(std::move(token)) {}

  // That the log has `records` records, the last of which has the link `head`.
  flowloom::v1::Seen seal(std::int64_t records, const Sha256& head) const;

  // True if `seen` was made by `seal`, here or in an earlier process.
  bool holds(const flowloom::v1::Seen& seen) const;

 private:
  std::string hmac(const flowloom::v1::Seen& seen) const;

  std::string run_id_, token_;
};

// How a log of `records` records, whose record number `seen.records()` has the link `link`, contradicts what `peer` was
// told; nothing if it does not.
std::optional<std::string> contradiction(const std::string& peer, const flowloom::v1::Seen& seen, std::int64_t records,
                                         const std::optional<Sha256>& link);

}  // namespace flowloom
