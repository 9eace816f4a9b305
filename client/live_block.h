// What one sees while a run runs: a block of lines for a terminal, one line elsewhere. Pure.
#pragma once

#include <string>
#include <vector>

#include "flowloom/v1/chain.pb.h"

namespace flowloom {

inline constexpr std::size_t kBlockLines = 12;  // at most

struct LiveFrame {
  double seconds = 0;  // since one began to look
  std::string notice;  // what happened to a program, or nothing
  std::string footer;  // how to leave, or nothing
  std::size_t columns = 80;
  bool training_only = false;  // there are no workers on purpose
};

// At most `kBlockLines` lines of at most `frame.columns` columns.
std::vector<std::string> live_block(const v1::StatusReply& status, const LiveFrame& frame);

// The same in one line of any length.
std::string live_line(const v1::StatusReply& status, double seconds, bool training_only = false);

// Seconds until the chain ends, and until training reaches its last step, at the present rates; NaN if unknown.
double chain_eta(const v1::StatusReply& status);
double training_eta(const v1::TrainingReport& training);

}  // namespace flowloom
