// What `flowloom up` prints when a chain is complete. Pure.
#pragma once

#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "chain/analysis.h"
#include "client/rate_meter.h"
#include "flowloom/v1/chain.pb.h"

namespace flowloom {

struct FinalReport {
  v1::StatusReply status;
  ChainAnalysis::Result analysis;
  RateMeter rate;           // empty if nothing was sampled now
  double wall_seconds = 0;  // of this `up`; 0 if nothing was started
  std::filesystem::path directory;
  std::string program = "flowloom";  // as it was called
};

std::vector<std::string> final_lines(const FinalReport& report);
nlohmann::json final_json(const FinalReport& report);

}  // namespace flowloom
