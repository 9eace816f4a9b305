#include "client/source.h"

#include <signal.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <limits>
#include <optional>

#include "chain/status_reply.h"
#include "chain/store.h"
#include "client/offline_status.h"
#include "flow/catalog.h"
#include "program/address.h"
#include "program/program.h"
#include "program/retry.h"
#include "program/rpc.h"
#include "program/run_directory.h"
#include "spec/error.h"

namespace flowloom {
namespace {

class LiveSource final : public Source {
 public:
  LiveSource(std::string where, ConnectionOptions options)
      : where_(std::move(where)), options_(std::move(options)), connection_(find()) {}

  bool live() const override { return true; }
  const RunSpec& run() override {
    if (!run_) run_ = load_run_text(connection_.describe().run_file(), "the run file of " + connection_.address());
    return *run_;
  }
  v1::StatusReply status() override { return connection_.status(); }
  v1::ListReply models() override { return connection_.models(); }
  std::vector<v1::TrainingPoint> training() override { return connection_.training(); }
  std::string head() override { return status().head(); }
  void watch(double interval, std::stop_token stop, const std::function<bool(const v1::StatusReply&)>& visit) override {
    persist(stop, [&](const auto& answered) {
      connection_.watch_status(interval, stop, [&](const v1::StatusReply& status) {
        answered();
        return visit(status);
      });
    });
  }
  void units(std::uint64_t first_index, bool follow, std::stop_token stop,
             const std::function<bool(const UnitRecord&)>& visit) override {
    if (!follow) return connection_.stream_states(first_index, false, stop, visit);
    persist(stop, [&](const auto& answered) {
      connection_.stream_states(first_index, true, stop, [&](const UnitRecord& unit) {
        answered();
        first_index = unit.data.first_index + unit.data.count();
        return visit(unit);
      });
    });
  }

 private:
  using Clock = std::chrono::steady_clock;

  Connection find() const { return Connection(find_coordinator(where_, options_), last_seen_); }

  // Makes the call, which says when it is answered; again, on a new connection, whenever it was and the connection is lost.
  template <class Call>
  void persist(std::stop_token stop, Call call) {
    Retry retry("the coordinator of '" + where_ + "'", options_.say);
    bool known = false;
    std::optional<Clock::time_point> lost;
    const auto answered = [&] {
      known = true;
      lost.reset();
      retry.succeeded();
    };
    for (bool again = false;; again = true) {
      try {
        if (again) connection_ = find();
        return call(answered);
      } catch (const Error& error) {
        if (error.code() != ErrorCode::kUnavailable || !known) throw;
        if (!lost) lost = Clock::now();
        if (options_.wait && Clock::now() - *lost >= *options_.wait) throw;
        if (!retry.failed(error.what(), stop, error.retry_after())) return;
      }
    }
  }

  std::string where_;
  ConnectionOptions options_;
  std::shared_ptr<LastSeen> last_seen_ = std::make_shared<LastSeen>();
  Connection connection_;
  std::optional<RunSpec> run_;
};

class StoreSource final : public Source {
 public:
  explicit StoreSource(const RunDirectory& directory)
      : store_(Store::open(directory.store(), Store::Mode::kReadOnly)),
        run_(load_run_text(directory.read_run_file(), directory.run_file().string())) {}

  bool live() const override { return false; }
  const RunSpec& run() override { return run_; }
  v1::StatusReply status() override { return offline_status(store_, run_); }
  v1::ListReply models() override { return list_reply(store_.models(), store_.switches()); }
  std::vector<v1::TrainingPoint> training() override {
    return store_.training(-1, std::numeric_limits<std::int64_t>::max());
  }
  std::string head() override { return to_hex(store_.head()); }
  void watch(double, std::stop_token, const std::function<bool(const v1::StatusReply&)>& visit) override {
    visit(status());
  }
  void units(std::uint64_t first_index, bool, std::stop_token stop,
             const std::function<bool(const UnitRecord&)>& visit) override {
    constexpr std::size_t kAtOnce = 64;
    for (std::uint64_t next = first_index; !stop.stop_requested();) {
      const auto units = store_.units(next, kAtOnce);
      for (const UnitRecord& unit : units) {
        if (!visit(unit)) return;
      }
      if (units.size() < kAtOnce) return;
      next = units.back().data.first_index + units.back().data.count();
    }
  }

 private:
  Store store_;
  RunSpec run_;
};

// False if `owner` ran on this host and is gone: its announcement outlived it.
bool may_run(const Owner& owner) {
  return owner.host != host_name() || ::kill(static_cast<pid_t>(owner.pid), 0) == 0 || errno == EPERM;
}

std::string described(const Owner& owner) {
  return "process " + std::to_string(owner.pid) + " on " + owner.host + ", " + owner.address;
}

}  // namespace

std::unique_ptr<Source> open_store_source(const std::filesystem::path& directory) {
  return std::make_unique<StoreSource>(RunDirectory(directory));
}

std::unique_ptr<Source> open_source(const std::string& where, const ConnectionOptions& options) {
  if (is_address(where)) return std::make_unique<LiveSource>(where, options);
  const RunDirectory directory(where);
  if (!directory.exists()) find_coordinator(where, options);  // throws the sentence
  const auto owner = directory.owner();
  if (owner && may_run(*owner)) {
    if (owner->host != host_name() && is_loopback(owner->address)) {
      throw Error(ErrorCode::kUnavailable, "'" + where + "' is served on another host's loopback only (" +
                                               described(*owner) +
                                               "); ask there, or start its coordinator with --listen.");
    }
    try {
      auto source = std::make_unique<LiveSource>(where, options);
      source->status();
      return source;
    } catch (const Error& error) {
      if (error.code() != ErrorCode::kUnavailable) throw;
    }
  }
  try {
    return std::make_unique<StoreSource>(directory);
  } catch (const Error& error) {
    if (error.code() != ErrorCode::kInUse) throw;
    throw Error(ErrorCode::kInUse,
                "'" + where + "' is held by another process, but no coordinator answers for it" +
                    (owner ? " (announced: " + described(*owner) + ")" : "") +
                    ": it is starting, or hangs, or another command reads the store. Try again in a moment.");
  }
}

ChainAnalysis::Result analyse(Source& source, std::uint64_t burn_in) {
  ChainAnalysis analysis(make_theory(source.run().theory));
  source.units(0, false, {}, [&](const UnitRecord& unit) {
    analysis.add(unit);
    return true;
  });
  return analysis.result(burn_in);
}

}  // namespace flowloom
