// Where a command gets its data from: a running coordinator, or the store of a run that nobody serves.
// Commands see no difference but `live`. One owner thread.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <stop_token>
#include <string>

#include "chain/analysis.h"
#include "chain/record.h"
#include "client/connection.h"
#include "flowloom/v1/chain.pb.h"
#include "spec/run_spec.h"

namespace flowloom {

class Source {
 public:
  virtual ~Source() = default;

  // True if a coordinator answers: figures move on while one looks.
  virtual bool live() const = 0;

  // The run file as accepted.
  virtual const RunSpec& run() = 0;

  virtual v1::StatusReply status() = 0;
  virtual v1::ListReply models() = 0;
  virtual std::vector<v1::TrainingPoint> training() = 0;  // the whole record, in the order of its steps
  virtual std::string head() = 0;                         // of the log, hexadecimal

  // As `Connection::watch_status`, through losses of the connection once a first status came (ConnectionOptions); from
  // a store, also that of a coordinator which left a complete chain behind: the status once.
  virtual void watch(double interval, std::stop_token stop,
                     const std::function<bool(const v1::StatusReply&)>& visit) = 0;

  // As `Connection::stream_states`, through losses of the connection as `watch`; without `follow` a lost coordinator is
  // awaited for 10 seconds. A directory's store is read to its frontier if nobody serves it; with `follow` only if the
  // chain is complete.
  virtual void units(std::uint64_t first_index, bool follow, std::stop_token stop,
                     const std::function<bool(const UnitRecord&)>& visit) = 0;
};

// `where` is a run directory or an address. A directory whose coordinator answers is asked by RPC, one that
// nobody owns is read. Throws `kInUse` if somebody holds the store and does not answer.
std::unique_ptr<Source> open_source(const std::string& where, const ConnectionOptions& options = {});

// The store of a directory, read-only, however it is meant to be served. Throws `kInUse` if a process holds it.
std::unique_ptr<Source> open_store_source(const std::filesystem::path& directory);

// Reads the whole log and computes errors by the Gamma method.
ChainAnalysis::Result analyse(Source& source, std::uint64_t burn_in);

}  // namespace flowloom
